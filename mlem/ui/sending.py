"""What a run has to show is sent in one go.

A script tells the event loop of each of its elements. Streamlit's loop wakes up for each, sends it, and looks around for more,
while the script wants the same interpreter. Here what a script has told is handed over when it ends, or after a moment where it
takes longer, and is then sent without a pause: sixty sessions take less of the processor, and each has its picture sooner.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.runtime import Runtime
from streamlit.runtime.scriptrunner import ScriptRunnerEvent
from streamlit.runtime.session_manager import ActiveSessionInfo

HOLD = 0.02
"""Seconds for which something may be held back."""

AT_ONCE = 100
"""Messages to a session that are sent without a pause: where more than 500 wait, Streamlit takes a browser for too slow."""

_GOES_ON = (ScriptRunnerEvent.SCRIPT_STARTED, ScriptRunnerEvent.ENQUEUE_FORWARD_MSG)


class Told:
    """What the scripts of one session have told, to be done on the event loop in this order. Scripts are threads."""

    def __init__(self) -> None:
        self._calls = deque[Callable[[], None]]()
        self._announced = False

    def add(self, call: Callable[[], None]) -> bool:
        """Whether it has to be announced: nothing else was waiting."""
        self._calls.append(call)
        if self._announced:
            return False
        self._announced = True
        return True

    def hand_over(self, loop: AbstractEventLoop) -> None:
        """On the event loop. Where a call fails, the others are made all the same."""
        self._announced = False  # before it is empty: what comes from now on is announced anew
        while self._calls:
            call = self._calls.popleft()
            try:
                call()
            except Exception as error:
                loop.call_exception_handler({"message": "what a script told was not done", "exception": error})


def send_in_one_go() -> None:
    """Holds for all sessions of this process."""
    announce: Any = AppSession._call_soon_on_event_loop
    on_event, request = AppSession._on_scriptrunner_event, AppSession.request_rerun
    flush, send = AppSession.flush_browser_queue, Runtime._send_message
    told = WeakKeyDictionary[AppSession, Told]()

    def hand_over(session: AppSession) -> None:
        if session in told:
            told[session].hand_over(session._event_loop)

    def gathered(self: AppSession, callback: Callable[[], None]) -> None:
        if (told.get(self) or told.setdefault(self, Told())).add(callback):  # two threads find the same one
            announce(self, partial(self._event_loop.call_later, HOLD, hand_over, self))

    def noticed(self: AppSession, sender: Any, event: ScriptRunnerEvent, **more: Any) -> None:
        on_event(self, sender, event, **more)
        if event not in _GOES_ON:  # a run has ended
            announce(self, partial(hand_over, self))

    def requested(self: AppSession, client_state: ClientState | None) -> None:
        hand_over(self)  # else the end of the run before would be told to a session that has begun another
        request(self, client_state)

    def flushed(self: AppSession) -> list[list[ForwardMsg]]:
        waiting = flush(self)
        return [waiting[first : first + AT_ONCE] for first in range(0, len(waiting), AT_ONCE)]

    def sent(self: Runtime, session: ActiveSessionInfo, waiting: ForwardMsg | list[ForwardMsg]) -> None:
        if not isinstance(waiting, list):  # it was flushed before this was taught
            waiting = [waiting]
        for message in waiting:
            send(self, session, message)

    AppSession._call_soon_on_event_loop = gathered  # type: ignore[method-assign]
    AppSession._on_scriptrunner_event = noticed  # type: ignore[method-assign, assignment]
    AppSession.request_rerun = requested  # type: ignore[method-assign]
    Runtime._send_message = sent  # type: ignore[method-assign, assignment]  # first: the loop is at work meanwhile
    AppSession.flush_browser_queue = flushed  # type: ignore[method-assign, assignment]
