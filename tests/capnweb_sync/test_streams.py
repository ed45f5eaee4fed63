"""Streams when something goes wrong, or is done twice, or at the same time."""

from __future__ import annotations

import contextlib
import gc
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from capnweb_sync import (
    Blob,
    Limits,
    ReadableStream,
    RemoteError,
    RpcError,
    RpcTarget,
    SessionClosed,
    WritableStream,
    undefined,
)
from capnweb_sync.streams.flow_control import INITIAL_WINDOW
from capnweb_sync.streams.sources import FILE_CHUNK
from capnweb_sync.testing import pair
from tests.processes import DEADLINE, wait_until

from .loopback import EMPTY, Loopback, RawPeer

MANY = 5_000
"""Chunks: more than calls may be under way, fewer than a first window of the smallest holds."""


class Sink:
    """Remembers what was done to it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def write(self, chunk: Any) -> None:
        self.seen.append(chunk)

    def close(self) -> None:
        self.seen.append("closed")

    def abort(self, reason: Any) -> None:
        self.seen.append("aborted")


class Api(RpcTarget):
    def __init__(self) -> None:
        self._sink = Sink()
        self._waiting: Future[Any] = Future()
        self._kept: Any = None

    def echo(self, value: Any) -> Any:
        return value

    def take(self, stream: ReadableStream) -> list[Any]:
        return list(stream)

    def first(self, stream: ReadableStream) -> Any:
        with stream:
            return next(stream)

    def flatten(self, streams: ReadableStream) -> list[Any]:
        return [chunk for stream in streams for chunk in stream]

    def keep(self, stream: Any) -> None:
        self._kept = stream

    def keep_reading(self, stream: ReadableStream) -> Any:
        self._kept = stream
        return next(stream)

    def read_kept(self) -> list[Any]:
        return list(self._kept)

    def write_kept(self) -> None:
        self._kept.write(1)

    def sink(self) -> WritableStream:
        return WritableStream(self._sink)

    def numbers(self, count: int) -> Iterator[int]:
        return iter(range(count))

    def wait(self) -> Future[Any]:
        return self._waiting

    def large(self) -> list[int]:
        return [0] * 1_000

    def blob(self, size: int) -> Blob:
        return Blob(bytes(size))

    def length(self, blob: Blob) -> int:
        return len(blob.data)


def write(chunk: Any, on: int = 1) -> list[Any]:
    return ["stream", ["pipeline", on, ["write"], [chunk]]]


def rejections(peer: RawPeer) -> list[Any]:
    return [message for message in peer.heard if message[0] == "reject"]


# Bounds.


def test_writes_are_bounded_by_their_bytes_not_by_the_bound_on_calls() -> None:
    peer = RawPeer(Api())
    peer.says(["pipe"], *[write(index) for index in range(MANY)])
    peer.says(["stream", ["pipeline", 1, ["close"], []]])
    assert rejections(peer) == []
    assert peer.session.calls.under_way == 0

    peer.says(["push", ["pipeline", 0, ["take"], [["readable", 1]]]], ["pull", MANY + 3])

    assert peer.heard[-1] == ["resolve", MANY + 3, [list(range(MANY))]]


def test_writes_that_nobody_reads_end_the_session_at_the_bound() -> None:
    peer = RawPeer(Api(), limits=Limits(max_memory=110_000))
    peer.says(["pipe"])
    peer.says(*[write("x" * 30_000)] * 3)
    assert not rejections(peer)
    peer.says(write("x" * 30_000))
    assert peer.aborted is not None
    assert peer.session.ledger.held == 0


def test_a_chunk_costs_more_than_its_bytes() -> None:
    """Also where the peer gives the acknowledgement back at once, so that no table bounds it."""
    peer = RawPeer(Api(), limits=Limits(max_memory=100_000))
    peer.says(["pipe"])
    accepted = 0
    while peer.aborted is None:
        peer.says(write(0))
        if peer.aborted is None:
            accepted += 1
            peer.says(["release", 1 + accepted, 1])
    assert accepted < 100


def test_bytes_are_given_back_when_they_are_read() -> None:
    api = Api()
    peer = RawPeer(api, limits=Limits(max_memory=110_000))
    peer.says(["pipe"], write(0), ["push", ["pipeline", 0, ["keep_reading"], [["readable", 1]]]])
    for _ in range(10):
        peer.says(write("x" * 90_000))
        assert api._kept.read() == "x" * 90_000


@pytest.mark.parametrize("sink_id", [1, -1])
def test_a_large_result_named_many_times_in_a_chunk_is_too_many(sink_id: int) -> None:
    peer = RawPeer(Api(), limits=Limits(max_memory=1_000_000))
    peer.says(["pipe"], ["push", ["pipeline", 0, ["large"], []]])
    peer.says(["push", ["pipeline", 0, ["sink"], []]], ["pull", 3])
    peer.says(write([[["pipeline", 2]] * 500], on=sink_id))
    assert peer.aborted is not None


def test_many_chunks_may_wait_for_one_that_is_a_promise() -> None:
    peer = RawPeer(Api())
    peer.says(["pipe"], write(["promise", -1]), *[write(index) for index in range(MANY)])
    peer.says(["resolve", -1, "first"])
    assert peer.aborted is None
    peer.says(["stream", ["pipeline", 1, ["close"], []]])
    peer.says(["push", ["pipeline", 0, ["take"], [["readable", 1]]]], ["pull", MANY + 4])
    assert peer.heard[-1] == ["resolve", MANY + 4, [["first", *range(MANY)]]]


@pytest.mark.parametrize("size", [0, 1, FILE_CHUNK, FILE_CHUNK + 1])
def test_a_blob_of_any_size_arrives(size: int) -> None:
    both = Loopback(Api())
    assert both.api.length(Blob(bytes(size))).result() == size
    assert both.api.blob(size).result() == Blob(bytes(size))
    assert both.tables() == EMPTY


def test_a_blob_past_the_bound_ends_the_session() -> None:
    both = Loopback(Api(), limits=Limits(max_memory=300_000))
    assert both.api.length(Blob(bytes(100_000))).result() == 100_000
    assert both.tables() == EMPTY
    with pytest.raises(RpcError, match="would keep more than"):
        both.api.length(Blob(bytes(600_000))).result()
    assert both.server.closed


def test_blobs_that_never_end_share_one_bound() -> None:
    peer = RawPeer(Api(), limits=Limits(max_memory=200_000))
    data = "A" * 40_000
    pushed = 0
    while peer.aborted is None:
        peer.says(["pipe"], ["push", ["blob", "", ["readable", pushed + 1]]], ["pull", pushed + 2])
        peer.says(write(["bytes", data], on=pushed + 1))
        pushed += 3
    assert pushed // 3 <= 1 + 200_000 // 30_000


# Done twice, or too late.


def test_closing_twice_is_closing_once() -> None:
    api = Api()
    both = Loopback(api)
    with both.api.sink().result() as stream:
        stream.write(1)
        stream.close()
        stream.close()
    assert api._sink.seen == [1, "closed"]
    assert both.tables() == EMPTY


def test_aborting_twice_is_aborting_once() -> None:
    api = Api()
    both = Loopback(api)
    stream = both.api.sink().result()
    stream.abort("why")
    stream.abort("why")
    both.pump()
    assert api._sink.seen == ["aborted"]
    assert both.tables() == EMPTY


@pytest.mark.parametrize("end", ["close", "abort"])
def test_nothing_is_written_after_the_end(end: str) -> None:
    api = Api()
    both = Loopback(api)
    stream = both.api.sink().result()
    getattr(stream, end)()
    with pytest.raises(RpcError):
        stream.write(1)
    both.pump()
    assert 1 not in api._sink.seen


def test_what_a_peer_writes_after_its_close_is_refused() -> None:
    peer = RawPeer(Api())
    peer.says(["pipe"], write(1))
    peer.says(["stream", ["pipeline", 1, ["close"], []]], write(2))
    peer.says(["stream", ["pipeline", 1, ["close"], []]])
    peer.says(["stream", ["pipeline", 1, ["abort"], ["why"]]])
    assert sorted(message[1] for message in rejections(peer)) == [2, 4]
    peer.says(["push", ["pipeline", 0, ["take"], [["readable", 1]]]], ["pull", 7])
    assert peer.heard[-1][:2] == ["reject", 7]  # the abort came before the reader did
    assert not peer.session.closed


def test_a_stream_is_sent_once() -> None:
    both = Loopback(Api())
    stream = ReadableStream(iter([1, 2]))
    taken = both.api.take(stream)
    with pytest.raises(RpcError, match="sent already"):
        both.api.take(stream)
    assert taken.result() == [1, 2]
    assert both.tables() == EMPTY


@pytest.mark.parametrize("source", ["text", b"bytes", {}, 5])
def test_a_value_is_no_source_of_chunks(source: Any, recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(TypeError):
        ReadableStream(source)
    gc.collect()
    assert not recwarn.list  # nothing was raised where nobody can catch it


# Sources and sinks that fail.


def test_a_source_that_fails_gives_its_error_to_the_reader() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise RpcError("no more", code="meant")

    both = Loopback(Api())
    with pytest.raises(RemoteError, match="no more") as caught:
        both.api.take(source()).result()
    assert caught.value.code == "meant"
    assert both.tables() == EMPTY


def test_a_chunk_that_cannot_be_sent_ends_the_stream() -> None:
    both = Loopback(Api())
    with pytest.raises(RemoteError):
        both.api.take(iter([1, object()])).result()
    assert both.tables() == EMPTY


def test_a_source_is_closed_when_its_reader_stops() -> None:
    closed = threading.Event()

    def source() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(FILE_CHUNK)
        finally:
            closed.set()

    both = Loopback(Api())
    assert both.api.first(source()).result() == bytes(FILE_CHUNK)
    assert both.tables() == EMPTY
    assert closed.is_set()


def test_a_call_that_cannot_be_sent_does_not_start_the_streams_in_it() -> None:
    begun = []

    def source() -> Iterator[int]:
        begun.append(True)
        yield 1

    both = Loopback(Api())
    with pytest.raises(TypeError):
        both.api.take(source(), object())
    assert both.tables() == EMPTY
    assert not begun


def test_a_sink_that_fails_stops_its_writer() -> None:
    class Full:
        def write(self, chunk: Any) -> None:
            raise RpcError("full", code="full")

    class Store(RpcTarget):
        def sink(self) -> WritableStream:
            return WritableStream(Full())

    both = Loopback(Store())
    stream = both.api.sink().result()
    stream.write(1)
    both.pump()
    for _ in range(2):
        with pytest.raises(RemoteError, match="full"):
            stream.write(2)
    with pytest.raises(RemoteError, match="full"):
        stream.close()
    assert both.tables() == EMPTY


def test_a_file_is_sent_in_chunks_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(3 * FILE_CHUNK + 1))
    both = Loopback(Api())
    with path.open("rb") as file:
        chunks = both.api.take(file).result()
        assert file.closed
    assert [len(chunk) for chunk in chunks] == [FILE_CHUNK, FILE_CHUNK, FILE_CHUNK, 1]


def test_a_file_of_text_is_no_file_of_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("text")
    both = Loopback(Api())
    with path.open() as file, pytest.raises(TypeError, match="binary"):
        both.api.take(file)
    assert both.tables() == EMPTY


def test_a_chunk_that_was_left_out_is_undefined() -> None:
    api = Api()
    peer = RawPeer(api)
    peer.says(["push", ["pipeline", 0, ["sink"], []]], ["pull", 1])
    peer.says(["stream", ["pipeline", -1, ["write"], []]])
    assert api._sink.seen == [undefined]


@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_stream_ends_also_when_what_its_end_says_does_not_arrive(end: str) -> None:
    peer = RawPeer(Api())
    failing = ["pipeline", 0, ["nothing"], []]
    peer.says(["pipe"], ["stream", ["pipeline", 1, [end], [failing]]])
    peer.says(["push", ["pipeline", 0, ["take"], [["readable", 1]]]], ["pull", 3])
    assert "'nothing' is not a function" in peer.heard[-1][2][2]


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("why", "why"),
        (["undefined"], "The writer has aborted the stream."),
        (["bigint", "9" * 10_000], "The writer has aborted the stream with a BigInt."),
        (["error", "Error", "why"], "why"),
    ],
)
def test_a_stream_may_be_aborted_with_any_value(reason: Any, sentence: str) -> None:
    peer = RawPeer(Api())
    peer.says(["pipe"], ["stream", ["pipeline", 1, ["abort"], [reason]]])
    peer.says(["push", ["pipeline", 0, ["take"], [["readable", 1]]]], ["pull", 3])
    assert peer.heard[-1][2][2] == sentence


# Whose a stream is.


def test_a_received_stream_may_be_returned() -> None:
    both = Loopback(Api())
    assert list(both.api.echo(iter([1, 2])).result()) == [1, 2]
    assert list(both.api.echo([iter([3])]).result()[0]) == [3]
    assert both.tables() == EMPTY


def test_a_received_stream_to_write_to_may_be_returned() -> None:
    both = Loopback(Api())
    sink = Sink()
    with both.api.echo(WritableStream(sink)).result() as stream:
        stream.write(1)
    assert sink.seen == [1, "closed"]
    assert both.tables() == EMPTY


def test_a_stream_in_an_argument_ends_with_the_call_unless_it_is_being_read() -> None:
    api = Api()
    both = Loopback(api)
    assert both.api.keep_reading(iter([1, 2, 3])).result() == 1
    assert both.api.read_kept().result() == [2, 3]
    both.api.keep(iter([1])).result()
    with pytest.raises(RemoteError, match="disposed"):
        both.api.read_kept().result()
    api._kept = None
    assert both.tables() == EMPTY


def test_a_stream_to_write_to_ends_with_the_call() -> None:
    both = Loopback(Api())
    sink = Sink()
    both.api.keep(WritableStream(sink)).result()
    with pytest.raises(RemoteError, match="disposed"):
        both.api.write_kept().result()
    assert both.tables() == EMPTY
    assert sink.seen == ["aborted"]


def test_a_stream_of_streams_arrives() -> None:
    both = Loopback(Api())
    assert both.api.flatten(iter([iter([1, 2]), iter([]), iter([3])])).result() == [1, 2, 3]
    assert both.tables() == EMPTY


def test_a_reader_that_is_dropped_stops_its_writer() -> None:
    closed = threading.Event()

    class Source(RpcTarget):
        def forever(self) -> Iterator[bytes]:
            try:
                while True:
                    yield bytes(FILE_CHUNK)
            finally:
                closed.set()

    both = Loopback(Source())
    promise = both.api.forever()
    stream = promise.result()
    next(stream)
    promise.dispose()
    next(stream)  # it is the reader's, not the promise's
    del stream, promise
    gc.collect()
    assert both.tables() == EMPTY
    assert closed.is_set()


def test_a_stream_ends_with_its_session_also_when_it_is_in_its_own_chunks() -> None:
    api = Api()
    peer = RawPeer(api)
    peer.says(["pipe"], write("first"), write(["import", 1]))
    peer.says(["push", ["pipeline", 0, ["keep_reading"], [["readable", 1]]]])
    peer.session.connection_lost(1006, "")
    with pytest.raises(SessionClosed):
        api._kept.read()


def test_what_was_closed_can_be_read_when_the_session_is_over() -> None:
    api = Api()
    peer = RawPeer(api)
    peer.says(["pipe"], write(1), write(2), ["stream", ["pipeline", 1, ["close"], []]])
    peer.says(["push", ["pipeline", 0, ["keep_reading"], [["readable", 1]]]])
    peer.session.connection_lost(1006, "")
    assert list(api._kept) == [2]


# In several threads.


class SlowApi(RpcTarget):
    def sink(self) -> WritableStream:
        return WritableStream(SlowSink())

    def source(self, chunks: int) -> Iterator[int]:
        for index in range(chunks):
            time.sleep(0.001)
            yield index


class SlowSink:
    def write(self, chunk: Any) -> None:
        time.sleep(0.001)


@pytest.fixture
def api_in_threads() -> Iterator[Any]:
    """A stub for a `SlowApi`, to be used by any number of threads."""
    with pair(SlowApi) as both:
        yield both.main


def in_threads(*functions: Callable[[], None]) -> None:
    """Run them at the same time, to their ends."""
    threads = [threading.Thread(target=function, daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive(), "a thread waits for ever"


def test_several_threads_may_write(api_in_threads: Any) -> None:
    stream = api_in_threads.sink().result(DEADLINE)

    def write() -> None:
        for _ in range(20):
            stream.write(bytes(INITIAL_WINDOW // 4))

    in_threads(write, write, write)
    stream.close(DEADLINE)


def test_several_threads_may_read(api_in_threads: Any) -> None:
    stream = api_in_threads.source(100).result(DEADLINE)
    chunks: list[int] = []

    in_threads(*[lambda: chunks.extend(stream)] * 3)

    assert sorted(chunks) == list(range(100))


def test_a_read_that_timed_out_loses_no_chunk(api_in_threads: Any) -> None:
    stream = api_in_threads.source(100).result(DEADLINE)
    chunks: list[int] = []
    while len(chunks) < 100:
        with contextlib.suppress(TimeoutError):
            chunks.append(stream.read(timeout=0.0005))
    assert chunks == list(range(100))
    with pytest.raises(EOFError):
        stream.read(DEADLINE)


class Interrupted(BaseException):
    """As Ctrl+C is one, or a time limit of gevent's."""


