"""Nobody has more of the loop than others: long work is done in pieces, in turns."""

import time
from collections.abc import Iterator

import gevent
import pytest
from gevent import socket

from capnweb_sync.runtimes.turns import TURN_SECONDS, Turns
from capnweb_sync.server.connection import FRAMES_AT_ONCE, LONG_MESSAGE, is_short

from .conftest import Open, Serve
from .frame_building import CONTINUATION, TEXT, client_frame
from .serving import turn
from .waiting import eventually


@pytest.fixture
def turns() -> Turns:
    return Turns(gevent.get_hub().loop)


def test_what_waits_is_done_round_robin(turns: Turns) -> None:
    done: list[str] = []

    def pieces(name: str, count: int) -> Iterator[None]:
        for number in range(count):
            done.append(f"{name}{number}")
            yield

    first, second = turns.add(pieces("a", 3)), turns.add(pieces("b", 2))

    assert done == [], "never begun inside the call"
    eventually(lambda: first.settled and second.settled)
    assert done == ["a0", "b0", "a1", "b1", "a2"]


def test_a_turn_ends_in_time_and_the_loop_has_its_own(turns: Turns) -> None:
    server, client = socket.socketpair()
    answered = 0

    def answer() -> None:
        nonlocal answered
        while server.recv(1):
            answered += 1
            server.send(b"x")

    def pieces() -> Iterator[None]:
        for _ in range(20):
            until = time.perf_counter() + TURN_SECONDS
            while time.perf_counter() < until:
                pass
            yield

    serving = gevent.spawn(answer)
    done = turns.add(pieces())
    while not done.settled:
        client.send(b"x")
        assert client.recv(1)
    client.close()
    serving.join(timeout=1)
    server.close()

    assert answered >= 10, "what arrived was read between the turns"


def test_work_that_fails_is_over_and_the_rest_goes_on(
    turns: Turns, caplog: pytest.LogCaptureFixture
) -> None:
    def failing() -> Iterator[None]:
        yield
        raise LookupError("unforeseen")

    def fine() -> Iterator[None]:
        yield
        yield

    failed, done = turns.add(failing()), turns.add(fine())

    eventually(lambda: failed.settled and done.settled)
    eventually(lambda: "Work in turns has failed" in caplog.text)


@pytest.mark.parametrize(
    ("message", "short"),
    [
        ('["push",["pipeline",0,["sendMessage"],["Alice","Hello"]]]', True),
        ("x" * LONG_MESSAGE, True),
        ("x" * (LONG_MESSAGE + 1), False),
        ('["push",["remap",1,[],[],[null]]]', False),
        (r'["push",["\u0072emap",1,[],[],[null]]]', False),
        (r'["push",["rema\u0070",1,[],[],[null]]]', False),
        (r'["push",["pipeline",0,["sendMessage"],["Alice","\u00e9t\u00e9"]]]', True),
    ],
)
def test_long_messages_and_maps_are_not_taken_at_once(message: str, short: bool) -> None:
    assert is_short(message) is short


def test_one_that_says_much_at_once_does_not_go_before_the_others(
    serve: Serve, open_client: Open
) -> None:
    server = serve()
    loud, quiet = open_client(server), open_client(server)
    eventually(lambda: len(server.sessions) == 2)
    heard_by_then: list[int] = []

    def note(_: str) -> None:
        heard_by_then.append(len(server.sessions[0].messages))

    server.sessions[1].on_message = note
    flood = client_frame(b"loud") * 500
    loud.send(flood)
    quiet.send_text("quiet")

    eventually(lambda: heard_by_then and len(server.sessions[0].messages) == 500)
    assert heard_by_then[0] < 500


@pytest.mark.parametrize(
    "sent",
    [client_frame(b"word"), client_frame(b"x" * (LONG_MESSAGE + 1))],
    ids=["short", "long"],
)
def test_everything_arrives_in_order_however_much_it_is(
    serve: Serve, open_client: Open, sent: bytes
) -> None:
    server = serve()
    client = open_client(server)
    count = 10 * FRAMES_AT_ONCE

    for number in range(count):
        client.send(client_frame(b"%d" % number) + sent)

    eventually(lambda: server.sessions and len(server.sessions[0].messages) == 2 * count)
    assert server.sessions[0].messages[::2] == [str(number) for number in range(count)]


def test_empty_fragments_count_like_messages(serve: Serve, open_client: Open) -> None:
    server = serve()
    loud, quiet = open_client(server), open_client(server)
    eventually(lambda: len(server.sessions) == 2)
    fragments = 2000
    loud.send(
        client_frame(b"", TEXT, final=False)
        + client_frame(b"", CONTINUATION, final=False) * fragments
        + client_frame(b"end", CONTINUATION)
    )
    quiet.send_text("quiet")
    ended_by_then: list[bool] = []

    def note(_: str) -> None:
        ended_by_then.append(bool(server.sessions[0].messages))

    server.sessions[1].on_message = note
    eventually(lambda: ended_by_then and server.sessions[0].messages == ["end"])
    assert ended_by_then == [False]


def test_nothing_is_read_while_answers_are_unread_and_everything_afterwards(
    serve: Serve, open_client: Open
) -> None:
    size = 10_000
    server = serve(max_buffered=20 * size)
    client = open_client(server)
    eventually(lambda: server.sessions)
    session = server.sessions[0]

    def answer(message: str) -> None:
        session.send(message + "x" * size)

    session.on_message = answer
    asked = 2_000
    asking = gevent.spawn(client.send, client_frame(b"?" * 100) * asked)
    eventually(lambda: asking.ready() and session.connection.buffered >= 5 * size)
    for _ in range(100):
        turn()
    assert len(session.messages) < asked, "the kernel has all of it, the server has not"

    for _ in range(asked):
        assert len(client.text()) == 100 + size
    assert not session.lost
