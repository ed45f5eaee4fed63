"""What waits to be sent on a connection, and when it goes out.

This is the hot path of a broadcast: a delivery is one `Outbox.append`, a list append, and its share
of one `send`. Nothing goes out at once. All outboxes that got something in a turn of the loop stand
in one `FlushQueue`, whose single callback at the end of the turn hands each outbox's frames to the
kernel with one non-blocking `send`. Only when the kernel's buffer is full does an outbox get a
watcher that waits for room; it goes when the outbox is empty.

Frames are kept as the objects that they came as, not joined: those of a broadcast are shared by all
who wait for them, so that a slow reader's backlog costs pointers. `b"".join` before `send` measured
better than `sendmsg` with many buffers (8 frames of 150 bytes: 1.48 against 1.71 µs with the
system call), and a single frame is sent as it is.
"""

from __future__ import annotations

import logging
import sys
from functools import lru_cache
from typing import Any, Protocol

import gevent
from gevent.event import Event
from gevent.hub import get_hub

from ..core.ledger import Ledger

_logger = logging.getLogger("capnweb_sync")

#: Frames in one `send`. More would be copied again and again when the kernel takes only a part.
_FRAMES_PER_SEND = 256

#: Bytes that a frame takes beside its own: the object, and its place here (measured: 41 to 49).
#: Millions of empty ones, such as the answers to pings, would otherwise count as nothing.
FRAME_COST = 48

#: Bytes of an empty one (RFC 6455, section 5.2).
_SHORTEST_FRAME = 2

#: Bytes by which the ledger may be behind. It learns of what waits only when something has to wait.
_NOTE_STEP = 16 * 1024

#: References to a frame that waits in one outbox alone, as `Outbox._note` sees them.
_OWN_REFERENCES = min([sys.getrefcount(frame) for frame in [bytes(2)]])

#: `loop.io`: call back when there is room to write.
_WRITABLE = 2


class SendingSocket(Protocol):
    """A non-blocking socket."""

    def send(self, data: bytes | memoryview, /) -> int:
        """Hand `data` to the kernel.

        Returns:
            The number of bytes that it took.

        Raises:
            BlockingIOError: it took none.
            OSError: the connection is broken.
        """
        ...

    def fileno(self) -> int:
        """The descriptor to wait on."""
        ...


class OutboxOwner(Protocol):
    """The connection, as its outbox sees it."""

    def outbox_overflowed(self) -> None:
        """More than the limit waits already; the frame that was appended is dropped."""

    def outbox_failed(self, reason: str) -> None:
        """The connection is broken."""

    def outbox_low(self) -> None:
        """Less waits than was asked for with `Outbox.tell_below`."""

    def outbox_finished(self) -> None:
        """All that was appended up to `Outbox.finish` has been handed to the kernel."""


@lru_cache(maxsize=16)  # one object for all connections of a server
def near(limit: int) -> int:
    """Fewer bytes than these take less than `limit` with their frames, however short those are."""
    return limit * _SHORTEST_FRAME // (_SHORTEST_FRAME + FRAME_COST)


class FlushQueue(list["Outbox"]):
    """The outboxes to flush at the end of this turn of the loop: one callback for all of them.

    Each is appended once a turn, the first with `add`.
    """

    __slots__ = ("sent_bytes",)

    def __init__(self) -> None:
        super().__init__()
        #: What the kernel has taken.
        self.sent_bytes = 0

    def add(self, outbox: Outbox) -> None:
        """Flush `outbox` at the end of this turn."""
        if not self:
            get_hub().loop.run_callback(self._flush)
        self.append(outbox)

    def _flush(self) -> None:
        outboxes = self[:]
        self.clear()
        sent = 0
        for outbox in outboxes:
            try:
                sent += outbox.flush()
            except Exception as error:  # noqa: PERF203 - those behind it would never be flushed
                outbox.fail_unforeseen(error)
        self.sent_bytes += sent


