"""A connection over real sockets: messages in both directions, and applications that fail."""

import logging
from collections.abc import Iterable

import pytest

from capnweb_sync.server import Connection

from .conftest import Open, Serve
from .frame_building import CONTINUATION, PING, PONG, client_close, client_frame
from .serving import RecordingSession, turn
from .waiting import eventually

# Messages.


def test_messages_arrive_in_both_directions_in_order(serve: Serve, open_client: Open) -> None:
    server = serve()
    client = open_client(server)

    client.send(b"".join(client_frame(b"%d" % number) for number in range(500)))
    eventually(lambda: len(server.sessions[0].messages) == 500)
    for number in range(500):
        server.sessions[0].send(str(number))

    assert server.sessions[0].messages == [str(number) for number in range(500)]
    assert [client.text() for _ in range(500)] == [str(number) for number in range(500)]


def test_frames_that_came_in_the_segment_of_the_handshake_are_read(
    serve: Serve, open_client: Open
) -> None:
    server = serve()
    big = "x" * 20_000  # more than the HTTP reader's buffer, so one frame is cut by its end

    open_client(server, early=client_frame(b"early") + client_frame(big.encode()))

    eventually(lambda: server.sessions and len(server.sessions[0].messages) == 2)
    assert server.sessions[0].messages == ["early", big]


def test_a_long_message_is_sent_and_received(serve: Serve, open_client: Open) -> None:
    server = serve()
    client = open_client(server)
    text = "€" * 1_000_000

    client.send_text(text)
    eventually(lambda: server.sessions[0].messages)
    server.sessions[0].send(text)

    assert server.sessions[0].messages == [text]
    assert client.text() == text


def test_a_message_in_fragments_with_a_ping_in_between_is_one_message(
    serve: Serve, open_client: Open
) -> None:
    server = serve()
    client = open_client(server)

    client.send(client_frame(b"one ", final=False) + client_frame(b"?", PING))
    pong = client.frame()
    client.send(client_frame(b"message", CONTINUATION))

    assert pong == (PONG, b"?")
    eventually(lambda: server.sessions[0].messages == ["one message"])


def test_the_session_may_answer_while_it_receives(serve: Serve, open_client: Open) -> None:
    server = serve()
    client = open_client(server)
    eventually(lambda: server.sessions)
    server.sessions[0].on_message = server.sessions[0].send

    client.send_text("echo")

    assert client.text() == "echo"


# Misbehaving applications.


def takes_together(session: RecordingSession) -> list[list[str]]:
    """Have `session` take what arrives together in one call; what each call brought."""
    taken: list[list[str]] = []

    def receive_all(messages: Iterable[str]) -> None:
        taken.append([])
        for message in messages:
            taken[-1].append(message)
            session.receive(message)

    session.receive_all = receive_all  # type: ignore[attr-defined]
    return taken


def test_messages_that_arrive_together_are_taken_together_between_control_frames(
    serve: Serve, open_client: Open
) -> None:
    server = serve()
    client = open_client(server)
    eventually(lambda: server.sessions)
    taken = takes_together(server.sessions[0])

    texts = [client_frame(text) for text in (b"one", b"two", b"three")]
    client.send(texts[0] + texts[1] + client_frame(b"hey", PING) + texts[2])

    assert client.frame() == (PONG, b"hey")
    eventually(lambda: taken == [["one", "two"], ["three"]])


def test_nothing_that_came_together_is_taken_after_the_end_that_one_brings(
    serve: Serve, open_client: Open
) -> None:
    server = serve()
    client = open_client(server)
    eventually(lambda: server.sessions)
    session = server.sessions[0]
    taken = takes_together(session)
    session.on_message = lambda _: session.connection.close(3000, "Over.")

    client.send(client_frame(b"end it") + client_frame(b"ignored"))

    assert client.close_frame() == (3000, "Over.")
    eventually(lambda: session.lost)
    assert taken == [["end it"]]


def test_the_close_frame_behind_a_message_that_fails_is_read(
    serve: Serve, open_client: Open, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    client = open_client(server)
    eventually(lambda: server.sessions)
    session = server.sessions[0]
    taken = takes_together(session)

    def fail(_: str) -> None:
        raise RuntimeError("a bug in a session")

    session.on_message = fail
    client.send(client_frame(b"x") + client_frame(b"ignored") + client_close(1000))

    assert client.close_frame()[0] == 1011
    assert client.at_end()
    assert "a bug in a session" in caplog.text
    assert taken == [["x"]]


def test_a_session_that_raises_ends_its_own_connection_with_1011(
    serve: Serve, open_client: Open, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    bystander, client = open_client(server), open_client(server)
    eventually(lambda: len(server.sessions) == 2)

    def fail(_: str) -> None:
        raise RuntimeError("a bug in a session")

    server.sessions[1].on_message = fail
    client.send_text("x")

    assert client.close_frame()[0] == 1011
    assert "a bug in a session" in caplog.text
    bystander.send_text("still here")
    eventually(lambda: server.sessions[0].messages)


def test_an_application_that_fails_to_take_a_connection_closes_it_with_1011(
    serve: Serve,
    open_client: Open,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = serve()

    def fail(connection: Connection) -> RecordingSession:
        raise RuntimeError("no session today")

    monkeypatch.setattr(server, "on_connection", fail)
    client = open_client(server)

    assert client.close_frame()[0] == 1011
    assert "no session today" in caplog.text


def test_an_application_that_fails_to_take_the_end_is_logged(
    serve: Serve, open_client: Open, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    client = open_client(server)
    eventually(lambda: server.sessions)

    def fail(connection: Connection) -> None:
        raise RuntimeError("cannot say goodbye")

    server.sessions[0].connection.on_closed = fail
    with caplog.at_level(logging.ERROR, "capnweb_sync"):
        client.close()
        eventually(lambda: "cannot say goodbye" in caplog.text)


def test_a_connection_that_ends_while_the_application_takes_it_is_told_to_the_session(
    serve: Serve, open_client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    make_session = server.on_connection

    def slowly(connection: Connection) -> RecordingSession:
        session = make_session(connection)
        connection.abort()
        turn()
        return session

    monkeypatch.setattr(server, "on_connection", slowly)
    open_client(server)

    eventually(lambda: server.closed)
    assert [code for code, _ in server.sessions[0].lost] == [1006]
