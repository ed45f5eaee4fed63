"""The proxy itself: what it does to a connection is seen at both ends."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect
from websockets.sync.server import Server, ServerConnection, serve

from tests.processes import DEADLINE, wait_until
from tests.proxy.link import BLACK_HOLE, DOWN, HEALTHY, STALLED, UP, Direction, Impairment, Link
from tests.proxy.proxy import Proxy

MOMENT = 0.1
"""Seconds in which nothing shall happen, or after which something shall."""


class Ends:
    """A client's and a server's end of one connection through a proxy."""

    def __init__(self, proxy: Proxy, listener: socket.socket) -> None:
        self.client = socket.create_connection(proxy.address, DEADLINE)
        self.server, _ = listener.accept()
        for end in (self.client, self.server):
            end.settimeout(DEADLINE)
        self.link = proxy.links[-1]

    def close(self) -> None:
        self.client.close()
        self.server.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(DEADLINE)
        yield listening


@pytest.fixture
def proxy(listener: socket.socket) -> Iterator[Proxy]:
    with Proxy(listener.getsockname()) as forwarding:
        yield forwarding


@pytest.fixture
def ends(proxy: Proxy, listener: socket.socket) -> Iterator[Ends]:
    made = Ends(proxy, listener)
    yield made
    made.close()


def silent(end: socket.socket) -> bool:
    """Whether nothing arrives for a moment, neither bytes nor an end."""
    end.settimeout(MOMENT)
    try:
        end.recv(1)
    except TimeoutError:
        return True
    finally:
        end.settimeout(DEADLINE)
    return False


def fill(end: socket.socket) -> int:
    """Send until nothing more is taken for a moment; how many bytes that were."""
    sent = 0
    end.settimeout(MOMENT)
    try:
        while True:
            sent += end.send(bytes(64 * 1024))
    except TimeoutError:
        return sent


def is_reset(end: socket.socket) -> bool:
    with pytest.raises(ConnectionResetError):
        end.recv(1)
    return True


def connecting_is_reset(proxy: Proxy) -> bool:
    """The reset may come before `connect` has returned, or after."""
    with (
        pytest.raises(ConnectionResetError),
        socket.create_connection(proxy.address, DEADLINE) as end,
    ):
        end.recv(1)
    return True


def test_bytes_pass_both_ways_and_so_does_the_end(ends: Ends) -> None:
    ends.client.sendall(b"question")
    assert ends.server.recv(100) == b"question"
    ends.server.sendall(b"answer")
    assert ends.client.recv(100) == b"answer"
    ends.client.shutdown(socket.SHUT_WR)
    assert ends.server.recv(100) == b""
    ends.server.sendall(b"last words")
    ends.server.close()
    assert ends.client.recv(100) == b"last words"
    assert ends.client.recv(100) == b""
    wait_until(lambda: ends.link.over)


def test_a_reset_passes(ends: Ends) -> None:
    ends.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    ends.client.close()

    assert is_reset(ends.server)


def test_a_server_that_is_not_there_is_a_reset(proxy: Proxy, listener: socket.socket) -> None:
    listener.close()

    assert connecting_is_reset(proxy)


def test_while_it_refuses_connections_end_at_once(proxy: Proxy) -> None:
    proxy.refusing = True

    assert connecting_is_reset(proxy)
    assert len(proxy.accepted) == 1
    assert proxy.links == []


def test_a_cut_ends_both_streams_in_order(ends: Ends) -> None:
    ends.link.cut()

    assert ends.client.recv(1) == b""
    assert ends.server.recv(1) == b""


def test_a_reset_is_one_at_both_ends(ends: Ends) -> None:
    ends.link.reset()

    assert is_reset(ends.client)
    assert is_reset(ends.server)


@pytest.mark.parametrize("direction", Direction)
def test_a_half_close_ends_one_direction_alone(ends: Ends, direction: Direction) -> None:
    sender, receiver = ends.client, ends.server
    if direction is DOWN:
        sender, receiver = receiver, sender

    ends.link.half_close(direction)

    assert receiver.recv(1) == b""
    receiver.sendall(b"still here")
    assert sender.recv(100) == b"still here"


def test_a_delay_delays_its_direction_alone(ends: Ends) -> None:
    ends.link.impair(Impairment(delay=MOMENT), DOWN)
    started = time.monotonic()
    ends.client.sendall(b"question")
    ends.server.recv(100)
    assert time.monotonic() - started < MOMENT

    ends.server.sendall(b"answer")

    assert ends.client.recv(100) == b"answer"
    assert time.monotonic() - started >= MOMENT


def test_a_throttle_bounds_bytes_per_second(ends: Ends) -> None:
    ends.link.impair(Impairment(rate=100_000), UP)
    started = time.monotonic()

    ends.client.sendall(bytes(20_000))

    received = 0
    while received < 20_000:
        received += len(ends.server.recv(20_000))
    assert 0.15 < time.monotonic() - started < 1


def test_a_stall_fills_the_senders_buffers_and_heals_without_loss(ends: Ends) -> None:
    ends.link.impair(STALLED, UP)
    sent = fill(ends.client)

    ends.link.impair(HEALTHY)

    received = 0
    while received < sent:
        received += len(ends.server.recv(64 * 1024))
    assert silent(ends.server)


def test_a_black_hole_takes_bytes_and_the_end_and_tells_nobody(ends: Ends) -> None:
    ends.link.impair(BLACK_HOLE)
    ends.client.sendall(b"lost")
    ends.server.sendall(b"lost")
    assert silent(ends.client)

    ends.client.close()

    assert silent(ends.server)


def test_a_direction_that_lost_bytes_stays_a_black_hole(ends: Ends) -> None:
    ends.link.impair(BLACK_HOLE, UP)
    ends.client.sendall(b"lost")
    ends.server.sendall(b"passes")
    assert ends.client.recv(100) == b"passes"

    ends.link.impair(HEALTHY)
    ends.client.sendall(b"behind the gap")

    assert silent(ends.server)


def test_what_holds_for_all_holds_for_connections_to_come(
    proxy: Proxy, listener: socket.socket, ends: Ends
) -> None:
    proxy.impair(BLACK_HOLE, UP)
    later = Ends(proxy, listener)

    for either in (ends, later):
        either.client.sendall(b"lost")
    assert silent(ends.server)
    assert silent(later.server)
    proxy.cut_all()
    assert later.client.recv(1) == b""
    later.close()


# --- messages


@pytest.fixture
def echo() -> Iterator[Server]:
    """A WebSocket server of the package `websockets` that says everything back."""

    def say_back(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(say_back, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join(DEADLINE)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 300_000])
def test_messages_of_every_size_are_seen_and_dropped_whole(echo: Server, size: int) -> None:
    seen: list[tuple[Direction, str]] = []

    def inspect(_: Link, direction: Direction, text: str) -> bool:
        seen.append((direction, text))
        return not (direction is DOWN and text.endswith("!"))

    text = "ä" * (size // 2) + "?" * (size % 2)
    with (
        Proxy(echo.socket.getsockname(), inspect) as proxy,
        connect(proxy.url, compression=None) as client,
    ):
        for message in (text, text + "!", "after"):
            client.send(message)
        assert client.recv(DEADLINE) == text
        assert client.recv(DEADLINE) == "after"

    expected = [text, text + "!", "after"]
    assert [message for direction, message in seen if direction is UP] == expected
    assert [message for direction, message in seen if direction is DOWN] == expected


def test_an_inspector_can_end_the_connection_instead_of_passing_a_message(echo: Server) -> None:
    def inspect(link: Link, direction: Direction, text: str) -> bool:
        if direction is DOWN and text == "stop":
            link.cut()
        return True

    with (
        Proxy(echo.socket.getsockname(), inspect) as proxy,
        connect(proxy.url, compression=None) as client,
    ):
        client.send("go")
        assert client.recv(DEADLINE) == "go"
        client.send("stop")
        with pytest.raises(ConnectionClosedError):
            client.recv(DEADLINE)
