"""Big streams between our side and the reference: all of it arrives, in bounded memory, and a
reader that stops stops the writer. 16 MiB, 256 with `--full`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from capnweb_sync import ReadableStream, connect
from tests.conftest import StartProcess
from tests.processes import wait_until

CHUNK = 64 * 1024
MIB = 1024 * 1024
MAX_GROWTH = 32.0
"""MiB of additional memory on our side."""

STALL_SECONDS = 2.0
"""How long a reader stops."""

WINDOW_CHUNKS = 64
"""What a writer may be ahead of a reader that has stopped: the first window of both sides is four
chunks, and grows while the reader keeps up, which it does for one chunk only."""

FOLDER = Path(__file__).parent
TRANSFER_SECONDS = 300.0


@pytest.fixture(scope="session")
def count(full: bool) -> int:
    """How many chunks."""
    return (256 if full else 16) * MIB // CHUNK


@pytest.fixture
def reference(node: str, start_process: StartProcess) -> str:
    """The URL of the reference's server."""
    server = start_process(node, str(FOLDER / "stream_server.mjs"), ready="^ready ")
    return server.lines[0].split()[1]


@pytest.fixture
def ours(start_process: StartProcess) -> str:
    """The URL of our server."""
    server = start_process(
        sys.executable, "-m", "tests.interop.stream_peer", "serve", ready="^ready "
    )
    return server.lines[0].split()[1]


@pytest.mark.parametrize("direction", ["read", "write"])
def test_our_client_streams_in_bounded_memory(
    direction: str, reference: str, start_process: StartProcess, count: int
) -> None:
    client = start_process(
        sys.executable,
        *("-m", "tests.interop.stream_peer", direction, reference, str(count), str(CHUNK)),
    )

    outcome = client.wait_for_line(r"^bytes (\d+) growth (.*)$", timeout=TRANSFER_SECONDS)

    assert int(outcome[1]) == count * CHUNK
    assert float(outcome[2]) < MAX_GROWTH


@pytest.mark.parametrize("direction", ["read", "write"])
def test_our_server_streams_in_bounded_memory(
    direction: str, ours: str, node: str, start_process: StartProcess, count: int
) -> None:
    program = str(FOLDER / "stream_client.mjs")
    with connect(ours) as session:
        # What it takes to talk at all is not the stream's.
        warm_up = start_process(node, program, ours, direction, "2", str(CHUNK))
        warm_up.wait_for_line("^bytes ")
        before = session.main.peak.result()

        client = start_process(node, program, ours, direction, str(count), str(CHUNK))
        outcome = client.wait_for_line(r"^bytes (\d+)$", timeout=TRANSFER_SECONDS)

        assert int(outcome[1]) == count * CHUNK
        assert session.main.peak.result() - before < MAX_GROWTH


def test_when_we_stop_reading_the_reference_stops_writing(reference: str) -> None:
    with connect(reference) as session, session.main.give(4096, CHUNK) as promise:
        stream = promise.result()
        next(stream)
        given = stands_still(lambda: int(session.main.given.result()))

        assert given <= WINDOW_CHUNKS
        next(stream)
        stream.cancel()


def test_when_the_reference_stops_reading_we_stop_writing(reference: str) -> None:
    given = 0

    def source() -> Iterator[bytes]:
        nonlocal given
        for _ in range(256):
            given += 1
            yield bytes(CHUNK)

    with connect(reference) as session:
        taken = session.main.takeLate(ReadableStream(source()))
        taken.done()  # asks for the result
        wait_until(lambda: given > 1, message="the stream has begun")

        assert stands_still(lambda: given) <= WINDOW_CHUNKS
        session.main.release().result()

        assert taken.result(60) == 256 * CHUNK
        assert given == 256


def stands_still(count: Callable[[], int]) -> int:
    """What `count()` has come to when it has been the same for as long as a reader stops."""
    still = threading.Event()
    value = count()
    while True:
        still.wait(STALL_SECONDS)  # the two seconds are what is tested
        after = count()
        if after == value:
            return value
        value = after
