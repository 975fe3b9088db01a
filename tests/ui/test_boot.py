"""What the server's process does once."""

from __future__ import annotations

import socket

from mlem.ui.boot import _send_at_once


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
