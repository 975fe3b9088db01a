"""The page that a browser opens first is Streamlit's, with more in its head."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send
from streamlit import file_util

from mlem.ui.shell import ELEMENTS, Shell, scripts

STATIC = Path(file_util.get_static_dir())
PAGE = (STATIC / "index.html").read_bytes()
ACCEPTS = (b"accept", b"text/html,application/xhtml+xml;q=0.9")


class Site:
    """Answers with one file, and keeps what it was asked for."""

    def __init__(self, body: bytes = PAGE, kind: bytes = b"text/html; charset=utf-8", status: int = 200) -> None:
        self.body, self.kind, self.status, self.asked = body, kind, status, dict[str, object]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked = dict(scope)
        headers = [(b"content-type", self.kind), (b"content-length", str(len(self.body)).encode()), (b"etag", b'"1"')]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body[:1000], "more_body": True})
        await send({"type": "http.response.body", "body": self.body[1000:]})


def ask(site: Site, *headers: tuple[bytes, bytes], method: str = "GET") -> tuple[dict[bytes, bytes], bytes]:
    """The headers and the body of the answer."""
    got = list[Message]()

    async def send(message: Message) -> None:
        got.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {
        "type": "http",
        "method": method,
        "path": "/coin",
        "headers": list(headers),
        "extensions": {"http.response.pathsend": {}},
    }
    asyncio.run(Shell(site)(scope, receive, send))
    assert got[0]["status"] == site.status
    return dict(got[0]["headers"]), b"".join(message.get("body", b"") for message in got[1:])


def test_a_page_comes_whole_with_more_in_its_head() -> None:
    headers, body = ask(Site(), ACCEPTS)
    text = body.decode()
    assert headers[b"content-length"] == str(len(body)).encode()
    assert text.index("<head>") < text.index("mlem.visits") < text.index('<script type="module"') < text.index("</head>")
    assert "<title>ML-EM Lab</title>" in text
    for line in PAGE.decode().replace("<title>Streamlit</title>", "").splitlines():
        assert line.strip() in text


def test_a_copy_of_streamlits_own_page_is_not_taken_for_it() -> None:
    """The page is asked for whole, as text, and does not pass for the file that it was made of."""
    site = Site()
    headers, _ = ask(site, ACCEPTS, (b"if-none-match", b'"1"'), (b"accept-encoding", b"gzip"), (b"host", b"here"))
    assert site.asked["headers"] == [ACCEPTS, (b"host", b"here")]
    assert site.asked["extensions"] == {}
    assert b"etag" not in headers


@pytest.mark.parametrize("site", [Site(kind=b"text/javascript"), Site(status=404), Site(body=b"{}", kind=b"application/json")])
def test_what_is_no_page_is_sent_on(site: Site) -> None:
    headers, body = ask(site, ACCEPTS)
    assert (headers[b"etag"], body) == (b'"1"', site.body)


@pytest.mark.parametrize(("method", "accepts"), [("GET", b"*/*"), ("HEAD", b"text/html"), ("POST", b"text/html")])
def test_who_does_not_open_a_page_gets_streamlits_answer(method: str, accepts: bytes) -> None:
    site = Site()
    _, body = ask(site, (b"accept", accepts), (b"accept-encoding", b"gzip"), method=method)
    assert body == PAGE
    assert (b"accept-encoding", b"gzip") in site.asked["headers"]  # type: ignore[operator]


def test_each_script_ahead_is_there_and_none_comes_twice() -> None:
    folder, page = STATIC / "static" / "js", PAGE.decode()
    assert len(set(scripts())) == len(scripts())
    for name in scripts():
        assert (folder / name).is_file()
        assert name not in page
    for element in ELEMENTS:
        assert any(re.fullmatch(rf"{element}\.[\w-]+\.js", name) for name in scripts())
