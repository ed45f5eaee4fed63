"""One open WebSocket connection: reading, the closing handshake, and what is told to whom.

No greenlet stands behind an idle connection. The loop calls `_readable` when bytes have arrived,
and they become calls of `Session.receive`, which never blocks and never runs application code. That
saves the stack of a greenlet per connection, and reading cannot be held up by what it starts.

A connection has no more of the loop than others. What is short is taken as it comes, up to
`FRAMES_AT_ONCE` in a turn of the loop. What is long, and what came beyond that, waits in the queue
that all connections share (`turns`); the kernel is asked for more only when it has been taken, so
that TCP slows the peer down. So it is while the peer leaves the answers that it asked for unread.

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
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum, auto
from time import perf_counter, thread_time
from typing import Any, Final, Protocol

import gevent
from gevent.hub import get_hub

from ..close_codes import CLOSED_BY_US, CloseCode, describe_close
from ..core.ledger import Ledger, MemoryOfAll
from ..limits import DEFAULT_LIMITS
from ..runtimes.fork import close_copy
from ..runtimes.turns import turns
from .frames import (
    Close,
    Event,
    Failure,
    FrameReader,
    Ping,
    close_frame,
    ping_frame,
    pong_frame,
    text_frame,
)
from .outbox import FlushQueue, Outbox
from .sockets import ConnectionSocket, TlsSocket, reset

_logger = logging.getLogger("capnweb_sync")

#: Bytes taken from the kernel at a time. About a hundred short calls: then others have their turn.
_RECEIVE_SIZE = 16 * 1024

FRAMES_AT_ONCE: Final = 16
"""Frames of one connection that are taken in one piece: a keystroke of a fast client with some
room, and less than a millisecond of most calls."""

LONG_MESSAGE: Final = 4096
"""Characters above which a message is long: evaluating it takes up to a millisecond, and that of
one at the usual bound up to twenty."""

LONG_PIECE: Final = 0.001
"""Seconds after which a piece is over, whatever is left of its frames."""

HEAVY_SECONDS: Final = 0.002
HEAVY_TIMES: Final = 200
"""When what came at once took more than the one, nothing more of the connection is taken at once
for that many times as long: a hundred such connections together have half of the loop then, and
their turns."""

CALM_SECONDS: Final = 0.25
"""How long a connection that had more than was taken at once has to wait for its turn with the
rest, too: otherwise each of many such connections would have its `FRAMES_AT_ONCE` between any two
turns."""

#: Shared: an empty list for each connection would be 56 bytes.
_NO_EVENTS: Final[Sequence[Event]] = ()

#: `loop.io`: call back when there is something to read.
_READABLE = 1

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


class Home(Protocol):
    """What a connection needs of the `Connections` that it is one of."""

    max_message: int
    max_unread: int
    max_buffered: int
    memory: MemoryOfAll | None
    close_timeout: float
    flushes: FlushQueue
    draining: bool
    received_bytes: int

    def add(self, connection: Connection) -> int:
        """Take it in; its place in the ring."""
        ...

    def remove(self, connection: Connection) -> None:
        """Its socket is closed."""
        ...


class _State(Enum):
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
    (_State.OPEN, _Happening.WE_CLOSE): _State.CLOSING,
    (_State.OPEN, _Happening.LAST_FRAME): _State.LEAVING,
    (_State.OPEN, _Happening.LOST): _State.CLOSED,
    (_State.CLOSING, _Happening.LAST_FRAME): _State.LEAVING,
    (_State.CLOSING, _Happening.LOST): _State.CLOSED,
    (_State.LEAVING, _Happening.LOST): _State.CLOSED,
}
"""The table at the top of this file. What is not in it has no effect."""


class Connection:
    """A WebSocket connection of a server, and the transport of its session.

    It belongs to the thread of its loop.
    """

    __slots__ = (
        "_connections",
        "_deadline",
        "_later",
        "_light_from",
        "_outbox",
        "_reader",
        "_socket",
        "_started",
        "_state",
        "_waits_for_outbox",
        "_was_slow",
        "_watcher",
        "close_code",
        "close_reason",
        "closed_by_peer",
        "ledger",
        "on_closed",
        "remote_address",
        "ring_place",
        "send",
        "session",
        "silent",
        "unsent",
    )

    pack = staticmethod(text_frame)
    """One message as the frame that carries it."""

    can_concatenate = True
    """Frames are a stream of bytes."""

    def __init__(self, socket: ConnectionSocket, remote_address: Any, connections: Home) -> None:
        """For `WebSocketHandler`.

        Args:
            socket: belongs to the connection from now on.
            remote_address: the peer's, as `accept()` returned it, or the client's behind a proxy.
            connections: holds the connection while its socket is open, and the limits for it.
        """
        self._socket = socket
        self._connections = connections
        #: What is kept for the peer, here and by the session, which sets the bound of it.
        self.ledger = Ledger(DEFAULT_LIMITS.max_memory, connections.memory)
        self.ledger.on_shed = self._shed
        self._outbox = Outbox(
            socket, self, connections.flushes, connections.max_buffered, self.ledger
        )
        self._reader = FrameReader(connections.max_message, self.ledger)
        self._state = _State.OPEN
        self._started = False
        self._later = _NO_EVENTS
        """What has been read and waits for its turn."""
        self._light_from = 0.0
        self._waits_for_outbox = False
        self._was_slow = False
        self._watcher: Any = None
        self._deadline: Any = None
        #: Hand over a packed message. Never blocks, never raises; after the end it drops.
        self.send: Callable[[bytes], None] = self._outbox.append
        self.session: Session | None = None
        #: The peer's address: host and port, or what the family of the socket has. Where the
        #: application believes its proxies (`REMOTE_ADDR`), the client's, and 0 for the port.
        self.remote_address = remote_address
        #: Why the connection ended: the close code of who closed first; 1006 if it was lost.
        self.close_code: int | None = None
        self.close_reason = ""
        #: Whether the peer's close frame ended it.
        self.closed_by_peer = False
        #: Bytes that waited to be sent and were given up, because the peer read too slowly.
        self.unsent = 0
        #: Called once, in a greenlet, after the session has been told of the end.
        self.on_closed: Callable[[Connection], None] | None = None
        #: Whether a ping went out and nothing has arrived since. For `Connections`.
        self.silent = False
        #: Where it stands among the connections. For `Connections`.
        self.ring_place = connections.add(self)

    # What the application sees.

    @property
    def closed(self) -> bool:
        """Whether the end has begun: nothing is delivered any more, in either direction."""
        return self._state is not _State.OPEN

    @property
    def closed_on_purpose(self) -> bool:
        """Whether the peer closed it because it wanted to leave."""
        return self.closed_by_peer and self.close_code in _ON_PURPOSE

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        return self._outbox.buffered

    def wait_drained(self, below: int = 1, timeout: float | None = None) -> bool:
        """Block the calling greenlet until less than `below` bytes wait to be sent.

        Args:
            below: bytes, 1 at least.
            timeout: seconds; None waits without end.

        Returns:
            False if `timeout` passed first, or if the connection ended.
        """
        return self._outbox.wait_below(below, timeout)

    def wait_room(self, timeout: float | None) -> bool:
        """Block the calling greenlet until half of what may wait is free; see `Transport`.

        Args:
            timeout: seconds; None waits without end.

        Returns:
            False if time ran out first. Once the connection has ended, nothing more has to wait for
            it.
        """
        half = self._connections.max_buffered // 2
        return self.buffered < half or self.wait_drained(half, timeout) or self.closed

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

    def ping(self) -> None:
        """Send a ping. `silent` is true until anything arrives."""
        if self._state is _State.OPEN:
            self.silent = True
            self._outbox.append(_PING)

    # The beginning.

    def start(self, on_connection: Callable[[Connection], Session], early: bytes) -> None:
        """Make the session and begin to read. Runs in a greenlet of its own; for the handler.

        Args:
            on_connection: the application's; may block.
            early: what arrived together with the handshake.
        """
        try:
            if self._connections.draining:
                self.close(CloseCode.GOING_AWAY)
            else:
                self.session = on_connection(self)
        except (Exception, gevent.Timeout):  # which is none of them
            _logger.exception("The application failed to take a connection")
            self.close(CloseCode.INTERNAL_ERROR, "The server met with an error of its own.")
        self._started = True
        if self._state is not _State.OPEN:
            get_hub().loop.run_callback(self._tell)
        if self._state is not _State.CLOSED:
            self._watcher = get_hub().loop.io(self._socket.fileno(), _READABLE)
            self._watcher.start(self._readable)
            if early:
                self._take(early)

    # Reading. Runs in the hub: nothing here may block.

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._drop(f"the connection broke: {error}")
            return
        if data:
            self._take(data)
        else:
            self._drop("the peer ended the connection without a close frame")

    def _take(self, data: bytes) -> None:
        self.silent = False
        self._connections.received_bytes += len(data)
        events = self._reader.feed(data, FRAMES_AT_ONCE)
        began = perf_counter()
        if began < self._light_from:
            self._later = events
        else:
            used = thread_time() if self._was_slow else 0.0
            self._take_events(events, began, in_turn=False)
            if perf_counter() - began > HEAVY_SECONDS:
                self._note_slow(began, used)
        if self._later or self._reader.more or self._leaves_unread():
            self._read_later()

    def _note_slow(self, began: float, used: float) -> None:
        """What was taken at once from `began` on took long. Another thread may have run meanwhile:
        from the second time on it is known how much of the processor's time was `used` before."""
        if self._was_slow:
            took = thread_time() - used
            if took > HEAVY_SECONDS:
                self._light_from = began + took * HEAVY_TIMES
        self._was_slow = True

    def _take_events(self, events: Sequence[Event], began: float, *, in_turn: bool) -> None:
        """Take of `events` what makes one piece; the rest is for later."""
        receive_all = getattr(self.session, "receive_all", self._receive_each)
        left = iter(events)
        control: list[Event] = []
        # What came together is taken together, up to each control frame.
        while True:
            try:
                receive_all(self._messages(left, control, began, in_turn))
            except Exception as error:
                self._log("A session failed to take a message", error)
                self.close(CloseCode.INTERNAL_ERROR, "The server met with an error of its own.")
                for event in left:  # the rest is not delivered
                    if type(event) is not str:
                        self._take_control(event)
                return
            if not control:
                return
            self._take_control(control.pop())

    def _messages(
        self, events: Iterator[Event], control: list[Event], began: float, in_turn: bool
    ) -> Iterator[str]:
        """The messages up to the next control frame, which is appended to `control`, or to the end
        of the piece. None after the end of the connection, which one of them may bring."""
        taken = 0
        for event in events:
            if type(event) is not str:
                control.append(event)
                return
            if self._state is not _State.OPEN:
                continue
            if not (in_turn or is_short(event)) or (taken and self._is_enough(began)):
                self._later = [event, *events]
                return
            taken += 1
            yield event

    def _receive_each(self, messages: Iterable[str]) -> None:
        for message in messages:
            if self.session is not None:
                self.session.receive(message)

    def _is_enough(self, began: float) -> bool:
        """Whether a piece that began then is to end here."""
        return perf_counter() - began > LONG_PIECE or self._leaves_unread()

    # What waits for its turn.

    def _read_later(self) -> None:
        """Read no more until what has been read is taken."""
        if self._watcher is not None:
            self._watcher.stop()
            self._go_on()

    def _go_on(self) -> None:
        """Take what is left in turns, or read on, as soon as the peer has taken enough of what it
        asked for."""
        if self._watcher is None:
            return
        if self._leaves_unread():
            self._waits_for_outbox = True
            self._outbox.tell_below(self._connections.max_unread // 2)
        elif self._later or self._reader.more:
            turns().add(self._pieces())
        else:
            self._watcher.start(self._readable)

    def _leaves_unread(self) -> bool:
        return self._state is _State.OPEN and self._outbox.waiting > self._connections.max_unread

    def _pieces(self) -> Iterator[None]:
        """What is left, in pieces."""
        while self._take_piece():
            yield
        self._light_from = max(self._light_from, perf_counter() + CALM_SECONDS)
        self._go_on()

    def _take_piece(self) -> bool:
        """Take one long message or some short ones; whether to go on with that."""
        if self._state is _State.CLOSED:
            return False
        self.silent = False
        events, self._later = self._later, _NO_EVENTS
        if not events:
            events = self._reader.feed(b"", FRAMES_AT_ONCE)
        self._take_events(events, perf_counter(), in_turn=True)
        return bool(self._later or self._reader.more) and not self._leaves_unread()

    def outbox_low(self) -> None:
        """The peer has taken enough of what it asked for."""
        if self._waits_for_outbox:
            self._waits_for_outbox = False
            self.silent = False
            self._go_on()

    def _take_control(self, event: Event) -> None:
        if isinstance(event, Ping):
            # Dropped by the outbox once our close frame is on its way.
            self._outbox.answer(pong_frame(event.payload))
        elif isinstance(event, Close):
            self._leave(event.code, event.reason, by_peer=True)
        elif isinstance(event, Failure):
            self._leave(event.code, event.reason, by_peer=False)

    # The end.

    def _leave(self, code: int, reason: str, *, by_peer: bool) -> None:
        """The peer's last frame is read: close TCP from our side as soon as all is sent."""
        was_open = self._state is _State.OPEN
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
        if before is _State.OPEN:
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

    def _run_on_closed(self, on_closed: Callable[[Connection], None]) -> None:
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
        self._state = _State.CLOSED
        for watcher in (self._watcher, self._deadline):
            if watcher is not None:
                watcher.close()
        self._watcher = self._deadline = None
        self._later = _NO_EVENTS
        self._outbox.discard()
        self.ledger.close()
        self._connections.remove(self)

    def let_go(self) -> None:
        """In a forked child: the connection is the parent's, and nobody is told of its end here.
        For `Connections`."""
        self._forget()
        close_copy(self._socket)

    def _log(self, what: str, error: Exception) -> None:
        """Log from a greenlet: a handler of the log may block, and the hub must not."""
        gevent.spawn_raw(_logger.error, "%s", what, exc_info=error)

    # What the outbox tells.

    def outbox_finished(self) -> None:
        """The close frame has gone out. If the peer's has come in, the server closes TCP first."""
        if self._state is _State.LEAVING:
            try:
                self._socket.shutdown(socket_names.SHUT_WR)
            except OSError as error:
                self._drop(f"the connection broke: {error}")

    def outbox_failed(self, reason: str) -> None:
        """The connection broke."""
        self._drop(reason)

    def outbox_overflowed(self) -> None:
        """The peer reads too slowly: it gets a close frame if it can, not what was waiting."""
        self._give_up("Too much waits to be sent: the peer reads too slowly.")

    def _shed(self) -> None:
        """All connections together keep too much, and this one the most."""
        if self._state is _State.OPEN:
            self._give_up("The server keeps too much for its clients, and the most for this one.")

    def _give_up(self, reason: str) -> None:
        self.unsent = self._outbox.buffered
        if isinstance(self._socket, TlsSocket):
            # What TLS has begun to send cannot be taken back, and no frame goes around it.
            self._drop(reason, reset, CloseCode.TRY_AGAIN_LATER)
        else:
            self._outbox.drop_unsent()
            self.close(CloseCode.TRY_AGAIN_LATER, reason)


_PING = ping_frame()


def is_short(message: str) -> bool:
    """Whether a message may be taken at once: one that is long, or that may be a map, takes its
    turn. The escapes are those with which the word could be spelled."""
    return (
        len(message) <= LONG_MESSAGE
        and "remap" not in message
        and "\\u006" not in message
        and "\\u007" not in message
    )
