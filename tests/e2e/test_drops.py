"""Bad wifi, and a server that is killed: whoever was there is back without doing anything, where they were."""

from __future__ import annotations

import asyncio
import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Request, Route, WebSocketRoute, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from mlem.ui.serving import HOST
from mlem.ui.serving import serving as started
from mlem.ui.shell import filled
from tests.e2e.conftest import WAIT
from tests.e2e.steps import query, said, settle, stage, visit, visit_drawn

RACE = "?epsilon=0.1&paths=16"
SWEEP = "convergence?levels=5&paths=64&seed=4244"


class Wire:
    """A way to the server at the port ``to``: it can be cut or stalled, takes ``delay`` s for everything, and carries ``rate``
    bytes/s."""

    def __init__(self, to: int, delay: float, rate: float) -> None:
        self.to, self.address = to, ""
        self._delay, self._rate = delay, rate
        self._free = 0.0  # when it has carried all that has come so far
        self._whole = True
        self._ends = set[asyncio.StreamWriter]()
        self._open = list[asyncio.Event]()  # whether anything passes; the last is that of connections that are made now
        self._pass_anew()
        self._loop, self._over = asyncio.new_event_loop(), asyncio.Event()

    def stall(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._loop.call_soon_threadsafe(self._open[-1].clear)

    def go_on(self) -> None:
        """What was held on the way arrives."""
        self._loop.call_soon_threadsafe(self._open[-1].set)

    def forget(self) -> None:
        """What is connected stays stalled for good; whoever connects anew gets through."""
        self._loop.call_soon_threadsafe(self._pass_anew)

    def cut(self) -> None:
        """What is connected breaks off, and nobody gets through."""
        self._loop.call_soon_threadsafe(self._break)

    def mend(self) -> None:
        """Whoever tries again gets through."""
        self._whole = True

    def end(self) -> None:
        """It is taken away."""
        self.cut()
        self._loop.call_soon_threadsafe(self._over.set)

    def serve(self, ready: threading.Event) -> None:
        """Serves at ``address``, until the end."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        async with await asyncio.start_server(self._connect, HOST, 0) as listening:
            self.address = f"http://{HOST}:{listening.sockets[0].getsockname()[1]}"
            ready.set()
            await self._over.wait()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)

    def _pass_anew(self) -> None:
        self._open.append(asyncio.Event())
        self._open[-1].set()

    def _break(self) -> None:
        self._whole = False
        for end in self._ends:
            end.transport.abort()
        for passes in self._open:
            passes.set()

    async def _connect(self, browser: asyncio.StreamReader, to_browser: asyncio.StreamWriter) -> None:
        self._ends.add(to_browser)
        with suppress(OSError):
            if self._whole:
                server, to_server = await asyncio.open_connection(HOST, self.to)
                self._ends.add(to_server)
                passes = self._open[-1]
                await asyncio.gather(self._carry(browser, to_server, passes), self._carry(server, to_browser, passes))
                return
        to_browser.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, end: asyncio.StreamWriter, passes: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await source.read(2**16):
                await passes.wait()
                if end.is_closing():
                    return
                self._free = max(self._free, self._loop.time()) + len(data) / self._rate
                self._loop.call_at(self._free + self._delay, end.write, data)
        await passes.wait()
        self._loop.call_at(max(self._free, self._loop.time()) + self._delay, end.close)


@contextmanager
def wired(to: int, *, delay: float = 0.0, rate: float = math.inf) -> Iterator[Wire]:
    """A wire, while it is needed."""
    wire, ready = Wire(to, delay, rate), threading.Event()
    thread = threading.Thread(target=wire.serve, args=(ready,))
    thread.start()
    ready.wait()
    try:
        yield wire
    finally:
        wire.end()
        thread.join()


def port(address: str) -> int:
    found = urlsplit(address).port
    assert found
    return found


def ends_a_run(frame: str | bytes) -> bool:
    """Whether the server tells that the page's script has run."""
    return isinstance(frame, bytes) and ForwardMsg.FromString(frame).WhichOneof("type") == "script_finished"


def expect_lost(page: Page) -> None:
    """The page tells that it has no connection."""
    expect(page.get_by_test_id("stConnectionStatus")).to_be_visible()


def expect_back(page: Page) -> None:
    """It has one, and complains of nothing."""
    for trouble in ("stConnectionStatus", "stDialog", "stAlert", "stException"):
        expect(page.get_by_test_id(trouble)).to_have_count(0)


def begin_sweep(page: Page, address: str) -> None:
    visit(page, f"{address}/{SWEEP}")
    expect(page.get_by_test_id("stProgress")).not_to_contain_text(" 0%")


def expect_whole(page: Page, numbers: str | re.Pattern[str]) -> None:
    """The sweep is done, and its chart tells ``numbers``."""
    expect(page.get_by_text("for all who look at it")).to_be_visible()
    expect(page.locator(".wp-figure")).to_have_attribute("aria-label", numbers)


def undisturbed(page: Page, server: str) -> str:
    """What the sweep's chart tells where no connection was lost; drawn once, after the end."""
    for _ in range(2):
        visit(page, f"{server}/{SWEEP}")
        expect_whole(page, re.compile("slope"))
    return page.locator(".wp-figure").get_attribute("aria-label") or ""


def press_gamma(page: Page) -> None:
    """One step up."""
    page.get_by_role("slider", name="Cost exponent γ").press("ArrowRight")


def move_gamma(page: Page, to: str) -> None:
    """One step up, to where the link and the stage say so."""
    before = said(page)
    press_gamma(page)
    expect_moved(page, before, to)


def expect_moved(page: Page, before: str, to: str) -> None:
    expect(page.locator(".stage canvas")).not_to_have_attribute("aria-label", before)
    settle(page)
    assert query(page)["gamma"] == [to]


def test_a_sweep_goes_on_after_a_lost_connection(page: Page, server: str) -> None:
    with wired(port(server)) as wire:
        begin_sweep(page, wire.address)
        link = page.url
        wire.cut()
        expect_lost(page)
        wire.mend()
        expect_back(page)
        expect_whole(page, undisturbed(page.context.new_page(), server))
        assert page.url == link


def test_a_killed_server_is_back_with_all_that_was_seen(page: Page, server: str) -> None:
    """A new one at the old address, which knows nobody. It finds the same state and the same numbers; the first move counts."""
    other = page.context.new_page()
    with started() as killed, wired(killed.port) as wire:
        visit(page, f"{wire.address}/{RACE}")
        stage(page)
        move_gamma(page, "3")
        link, race = page.url, said(page)
        begin_sweep(other, wire.address)
        assert killed.process
        killed.process.kill()
        expect_lost(page)
        with started() as anew:
            with page.expect_websocket() as found_again:
                wire.to = anew.port
            found_again.value.wait_for_event("framereceived", ends_a_run, timeout=WAIT)
            expect_back(page)
            settle(page)
            assert (page.url, said(page)) == (link, race)
            move_gamma(page, "4")
            expect_whole(other, undisturbed(page, server))
            expect_back(other)
            assert anew.tracebacks() == {}


def cut_at(page: Page, wire: Wire, script: str) -> list[str]:
    """Has the wire cut when ``script`` is asked for, for the first time. What was asked for, as it comes to be."""
    asked = list[str]()

    def note(request: Request) -> None:
        if script in request.url:
            if not asked:
                wire.cut()
            asked.append(request.url)

    page.on("request", note)
    return asked


@pytest.mark.parametrize("script", ["labels.js", "plotly.min.js"])
def test_a_chart_comes_though_its_script_was_lost_on_the_way(page: Page, server: str, script: str) -> None:
    with wired(port(server), delay=0.05) as wire:
        asked = cut_at(page, wire, f"/{script}")
        page.goto(f"{wire.address}/coin")
        expect_lost(page)
        wire.mend()
        visit_drawn(page)
        expect_back(page)
        assert len(asked) > 1


def test_the_page_comes_though_what_it_begins_with_was_lost_on_the_way(page: Page, server: str) -> None:
    visit(page, server)  # the very first page of a server is Streamlit's own
    with wired(port(server), delay=0.05) as wire:
        asked = cut_at(page, wire, "/index.")
        with page.expect_event("requestfailed", lambda request: "/index." in request.url):
            page.goto(f"{wire.address}/coin")
        wire.mend()
        visit_drawn(page)
        expect_back(page)
        assert len(asked) > 1


def test_the_page_comes_though_a_part_of_streamlits_was_lost_on_the_way(page: Page, server: str) -> None:
    asked = list[Route]()

    def lose_twice(route: Route) -> None:
        """Ahead, and when it is wanted."""
        asked.append(route)
        route.abort() if len(asked) <= 2 else route.continue_()

    visit(page, server)
    page.route(re.compile("/BidiComponent"), lose_twice)
    with page.expect_event("framenavigated", lambda frame: len(asked) == 2):
        page.goto(f"{server}/coin")
    visit_drawn(page)
    expect_back(page)
    assert len(asked) > 2


def test_a_slow_connection(page: Page, server: str) -> None:
    with wired(port(server), delay=0.15, rate=1e6) as wire:
        visit(page, f"{wire.address}/{RACE}")
        stage(page)
        move_gamma(page, "3")
        expect_back(page)


def test_a_move_counts_though_its_connection_is_dead(page: Page, server: str) -> None:
    """The browser is not told, and finds out."""
    visit(page, server)  # the very first page of a server is Streamlit's own
    with wired(port(server)) as wire:
        visit(page, f"{wire.address}/{RACE}")
        stage(page)
        before = said(page)
        page.wait_for_timeout(6000)  # the server has closed the connections by which the page came
        with page.expect_websocket(timeout=WAIT):  # that the other one is lost the page may tell for less than a look takes
            wire.stall()
            press_gamma(page)
            wire.forget()
        expect_moved(page, before, "3")
        expect_back(page)
        move_gamma(page, "4")


def test_a_connection_that_goes_on_soon_is_kept(page: Page, server: str) -> None:
    visit(page, server)
    with wired(port(server)) as wire:
        visit(page, f"{wire.address}/{RACE}")
        stage(page)
        before, others = said(page), list[str]()
        page.on("websocket", lambda other: others.append(other.url))
        wire.stall()
        press_gamma(page)
        page.wait_for_timeout(6000)  # the server has been asked whether it hears
        wire.go_on()
        expect_moved(page, before, "3")
        assert not others


HEARTBEAT = BackMsg(app_heartbeat=True).SerializeToString()
SENDS = """async () => {
  window.said = [];
  const way = new WebSocket("ws://127.0.0.1:1/way");
  for (const kind of ["open", "message", "close"]) way.addEventListener(kind, () => said.push(kind));
  await new Promise((opened) => way.addEventListener("open", opened));
  way.send("move");
}"""


@pytest.mark.parametrize(("hears", "end"), [(True, ["open", "message"]), (False, ["open", "close"])])
def test_only_a_server_that_does_not_hear_is_given_up(page: Page, hears: bool, end: list[str]) -> None:
    """One that is at work for a minute is left to it, and asked once whether it hears."""
    heard = list[str | bytes]()

    def serve(way: WebSocketRoute) -> None:
        def hear(message: str | bytes) -> None:
            heard.append(message)
            if hears and message == HEARTBEAT:
                way.send(b"")

        way.on_message(hear)

    page.route("http://127.0.0.1:1/", lambda route: route.fulfill(body=filled("<head></head>"), content_type="text/html"))
    page.route_web_socket("ws://127.0.0.1:1/way", serve)
    page.clock.install()
    page.goto("http://127.0.0.1:1/")
    page.evaluate(SENDS)
    for _ in range(60):
        page.clock.run_for(1000)
    assert page.evaluate("[...new Set(said)]") == end  # of the close that is asked for the browser tells too, later
    assert heard == ["move", HEARTBEAT]
