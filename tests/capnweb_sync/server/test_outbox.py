"""The outbox: one `send` per turn of the loop, a bound, and waiting for room only when needed.

The socket is one end of a real socket pair unless a test must see each `send`.
"""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from capnweb_sync.core.ledger import Ledger
from capnweb_sync.server.frames import text_frame
from capnweb_sync.server.outbox import FRAME_COST, FlushQueue, Outbox

from .waiting import eventually

LIMIT = 64 * 1024


class Owner:
    """Notes what the outbox tells."""

    def __init__(self) -> None:
        self.overflows = 0
        self.failures: list[str] = []
        self.finished = False
        self.low = False

    def outbox_overflowed(self) -> None:
        self.overflows += 1

    def outbox_failed(self, reason: str) -> None:
        self.failures.append(reason)

    def outbox_low(self) -> None:
        self.low = True

    def outbox_finished(self) -> None:
        self.finished = True


class CountingSocket:
    """Takes everything, and notes each `send`."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, data: bytes | memoryview, /) -> int:
        self.sent.append(bytes(data))
        return len(data)

    def fileno(self) -> int:
        raise AssertionError("nobody should wait for this socket")


class BrokenSocket(CountingSocket):
    """Raises an error of the kernel, or one that should not be possible."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def send(self, data: bytes | memoryview, /) -> int:
        raise self.error


