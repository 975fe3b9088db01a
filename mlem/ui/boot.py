"""What a server process does once, before its first page."""

from __future__ import annotations

import gc
import os
import runpy
import socket
import stat
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from threading import Lock, local
from typing import Any

import streamlit as st
import torch
from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import app_session
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.state.safe_session_state import SafeSessionState

from mlem.experiments.experiment import NAMES
from mlem.experiments.worker import WORKER
from mlem.ui.compression import compress_for_all
from mlem.ui.references import refer_to_what_is_there
from mlem.ui.sending import send_in_one_go

_ICON = Path(__file__).with_name("icon.svg").read_bytes()  # a file of ours: Streamlit fetches named icons from elsewhere
ICON = f"data:image/svg+xml;base64,{b64encode(_ICON).decode()}"  # as Streamlit sends it, which reads a file for each run

_APP = Path(__file__).parents[2] / "app.py"
_GARBAGE = 5000, 10, 10
"""New objects until the young ones are looked through for garbage, and how often that is until older ones are. With Python's
own 700 all that sixty sessions hold was looked through every few seconds, for a tenth of one."""
_SWITCH = 0.001  # s: a computation gives way at each of its operations, and is to go on before a script has ended
_preparing = Lock()
_runs = local()  # of this thread, since another run of the same session may begin while this one goes on


def boot() -> None:
    """Called by app.py, before any page."""
    _runs.booted = True
    with _preparing:
        _prepare()


def through_app() -> None:
    """Called first by every page. Until a server has run app.py, Streamlit takes pages/ for an app of its older kind, and a
    link to a page runs that page alone: then app.py is run from here, and runs the page."""
    booted, _runs.booted = getattr(_runs, "booted", False), False
    if not booted:
        runpy.run_path(str(_APP))
        st.stop()


@cache
def _prepare() -> None:
    """With all that torch and SciPy hold, looking for garbage takes longer than a page's script, unless what has been imported
    is out of its sight; so everything heavy is imported first. One thread a run: the states are small, and thirty sessions
    share the cores."""
    torch.set_num_threads(1)
    for name in NAMES:
        if (_APP.parent / "pages" / f"{name}.py").exists():
            import_module(f"mlem.experiments.{name}")
    import_module("plotly.graph_objects")
    sys.setswitchinterval(_SWITCH)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    WORKER.start()
    _send_at_once()
    _watch_no_files()
    _theme_once()
    _look_up_one()
    refer_to_what_is_there()
    send_in_one_go()  # after it, which looks at each message
    compress_for_all()


def _send_at_once() -> None:
    """TCP keeps back what is small until what went before is acknowledged, which takes a browser up to 40 ms. asyncio turns
    that off for its connections, but not for those of Streamlit's socket, which does not say that it is TCP. Whatever is set
    at the listening socket, its connections inherit."""
    for entry in os.listdir("/dev/fd") if os.path.isdir("/dev/fd") else []:
        with suppress(OSError):
            descriptor = int(entry)
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                with socket.socket(fileno=os.dup(descriptor)) as connection:
                    if connection.family in (socket.AF_INET, socket.AF_INET6) and connection.type == socket.SOCK_STREAM:
                        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _watch_no_files() -> None:
    """That no files are watched holds in Streamlit for new sessions alone. For one that had lost its connection and is back,
    it looks for the files of all modules, thousands with torch, while all other sessions wait."""
    if st.get_option("server.fileWatcherType") == "none":
        AppSession.register_file_watchers = lambda self: None  # type: ignore[method-assign]


def _theme_once() -> None:
    """For every run of every page Streamlit looks up each of the theme's settings anew, which takes as long as a third of the
    page's own script; here they do not change while it runs."""
    populate = app_session._populate_theme_msg

    @cache
    def theme(section: str) -> CustomThemeConfig:
        message = CustomThemeConfig()
        populate(message, section)
        return message

    app_session._populate_theme_msg = lambda message, section="theme": message.MergeFrom(theme(section))  # type: ignore[assignment]


class _LookedUp(Mapping[str, Any]):
    """The values that a session has, each looked up when it is asked for; all are gathered for who asks for all."""

    def __init__(self, state: SafeSessionState, gather: Callable[[SafeSessionState], dict[str, Any]]) -> None:
        self._state, self._gather = state, gather

    def __getitem__(self, key: str) -> Any:
        return self._state[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._gather(self._state))

    def __len__(self) -> int:
        return len(self._gather(self._state))


def _look_up_one() -> None:
    """To see whether it is empty, every select box and number field has Streamlit gather the values of all that the session
    has."""
    gather = vars(SafeSessionState)["filtered_state"].fget
    SafeSessionState.filtered_state = property(partial(_LookedUp, gather=gather))  # type: ignore[assignment, method-assign]
