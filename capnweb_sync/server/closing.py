"""How a connection ends: the closing handshake, the ways to be lost, and who is told of it.

The session and the application learn of the end in a callback of its own, never inside one of their
calls, so `close` and `abort` may be called from anywhere on the loop's thread.

**The end** (RFC 6455, section 7) is a way through four states, which `_NEXT` has as a table:

    OPEN      both sides may send
    CLOSING   our close frame is on its way, the peer's is awaited
    LEAVING   the peer's last frame is read; once all is sent, TCP is closed from our side, then
              from the peer's
    CLOSED    the socket is closed, and everything is let go of

    | state            | what happens           | becomes | because                             |
    |------------------|------------------------|---------|-------------------------------------|
    | OPEN             | this side closes       | CLOSING | what was sent before goes out first |
    | OPEN             | the peer's last frame  | LEAVING | it is answered with its code (5.5.1)|
    | OPEN             | the connection is lost | CLOSED  | 1006: nobody can be told (7.1.5)    |
    | CLOSING          | the peer's last frame  | LEAVING | both close frames are known; the    |
    |                  |                        |         | server closes TCP first (7.1.1)     |
    | CLOSING, LEAVING | the connection is lost | CLOSED  | also by the deadline: a peer that   |
    |                  |                        |         | does not answer is dropped          |

*This side closes* with `close`, and where too much waits to be sent. *The peer's last frame* is its
close frame, or one that breaks the protocol, after which nothing more is read (7.1.7). *The
connection is lost* by its end of file, an error of the socket, `abort`, the deadline, and where too
much waits to be sent over TLS. What stands in no row has no effect: the first reason counts, and
the end is told once.

On leaving OPEN, whatever the way: the code and the reason are noted, the session is told and then
the application, nothing more is delivered, and the deadline for the peer begins
(`Connections.close_timeout`). So they are never told twice, nor too late because a peer is silent.
"""

from __future__ import annotations

import logging
import socket as socket_names
from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, Protocol

import gevent
from gevent.hub import get_hub

from ..close_codes import CLOSED_BY_US, CloseCode, describe_close
from ..core.ledger import Ledger, MemoryOfMany
from ..limits import DEFAULT_LIMITS
from ..runtimes.fork import close_copy
from .frames import close_frame
from .outbox import FlushQueue, Outbox
from .sockets import ConnectionSocket, TlsSocket, reset

if TYPE_CHECKING:
    from typing_extensions import Self

_logger = logging.getLogger("capnweb_sync")

#: Codes with which a client closes because it wants to, CLOSED_BY_US having disposed of a session.
_ON_PURPOSE = frozenset((CloseCode.NORMAL, CloseCode.GOING_AWAY, CloseCode.NO_STATUS, CLOSED_BY_US))


class Session(Protocol):
    """What a connection delivers to; `capnweb_sync.RpcSession` is one.

    One that also has `receive_all(messages: Iterable[str])` is given what arrived together at once.
    It asks for the next message when it has taken the one before: there is none after the end.
    """

    def receive(self, message: str, /) -> None:
        """Take one message. Never blocks, never runs application code.

        Args:
            message: the text of one WebSocket message.
        """

    def connection_lost(self, close_code: int | None, reason: str, /) -> None:
        """The connection is over. Called once, under the same conditions.

        Args:
            close_code: why (RFC 6455, section 7.4); 1006 if it was lost.
            reason: a sentence.
        """


class Bounds(Protocol):
    """What all connections of a server have in common, as far as their ends are concerned."""

    max_buffered: int
    memory: MemoryOfMany | None
    close_timeout: float
    flushes: FlushQueue


class State(Enum):
    """How far a connection is on its way to its end; the top of this file has the table."""

    OPEN = auto()
    CLOSING = auto()
    LEAVING = auto()
    CLOSED = auto()


class _Happening(Enum):
    """What moves a connection on."""

    WE_CLOSE = auto()
    LAST_FRAME = auto()
    LOST = auto()


_NEXT: Final = {
    (State.OPEN, _Happening.WE_CLOSE): State.CLOSING,
    (State.OPEN, _Happening.LAST_FRAME): State.LEAVING,
    (State.OPEN, _Happening.LOST): State.CLOSED,
    (State.CLOSING, _Happening.LAST_FRAME): State.LEAVING,
    (State.CLOSING, _Happening.LOST): State.CLOSED,
    (State.LEAVING, _Happening.LOST): State.CLOSED,
}
"""The table at the top of this file. What is not in it has no effect."""


