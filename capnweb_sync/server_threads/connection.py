"""One open WebSocket in a thread of the server's: the transport of its session.

`Conversation` is the response of the request. The server iterates over it when the application has
answered and whatever belongs to the request has been torn down; then the connection begins, and it
is over when iterating ends, with an exception that servers take for what it is: the client is gone.
Would it return, the server would write an answer of HTTP: to nobody, as the socket is shut down by
then, but its log would tell of one. Only a debugger, which would show the exception, is left so.
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from simple_websocket import ConnectionClosed, Server
from wsproto.events import CloseConnection
from wsproto.utilities import LocalProtocolError, ProtocolError

from ..close_codes import CloseCode, cut_reason
from ..line import Line
from ..runtimes.threads import named, thread_runtime
from ..wsgi_requests import in_a_request
from .line_socket import PING, LineSocket

if TYPE_CHECKING:
    from .connections import ThreadedConnections
    from .servers import ThreadedServer

_logger = logging.getLogger("capnweb_sync")

TOO_SLOW: Final = "Too much waits to be sent: the peer reads too slowly."

RECEIVE_SIZE: Final = 16 * 1024
"""Bytes taken from the kernel at a time, as under gevent: about a hundred short calls. Then others
may have their turn, and it is looked at what the peer has left unread."""

IN_A_VIEW: Final = (
    "A view has returned a service, whose answer Flask looks into before the request is over."
    " Register a blueprint instead: app.register_blueprint(serve(…).blueprint('/rpc'))"
)

ITS_OWN: Final = frozenset(
    {"connection", "upgrade", "content-type", "content-length", "transfer-encoding"}
)
"""Headers that the answer to a handshake has itself, or cannot have."""

ERROR_OF_OURS: Final = "The server met with an error of its own."


class Session(Protocol):
    """What a connection delivers to; `RpcSession` is one."""

    def receive(self, message: str, /) -> None: ...

    def connection_lost(self, close_code: int | None, reason: str, /) -> None: ...


class _Here:
    """What simple-websocket takes for the class of its reading thread, which is the server's own:
    `run` reads until the end."""

    name = ""

    def __init__(self, target: Callable[[], None]) -> None:
        self.run = target

    def start(self) -> None:
        """Nothing: it is run later."""


class _Arrivals:
    """What simple-websocket takes for an event, set with each message that has arrived."""

    def __init__(self, deliver: Callable[[], None]) -> None:
        self.set = deliver

    def wait(self, timeout: float | None = None) -> bool:
        """Whether there is a message: messages are taken when they are there."""
        return False

    def clear(self) -> None:
        """Nothing."""


class ThreadedConnection:
    """A WebSocket of a server with threads. `send` and `close` may be called from any thread."""

    can_concatenate = False

    def __init__(
        self,
        server: ThreadedServer,
        environ: Mapping[str, Any],
        remote_address: tuple[str, int],
        connections: ThreadedConnections,
    ) -> None:
        """
        Args:
            server: has the socket.
            environ: the request, which was found to be a valid one.
            remote_address: host and port of the peer, or of the client where the application
                believes its proxies; 0 for a port that nobody tells.
            connections: have the limits.
        """
        self.has_debugger = server.has_debugger
        self._key = server.key
        self._socket = server.socket
        self._websocket_key = environ["HTTP_SEC_WEBSOCKET_KEY"].strip()
        self._connections = connections
        self._closing: tuple[int, str] | None = None
        self._line: Line | None = None
        self._line_socket: LineSocket | None = None
        self._websocket: Server | None = None
        self._session: Session | None = None
        self.remote_address = remote_address

    @staticmethod
    def pack(message: bytes) -> bytes:
        """The message as it is; wsproto makes a frame of it."""
        return message

    def send(self, packed: bytes) -> None:
        """Send a message, as much as the kernel takes now and the rest later. Never blocks."""
        line_socket, websocket = self._line_socket, self._websocket
        if line_socket is None or websocket is None or self._closing is not None:
            return
        try:
            websocket.send(packed.decode())
        except (ConnectionClosed, ProtocolError):
            return  # the end has begun
        if line_socket.overflowed and self._line is not None:
            self._line.drop_unsent()
            self.close(CloseCode.TRY_AGAIN_LATER, TOO_SLOW)

    def wait_room(self, timeout: float | None) -> bool:
        """Block until half of what may wait is free, or until the end; see `Transport`."""
        return self._line is None or self._line.wait_room(timeout)

    def close(self, code: int, reason: str) -> None:
        """Close it politely: what was sent before goes out first; see `Transport`."""
        if self._closing is not None:
            return
        self._closing = code, reason
        if self._line_socket is not None and self._websocket is not None:
            self._send_close(self._line_socket, self._websocket, code, reason)
        if self._session is not None:
            # Now, whenever the peer answers; but never inside one of the session's own calls.
            thread_runtime().spawn(partial(self._session.connection_lost, code, reason))

    @staticmethod
    def _send_close(line_socket: LineSocket, websocket: Server, code: int, reason: str) -> None:
        cut = cut_reason(reason).decode() or None
        try:
            frame = websocket.ws.send(CloseConnection(code=code, reason=cut))
        except LocalProtocolError:
            return  # the peer was faster
        line_socket.send(frame)

    def abort(self, reason: str = "The server dropped the connection.") -> None:
        """End the connection at once."""
        if self._line is not None:
            self._line.break_off(reason)

    def run(self, begin: Callable[[], Session], headers: Iterable[tuple[str, str]]) -> None:
        """Answer the handshake, with these headers, too, and converse until the end. `begin` makes
        the session."""
        line = self._line = Line(
            self._socket,
            ping=lambda: PING,
            ping_interval=self._connections.ping_interval,
            ping_timeout=self._connections.ping_timeout,
            close_timeout=self._connections.close_timeout,
            max_waiting=self._connections.max_buffered,
            max_unread=self._connections.max_buffered // 2,
        )
        if self._socket.family in (socket.AF_INET, socket.AF_INET6):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line_socket = self._line_socket = LineSocket(line, header_lines(headers))
        try:
            websocket = self._websocket = self._accept(line_socket)
            try:
                self._session = begin()
            except Exception:
                _logger.exception("The application failed to take a connection")
                self.close(CloseCode.INTERNAL_ERROR, ERROR_OF_OURS)
            if self._connections.draining:
                self.close(CloseCode.GOING_AWAY, "The server is going away.")
            if self._closing is not None:
                self._send_close(line_socket, websocket, *self._closing)
            with named("capnweb_sync connection"):
                websocket.thread.run()  # type: ignore[attr-defined]  # it is `_Here`
        finally:
            # At once, so that whoever waits for an answer learns of it.
            self._tell(line, line_socket)
            self._part(line)
            self._line = self._line_socket = self._websocket = self._session = None

    def _accept(self, line_socket: LineSocket) -> Server:
        """Answer the handshake, with only what that needs: what else the client has sent was the
        application's."""
        arrivals = _Arrivals(self._deliver)
        return Server.accept(
            {
                self._key: line_socket,
                "HTTP_HOST": "localhost",
                "HTTP_UPGRADE": "websocket",
                "HTTP_CONNECTION": "Upgrade",
                "HTTP_SEC_WEBSOCKET_VERSION": "13",
                "HTTP_SEC_WEBSOCKET_KEY": self._websocket_key,
            },
            receive_bytes=RECEIVE_SIZE,
            max_message_size=self._connections.max_message,
            thread_class=_Here,
            event_class=lambda: arrivals,  # type: ignore[arg-type]  # called like a class
        )

    def _part(self, line: Line) -> None:
        """End the connection. The server that owns the socket finds it shut down, whatever it does
        next."""
        clean = line.part(first=True)
        line.give_back()
        with suppress(OSError):
            if not clean:
                # A peer that reads nothing would keep the kernel trying for minutes.
                reset = struct.pack("ii", 1, 0)
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            self._socket.shutdown(socket.SHUT_RDWR)

    def _deliver(self) -> None:
        """Hand the messages that have arrived to the session."""
        websocket = self._websocket
        while websocket is not None and websocket.input_buffer:
            message = websocket.receive(timeout=0)
            if self._closing is not None or self._session is None:
                continue
            if not isinstance(message, str):
                self.close(CloseCode.UNSUPPORTED_DATA, "Messages are text here.")
                continue
            try:
                self._session.receive(message)
            except Exception:
                _logger.exception("A session failed to take a message")
                self.close(CloseCode.INTERNAL_ERROR, ERROR_OF_OURS)

    def _tell(self, line: Line, line_socket: LineSocket) -> None:
        """Tell the session why it is over."""
        if self._closing is not None:
            code, reason = self._closing
        elif line_socket.closing is not None:
            # That of the peer, answered with the same, or for what it did wrong.
            code = int.from_bytes(line_socket.closing[:2], "big") or CloseCode.NO_STATUS
            reason = line_socket.closing[2:].decode("utf-8", "replace")
        else:
            code, reason = CloseCode.ABNORMAL, line.broken.reason if line.broken else ""
        self._closing = code, reason
        if self._session is not None:
            self._session.connection_lost(code, reason)


