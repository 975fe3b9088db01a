"""The HTML page that a browser opens before any page of ours: Streamlit's, which it makes for all apps, with what ours need.

* The scripts of the elements that our pages use are fetched with the first ones. By itself the browser learns of each when an
  element of its kind is to be shown, and of what that one needs when it has come: round trips, for which a class waits.
* Where a script is lost on the way, the page is opened anew when the server answers again (shell.js).
* The app's name, and what it is, for whoever shows a link.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import file_util

ELEMENTS = ("BidiComponent", "Button", "Html", "NumberInput", "Selectbox", "Slider", "hastscript", "rehype-katex")
"""Streamlit's scripts for what our pages show, that are not in its first page."""

_NAME = "ML-EM Lab"
_WHAT = "Understand, try and use the multilevel Euler–Maruyama method: why sampling can cost one network evaluation."
_UNWANTED = (b"accept-encoding", b"if-none-match", b"if-modified-since")  # it is to come whole, and as text
_OF_THE_FILE = (b"etag", b"last-modified")  # Streamlit's own, which changes less often than what is sent
_IMPORT = re.compile(r"""(?:from|import)\s*["']\./([\w.~-]+\.js)["']""")


Answer: TypeAlias = tuple[Message, bytes]
"""The start of an answer, and its body."""


class Shell:
    """An ASGI app that answers as ``app`` does, with more in the head of each HTML page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _opens_a_page(scope):
            await self._app(scope, receive, send)
            return
        plain = [(name, value) for name, value in scope["headers"] if name not in _UNWANTED]
        start, body = await answer_of(self._app, {**scope, "headers": plain, "extensions": {}}, receive)
        if _is_page(start):
            body = filled(body.decode()).encode()
            headers = {**dict(start["headers"]), b"content-length": str(len(body)).encode()}
            start = {**start, "headers": [(name, value) for name, value in headers.items() if name not in _OF_THE_FILE]}
        await send(start)
        await send({"type": "http.response.body", "body": body})


@cache
def filled(page: str) -> str:
    """The page, with more in its head. The script comes first: whatever it is to notice begins after it."""
    script = Path(__file__).with_name("shell.js").read_text(encoding="utf-8")
    ahead = "".join(f'<link rel="modulepreload" crossorigin href="./static/js/{name}">\n' for name in scripts())
    about = f'<title>{_NAME}</title>\n<meta name="description" content="{_WHAT}">'
    page = page.replace("<head>", f"<head>\n<script>\n{script}</script>", 1)
    return page.replace("<title>Streamlit</title>", about, 1).replace("</head>", f"{ahead}</head>", 1)


@cache
def scripts() -> tuple[str, ...]:
    """The files of :data:`ELEMENTS`, and what they import, that Streamlit's page does not name itself."""
    static = Path(file_util.get_static_dir())
    folder, page = static / "static" / "js", (static / "index.html").read_text(encoding="utf-8")
    found, ahead = dict[str, None](), [file.name for name in ELEMENTS for file in sorted(folder.glob(f"{name}.*.js"))]
    while ahead:
        name = ahead.pop()
        if name not in found and name not in page:
            found[name] = None
            ahead += _IMPORT.findall((folder / name).read_text(encoding="utf-8"))
    return tuple(found)


def _opens_a_page(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _is_page(start: Message) -> bool:
    return start["status"] == 200 and dict(start["headers"]).get(b"content-type", b"").startswith(b"text/html")


async def answer_of(app: ASGIApp, scope: Scope, receive: Receive) -> Answer:
    """The whole answer of ``app``."""
    start: Message = {}
    parts = list[bytes]()

    async def take(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, take)
    return start, b"".join(parts)