class Closing:
    """A connection on its way to its end. What it reads meanwhile is for the floor above."""

    __slots__ = (
        "_connections",
        "_deadline",
        "_outbox",
        "_socket",
        "_started",
        "_state",
        "close_code",
        "close_reason",
        "closed_by_peer",
        "ledger",
        "on_closed",
        "session",
        "unsent",
    )

    _connections: Bounds

    def __init__(self, socket: ConnectionSocket, connections: Bounds) -> None:
        self._socket = socket
        self._connections = connections
        #: What is kept for the peer, here and by the session, which sets the bound of it.
        self.ledger = Ledger(DEFAULT_LIMITS.max_memory, connections.memory)
        self.ledger.owner = self
        self._outbox = Outbox(
            socket, self, connections.flushes, connections.max_buffered, self.ledger
        )
        self._state = State.OPEN
        self._started = False
        self._deadline: Any = None
        self.session: Session | None = None
        #: Why the connection ended: the close code of who closed first; 1006 if it was lost.
        self.close_code: int | None = None
        self.close_reason = ""
        #: Whether the peer's close frame ended it.
        self.closed_by_peer = False
        #: Bytes that waited to be sent and were given up, because the peer read too slowly.
        self.unsent = 0
        #: Called once, in a greenlet, after the session has been told of the end.
        self.on_closed: Callable[[Self], None] | None = None

    @property
    def closed(self) -> bool:
        """Whether the end has begun: nothing is delivered any more, in either direction."""
        return self._state is not State.OPEN

    @property
    def closed_on_purpose(self) -> bool:
        """Whether the peer closed it because it wanted to leave."""
        return self.closed_by_peer and self.close_code in _ON_PURPOSE

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close politely: what was sent before goes out first, then the close frame.

        Never blocks. Without effect once the end has begun. A peer that does not answer within
        `Connections.close_timeout` seconds is dropped.

        Args:
            code: a code that may stand in a close frame, or 1005 for none.
            reason: a sentence; cut to 123 bytes.

        Raises:
            ValueError: `code` may not be sent.
        """
        frame = close_frame(code, reason)
        if self._moves_on(_Happening.WE_CLOSE, code, reason):
            self._outbox.finish(frame)

    def abort(self, reason: str = "the server dropped the connection") -> None:
        """Drop the TCP connection at once. What was not sent is lost.

        Args:
            reason: for this side; the peer learns nothing but the end.
        """
        self._drop(reason, reset)

    # On its way.

    def _leave(self, code: int, reason: str, *, by_peer: bool) -> None:
        """The peer's last frame is read: close TCP from our side as soon as all is sent."""
        was_open = self._state is State.OPEN
        if not self._moves_on(_Happening.LAST_FRAME, code, reason):
            return  # dropped because of a message that came just before
        if was_open:
            self.closed_by_peer = by_peer
            self._outbox.finish(close_frame(code, reason))
        if not self._outbox.buffered:
            self.outbox_finished()

    def _moves_on(self, happening: _Happening, code: int, reason: str) -> bool:
        """Go on as the table says. False if that is nowhere, and the end is under way already."""
        before = self._state
        after = _NEXT.get((before, happening))
        if after is None:
            return False
        self._state = after
        if before is State.OPEN:
            self._end(code, reason)
        return True

    def _end(self, code: int, reason: str) -> None:
        """Deliver no more: note why, have it told, and set the deadline for the peer."""
        self.close_code = int(code)
        self.close_reason = reason or describe_close(code)
        loop = get_hub().loop
        loop.run_callback(self._tell)
        self.outbox_low()  # to hear the peer's close frame
        self._deadline = loop.timer(self._connections.close_timeout)
        self._deadline.start(self.abort)

    def _tell(self) -> None:
        """Tell the session of the end, and after it the application; each once."""
        if not self._started:
            return  # `start` is under way and will see to it
        self._started = False
        # Let go of, as `session` is afterwards: they tend to refer to the connection.
        on_closed, self.on_closed = self.on_closed, None
        if self.session is not None:
            try:
                self.session.connection_lost(self.close_code, self.close_reason)
            except Exception as error:
                self._log("A session failed to take the end of its connection", error)
        if on_closed is not None:
            gevent.spawn_raw(self._run_on_closed, on_closed)
        else:
            self.session = None

    def _run_on_closed(self, on_closed: Callable[[Self], None]) -> None:
        try:
            on_closed(self)
        except (Exception, gevent.Timeout):
            _logger.exception("The application failed to take the end of a connection")
        finally:
            self.session = None

    def _drop(
        self,
        reason: str,
        close: Callable[[ConnectionSocket], None] | None = None,
        code: int = CloseCode.ABNORMAL,
    ) -> None:
        """Let go of everything. `code` is told where nothing has been said of the end yet."""
        if not self._moves_on(_Happening.LOST, code, reason):
            return
        self._forget()
        if close is None:
            self._socket.close()
        else:
            close(self._socket)

    def _forget(self) -> None:
        """Everything is let go of but the socket."""
        self._state = State.CLOSED
        if self._deadline is not None:
            self._deadline.close()
            self._deadline = None
        self._outbox.discard()
        self.ledger.connection_over()

    def let_go(self) -> None:
        """In a forked child: the connection is the parent's, and nobody is told of its end here.
        For `Connections`."""
        self._forget()
        self.ledger.close()
        close_copy(self._socket)

    def _log(self, what: str, error: Exception) -> None:
        """Log from a greenlet: a handler of the log may block, and the hub must not."""
        gevent.spawn_raw(_logger.error, "%s", what, exc_info=error)

    # What the outbox and the ledger tell.

    def outbox_finished(self) -> None:
        """The close frame has gone out. If the peer's has come in, the server closes TCP first."""
        if self._state is State.LEAVING:
            try:
                self._socket.shutdown(socket_names.SHUT_WR)
            except OSError as error:
                self._drop(f"the connection broke: {error}")

    def outbox_low(self) -> None:
        """Less waits than was asked for: whoever has waited for that reads on."""

    def outbox_failed(self, reason: str) -> None:
        """The connection broke."""
        self._drop(reason)

    def outbox_overflowed(self) -> None:
        """The peer reads too slowly: it gets a close frame if it can, not what was waiting."""
        self._give_up("Too much waits to be sent: the peer reads too slowly.")

    def shed(self) -> None:
        """All connections together keep too much, and this one the most."""
        if self._state is State.OPEN:
            self._give_up("The server keeps too much for its clients, and the most for this one.")

    def _give_up(self, reason: str) -> None:
        self.unsent = self._outbox.buffered
        if isinstance(self._socket, TlsSocket):
            # What TLS has begun to send cannot be taken back, and no frame goes around it.
            self._drop(reason, reset, CloseCode.TRY_AGAIN_LATER)
        else:
            self._outbox.drop_unsent()
            self.close(CloseCode.TRY_AGAIN_LATER, reason)
