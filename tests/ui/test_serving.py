"""The app's server as a process: started, watched, ended; and refused where there is none."""

from __future__ import annotations

import socket
import tempfile
import urllib.error
import urllib.request

import pytest

from mlem.ui.serving import HOST, Server, serving


def test_a_server_is_started_watched_and_ended() -> None:
    with serving() as server:
        assert server.process is not None
        assert server.process.poll() is None
        memory, seconds = server.memory(), server.seconds()
        assert memory is None or 0.03 < memory < 1
        assert seconds is None or seconds > 0.1
        assert server.tracebacks() == {}
        with serving(server.port) as same:
            assert same == Server(server.port)
            assert (same.memory(), same.seconds(), same.tracebacks()) == (None, None, {})
    assert server.process.poll() is not None
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(f"http://{HOST}:{server.port}/_stcore/health", timeout=5)
    assert server.memory() is None


def test_files_that_processes_share_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server, a process that it started, and one that has ended and is to be noticed by its parent."""
    told = [
        "RssAnon:\t  400000 kB\nRssFile:\t  110000 kB\n",
        "Rss\nRssAnon:\t  500000 kB\nRssFile:\t  100000 kB\n",
        "State:\tZ\n",
    ]
    monkeypatch.setattr(Server, "_read", lambda server, name: told)
    assert Server(1).memory() == pytest.approx(1024e-9 * 1010000)


def test_it_ends_though_its_user_fails() -> None:
    with pytest.raises(KeyboardInterrupt), serving() as server:
        raise KeyboardInterrupt
    assert server.process is not None
    assert server.process.poll() is not None


def test_errors_in_the_log_are_told_by_their_last_lines() -> None:
    written = (
        b"2026-11-25 10:00:00.000 Uncaught app execution\n"
        b'Traceback (most recent call last):\n  File "race.py", line 1, in <module>\n    x = 1 / 0\n        ~~^~~\n'
        b"ZeroDivisionError: division by zero\nwords\n"
        b'Traceback (most recent call last):\n  File "coin.py", line 2\nZeroDivisionError: division by zero\n'
        b'Traceback (most recent call last):\n  File "coin.py", line 3\nKeyError: 3\n'
    )
    with tempfile.TemporaryFile() as log:
        log.write(written)
        found = Server(8501, log=log).tracebacks()
    assert found == {"ZeroDivisionError: division by zero": 2, "KeyError: 3": 1}


def test_where_nothing_answers_there_is_no_server() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port = taken.getsockname()[1]
        words = f"port takes that of a running server, got {port}: nothing answers at 127.0.0.1:{port}"
        with pytest.raises(ValueError, match=f"^{words}$"), serving(port):
            pass


def test_nothing_but_this_machine_is_reached() -> None:
    assert HOST == "127.0.0.1"
    assert Server(8501).address == "ws://127.0.0.1:8501"