def header_lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """Those that an answer to a handshake may have besides its own: cookies, for instance."""
    return b"".join(
        f"{name}: {value}\r\n".encode("latin-1")
        for name, value in headers
        if name.lower() not in ITS_OWN and not name.lower().startswith("sec-websocket-")
    )


class Conversation:
    """The iterable that a WSGI application returns for an upgrade: see the top of this file."""

    def __init__(
        self,
        connection: ThreadedConnection,
        begin: Callable[[], Session],
        connections: ThreadedConnections,
    ) -> None:
        """The room for it is reserved."""
        self._connection = connection
        self._begin = begin
        self._connections = connections
        self._has_room = True
        self.headers: Iterable[tuple[str, str]] = ()
        """What else the answer to the handshake says; looked at when the conversation begins."""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> NoReturn:
        """Never anything but the end. Raises StopIteration or BrokenPipeError, and RuntimeError in
        the middle of a request."""
        try:
            if in_a_request():
                raise RuntimeError(IN_A_VIEW)
            with self._connections.open(self._connection):
                self._connection.run(self._begin, self.headers)
        finally:
            self.close()
        if self._connection.has_debugger:
            raise StopIteration
        raise BrokenPipeError(errno.EPIPE, "The WebSocket is over.")

    def close(self) -> None:
        """For the server, which may not have come to iterate."""
        if self._has_room:
            self._has_room = False
            self._connections.release()

    # Where the application has answered something else after all, nobody closes what it dropped.
    __del__ = close
