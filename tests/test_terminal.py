"""What commands have in common in a terminal."""

from __future__ import annotations

import pytest

from mlem.terminal import Parser, show, whole_line

Capture = pytest.CaptureFixture[str]


def as_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard error, captured, takes itself for a terminal from now on."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)


def test_a_bar_is_drawn_over_the_one_before(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    as_terminal(monkeypatch)
    with whole_line():
        show(0.0)
        show(0.5, "level 1  ", "  3 s left")
    first, second = capsys.readouterr().err.split("\r")[1:]
    assert first == f"\x1b[K{'░' * 40}   0%"
    assert second == f"\x1b[Klevel 1  {'█' * 20}{'░' * 20}  50%  3 s left\n"


def test_its_line_ends_whatever_happens(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    as_terminal(monkeypatch)

    def interrupted() -> None:
        with whole_line():
            show(0.1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert capsys.readouterr().err.endswith("\n")


def test_nothing_is_drawn_elsewhere(capsys: Capture) -> None:
    with whole_line():
        show(0.5)
    assert capsys.readouterr().err == ""


def test_a_parser_tells_what_is_wrong_in_one_line(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stop:
        Parser(prog="this").parse_args(["--that"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "this: unrecognized arguments: --that\n"
