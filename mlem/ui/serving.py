"""The app's server as a process of its own, on this machine alone, and what it takes: memory and processor time."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

HOST = "127.0.0.1"

_APP = Path(__file__).parents[2] / "app.py"
_START = 60.0  # s
_END = 20.0  # s: for a server to end by itself
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy knows of servers on this machine


@dataclass(frozen=True)
class Server:
    """A server on ``port`` of this machine. ``process`` and ``log``, what it wrote, are those of one that was started here."""

    port: int
    process: subprocess.Popen[bytes] | None = None
    log: IO[bytes] | None = None

    @property
    def address(self) -> str:
        """Of its websocket."""
        return f"ws://{HOST}:{self.port}"

    def memory(self) -> float | None:
        """Resident memory in 10^9 bytes, with that of processes that it started; the files that all of them map count
        once. None where it cannot be told."""
        own, files = (_sizes(self._read("status"), name) for name in ("RssAnon", "RssFile"))
        return sum(own) + max(files) if own else None

    def seconds(self) -> float | None:
        """Processor time taken so far, likewise; None where it cannot be told."""
        stats = [stat.rpartition(")")[2].split()[11:13] for stat in self._read("stat")]
        return sum(int(ticks) for stat in stats for ticks in stat) / os.sysconf("SC_CLK_TCK") if stats else None

    def tracebacks(self) -> Counter[str]:
        """The errors in what it wrote: the last line of each traceback, and how often it is there."""
        found, inside = Counter[str](), False
        if self.log is not None:
            self.log.seek(0)
            for line in self.log.read().decode(errors="replace").splitlines():
                if line.startswith("Traceback"):
                    inside = True
                elif inside and line and not line.startswith(" "):
                    found[line] += 1
                    inside = False
        return found

    def _read(self, name: str) -> list[str]:
        """Files of Linux about the process and its children; none where there are none."""
        if self.process is None:
            return []
        own = Path(f"/proc/{self.process.pid}")
        with suppress(OSError):
            children = {child for thread in own.glob("task/*/children") for child in thread.read_text().split()}
            return [(Path("/proc") / process / name).read_text() for process in (own.name, *children)]
        return []


@contextmanager
def serving(port: int | None = None, *, script: Path = _APP) -> Iterator[Server]:
    """The server that runs on ``port``, or one of ``script`` that is started for this purpose and ended with it.

    Raises ValueError where nothing answers.
    """
    if port is not None:
        if not _answers(port):
            raise ValueError(f"port takes that of a running server, got {port}: nothing answers at {HOST}:{port}")
        yield Server(port)
        return
    if not script.exists():
        raise ValueError(f"there is no app at {script}: run this in a checkout, or give the port of a running server")
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.address={HOST}", f"--server.port={port}"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, "--server.headless=true"], cwd=_APP.parent, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            _wait_for(port, process)
            yield Server(port, process, log)
        finally:
            process.terminate()
            try:
                process.wait(_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _sizes(statuses: Sequence[str], name: str) -> list[float]:
    """What Linux tells by that name, in 10^9 bytes, of the processes that have any memory left."""
    found = [re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE) for status in statuses]
    return [1024e-9 * int(size.group(1)) for size in found if size]


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > end:
            raise ValueError(f"the app's server did not start: {process.args!r} ended with {process.returncode}")
        time.sleep(0.1)


def _answers(port: int) -> bool:
    try:
        with _DIRECT.open(f"http://{HOST}:{port}/_stcore/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def free_port() -> int:
    """Of this machine."""
    with socket.socket() as one:
        one.bind((HOST, 0))
        port: int = one.getsockname()[1]
        return port