class Outbox:
    """The frames that wait to be sent on one connection.

    It belongs to the thread of its loop, and no method blocks except `wait_below`.
    """

    __slots__ = (
        "_attended",
        "_finishing",
        "_flushes",
        "_frames",
        "_ledger",
        "_limit",
        "_low",
        "_near_limit",
        "_noted",
        "_noted_shared",
        "_owner",
        "_pong",
        "_progress",
        "_socket",
        "_watcher",
        "buffered",
    )

    def __init__(
        self,
        socket: SendingSocket,
        owner: OutboxOwner,
        flushes: FlushQueue,
        limit: int,
        ledger: Ledger | None = None,
    ) -> None:
        """
        Args:
            socket: what to send on.
            owner: is told what happens.
            flushes: the queue that all connections of the loop share.
            limit: bytes that may wait, `FRAME_COST` of them for each frame. A frame that comes
                while so much waits already is refused, so one frame of any size always has room in
                an outbox that is nearly empty.
            ledger: where what waits counts as memory that is kept for the peer.
        """
        self._socket = socket
        self._owner: OutboxOwner | None = owner
        self._flushes = flushes
        self._limit = limit
        self._near_limit = near(limit)
        self._ledger = ledger
        self._noted = 0
        self._noted_shared = 0
        self._frames: list[bytes | memoryview] = []
        #: Bytes that wait to be sent.
        self.buffered = 0
        #: Whether a flush has more to do than to send: `_after_send` knows what.
        self._attended = False
        self._finishing = False
        self._low = 0
        self._pong: bytes | None = None
        self._watcher: Any = None
        self._progress: Event | None = None

    def append(self, frame: bytes) -> None:
        """Send `frame` at the end of this turn, or when the peer has taken what waits before it.

        Without effect after `finish` or `discard`.
        """
        frames = self._frames
        if not frames:
            if self._finishing:
                return
            flushes = self._flushes
            if flushes:
                flushes.append(self)  # without a call of ours, for nearly all of a broadcast
            else:
                flushes.add(self)
        elif self.buffered >= self._near_limit and self.waiting >= self._limit:
            if not self._finishing and self._owner is not None:
                self._owner.outbox_overflowed()
            return
        frames.append(frame)
        self.buffered += len(frame)

    def answer(self, pong: bytes) -> None:
        """Send a pong: the latest only, once the peer does not take what waits before it (RFC 6455,
        section 5.5.3). So pings make nobody keep anything."""
        if self._watcher is None:
            self.append(pong)
        else:
            self._pong = pong

    @property
    def waiting(self) -> int:
        """Bytes that wait to be sent, `FRAME_COST` of them for each frame."""
        return self.buffered + FRAME_COST * len(self._frames)

    def tell_below(self, size: int) -> None:
        """Tell the owner, once, when less than `size` bytes are `waiting`. There must be more."""
        self._low = size
        self._attended = True

    def flush(self) -> int:
        """Hand to the kernel what it takes now.

        Returns:
            Bytes that it took.
        """
        frames = self._frames
        if not frames:
            return 0
        try:
            if len(frames) == 1:
                sent = self._socket.send(frames[0])
            elif len(frames) <= _FRAMES_PER_SEND:
                sent = self._socket.send(b"".join(frames))
            else:
                sent = self._socket.send(b"".join(frames[:_FRAMES_PER_SEND]))
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._fail(f"sending failed: {error}")
            return 0
        if sent == self.buffered:
            frames.clear()
            self.buffered = 0
        else:
            self._forget(sent)
            self._wait_for_room()
        if self._attended:
            self._after_send()
        return sent

    def _forget(self, sent: int) -> None:
        """Drop the first `sent` bytes."""
        frames = self._frames
        self.buffered -= sent
        whole = 0
        while sent >= len(frames[whole]):
            sent -= len(frames[whole])
            whole += 1
        del frames[:whole]
        if sent:
            frames[0] = memoryview(frames[0])[sent:]

    def _note(self) -> None:
        """Tell the ledger what waits. A frame that other outboxes have as well is shared."""
        ledger, frames = self._ledger, self._frames
        if ledger is None:
            return
        size = self.buffered + FRAME_COST * len(frames)
        if frames and abs(size - self._noted) < _NOTE_STEP:
            return
        shared = sum([len(frame) for frame in frames if sys.getrefcount(frame) > _OWN_REFERENCES])
        ledger.shared += shared - self._noted_shared
        ledger.hold(size - self._noted)
        self._noted, self._noted_shared = size, shared

    def _wait_for_room(self) -> None:
        if self._watcher is None:
            self._watcher = get_hub().loop.io(self._socket.fileno(), _WRITABLE)
            self._watcher.start(self._flush_again)
            self._attended = True

    def _after_send(self) -> None:
        """What a flush has to do besides sending, in the rare case that there is something."""
        self._note()
        if self._progress is not None:
            self._progress.set()
            self._progress = None
        if self.waiting < self._low:
            self._low = 0
            if self._owner is not None:
                self._owner.outbox_low()
        if self._frames:
            self._attended = True
            return
        self._stop_watching()
        self._attended = False
        if self._pong is not None:
            pong, self._pong = self._pong, None
            self.append(pong)  # without effect after the last frame
        if self._finishing and self._owner is not None:
            self._owner.outbox_finished()

    def _stop_watching(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    def wait_below(self, size: int, timeout: float | None) -> bool:
        """Block the calling greenlet until less than `size` bytes wait.

        Args:
            size: bytes, 1 at least.
            timeout: seconds; None waits without end.

        Returns:
            False if `timeout` passed first, or if the outbox came to its end.
        """
        with gevent.Timeout(timeout, False):  # type: ignore[arg-type]  # documented, not in the stubs
            while self.buffered >= size and self._owner is not None:
                if self._progress is None:
                    self._progress = Event()
                    self._attended = True
                self._progress.wait()
        return self.buffered < size and self._owner is not None

    def drop_unsent(self) -> None:
        """Forget the frames of which nothing has been sent yet."""
        del self._frames[1 if self._frames and isinstance(self._frames[0], memoryview) else 0 :]
        self.buffered = sum(map(len, self._frames))

    def finish(self, last_frame: bytes) -> None:
        """Accept nothing after `last_frame`. The owner is told when all has been sent."""
        if not self._frames:
            self._flushes.add(self)
        self._frames.append(last_frame)
        self.buffered += len(last_frame)
        self._finishing = True
        self._attended = True
        self._limit = self._near_limit = 0

    def discard(self) -> None:
        """Forget everything and accept no more: the connection is gone."""
        self._finishing = True
        self._owner = None
        self._frames.clear()
        self.buffered = 0
        self._note()
        self._stop_watching()
        if self._progress is not None:
            self._progress.set()
            self._progress = None

    def _flush_again(self) -> None:
        """There is room again."""
        try:
            self._flushes.sent_bytes += self.flush()
        except Exception as error:
            self.fail_unforeseen(error)

    def fail_unforeseen(self, error: Exception) -> None:
        """A flush failed for another reason than the connection."""
        gevent.spawn_raw(_logger.error, "An outbox failed", exc_info=error)
        self._fail("sending failed")

    def _fail(self, reason: str) -> None:
        if self._owner is not None:
            self._owner.outbox_failed(reason)
