"""That a browser has what it is referred to.

What is large Streamlit sends once: a browser keeps such a message, names what it has with each request, and is referred to it
where it is to be shown again. After each run it forgets what has not been used for ``global.maxCachedMessageAge`` runs. But it
makes its request before it knows of the ends of runs that are under way, and may have forgotten by then what it named: such a
reference ends the session for good ("Cached ForwardMsg MISS"), as happened after quick moves. Here a browser is referred only
to what was used in the last few runs.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.app_session import AppSession

SURE = 2
"""Runs since a message was used, for which a browser is still referred to it. It keeps it for more
(``global.maxCachedMessageAge`` in .streamlit/config.toml): those are the runs that may end on the way of a request."""


class Used:
    """When messages of one session were last sent or referred to, of those that a browser keeps."""

    def __init__(self) -> None:
        self._run, self._last = 0, dict[str, int]()

    def note(self, message: ForwardMsg) -> None:
        """What is sent to the browser, in order."""
        if message.WhichOneof("type") == "script_finished":
            self._run += 1
            self._last = {name: run for name, run in self._last.items() if self._run - run <= SURE}
        elif message.WhichOneof("type") == "ref_hash":
            self._last[message.ref_hash] = self._run
        elif message.metadata.cacheable:
            self._last[message.hash] = self._run

    def keep_sure(self, state: ClientState) -> None:
        """Leaves, of the messages that a request names, those that a browser has for sure when it is answered."""
        named = [name for name in state.cached_message_hashes if name in self._last]
        del state.cached_message_hashes[:]
        state.cached_message_hashes.extend(named)


def refer_to_what_is_there() -> None:
    """Holds for all sessions of this process."""
    flush, request = AppSession.flush_browser_queue, AppSession.request_rerun
    used = WeakKeyDictionary[AppSession, Used]()

    def noted(self: AppSession) -> list[ForwardMsg]:
        if sent := flush(self):  # mostly there is nothing
            session = used.setdefault(self, Used())
            for message in sent:
                session.note(message)
        return sent

    def requested(self: AppSession, client_state: ClientState | None) -> None:
        if client_state is not None:
            used.setdefault(self, Used()).keep_sure(client_state)
        request(self, client_state)

    AppSession.flush_browser_queue = noted  # type: ignore[method-assign]
    AppSession.request_rerun = requested  # type: ignore[method-assign]
