"""What a server process does once, before its first page."""

from __future__ import annotations

import gc
import os
import runpy
import socket
import stat
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path

import streamlit as st
import torch
from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import app_session
from streamlit.runtime.app_session import AppSession

from mlem.experiments.experiment import NAMES
from mlem.experiments.worker import WORKER
from mlem.ui.compression import compress_for_all
from mlem.ui.references import refer_to_what_is_there

ICON = Path(__file__).with_name("icon.svg")  # a file of ours: Streamlit fetches named icons from elsewhere

_APP = Path(__file__).parents[2] / "app.py"
_SWITCH = 0.001  # s: a computation gives way at each of its operations, and is to go on before a script has ended
_BOOTED = "app.booted"  # in a session, while app.py runs a page


def boot() -> None:
    """Called by app.py, before any page."""
    st.session_state[_BOOTED] = True
    _prepare()


def through_app() -> None:
    """Called first by every page. Until a server has run app.py, Streamlit takes pages/ for an app of its older kind, and a
    link to a page runs that page alone: then app.py is run from here, and runs the page."""
    if not st.session_state.pop(_BOOTED, False):
        runpy.run_path(str(_APP))
        st.stop()


@st.cache_resource(show_spinner=False)
def _prepare() -> None:
    """Streamlit collects garbage after every run. With torch and SciPy loaded that takes longer than the run, unless what has
    been imported is out of its sight; so everything heavy is imported first. One thread a run: the states are small, and thirty
    sessions share the cores."""
    torch.set_num_threads(1)
    for name in NAMES:
        if (_APP.parent / "pages" / f"{name}.py").exists():
            import_module(f"mlem.experiments.{name}")
    import_module("plotly.graph_objects")
    sys.setswitchinterval(_SWITCH)
    gc.collect()
    gc.freeze()
    WORKER.start()
    _send_at_once()
    _watch_no_files()
    _theme_once()
    refer_to_what_is_there()
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
