"""What a run has to show is sent in one go, in order, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import pytest
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.runtime import Runtime
from streamlit.runtime.scriptrunner import ScriptRunnerEvent
from streamlit.runtime.session_manager import ActiveSessionInfo

from mlem.ui import sending
from mlem.ui.sending import AT_ONCE, HOLD, Told
from mlem.ui.serving import serving
from mlem.ui.tab import Tab, _moved


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Whose failures are in ``failures``."""
    made = asyncio.new_event_loop()
    made.set_exception_handler(lambda loop, context: vars(loop).setdefault("failures", []).append(context["exception"]))
    yield made
    made.close()


def test_calls_are_announced_once_and_made_in_order(loop: asyncio.AbstractEventLoop) -> None:
    told, made = Told(), list[int]()
    for batch in (range(3), range(3, 5)):
        assert [told.add(partial(made.append, n)) for n in batch] == [True, *[False] * (len(batch) - 1)]
        told.hand_over(loop)
    assert made == [0, 1, 2, 3, 4]
    told.hand_over(loop)
    assert made == [0, 1, 2, 3, 4]


def test_a_call_that_fails_keeps_none_of_the_others_back(loop: asyncio.AbstractEventLoop) -> None:
    told, made = Told(), list[int]()
    wrong = ValueError("it failed")

    def fail() -> None:
        raise wrong

    told.add(fail)
    told.add(partial(made.append, 1))
    told.hand_over(loop)
    assert made == [1]
    assert vars(loop)["failures"] == [wrong]


def test_what_is_told_while_calls_are_made_is_not_forgotten(loop: asyncio.AbstractEventLoop) -> None:
    told, made, announced = Told(), list[int](), list[bool]()
    told.add(lambda: announced.append(told.add(partial(made.append, 1))))
    told.hand_over(loop)
    assert made == [1]
    assert announced == [True]  # once too often, which does no harm


class Session(AppSession):
    """As much of Streamlit's session as is taught: its events are noted when they are handled on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._event_loop = loop
        self.handled, self.requests = list[object](), list[list[object]]()
        self.queue = list[ForwardMsg]()

    def __del__(self) -> None:
        """There is nothing to end."""

    def _call_soon_on_event_loop(self, callback: Any) -> None:
        self._event_loop.call_soon_threadsafe(callback)

    def _on_scriptrunner_event(self, sender: Any, event: ScriptRunnerEvent, forward_msg: Any = None, **more: Any) -> None:
        self._call_soon_on_event_loop(lambda: self.handled.append(forward_msg or event))

    def request_rerun(self, client_state: ClientState | None) -> None:
        self.requests.append(list(self.handled))

    def flush_browser_queue(self) -> list[ForwardMsg]:
        return self.queue


class Server(Runtime):
    """As much of Streamlit's runtime as is taught."""

    def __init__(self) -> None:
        self.sent = list[ForwardMsg]()

    def _send_message(self, session_info: ActiveSessionInfo, msg: ForwardMsg) -> None:
        self.sent.append(msg)


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "AppSession", Session)
    monkeypatch.setattr(sending, "Runtime", Server)
    for kind in (Session, Server):
        for name, value in list(vars(kind).items()):
            if not name.startswith("__"):
                monkeypatch.setattr(kind, name, value)  # put back in the end
    sending.send_in_one_go()


SHOWN, ENDED = ScriptRunnerEvent.ENQUEUE_FORWARD_MSG, ScriptRunnerEvent.SCRIPT_STOPPED_WITH_SUCCESS


@pytest.mark.usefixtures("taught")
def test_the_end_of_a_run_hands_over_all_that_it_told() -> None:
    async def story() -> list[list[object]]:
        session, seen = Session(asyncio.get_running_loop()), []
        for message in ("a", "b"):
            session._on_scriptrunner_event(None, SHOWN, forward_msg=message)
        await asyncio.sleep(0)
        seen.append(list(session.handled))
        session._on_scriptrunner_event(None, ENDED)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        seen.append(list(session.handled))
        return seen

    assert asyncio.run(story()) == [[], ["a", "b", ENDED]]


@pytest.mark.usefixtures("taught")
def test_what_goes_on_for_long_is_shown_meanwhile() -> None:
    async def story() -> list[object]:
        session = Session(asyncio.get_running_loop())
        session._on_scriptrunner_event(None, SHOWN, forward_msg="a")
        await asyncio.sleep(5 * HOLD)
        return session.handled

    assert asyncio.run(story()) == ["a"]


@pytest.mark.usefixtures("taught")
def test_a_new_request_comes_after_all_that_was_told() -> None:
    """Streamlit by itself passes over the end of a run that is told after the next one has begun."""

    async def story() -> list[list[object]]:
        session = Session(asyncio.get_running_loop())
        session._on_scriptrunner_event(None, SHOWN, forward_msg="a")
        session._on_scriptrunner_event(None, ENDED)
        session.request_rerun(None)
        return session.requests

    assert asyncio.run(story()) == [["a", ENDED]]


@pytest.mark.usefixtures("taught")
def test_messages_are_sent_in_parts_that_a_browser_can_take() -> None:
    async def story() -> tuple[list[int], list[ForwardMsg], list[ForwardMsg]]:
        session, server = Session(asyncio.get_running_loop()), Server()
        session.queue = [ForwardMsg(hash=str(n)) for n in range(AT_ONCE + 3)]
        parts: Any = session.flush_browser_queue()
        for part in (*parts, session.queue[0]):  # and one as Streamlit has it
            server._send_message(object.__new__(ActiveSessionInfo), part)
        return [len(part) for part in parts], server.sent, session.queue

    sizes, sent, queue = asyncio.run(story())
    assert sizes == [AT_ONCE, 3]
    assert sent == [*queue, queue[0]]


def test_streamlit_has_what_is_taught() -> None:
    """These names, which are its own business."""
    assert callable(AppSession._call_soon_on_event_loop)
    assert callable(AppSession._on_scriptrunner_event)
    assert callable(Runtime._send_message)


def test_after_quick_moves_the_last_one_is_shown() -> None:
    """Each is sent before the one before it has been answered."""
    wrong: list[str] = []

    async def story(address: str) -> tuple[str, dict[str, str], dict[str, str]]:
        """The γ that was chosen last; what is shown then, and what its link shows."""
        chance = random.Random(0)
        tab, other = Tab(address, chance, wrong.append), Tab(address, chance, wrong.append)
        try:
            await tab.open("hierarchy")
            slider = tab._widgets["hierarchy.gamma"]
            for n in range(60):
                state = _moved(slider, tab._states[slider.proto.id], chance)
                tab._states[state.id] = state
                await tab._send(state, slider.fragment)
                await asyncio.sleep(0.004 * (n % 7))
            await tab.move("hierarchy.gamma")
            gamma = tab._states[slider.proto.id].string_array_value.data[0]
            await other.open("hierarchy", f"v=1&gamma={gamma}")
            for _ in range(600):  # requests that have waited are answered late on a busy machine
                if tab.figures == other.figures:
                    break
                await asyncio.sleep(0.05)
            return parse_qs(tab.query)["gamma"][0], {"gamma": gamma, **tab.figures}, {"gamma": gamma, **other.figures}
        finally:
            await tab.close()
            await other.close()

    with serving() as server:
        linked, shown, asked = asyncio.run(story(server.address))
        assert not server.tracebacks()
    assert linked == shown["gamma"]
    assert shown == asked
    assert not wrong
