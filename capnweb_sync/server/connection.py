"""One open WebSocket connection: what it reads, when that is taken, and what is sent.

No greenlet stands behind an idle connection. The loop calls `_readable` when bytes have arrived,
and they become calls of `Session.receive`, which never blocks and never runs application code. That
saves the stack of a greenlet per connection, and reading cannot be held up by what it starts.

A connection has no more of the loop than others. What is short is taken as it comes, up to
`FRAMES_AT_ONCE` in a turn of the loop. What is long, and what came beyond that, waits in the queue
that all connections share (`turns`); the kernel is asked for more only when it has been taken, so
that TCP slows the peer down. So it is while the peer leaves the answers that it asked for unread.

How a connection ends stands in `closing.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import perf_counter, thread_time
from typing import Any, Final, Protocol

import gevent
from gevent.hub import get_hub

from ..close_codes import CloseCode
from ..runtimes.turns import turns
from .closing import Bounds, Closing, Session, State
from .frames import (
    Close,
    Event,
    Failure,
    FrameReader,
    Ping,
    ping_frame,
    pong_frame,
    text_frame,
)
from .sockets import ConnectionSocket

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


class Home(Bounds, Protocol):
    """What a connection needs of the `Connections` that it is one of."""

    max_message: int
    max_unread: int
    draining: bool
    received_bytes: int

    def add(self, connection: Connection) -> int:
        """Take it in; its place in the ring."""
        ...

    def remove(self, connection: Connection) -> None:
        """Its socket is closed."""
        ...


class Connection(Closing):
    """A WebSocket connection of a server, and the transport of its session.

    It belongs to the thread of its loop.
    """

    __slots__ = (
        "_later",
        "_light_from",
        "_reader",
        "_waits_for_outbox",
        "_was_slow",
        "_watcher",
        "remote_address",
        "ring_place",
        "send",
        "silent",
    )

    _connections: Home

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
        super().__init__(socket, connections)
        self._reader = FrameReader(connections.max_message, self.ledger)
        self._later = _NO_EVENTS
        """What has been read and waits for its turn."""
        self._light_from = 0.0
        self._waits_for_outbox = False
        self._was_slow = False
        self._watcher: Any = None
        #: Hand over a packed message. Never blocks, never raises; after the end it drops.
        self.send: Callable[[bytes], None] = self._outbox.append
        #: The peer's address: host and port, or what the family of the socket has. Where the
        #: application believes its proxies (`REMOTE_ADDR`), the client's, and 0 for the port.
        self.remote_address = remote_address
        #: Whether a ping went out and nothing has arrived since. For `Connections`.
        self.silent = False
        #: Where it stands among the connections. For `Connections`.
        self.ring_place = connections.add(self)

    # What the application sees.

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

    def ping(self) -> None:
        """Send a ping. `silent` is true until anything arrives."""
        if self._state is State.OPEN:
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
        if self._state is not State.OPEN:
            get_hub().loop.run_callback(self._tell)
        if self._state is not State.CLOSED:
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
            if self._state is not State.OPEN:
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
        return self._state is State.OPEN and self._outbox.waiting > self._connections.max_unread

    def _pieces(self) -> Iterator[None]:
        """What is left, in pieces."""
        while self._take_piece():
            yield
        self._light_from = max(self._light_from, perf_counter() + CALM_SECONDS)
        self._go_on()

    def _take_piece(self) -> bool:
        """Take one long message or some short ones; whether to go on with that."""
        if self._state is State.CLOSED:
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

    def _forget(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self._later = _NO_EVENTS
        super()._forget()
        self._connections.remove(self)


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
