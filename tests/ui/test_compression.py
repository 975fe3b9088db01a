"""What a first visit fetches is compressed once, and is the same file."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from starlette.types import Message, Receive, Scope, Send

from mlem.ui import compression
from mlem.ui.compression import Compressed

SCRIPT = b"const one = 1;\n" * 1000


class Site:
    """Has one file at every address, and counts who asks."""

    def __init__(self, kind: bytes = b"text/javascript", body: bytes = SCRIPT, status: int = 200) -> None:
        self.kind, self.body, self.status, self.asked = kind, body, status, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        headers = [(b"content-type", self.kind), (b"content-length", str(len(self.body)).encode()), (b"etag", b'"1"')]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        half = len(self.body) // 2
        await send({"type": "http.response.body", "body": self.body[:half], "more_body": True})
        await send({"type": "http.response.body", "body": self.body[half:]})


def scope(path: str = "/static/a.js", method: str = "GET", **headers: str) -> Scope:
    named = {"accept_encoding": "gzip, br"} | headers
    pairs = [(name.replace("_", "-").encode(), text.encode()) for name, text in named.items()]
    return {"type": "http", "method": method, "path": path, "headers": pairs}


async def ask(app: Compressed, asked: Scope) -> tuple[int, dict[bytes, bytes], bytes]:
    got = list[Message]()

    async def send(message: Message) -> None:
        got.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    await app(asked, receive, send)
    return got[0]["status"], dict(got[0]["headers"]), b"".join(message.get("body", b"") for message in got[1:])


def test_a_file_is_compressed_once_for_all() -> None:
    site, other = Site(), Site()
    app = Compressed(site, other)

    async def class_of_thirty() -> list[tuple[int, dict[bytes, bytes], bytes]]:
        return await asyncio.gather(*(ask(app, scope()) for _ in range(30)))

    for status, headers, body in asyncio.run(class_of_thirty()):
        assert status == 200
        assert headers[b"content-encoding"] == b"gzip"
        assert headers[b"vary"] == b"Accept-Encoding"
        assert headers[b"etag"] == b'"1"'
        assert int(headers[b"content-length"]) == len(body) < len(SCRIPT) / 10
        assert gzip.decompress(body) == SCRIPT
    assert (site.asked, other.asked) == (1, 0)


def test_the_head_of_a_file_has_no_body() -> None:
    status, headers, body = asyncio.run(ask(Compressed(Site(), Site()), scope(method="HEAD")))
    assert (status, body) == (200, b"")
    assert int(headers[b"content-length"]) < len(SCRIPT)


@pytest.mark.parametrize(
    "asked",
    [
        scope("/"),
        scope("/media/a.js"),
        scope("/_stcore/health"),
        scope(method="POST"),
        scope(accept_encoding="br"),
        scope(range="bytes=0-9"),
        scope(if_none_match='"1"'),
    ],
)
def test_all_else_is_left_to_streamlit(asked: Scope) -> None:
    site, other = Site(), Site()
    _, headers, body = asyncio.run(ask(Compressed(site, other), asked))
    assert (site.asked, other.asked) == (0, 1)
    assert b"content-encoding" not in headers
    assert body == SCRIPT


@pytest.mark.parametrize("site", [Site(kind=b"font/woff2"), Site(body=b"short"), Site(status=404)])
def test_what_gains_nothing_is_sent_as_it_is(site: Site) -> None:
    status, headers, body = asyncio.run(ask(Compressed(site, Site()), scope()))
    assert (status, body) == (site.status, site.body)
    assert b"content-encoding" not in headers


def test_what_is_kept_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "MOST_BYTES", 10)
    site = Site()
    app = Compressed(site, Site())

    async def twice() -> list[tuple[int, dict[bytes, bytes], bytes]]:
        return [await ask(app, scope()), await ask(app, scope())]

    first, second = asyncio.run(twice())
    assert first == second
    assert site.asked == 2


@pytest.fixture
def own_streamlit(monkeypatch: pytest.MonkeyPatch) -> type:
    """Streamlit's middleware as it came."""

    class Middleware:
        def __init__(self, app: Site) -> None:
            self.app = app

        async def __call__(self, asked: Scope, receive: Receive, send: Send) -> None:
            await self.app(asked, receive, send)

    monkeypatch.setattr(compression, "SelectiveGZipMiddleware", Middleware)
    return Middleware


def test_the_server_that_runs_is_taught(own_streamlit: type) -> None:
    site = Site()
    running = own_streamlit(site)
    compression.compress_for_all()
    assert asyncio.run(ask(running, scope()))[1][b"content-encoding"] == b"gzip"
    assert b"content-encoding" not in asyncio.run(ask(running, scope("/")))[1]