@pytest.fixture
def pair(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends; what waits to be sent on one is forgotten before they are closed, or the loop would
    go on waiting for room on a socket that is none any more."""
    outboxes: list[Outbox] = []
    begin = Outbox.__init__

    def note(outbox: Outbox, *args: Any, **options: Any) -> None:
        outboxes.append(outbox)
        begin(outbox, *args, **options)

    monkeypatch.setattr(Outbox, "__init__", note)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with ours, theirs:
        yield ours, theirs
        for outbox in outboxes:
            outbox.discard()


def read(theirs: socket.socket, outbox: Outbox) -> bytes:
    """What arrives until the outbox is empty."""
    received: list[bytes] = []

    def read_on() -> bool:
        empty = outbox.buffered == 0
        try:
            received.append(theirs.recv(1 << 20))
        except BlockingIOError:
            return empty
        return False

    eventually(read_on)
    return b"".join(received)


def test_what_was_appended_in_a_turn_goes_out_in_one_send_at_its_end() -> None:
    counting = CountingSocket()
    outbox = Outbox(counting, Owner(), FlushQueue(), LIMIT)

    for frame in (b"one", b"two", b"three"):
        outbox.append(frame)
    before = list(counting.sent)
    gevent.sleep(0)

    assert before == []
    assert counting.sent == [b"onetwothree"]
    assert outbox.buffered == 0


def test_a_frame_alone_is_sent_as_the_object_that_it_is() -> None:
    taken: list[bytes | memoryview] = []

    class Keeping(CountingSocket):
        def send(self, data: bytes | memoryview, /) -> int:
            taken.append(data)
            return len(data)

    frame = b"x" * 1000
    outbox = Outbox(Keeping(), Owner(), FlushQueue(), LIMIT)
    outbox.append(frame)
    gevent.sleep(0)

    assert taken[0] is frame


def test_many_outboxes_share_one_callback_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    flushes = FlushQueue()
    turns: list[int] = []
    flush_all = FlushQueue._flush

    def noted(queue: FlushQueue) -> None:
        turns.append(len(queue))
        flush_all(queue)

    monkeypatch.setattr(FlushQueue, "_flush", noted)
    outboxes = [Outbox(CountingSocket(), Owner(), flushes, LIMIT) for _ in range(50)]
    for outbox in outboxes:
        outbox.append(b"x")
        outbox.append(b"y")
    gevent.sleep(0)

    assert turns == [50]


def test_more_frames_than_one_send_takes_all_arrive_in_order(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    outbox = Outbox(ours, Owner(), FlushQueue(), 4 * LIMIT)
    frames = [b"%05d" % number for number in range(2000)]

    for frame in frames:
        outbox.append(frame)

    assert read(theirs, outbox) == b"".join(frames)
    assert outbox.buffered == 0


def test_a_full_kernel_buffer_makes_it_wait_and_loses_nothing(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    outbox = Outbox(ours, Owner(), FlushQueue(), 1 << 20)
    frames = [bytes((number,)) * 10_000 for number in range(50)]

    for frame in frames:
        outbox.append(frame)
    gevent.sleep(0)
    waiting = outbox.buffered
    outbox.append(b"last")

    assert 0 < waiting < 500_000
    assert read(theirs, outbox) == b"".join(frames) + b"last"
    assert outbox.buffered == 0


def test_the_watcher_is_there_only_while_the_kernel_is_full(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    outbox = Outbox(ours, Owner(), FlushQueue(), LIMIT)

    outbox.append(b"x")
    gevent.sleep(0)
    idle = outbox._watcher
    outbox.append(b"x" * 50_000)
    gevent.sleep(0)
    full = outbox._watcher
    read(theirs, outbox)

    assert idle is None
    assert full is not None
    assert outbox._watcher is None


def test_a_frame_past_the_bound_is_dropped_and_reported() -> None:
    owner = Owner()
    counting = CountingSocket()
    outbox = Outbox(counting, owner, FlushQueue(), limit=10)

    outbox.append(b"x" * 10)
    outbox.append(b"y")
    gevent.sleep(0)

    assert owner.overflows == 1
    assert counting.sent == [b"x" * 10]


def test_one_frame_of_any_size_fits_into_an_empty_outbox() -> None:
    owner = Owner()
    counting = CountingSocket()
    outbox = Outbox(counting, owner, FlushQueue(), limit=10)

    outbox.append(b"x" * 1000)
    gevent.sleep(0)

    assert owner.overflows == 0
    assert counting.sent == [b"x" * 1000]


def test_unsent_frames_are_dropped_but_never_the_rest_of_one_that_was_begun(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    outbox = Outbox(ours, Owner(), FlushQueue(), 1 << 20)
    first, second = b"a" * 50_000, b"b" * 50_000

    outbox.append(first)
    outbox.append(second)
    gevent.sleep(0)
    outbox.drop_unsent()
    outbox.finish(b"end")

    assert read(theirs, outbox) == first + b"end"


def test_nothing_is_accepted_after_the_last_frame_and_its_sending_is_reported() -> None:
    owner = Owner()
    counting = CountingSocket()
    outbox = Outbox(counting, owner, FlushQueue(), LIMIT)

    outbox.append(b"one,")
    outbox.finish(b"last")
    outbox.append(b"late")
    gevent.sleep(0)
    outbox.append(b"later")
    gevent.sleep(0)

    assert counting.sent == [b"one,last"]
    assert owner.finished
    assert owner.overflows == 0
    assert outbox.buffered == 0


@pytest.mark.parametrize(
    "error", [BrokenPipeError("gone"), ConnectionResetError("reset"), TypeError("a bug")]
)
def test_a_failing_outbox_reports_it_and_the_others_are_flushed(error: Exception) -> None:
    flushes = FlushQueue()
    owner = Owner()
    healthy = CountingSocket()
    outboxes = [
        Outbox(BrokenSocket(error), owner, flushes, LIMIT),
        Outbox(healthy, Owner(), flushes, LIMIT),
    ]

    for outbox in outboxes:
        outbox.append(b"x")
    gevent.sleep(0)

    assert len(owner.failures) == 1
    assert healthy.sent == [b"x"]


class ForgetfulOwner(Owner):
    """Fails where it is told of the end."""

    def outbox_finished(self) -> None:
        raise TypeError("a bug")


def test_an_owner_that_fails_keeps_nobody_from_being_flushed() -> None:
    flushes = FlushQueue()
    owner = ForgetfulOwner()
    healthy = CountingSocket()
    failing, outbox = (
        Outbox(CountingSocket(), owner, flushes, LIMIT),
        Outbox(healthy, Owner(), flushes, LIMIT),
    )

    failing.finish(b"last")
    outbox.append(b"x")
    gevent.sleep(0)

    assert len(owner.failures) == 1
    assert healthy.sent == [b"x"]


def test_a_discarded_outbox_accepts_nothing_and_holds_nothing(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, _ = pair
    outbox = Outbox(ours, Owner(), FlushQueue(), 1 << 20)
    outbox.append(b"x" * 100_000)
    gevent.sleep(0)

    outbox.discard()
    outbox.append(b"y")

    assert outbox.buffered == 0
    assert outbox._watcher is None


def test_waiting_ends_when_the_peer_has_taken_enough(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    outbox = Outbox(ours, Owner(), FlushQueue(), 1 << 20)
    outbox.append(b"x" * 100_000)

    waiting = gevent.spawn(outbox.wait_below, 20_000, 10.0)
    gevent.sleep(0)
    still_waiting = not waiting.ready()
    read(theirs, outbox)

    assert still_waiting
    assert waiting.get(timeout=1) is True


def test_waiting_ends_when_a_turn_has_sent_all() -> None:
    outbox = Outbox(CountingSocket(), Owner(), FlushQueue(), LIMIT)
    outbox.append(b"x" * 100)

    assert outbox.wait_below(1, timeout=10.0) is True


def test_waiting_ends_when_time_is_over(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    outbox = Outbox(ours, Owner(), FlushQueue(), 1 << 20)
    outbox.append(b"x" * 100_000)

    assert outbox.wait_below(1, timeout=0.01) is False


def test_waiting_ends_when_the_outbox_does(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    outbox = Outbox(ours, Owner(), FlushQueue(), 1 << 20)
    outbox.append(b"x" * 100_000)
    waiting = gevent.spawn(outbox.wait_below, 1, 10.0)
    gevent.sleep(0)

    outbox.discard()

    eventually(waiting.ready)
    assert waiting.get() is False


class FullSocket(CountingSocket):
    """Takes nothing, and is never ready."""

    def __init__(self, sockets: tuple[socket.socket, socket.socket]) -> None:
        super().__init__()
        self._socket = sockets[0]
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.send(bytes(4096))

    def send(self, data: bytes | memoryview, /) -> int:
        raise BlockingIOError

    def fileno(self) -> int:
        return self._socket.fileno()


def test_frames_count_as_objects_so_that_empty_ones_are_bounded(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    owner = Owner()
    outbox = Outbox(FullSocket(pair), owner, FlushQueue(), LIMIT)

    empty = text_frame(b"")
    room = -(-LIMIT // (FRAME_COST + len(empty)))
    for _ in range(room + 1):
        outbox.append(empty)

    outbox.discard()
    assert owner.overflows == 1


def test_what_waits_to_be_sent_stands_in_the_ledger_until_it_is_gone(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    ledger = Ledger(1 << 20)
    outbox = Outbox(ours, Owner(), FlushQueue(), 1 << 20, ledger)
    for index in range(400):
        outbox.append(bytes(1_000 + index))
    gevent.sleep(0)

    assert ledger.held > 400_000
    assert ledger.shared == 0
    read(theirs, outbox)
    assert ledger.held == 0


def test_what_is_discarded_is_given_back(pair: tuple[socket.socket, socket.socket]) -> None:
    ledger = Ledger(1 << 20)
    outbox = Outbox(FullSocket(pair), Owner(), FlushQueue(), 1 << 20, ledger)
    outbox.append(bytes(100_000))
    gevent.sleep(0)
    assert ledger.held == 100_000 + FRAME_COST

    outbox.discard()

    assert ledger.held == 0


def test_a_frame_that_waits_in_several_outboxes_is_shared(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ledgers = [Ledger(1 << 20) for _ in range(2)]
    flushes = FlushQueue()
    full = FullSocket(pair)
    outboxes = [Outbox(full, Owner(), flushes, 1 << 20, ledger) for ledger in ledgers]
    for frame in [bytes(1_000 + index) for index in range(100)]:
        for outbox in outboxes:
            outbox.append(frame)
    del frame, outbox
    outboxes[0].append(bytes(50_000))
    gevent.sleep(0)

    assert [ledger.own for ledger in ledgers] == [50_000 + 101 * FRAME_COST, 100 * FRAME_COST]
    for outbox in outboxes:
        outbox.discard()
