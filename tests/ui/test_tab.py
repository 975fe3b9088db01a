"""A tab without a browser: against the app itself it sees what a browser sees, and it is told of all that goes wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import parse_qsl

import pytest
from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.NumberInput_pb2 import NumberInput
from websockets.asyncio.server import ServerConnection, serve

from mlem.experiments.coin import CoinParams
from mlem.experiments.convergence import ConvergenceParams
from mlem.experiments.hierarchy import HierarchyParams
from mlem.experiments.race import RaceParams
from mlem.ui import classroom
from mlem.ui import tab as tabs
from mlem.ui.serving import Server, serving
from mlem.ui.tab import Tab, Unanswered

PAGES = {"": RaceParams(), "hierarchy": HierarchyParams(), "coin": CoinParams()}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as started:
        yield started


def visit(address: str, story: Callable[[Tab], Awaitable[None]], seed: int = 0) -> list[str]:
    """What goes wrong in a tab's story."""
    wrong: list[str] = []

    async def told() -> None:
        tab = Tab(address, random.Random(seed), wrong.append)
        try:
            await story(tab)
        finally:
            await tab.close()

    asyncio.run(told())
    return wrong


def state(tab: Tab) -> dict[str, str]:
    return dict(parse_qsl(tab.query, keep_blank_values=True))


def test_every_page_opens_on_its_default(server: Server) -> None:
    async def story(tab: Tab) -> None:
        for page, params in PAGES.items():
            answer = await tab.open(page)
            assert answer.figure is not None
            assert 0 < answer.figure <= answer.finished
            name = page or "race"
            assert state(tab) == params.to_query()
            assert tab.figures
            assert all(key.startswith(f"{name}.") for key in tab.figures)
            assert f"{name}.gamma" in tab.controls("slider")
            assert f"{name}.seed" in tab.controls("number_input")
            assert not tab.waits
        assert set(tab._pages) == {*classroom.PAGES, "lessons", "teach"}, "a class visits every page with a picture"

    assert visit(server.address, story) == []


def test_a_moved_control_is_the_state_and_its_link_shows_the_same(server: Server) -> None:
    async def story(tab: Tab) -> None:
        for page in PAGES:
            await tab.open(page)
            for key in (f"{page or 'race'}.gamma", f"{page or 'race'}.seed"):
                before, seen = state(tab), dict(tab.figures)
                answer = await tab.move(key)
                changed = {name for name, text in state(tab).items() if text != before[name]}
                assert changed == {key.partition(".")[2]}
                assert answer.figure is not None
                assert tab.figures != seen
            query, figures = tab.query, dict(tab.figures)
            await tab.open(page, query)
            assert (tab.query, tab.figures) == (query, figures)

    assert visit(server.address, story) == []


def test_a_preset_is_pressed_once(server: Server) -> None:
    async def story(tab: Tab) -> None:
        await tab.open("hierarchy")
        await tab.move("hierarchy.preset.Deep γ = 4")
        assert state(tab) == HierarchyParams(gamma=4.0).to_query()
        await tab.move("hierarchy.levels")
        assert state(tab)["gamma"] == "4", "the button is not pressed again"

    assert visit(server.address, story) == []


def test_whoever_comes_back_finds_what_was_left(server: Server) -> None:
    async def story(tab: Tab) -> None:
        await tab.open()
        await tab.move("race.preset.Even firing")
        query, figures = tab.query, dict(tab.figures)
        await tab.close()
        assert not tab.connected
        await tab.come_back()
        assert (tab.query, tab.figures) == (query, figures)
        await tab.go("coin")
        assert state(tab) == CoinParams().to_query()
        assert all(key.startswith("coin.") for key in (*tab.figures, *tab.controls("slider")))
        await tab.go("")
        assert (tab.query, tab.figures) == (query, figures), "the session remembers"

    assert visit(server.address, story) == []


def test_what_the_server_refers_to_was_kept(server: Server) -> None:
    """Large messages come once. What has not been shown for a while is forgotten, on both sides."""

    async def story(tab: Tab) -> None:
        await tab.open("hierarchy")
        figures = dict(tab.figures)
        assert tab._kept
        await tab.move("hierarchy.gamma")
        assert tab.figures["hierarchy.curves"] == figures["hierarchy.curves"], "γ moves no curve"
        for _ in range(4):
            await tab.move("hierarchy.seed")
        assert figures["hierarchy.curves"] not in tab._kept

    assert visit(server.address, story) == []


