"""The least that an attacker needs of WebSocket and of Cap'n Web: bytes out, bytes in.

Deliberately nothing of the project's own: an attacker does not check what it sends.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
"""Opcodes of RFC 6455, section 5.2."""

RECEIVE_BYTES = 64 * 1024
CONNECT_SECONDS = 10.0


def address_of(url: str) -> tuple[str, int]:
    """Host and port of a URL."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def open_tcp(url: str, source: str | None = None) -> socket.socket:
    """A connection that has said nothing yet; `source` is the address that it comes from."""
    host = (source, 0) if source else None
    return socket.create_connection(address_of(url), CONNECT_SECONDS, source_address=host)


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One frame as a client sends it. The mask is zero, so the payload stays as it is."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = b"\xfe" + struct.pack("!H", size)
    else:
        length = b"\xff" + struct.pack("!Q", size)
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


def message(*parts: Any) -> bytes:
    """One RPC message as a frame."""
    return frame(json.dumps(parts, separators=(",", ":")).encode())


def call(method: str, *args: Any, target: int = 0) -> bytes:
    """The push that calls a method of the main object, or of another of the peer's exports."""
    return message("push", ["pipeline", target, [method], list(args)])


class Refused(Exception):
    """The server has answered the handshake with something else than 101."""


class SocketClient:
    """One WebSocket, blocking."""

    def __init__(self, url: str, source: str | None = None, timeout: float | None = None) -> None:
        self.socket = open_tcp(url, source)
        host, port = address_of(url)
        self.sent = 0
        self._rest = b""
        self.pushes = 0
        """How many pushes went out: the id of the last."""
        self.socket.sendall(
            f"GET {urlsplit(url).path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.socket.recv(RECEIVE_BYTES)
            if not data:
                raise Refused("the connection was closed instead")
            head += data
        head, _, self._rest = head.partition(b"\r\n\r\n")
        if b" 101 " not in head.partition(b"\r\n")[0] + b" ":
            raise Refused(head.decode("latin-1").partition("\r\n")[0])
        self.socket.settimeout(timeout)

    def send(self, data: bytes) -> None:
        """Send bytes. Raises OSError when the server has closed."""
        self.socket.sendall(data)
        self.sent += len(data)

    def push(self, method: str, *args: Any, target: int = 0) -> int:
        """Call a method; the id of the result."""
        self.send(call(method, *args, target=target))
        self.pushes += 1
        return self.pushes

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Opcode and payload of each frame that arrives, until the connection ends."""
        while True:
            while (cut := self._cut()) is not None:
                yield cut
            data = self.socket.recv(RECEIVE_BYTES)
            if not data:
                return
            self._rest += data

    def _cut(self) -> tuple[int, bytes] | None:
        data = self._rest
        if len(data) < 2:
            return None
        size, at = data[1] & 0x7F, 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            if len(data) < 2 + wide:
                return None
            size, at = int.from_bytes(data[2 : 2 + wide], "big"), 2 + wide
        if len(data) < at + size:
            return None
        self._rest = data[at + size :]
        return data[0] & 0x0F, data[at : at + size]

    def messages(self) -> Iterator[Any]:
        """What the peer says."""
        for opcode, payload in self.frames():
            if opcode == TEXT:
                yield json.loads(payload)
            elif opcode == PING:
                self.send(frame(payload, PONG))
            elif opcode == CLOSE:
                return

    def join(self, name: str) -> None:
        """Come into the chat, and wait until the server says so."""
        answer = self.push("join", name, ["export", -self.pushes - 1])
        self.send(message("pull", answer))
        for said in self.messages():
            if said[0] == "resolve" and said[1] == answer:
                return
            if said[0] in ("reject", "abort"):
                raise Refused(str(said))
        raise Refused("the connection was closed instead")

    def close(self) -> None:
        """Be gone, without a close frame."""
        self.socket.close()
