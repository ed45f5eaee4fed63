"""One connection through the proxy: two sockets, and what is wrong with each direction.

Everything here runs on the proxy's thread; what a test may call goes there first.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from tests.proxy.frames import FrameCutter

RECEIVE_BYTES = 64 * 1024
"""Taken from a socket at a time."""

MAX_QUEUED = 256 * 1024
"""Bytes that wait in the proxy per direction before it stops reading, so that a sender feels it
when its receiver is slow."""

SLICE_SECONDS = 0.02
"""A throttled direction sends as much as it may in this time at once."""

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with a timeout of zero: closing sends a reset instead of the end of the stream."""


class Direction(Enum):
    """Seen from the client."""

    UP = "client to server"
    DOWN = "server to client"


UP, DOWN = Direction.UP, Direction.DOWN


@dataclass(frozen=True)
class Impairment:
    """What is wrong with a direction.

    Attributes:
        delay: seconds that everything takes longer.
        rate: bytes per second; None: as fast as it goes; 0: nothing is read any more, and the
            sender finds its buffers full.
        black_hole: everything is read and nothing passed on, not even the end or a reset. A
            direction that has lost a byte stays so: no TCP goes on behind a gap.
    """

    delay: float = 0.0
    rate: float | None = None
    black_hole: bool = False


HEALTHY = Impairment()
STALLED = Impairment(rate=0)
BLACK_HOLE = Impairment(black_hole=True)

Inspector = Callable[["Link", Direction, str], bool]
"""Sees every whole text message, and says whether it is passed on. Called on the proxy's thread; it
may end the link, with which everything that waits is lost."""


class Loop(Protocol):
    """What a link needs of its proxy."""

    selector: selectors.BaseSelector
    waiting: set[Flow]
    inspector: Inspector | None

    def run(self, function: Callable[[], None]) -> None:
        """Run `function` on the proxy's thread, at once if this is it; wait until it is done."""

    def forget(self, link: Link) -> None:
        """The link is over."""


class Flow:
    """One direction of a link. Bytes wait in `_queue` until they are due; b"" is the end."""

    def __init__(
        self, link: Link, direction: Direction, source: socket.socket, sink: socket.socket
    ) -> None:
        self.link = link
        self.direction = direction
        self.source = source
        self.sink = sink
        self.impairment = HEALTHY
        self.ended = False  # Nothing more will be read.
        self.finished = False  # Nothing more will be written.
        self._lost = False  # Bytes went into the black hole.
        self._cutter = FrameCutter()
        self._queue: deque[tuple[float, bytes]] = deque()
        self._queued = 0
        self._send_at = 0.0  # When a throttled flow may send again.

    @property
    def wants_to_read(self) -> bool:
        """Whether there is room for more."""
        return not self.ended and self.impairment.rate != 0 and self._queued < MAX_QUEUED

    @property
    def spent(self) -> bool:
        """Whether nothing will move any more."""
        return self.finished or (self.ended and not self._queue)

    @property
    def due_at(self) -> float | None:
        """When there is something to write (`time.monotonic()`); None: never as things stand."""
        if self.finished or not self._queue or self.impairment.rate == 0:
            return None
        return max(self._queue[0][0], self._send_at)

    def read(self) -> None:
        """Take what the source has."""
        try:
            data = self.source.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.ended = True
            if not self._swallows(b""):
                self.link.end_now(reset=True)
            return
        if not data:
            self.ended = True
        if self._swallows(data):
            return
        due = time.monotonic() + self.impairment.delay
        if self.link.inspector is None or not data:
            self._enqueue(due, data)
            return
        for piece in self._cutter.feed(data):
            if piece.text is None or self.link.inspector(self.link, self.direction, piece.text):
                self._enqueue(due, piece.data)
            if self.link.over:
                return

    def _swallows(self, data: bytes) -> bool:
        if self.impairment.black_hole and data:
            self._lost = True
        return self._lost or self.impairment.black_hole

    def _enqueue(self, due: float, data: bytes) -> None:
        self._queue.append((due, data))
        self._queued += len(data)

    def write(self) -> bool:
        """Pass on what is due. Whether the sink takes no more for now."""
        while (due := self.due_at) is not None and due <= (now := time.monotonic()):
            data = self._queue[0][1]
            if not data:
                self.finish()
                break
            rate = self.impairment.rate
            portion = data if rate is None else data[: max(1, int(rate * SLICE_SECONDS))]
            try:
                sent = self.sink.send(portion)
            except BlockingIOError:
                return True
            except OSError:
                self.link.end_now(reset=True)
                break
            self._queued -= sent
            if sent == len(data):
                self._queue.popleft()
            else:
                self._queue[0] = (due, data[sent:])
            if rate is not None:
                self._send_at = now + sent / rate
        return False

    def finish(self) -> None:
        """End the stream to the sink; what comes from the source still is dropped."""
        self.finished = self._lost = True
        self._queue.clear()
        self._queued = 0
        try:
            self.sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The sink is gone already.


