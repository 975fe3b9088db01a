import socket
import subprocess
import sys

from tests.e2e.conftest import ROOT


def asked(port: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlem.ui.health", str(port)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_the_app_is_well(server: str) -> None:
    found = asked(int(server.rsplit(":", 1)[1]))
    assert (found.returncode, found.stderr) == (0, "")


def test_nobody_there_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = asked(port)
    assert found.returncode == 1
    assert "not well: the landing page did not open" in found.stderr
