"""What the server's process does once."""

from __future__ import annotations

import socket

import pytest
import streamlit as st
from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import app_session
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.state import SafeSessionState, SessionState

from mlem.ui.boot import _look_up_one, _send_at_once, _theme_once, _watch_no_files


def sends_at_once(one: socket.socket) -> bool:
    return bool(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


def test_connections_send_at_once() -> None:
    """Of a socket made as Streamlit makes its own, without naming TCP: those that are there, and those that come."""
    with socket.socket(socket.AF_INET) as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname()) as browser, server.accept()[0] as connection:
            assert not sends_at_once(connection)
            _send_at_once()
            assert sends_at_once(connection)
            assert sends_at_once(server)
            browser.sendall(b"still open")
            assert connection.recv(10) == b"still open"
        with socket.create_connection(server.getsockname()), server.accept()[0] as connection:
            assert sends_at_once(connection)


@pytest.mark.parametrize(("setting", "watched"), [("none", False), ("auto", True)])
def test_files_are_watched_as_the_setting_says(setting: str, watched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a session that comes back too, for which Streamlit calls this method whatever the setting."""
    seen: list[object] = []
    monkeypatch.setattr(AppSession, "register_file_watchers", lambda self: seen.append(self))
    monkeypatch.setattr(st, "get_option", {"server.fileWatcherType": setting}.get)
    _watch_no_files()
    AppSession.register_file_watchers(None)  # type: ignore[arg-type]  # all that matters is who is asked
    assert bool(seen) is watched


def test_the_theme_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And every message gets what Streamlit's own way gives it, in its place."""
    asked, populate = list[str](), app_session._populate_theme_msg

    def counted(message: CustomThemeConfig, section: str = "theme") -> None:
        asked.append(section)
        populate(message, section)

    monkeypatch.setattr(app_session, "_populate_theme_msg", counted)
    _theme_once()
    for _ in range(3):
        whole, expected = CustomThemeConfig(), CustomThemeConfig()
        for message, way in ((whole, app_session._populate_theme_msg), (expected, populate)):
            way(message)
            way(message.light, "theme.light")
        assert whole == expected
        assert whole.light.primary_color
    assert asked == ["theme", "theme.light"]


def test_select_boxes_look_up_one_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as among all values, which are not gathered for that."""
    gathered = list[str]()
    monkeypatch.setattr(SessionState, "filtered_state", property(lambda state: gathered.append("") or {"one": 1, "none": None}))
    monkeypatch.setattr(SafeSessionState, "filtered_state", SafeSessionState.filtered_state)
    state = SessionState()
    state["one"], state["none"] = 1, None
    safe = SafeSessionState(state, lambda: None)
    _look_up_one()
    assert ("one" in safe.filtered_state, "two" in safe.filtered_state) == (True, False)
    assert (safe.filtered_state["one"], safe.filtered_state["none"]) == (1, None)
    assert not gathered
    assert dict(safe.filtered_state) == {"one": 1, "none": None}
    assert len(safe.filtered_state) == 2
    assert gathered