def test_a_reader_that_is_interrupted_takes_no_chunk_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither one that comes later, nor one that came at that moment."""
    pair = Loopback(Api())
    stream = pair.api.numbers(3).result()

    def interrupt_before(deferred: Any, timeout: float | None) -> bool:
        raise Interrupted

    def interrupt_after(deferred: Any, timeout: float | None) -> bool:
        assert wait(deferred, timeout)
        raise Interrupted

    wait = pair.runtime.wait
    with monkeypatch.context() as patched:
        for interrupt in (interrupt_before, interrupt_after):
            patched.setattr(pair.runtime, "wait", interrupt)
            with pytest.raises(Interrupted):
                stream.read()
    assert list(stream) == [0, 1, 2]


class Gate:
    """A sink that takes nothing before it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def write(self, chunk: Any) -> None:
        assert self.opened.wait(DEADLINE)


class WaitingWriters:
    """Threads that have each written a window full, and wait.

    Attributes:
        outcomes: what `write` has raised for each of them, or None; then of `close`.
    """

    def __init__(self, stream: WritableStream, count: int) -> None:
        self.outcomes: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        flow = stream._flow
        assert flow is not None
        for _ in range(count):
            self.start(lambda: stream.write(bytes(INITIAL_WINDOW)))
        wait_until(lambda: flow.in_flight > count * INITIAL_WINDOW)

    def start(self, action: Callable[[], None]) -> None:
        def run() -> None:
            try:
                action()
            except Exception as error:
                self.outcomes.put(error)
            else:
                self.outcomes.put(None)

        threading.Thread(target=run, daemon=True).start()

    def outcome(self) -> BaseException | None:
        return self.outcomes.get(timeout=DEADLINE)


@pytest.fixture
def gate(api_in_threads: Any, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """What the `sink` of the API is, instead of the slow one."""
    gate = Gate()
    monkeypatch.setattr(SlowApi, "sink", lambda api: WritableStream(gate))
    return gate


def test_a_writer_that_waits_for_the_window_is_not_failed_by_one_that_closes(
    api_in_threads: Any, gate: Gate
) -> None:
    stream = api_in_threads.sink().result(DEADLINE)
    writers = WaitingWriters(stream, 2)
    writers.start(stream.close)
    wait_until(lambda: stream._closed)
    gate.opened.set()
    assert [writers.outcome() for _ in range(3)] == [None, None, None]


def test_writers_that_wait_for_the_window_learn_at_once_that_the_stream_is_aborted(
    api_in_threads: Any, gate: Gate
) -> None:
    stream = api_in_threads.sink().result(DEADLINE)
    writers = WaitingWriters(stream, 2)
    stream.abort()
    assert ["aborted" in str(writers.outcome()) for _ in range(2)] == [True, True]
    gate.opened.set()
