import asyncio
import socket

from mlem.ui.health import ailment


def test_the_app_is_well(server: str) -> None:
    assert asyncio.run(ailment(int(server.rsplit(":", 1)[1]))) is None


def test_nobody_there_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "did not open" in str(asyncio.run(ailment(port)))
