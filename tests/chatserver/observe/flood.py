"""Clients as bare sockets, which cost a test less than the server that they flood."""

from __future__ import annotations

import socket

from tests.processes import DEADLINE


def masked(text: str) -> bytes:
    """A short frame of a client, masked with zeros."""
    return b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text.encode()


def upgraded(address: tuple[str, int]) -> socket.socket:
    """A WebSocket as a bare socket."""
    client = socket.create_connection(address, timeout=DEADLINE)
    client.sendall(
        b"GET /rpc/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert client.recv(4096).startswith(b"HTTP/1.1 101")
    return client
