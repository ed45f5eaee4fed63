"""The same behaviour under every server that can do WebSocket: gevent's, and those with threads."""

from __future__ import annotations

import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import websockets.sync.client
from websockets.exceptions import ConnectionClosed

from capnweb_sync import (
    HandshakeError,
    RemoteError,
    SessionClosed,
    batch,
    connect,
)
from tests.capnweb_sync.server.frame_building import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    client_close,
    client_frame,
    header,
)
from tests.processes import DEADLINE, wait_until

from .conftest import SERVERS, Served, Start

BATCH = b'["push",["pipeline",0,["greet"],["Ada"]]]\n["pull",1]'


def raw(server: Served, **options: Any) -> websockets.sync.client.ClientConnection:
    client: websockets.sync.client.ClientConnection = websockets.sync.client.connect(
        server.url, compression=None, proxy=None, **options
    )
    return client


def open_socket(
    server: Served, key: str = "dGhlIHNhbXBsZSBub25jZQ=="
) -> tuple[socket.socket, bytes]:
    """A connection whose request for an upgrade was answered, and the first line of the answer."""
    sock = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
    sock.sendall(
        b"GET /rpc HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key.encode() + b"\r\n\r\n"
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    return sock, head.partition(b"\r\n")[0]


def frames(sock: socket.socket) -> Iterator[tuple[int, bytes]]:
    """The opcodes and payloads of all frames up to the end, which are short."""
    with sock, sock.makefile("rb") as stream:
        while head := stream.read(2):
            yield head[0] & 0x0F, stream.read(head[1])


def post(url: str, headers: dict[str, str] | None = None) -> tuple[int, str, dict[str, str]]:
    request = urllib.request.Request(url, BATCH, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), dict(error.headers)


def test_one_path_serves_calls_over_websocket_and_in_batches(server: Served) -> None:
    with connect(server.url) as session:
        answers = [session.main.greet(str(number)) for number in range(100)]
        assert [answer.result(DEADLINE) for answer in answers][99] == "Hello, 99!"
    with batch(server.http_url) as main:
        greeting = main.greet("Ada")

    assert greeting.result() == "Hello, Ada!"


def test_a_served_call_may_wait_for_its_caller_and_for_a_later_call(server: Served) -> None:
    inside = threading.Event()
    with connect(server.url) as session:
        waiting = session.main.wait(inside.set)
        assert inside.wait(DEADLINE)
        asked = session.main.ask(lambda question: f"{question} nothing").result(DEADLINE)
        session.main.open()

        assert (asked, waiting.result(DEADLINE)) == ("WHAT? NOTHING", "opened")


def test_streams_flow_both_ways_beyond_what_may_wait(server: Served) -> None:
    with connect(server.url) as session:
        down = sum(map(len, session.main.numbers(5_000_000).result(DEADLINE)))
        up = session.main.collect(b"y" * 10_000 for _ in range(500)).result(DEADLINE)

    assert (down, up) == (5_000_000, 5_000_000)


def test_a_broadcast_reaches_every_connection_in_order(server: Served) -> None:
    received: list[list[int]] = [[] for _ in range(3)]
    sessions = [connect(server.url) for _ in received]
    for session, mine in zip(sessions, received, strict=True):
        session.main.listen(mine.append).result(DEADLINE)
    for number in range(100):
        sessions[0].main.tell_all(number)
    wait_until(lambda: all(len(mine) == 100 for mine in received))
    for session in sessions:
        session.close()

    assert received == [list(range(100))] * 3


def test_many_connections_call_at_once(server: Served) -> None:
    def talk(results: list[int]) -> None:
        with connect(server.url) as session:
            answers = [session.main.greet("x" * 1000) for _ in range(50)]
            results.append(len([answer.result(DEADLINE) for answer in answers]))

    results: list[int] = []
    threads = [threading.Thread(target=talk, args=(results,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert results == [50] * 6


def test_a_main_object_learns_of_the_end_of_its_connection(server: Served) -> None:
    with connect(server.url) as session:
        before = len(session.main.left().result(DEADLINE))
    with connect(server.url) as session:
        wait_until(lambda: len(session.main.left().result(DEADLINE)) > before)
        assert session.main.left().result(DEADLINE)[-1] == "nobody SessionClosed"


def test_a_main_object_closes_its_connection_and_knows_its_peer(server: Served) -> None:
    with connect(server.url) as session:
        host, port = session.main.address().result(DEADLINE)
        assert host == "127.0.0.1"
        assert port > 0
        with pytest.raises(SessionClosed) as over:
            session.main.hang_up().result(DEADLINE)
        wait_until(lambda: session.closed)

    assert over.value.close_code == 4001


def test_stack_traces_travel_only_where_that_was_asked_for(server: Served) -> None:
    stacks = []
    for path in ("rpc", "traces"):
        with connect(f"ws://127.0.0.1:{server.port}/{path}") as session:
            error = session.main.fail().exception(DEADLINE)
            assert isinstance(error, RemoteError)
            stacks.append("in fail" in (error.stack or ""))

    assert stacks == [False, True]


def test_the_request_makes_the_main_object_in_its_context(server: Served) -> None:
    login = f"http://127.0.0.1:{server.port}/login/ada"
    with urllib.request.urlopen(login, timeout=DEADLINE) as answer:
        cookie = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
    place = f"://127.0.0.1:{server.port}/rooms/garden?q=1"
    with connect(f"ws{place}", headers=cookie) as session:
        by_websocket = session.main.who().result(DEADLINE)
    with batch(f"http{place}", headers=cookie) as main:
        by_batch = main.who()

    assert by_websocket == by_batch.result() == "ada in garden 1 True True"


def test_the_answer_to_a_handshake_has_cookies_and_headers_of_the_application(
    server: Served,
) -> None:
    url = f"ws://127.0.0.1:{server.port}/rooms/garden"
    with websockets.sync.client.connect(url, compression=None, proxy=None) as client:
        assert client.response is not None
        headers = client.response.headers

    assert headers["Set-Cookie"].startswith("session=")
    assert headers["X-After"] == "request"
    assert headers.get_all("Connection") == ["Upgrade"]
    assert "Content-Length" not in headers


@pytest.mark.parametrize(
    ("headers", "status", "sentence"),
    [
        ({"Authorization": "Bearer bad"}, 401, "Who are you?"),
        ({"X-Banned": "1"}, 403, "Not you."),
        ({"Origin": "https://evil.example"}, 403, "allow_origins"),
    ],
)
def test_a_refusal_is_a_plain_answer_to_both(
    server: Served, headers: dict[str, str], status: int, sentence: str
) -> None:
    with pytest.raises(HandshakeError) as refused:
        connect(f"ws://127.0.0.1:{server.port}/rooms/garden", headers=headers)
    answered = post(f"http://127.0.0.1:{server.port}/rooms/garden", headers)

    assert refused.value.status == answered[0] == status
    assert sentence in answered[1]
    assert status != 401 or answered[2]["WWW-Authenticate"] == "Bearer"


def test_the_conversation_begins_when_the_request_is_over(server: Served) -> None:
    with connect(server.url) as session:
        before = session.main.torn_down().result(DEADLINE).count("/rpc")
        with connect(server.url) as other:
            assert other.main.torn_down().result(DEADLINE).count("/rpc") == before + 1


@pytest.mark.parametrize(
    ("message", "code"),
    [("nonsense", 3000), (b"bytes", 1003), ("x" * (33 << 20), 1009)],
    ids=["nonsense", "binary", "too big"],
)
def test_what_is_no_message_ends_the_connection_with_the_reason(
    server: Served, message: str | bytes, code: int
) -> None:
    with raw(server) as client, pytest.raises(ConnectionClosed) as over:  # noqa: PT012
        client.send(message)
        while True:
            client.recv(DEADLINE)

    assert over.value.rcvd is not None
    assert over.value.rcvd.code == code


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (header(0x81, 2, masked=False) + b"ab", 1002),
        (client_frame(b"a reserved bit", 0x40 | TEXT), 1002),
        (client_frame(b"a reserved opcode", 0x3), 1002),
        (client_frame(b"continues nothing", CONTINUATION), 1002),
        (client_frame(b"a part", final=False) + client_frame(b"another message"), 1002),
        (client_frame(b"a part of a ping", PING, final=False), 1002),
        (client_frame(b"too long for a ping" * 10, PING), 1002),
        (client_close(1005), 1002),
        (client_frame(b"\xff"), 1007),
        (client_frame(b"not text", BINARY), 1003),
    ],
)
def test_a_broken_rule_ends_the_connection_with_its_code(
    server: Served, frame: bytes, code: int
) -> None:
    sock, _ = open_socket(server)
    sock.sendall(frame)

    payload = next(payload for opcode, payload in frames(sock) if opcode == CLOSE)

    assert int.from_bytes(payload[:2], "big") == code


def test_a_message_in_parts_a_ping_and_the_end_are_answered(server: Served) -> None:
    sock, _ = open_socket(server)
    push, pull = BATCH.splitlines()
    sock.sendall(client_frame(push[:20], final=False) + client_frame(b"are you there?", PING))
    sock.sendall(client_frame(push[20:], CONTINUATION) + client_frame(pull))
    received = frames(sock)

    assert next(received) == (PONG, b"are you there?")
    assert next(received) == (TEXT, b'["resolve",1,"Hello, Ada!"]')
    sock.sendall(client_close(4444, b"bye"))
    *_, (opcode, payload) = received
    assert (opcode, payload[:2]) == (CLOSE, (4444).to_bytes(2, "big"))


def test_who_reads_nothing_is_closed_and_holds_up_nobody(server: Served) -> None:
    slow, _ = open_socket(server)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    call = b'["push",["pipeline",0,["flood"],[["export",-1],1000]]]'
    with connect(server.url) as session:
        before = len(session.main.left().result(DEADLINE))
        slow.sendall(bytes([0x81, 0x80 | len(call)]) + b"\0\0\0\0" + call)
        wait_until(lambda: len(session.main.left().result(DEADLINE)) > before)
        assert session.main.greet("Ada").result(DEADLINE) == "Hello, Ada!"
    slow.close()


def test_a_bad_handshake_is_refused(server: Served) -> None:
    sock, status = open_socket(server, key="no")
    sock.close()

    assert b" 400 " in status


@pytest.mark.parametrize("name", SERVERS)
def test_one_connection_too_many_gets_503(start: Start, name: str) -> None:
    server = start(SERVERS[name], MAX_CONNECTIONS="1")
    with connect(server.url) as first:
        assert first.main.greet("Ada").result(DEADLINE)
        with pytest.raises(HandshakeError) as refused:
            connect(server.url)
    assert refused.value.status == 503

    def comes_in() -> bool:
        try:
            connect(server.url).close()
        except HandshakeError:
            return False
        return True

    wait_until(comes_in)


@pytest.mark.parametrize("name", SERVERS)
def test_a_connection_that_got_another_answer_after_all_takes_no_room(
    start: Start, name: str
) -> None:
    server = start(SERVERS[name], MAX_CONNECTIONS="1")
    for instead, status in (("answer", "418"), ("error", "500"), ("error", "500")):
        with pytest.raises(HandshakeError, match=status):
            connect(server.url, headers={"X-Instead": instead})

    with connect(server.url) as session:
        assert session.main.greet("Ada").result(DEADLINE)


def test_the_log_is_silent_when_connections_end(server: Served) -> None:
    before = len(server.error_lines)
    for _ in range(20):
        session = connect(server.url)
        assert session.main.greet("Ada").result(DEADLINE)
        session.close()

    with batch(server.http_url) as main:
        greeting = main.greet("Ada")
    assert greeting.result()
    # An answer of HTTP that was written into a WebSocket would stand there as a request.
    bad = re.compile(r'Error|Traceback|"GET /rpc HTTP/1.1\S* (200|500)')
    assert not [line for line in server.error_lines[before:] if bad.search(line)]
