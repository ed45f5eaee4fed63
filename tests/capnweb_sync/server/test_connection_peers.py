"""Peers that misbehave harm only themselves."""

import socket
import time

import gevent
import pytest

from .conftest import Open, Serve
from .frame_building import BINARY, PING, PONG, client_frame, header
from .serving import turn
from .waiting import eventually


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (client_frame(b"\x00", BINARY), 1003),
        (client_frame(b"\xff"), 1007),
        (header(0x81, 2, masked=False) + b"ab", 1002),
        (header(0x81, 1 << 62), 1009),
        (header(0x81, 1001) + b"\0\0\0\0", 1009),
    ],
)
def test_a_violation_is_closed_with_its_code_and_the_others_go_on(
    serve: Serve, open_client: Open, sent: bytes, code: int
) -> None:
    server = serve(max_message=1000)
    bystander = open_client(server)
    client = open_client(server)

    client.send(sent + client_frame(b"never read"))

    assert client.close_frame()[0] == code
    assert client.at_end()
    client.socket.close()
    eventually(lambda: server.closed)
    assert server.sessions[1].lost[0][0] == code
    bystander.send_text("still here")
    eventually(lambda: server.sessions[0].messages == ["still here"])


def test_a_peer_that_reads_nothing_is_closed_with_1013_and_tcp_ends(
    serve: Serve, open_client: Open
) -> None:
    server = serve(max_buffered=100_000, close_timeout=0.05)
    open_client(server)
    eventually(lambda: server.sessions)
    session = server.sessions[0]

    def fill() -> bool:
        for _ in range(50):
            session.send("x" * 1000)
        turn()
        return session.connection.closed

    eventually(fill)
    eventually(lambda: not len(server.connections))
    assert session.lost[0][0] == 1013


def test_a_slow_peer_that_reads_on_gets_whole_frames_and_then_the_close_frame_1013(
    serve: Serve, open_client: Open
) -> None:
    server = serve(max_buffered=100_000, close_timeout=20.0)
    client = open_client(server)
    eventually(lambda: server.sessions)
    session = server.sessions[0]
    while not session.connection.closed:
        for _ in range(50):
            session.send("x" * 1000)
        turn()

    opcode, payload = client.frame()
    while opcode != 8:
        assert payload == b"x" * 1000
        opcode, payload = client.frame()

    assert int.from_bytes(payload[:2], "big") == 1013


def test_of_pings_that_pile_up_only_the_latest_is_answered(serve: Serve, open_client: Open) -> None:
    server = serve(max_buffered=100_000)
    client = open_client(server)
    eventually(lambda: server.sessions)
    connection = server.sessions[0].connection
    size = 20_000  # twice as much is less than what stops the reading
    sent = 0
    while connection.buffered < size:  # the kernel takes no more
        server.sessions[0].send("x" * size)
        sent += 1
        turn()
    waiting = connection.buffered

    for number in range(1000):
        client.send(client_frame(b"%d" % number, PING))
    client.send_text("after them")

    eventually(lambda: server.sessions[0].messages == ["after them"])
    assert connection.buffered == waiting
    for _ in range(sent):
        assert client.text() == "x" * size
    assert client.frame() == (PONG, b"999")


def test_a_peer_that_accepts_one_byte_a_second_delays_no_one(
    serve: Serve, open_client: Open
) -> None:
    server = serve(max_buffered=1 << 24)
    slow, quick = open_client(server), open_client(server)
    eventually(lambda: len(server.sessions) == 2)
    to_slow, to_quick = server.sessions
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    while to_slow.connection.buffered < 1 << 20:
        to_slow.send("x" * 10_000)
        turn()

    began = time.monotonic()
    for number in range(200):
        to_slow.send("x")
        to_quick.send(str(number))
        assert quick.text() == str(number)
        if number % 50 == 0:
            slow.socket.recv(1)
    seconds = time.monotonic() - began

    assert to_slow.connection.buffered > 1 << 19
    assert seconds < 2.0


def test_waiting_for_a_slow_peer_ends_when_it_has_read(serve: Serve, open_client: Open) -> None:
    server = serve(max_buffered=1 << 24)
    client = open_client(server)
    eventually(lambda: server.sessions)
    session = server.sessions[0]
    session.send("x" * (1 << 23))
    turn()

    assert session.connection.wait_drained(1, timeout=0.01) is False
    waiting = gevent.spawn(session.connection.wait_drained, 1, 20.0)
    client.text()
    assert waiting.get(timeout=20) is True
