"""The app needs no network but the way to its own server: neither the browser nor the server asks anything of anybody else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import is_foreign, serving
from tests.e2e.steps import PAGES, visit_drawn

GUARD = '''
"""Python runs this before anything else: who connects to another machine is written down, and refused."""
import os, socket

LOCAL = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "", None)

def guarded(name):
    whole = getattr(socket.socket, name)
    def call(self, address, *rest):
        if isinstance(address, tuple) and address[0] not in LOCAL:
            refuse(address[0])
        return whole(self, address, *rest)
    setattr(socket.socket, name, call)

def refuse(host):
    with open(os.environ["TRIED"], "a") as file:
        file.write(f"{host}\\n")
    raise OSError(f"no network: {host}")

for name in ("connect", "connect_ex"):
    guarded(name)
whole = socket.getaddrinfo

def getaddrinfo(host, *rest, **named):
    if host not in LOCAL:
        refuse(host)
    return whole(host, *rest, **named)

socket.getaddrinfo = getaddrinfo
'''


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a server that reaches nobody, and the file of whom it tried to reach."""
    folder = tmp_path_factory.mktemp("guard")
    (folder / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
    tried = folder / "tried"
    tried.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        patch.setenv("TRIED", str(tried))
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.setenv(name, "http://127.0.0.1:9")  # where nobody listens
        with serving("app.py") as address:
            yield address, tried


def test_the_guard_refuses(alone: tuple[str, Path], tmp_path: Path) -> None:
    """It would notice: a process like the server's cannot reach another machine, and leaves a trace."""
    own = {**os.environ, "PYTHONPATH": str(alone[1].parent), "TRIED": str(tmp_path / "tried")}
    code = "import socket; socket.create_connection(('192.0.2.1', 80), 1)"
    ended = subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True, check=False)
    assert "no network: 192.0.2.1" in ended.stderr
    assert (tmp_path / "tried").read_text() == "192.0.2.1\n"


@pytest.mark.parametrize("name", PAGES)
def test_every_page_works_alone(page: Page, alone: tuple[str, Path], name: str) -> None:
    address, tried = alone

    def answer(route: Route) -> None:
        route.abort() if is_foreign(route.request.url) else route.continue_()

    page.route("**/*", answer)
    visit_drawn(page, f"{address}/{PAGES[name]}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)
    assert page.evaluate("document.fonts.size") > 0
    assert tried.read_text() == ""
