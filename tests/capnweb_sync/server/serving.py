"""A gevent server with a recording session, and a client on a bare socket, both on this loop."""

import socket as names
import struct
from collections.abc import Callable
from typing import Any

import gevent
from gevent import pywsgi, socket

from capnweb_sync.server import (
    Connection,
    Connections,
    HandshakeError,
    UpgradeUnavailable,
    WebSocketHandler,
    upgrade,
)

from .frame_building import CLOSE, TEXT, client_close, client_frame
from .waiting import DEADLINE

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""The key of the example in RFC 6455, section 1.3."""

REQUEST_HEADERS = {
    "Host": "test",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def request(
    method: str = "GET", path: str = "/", version: str = "HTTP/1.1", **changes: str | None
) -> bytes:
    """A request for an upgrade; `changes` are headers, with `_` for `-`, None takes one away."""
    headers = {**REQUEST_HEADERS, **{k.replace("_", "-"): v for k, v in changes.items()}}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"{method} {path} {version}", *lines, "", ""]).encode()


class RecordingSession:
    """Notes what it is told; `on_message` may do something with a message."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.messages: list[str] = []
        self.lost: list[tuple[int | None, str]] = []
        self.on_message: Callable[[str], None] | None = None

    def receive(self, message: str, /) -> None:
        self.messages.append(message)
        if self.on_message is not None:
            self.on_message(message)

    def connection_lost(self, close_code: int | None, reason: str, /) -> None:
        self.lost.append((close_code, reason))

    def send(self, text: str) -> None:
        self.connection.send(self.connection.pack(text.encode()))


class Server:
    """Serves a WSGI application that upgrades every request that it can."""

    def __init__(
        self, connections: Connections, listener: Any = ("127.0.0.1", 0), **server_options: Any
    ) -> None:
        self.connections = connections
        self.sessions: list[RecordingSession] = []
        self.closed: list[Connection] = []
        self._server = pywsgi.WSGIServer(
            listener,
            self.application,
            handler_class=WebSocketHandler,
            log=None,
            error_log=None,
            **server_options,
        )
        self._server.start()
        self.port = self._server.server_port or 0

    def application(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """The route: one that is full, the handshake's refusals, or the upgrade."""
        if self.connections.full:
            start_response("503 Service Unavailable", [])
            return [b"full"]
        try:
            _, headers = upgrade(environ, self.connections, self.on_connection)
        except HandshakeError as error:
            start_response(error.status, error.headers)
            return [error.sentence.encode()]
        except UpgradeUnavailable as error:
            start_response("501 Not Implemented", [])
            return [error.sentence.encode()]
        start_response("101 Switching Protocols", headers)
        return []

    def on_connection(self, connection: Connection) -> RecordingSession:
        """Make the session, and note the end."""
        connection.on_closed = self.closed.append
        session = RecordingSession(connection)
        self.sessions.append(session)
        return session

    def stop(self) -> None:
        """Stop, whatever is still open."""
        for connection in self.connections:
            connection.abort()
        self._server.stop(timeout=1)


class Client:
    """A WebSocket client that does nothing by itself."""

    def __init__(self, sock: Any, opening: bytes, *, early: bytes = b"") -> None:
        self.socket = sock
        self._received = b""
        sock.settimeout(DEADLINE)
        sock.sendall(opening + early)
        self.head = self._read_until(b"\r\n\r\n").decode("latin-1")
        self.status = int(self.head.split()[1])

    def _receive(self) -> bool:
        data = self.socket.recv(65536)
        self._received += data
        return bool(data)

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            assert self._receive(), "the server ended the connection"
        head, _, self._received = self._received.partition(mark)
        return head

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            assert self._receive(), "the server ended the connection"
        data, self._received = self._received[:size], self._received[size:]
        return data

    def body(self) -> str:
        """What follows a plain answer up to the end of the connection."""
        self.socket.shutdown(names.SHUT_WR)
        while self._receive():
            pass
        return self._received.decode()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def send_text(self, text: str) -> None:
        """Send one text message."""
        self.send(client_frame(text.encode()))

    def frame(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload."""
        first, length = self._take(2)
        assert first & 0xF0 == 0x80, "a server sends whole frames without extensions"
        if length == 126:
            length = int.from_bytes(self._take(2), "big")
        elif length == 127:
            length = int.from_bytes(self._take(8), "big")
        return first & 0x0F, self._take(length)

    def text(self) -> str:
        """The next frame, which is a text."""
        opcode, payload = self.frame()
        assert opcode == TEXT
        return payload.decode()

    def close_frame(self) -> tuple[int, str]:
        """The next frame, which closes: code and reason."""
        opcode, payload = self.frame()
        assert opcode == CLOSE
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    def at_end(self) -> bool:
        """Wait for the end of the server's stream; False if there is something else."""
        return not self._received and not self._receive()

    def close(self, code: int | None = 1000) -> None:
        """Close politely, and wait for the end."""
        self.send(client_close(code))
        while self._receive():
            pass
        self.socket.close()

    def reset(self) -> None:
        """Drop the connection with a reset."""
        self.socket.setsockopt(names.SOL_SOCKET, names.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def connect(port: int, opening: bytes | None = None, *, early: bytes = b"") -> Client:
    """Open a connection and send a request; by default a valid one for an upgrade."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(names.IPPROTO_TCP, names.TCP_NODELAY, 1)
    return Client(sock, opening if opening is not None else request(), early=early)


def turn() -> None:
    """Let the loop go round."""
    gevent.sleep(0.001)
