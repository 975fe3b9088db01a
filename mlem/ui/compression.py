"""Streamlit's own files and Plotly, compressed once and kept: what a first visit fetches falls to a third.

Streamlit sends its files as they are, since it would compress them anew for every visitor, and Plotly's it does compress anew.
Here each is compressed when the first visitor asks for it, off the event loop, and kept for all others; a class on one wireless
network opens the app that much sooner.
"""

from __future__ import annotations

import asyncio
import gzip
from functools import partial
from weakref import WeakKeyDictionary

from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.web.server.starlette.starlette_gzip_middleware import SelectiveGZipMiddleware

from mlem.ui.shell import Answer, Shell, answer_of

FIXED = ("/static/", "/component/")
"""Where files lie whose addresses change with what is in them."""

MOST_BYTES = 32 * 2**20  # kept
_LEAST = 1000  # bytes that are worth it
_WORTH_IT = ("text/", "application/javascript", "application/json", "image/svg")


class Compressed:
    """An ASGI app that answers for ``app``, and compresses what lies in ``FIXED``."""

    def __init__(self, app: ASGIApp, otherwise: ASGIApp) -> None:
        """``otherwise`` answers what is none of its business."""
        self._app, self._otherwise = app, otherwise
        self._kept = dict[str, Answer]()
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _concerns(scope):
            await self._otherwise(scope, receive, send)
            return
        path = scope["path"]
        if path not in self._kept:
            async with self._one_at_a_time:
                start, body = self._kept.get(path) or await self._compress(scope, receive)
        else:
            start, body = self._kept[path]
        await send(start)
        await send({"type": "http.response.body", "body": body if scope["method"] == "GET" else b""})

    async def _compress(self, scope: Scope, receive: Receive) -> Answer:
        start, body = await answer_of(self._app, {**scope, "method": "GET"}, receive)
        headers = dict(start["headers"])
        kind = headers.get(b"content-type", b"").decode("latin-1")
        if start["status"] != 200 or len(body) < _LEAST or not kind.startswith(_WORTH_IT):
            return start, body
        body = await asyncio.to_thread(gzip.compress, body, 9)
        headers |= {b"content-length": str(len(body)).encode(), b"content-encoding": b"gzip", b"vary": b"Accept-Encoding"}
        answer = {**start, "headers": list(headers.items())}, body
        if sum(len(kept) for _, kept in self._kept.values()) + len(body) <= MOST_BYTES:
            self._kept[scope["path"]] = answer
        return answer


def compress_for_all() -> None:
    """Puts it, and the page that a browser opens first (shell.py), into the server that runs, and into those that are made in
    this process later."""
    original = SelectiveGZipMiddleware.__call__
    taught = WeakKeyDictionary[SelectiveGZipMiddleware, Compressed]()

    async def call(self: SelectiveGZipMiddleware, scope: Scope, receive: Receive, send: Send) -> None:
        app = taught.get(self) or taught.setdefault(self, Compressed(self.app, Shell(partial(original, self))))
        await app(scope, receive, send)

    SelectiveGZipMiddleware.__call__ = call  # type: ignore[method-assign]


def _concerns(scope: Scope) -> bool:
    """Whole files in ``FIXED``, for who takes gzip; whoever asks if a file has changed is told so by Streamlit."""
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return False
    path, headers = scope["path"].removeprefix(scope.get("root_path", "")), dict(scope["headers"])
    asks = not {b"range", b"if-none-match", b"if-modified-since"} & headers.keys()
    return path.startswith(FIXED) and asks and b"gzip" in headers.get(b"accept-encoding", b"")
