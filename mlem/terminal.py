"""What commands have in common in a terminal: parsers that tell what is wrong in one line, and a progress bar."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

OTHER_NUMBERS, BAD_INPUT, INTERRUPTED = 1, 2, 130
"""Exit statuses."""

_BAR = 40  # characters
_CLEAR = "\x1b[K"  # to the end of the line


class Help(argparse.HelpFormatter):
    """Leaves names with hyphens whole, so that they can be copied."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """Tells what is wrong in one line."""

    def error(self, message: str) -> None:  # type: ignore[override]  # argparse's NoReturn, which exit() keeps
        self.exit(BAD_INPUT, f"{self.prog}: {message}\n")


def show(done: float, before: str = "", after: str = "") -> None:
    """Draws the bar anew, between words; nothing where standard error is no terminal."""
    if sys.stderr.isatty():
        filled = round(done * _BAR)
        bar = f"{before}{'█' * filled}{'░' * (_BAR - filled)} {done:4.0%}{after}"
        print(f"\r{_CLEAR}{bar}", end="", file=sys.stderr, flush=True)


@contextmanager
def whole_line() -> Iterator[None]:
    """Ends the line of the bar, however far it came."""
    try:
        yield
    finally:
        if sys.stderr.isatty():
            print(file=sys.stderr)