class Link:
    """A client's connection and ours to the server on its behalf.

    Attributes:
        up: what the client sends.
        down: what the server sends.
        over: whether both sockets are closed.
    """

    def __init__(self, loop: Loop, client: socket.socket, server: socket.socket) -> None:
        self._loop = loop
        self.inspector = loop.inspector
        self.up = Flow(self, UP, client, server)
        self.down = Flow(self, DOWN, server, client)
        self.over = False
        self._connected = False
        self.turn()

    # --- what a test asks for

    def impair(self, impairment: Impairment, *directions: Direction) -> None:
        """Make these directions so, both if none is named."""

        def change() -> None:
            for flow in (self.up, self.down):
                if not directions or flow.direction in directions:
                    flow.impairment = impairment
            self.turn()

        self._loop.run(change)

    def cut(self) -> None:
        """End both streams in order, FIN to both ends; what waits in the proxy is lost."""
        self._loop.run(lambda: self.end_now(reset=False))

    def reset(self) -> None:
        """End both streams with a reset to both ends."""
        self._loop.run(lambda: self.end_now(reset=True))

    def half_close(self, direction: Direction) -> None:
        """End this direction alone, FIN to its receiver."""

        def close() -> None:
            (self.up if direction is UP else self.down).finish()
            self.turn()

        self._loop.run(close)

    # --- on the proxy's thread

    def end_now(self, *, reset: bool) -> None:
        """Close both sockets. Idempotent."""
        if self.over:
            return
        self.over = True
        for flow in (self.up, self.down):
            self._loop.waiting.discard(flow)
            self._watch(flow.source, 0)
            if reset:
                flow.source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            else:
                flow.finish()
                drain(flow.source)
            flow.source.close()
        self._loop.forget(self)

    def ready(self, source: socket.socket, events: int) -> None:
        """A socket can be read or written."""
        if not self._connected and source is self.up.sink:
            if source.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.end_now(reset=True)
                return
            self._connected = True
        if events & selectors.EVENT_READ:
            (self.up if source is self.up.source else self.down).read()
        self.turn()

    def turn(self) -> None:
        """Write what is due, and see to it that the loop comes back when there is more to do."""
        if self.over:
            return
        up, down = self.up, self.down
        self._watch_for({up: not self._connected or up.write(), down: down.write()})

    def _watch_for(self, blocked: dict[Flow, bool]) -> None:
        """`blocked`: whose sink takes no more for now."""
        if self.over:
            return
        if self.up.spent and self.down.spent:
            self.end_now(reset=False)
            return
        for flow, back in ((self.up, self.down), (self.down, self.up)):
            events = selectors.EVENT_READ if flow.wants_to_read else 0
            if blocked[back]:
                events |= selectors.EVENT_WRITE
            self._watch(flow.source, events)
            if flow.due_at is None or blocked[flow]:
                self._loop.waiting.discard(flow)
            else:
                self._loop.waiting.add(flow)

    def _watch(self, sock: socket.socket, events: int) -> None:
        selector = self._loop.selector
        key = selector.get_map().get(sock)
        if key is None and events:
            selector.register(sock, events, self)
        elif key is not None and not events:
            selector.unregister(sock)
        elif key is not None and key.events != events:
            selector.modify(sock, events, self)


def drain(sock: socket.socket) -> None:
    """Read what has arrived: closing with unread bytes would send a reset."""
    try:
        while sock.recv(RECEIVE_BYTES):
            pass
    except OSError:
        pass  # There is no more, or it is broken already.