def test_a_sweep_fills_in_by_itself(server: Server) -> None:
    params = ConvergenceParams(sde="ornstein-uhlenbeck", levels=4, paths=32, seed=4321)

    async def story(tab: Tab) -> None:
        await tab.open("convergence", "&".join(f"{key}={text}" for key, text in params.to_query().items()))
        for _ in range(600):
            if tab.figures and not tab.waits:
                break
            await asyncio.sleep(0.1)
        assert list(tab.figures) == ["convergence.chart"]
        assert not tab.waits

    assert visit(server.address, story) == []


# ── what goes wrong


def told(message: ForwardMsg) -> list[str]:
    wrong: list[str] = []
    tab = Tab("ws://127.0.0.1:1", random.Random(0), wrong.append, page="coin")
    tab._receive(message)
    return wrong


def test_errors_on_the_page_are_told() -> None:
    raised, alert, note, lost, broken = (ForwardMsg() for _ in range(5))
    raised.delta.new_element.exception.type, raised.delta.new_element.exception.message = "ValueError", "no"
    alert.delta.new_element.alert.format, alert.delta.new_element.alert.body = Alert.ERROR, "It blew up."
    note.delta.new_element.alert.format, note.delta.new_element.alert.body = Alert.INFO, "It is now 7."
    lost.page_not_found.page_name = "nowhere"
    broken.script_finished = ForwardMsg.FINISHED_WITH_COMPILE_ERROR
    assert told(raised) == ["coin: the page raised ValueError: no"]
    assert told(alert) == ["coin: the page told an error: It blew up."]
    assert told(note) == []
    assert told(lost) == ["coin: there is no such page"]
    assert told(broken) == ["coin: the page does not compile"]


def test_a_missing_page_is_no_answer(server: Server) -> None:
    async def story(tab: Tab) -> None:
        with pytest.raises(Unanswered, match=r"^nowhere: there is no such page$"):
            await tab.open("nowhere")

    assert set(visit(server.address, story)) == {"nowhere: there is no such page"}


@pytest.mark.parametrize(("closes", "words"), [(True, "the server closed the connection"), (False, "no answer within 0.2 s")])
def test_a_server_that_does_not_answer_is_told(closes: bool, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabs, "WAIT", 0.2)

    async def mute(connection: ServerConnection) -> None:
        await connection.recv()
        if not closes:
            await asyncio.sleep(2)

    async def visited() -> list[str]:
        wrong: list[str] = []
        async with serve(mute, "127.0.0.1", 0, subprotocols=["streamlit"]) as server:  # type: ignore[list-item]
            tab = Tab(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", random.Random(0), wrong.append)
            with pytest.raises(Unanswered, match=words):
                await tab.open()
            await tab.close()
        return wrong

    assert asyncio.run(visited()) == [f"landing page: {words}"]


def test_who_was_not_answered_comes_back_to_something_else_and_no_error_is_told(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link is the new state's before its figures are there."""
    room = classroom.Classroom(
        server, sessions=1, sweeps=0, seconds=1, think=0, minutes=0, any_control=True, seed=0, tell=lambda done: None
    )
    tab = room._tabs[0]

    async def story() -> None:
        try:
            await tab.open("hierarchy")
            assert tab.settled
            figures = dict(tab.figures)
            with monkeypatch.context() as patch:
                patch.setattr(tabs, "WAIT", 1e-3)
                with pytest.raises(Unanswered):
                    await tab.move("hierarchy.gamma")
            assert not tab.settled
            while not tab._done.is_set():
                await asyncio.sleep(0.01)
            tab.figures = figures  # as they were when the time was over
            await room._come_back(tab, by_link=True)
            assert tab.settled
            assert tab.figures != figures
        finally:
            await tab.close()

    asyncio.run(story())
    assert dict(room.errors) == {": hierarchy: no answer within 0.001 s": 1}


def test_a_session_that_the_server_has_dropped_comes_back_to_its_link(server: Server) -> None:
    async def story(tab: Tab) -> None:
        for page in PAGES:
            await tab.open(page)
            await tab.move(f"{page or 'race'}.gamma")
            query, figures = tab.query, dict(tab.figures)
            await tab.close()
            tab._session = "dropped"
            await tab.come_back()
            assert (tab.query, tab.figures) == (query, figures)

    assert visit(server.address, story) == []


def test_an_empty_number_stays_empty() -> None:
    """A named wrong implementation sends 0 for a field that the server has emptied."""
    proto = NumberInput(id="$$ID-1-race.noise", set_value=True)
    assert not tabs._state("number_input", proto).HasField("double_value")
    proto.value = 0.25
    assert tabs._state("number_input", proto).double_value == 0.25
    assert tabs._state("number_input", NumberInput(id="$$ID-1-race.seed", default=7)).double_value == 7
