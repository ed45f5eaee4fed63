"""How a connection ends: the closing handshake (RFC 6455, section 7), and every way to be lost."""

import socket

import pytest

from .conftest import Open, Serve
from .frame_building import client_close, client_frame
from .waiting import eventually

# The closing handshake (RFC 6455, section 7).


@pytest.mark.parametrize(
    ("code", "on_purpose"),
    [(1000, True), (1001, True), (None, True), (3000, True), (1011, False), (4000, False)],
)
def test_a_close_frame_is_answered_with_its_code_and_tcp_is_closed_by_the_server(
    serve: Serve, open_client: Open, code: int | None, on_purpose: bool
) -> None:
    server = serve()
    client = open_client(server)

    client.send(client_close(code))

    assert client.frame() == (8, b"" if code is None else code.to_bytes(2, "big"))
    assert client.at_end()
    eventually(lambda: server.closed)
    connection = server.closed[0]
    assert connection.close_code == (1005 if code is None else code)
    assert connection.closed_by_peer
    assert connection.closed_on_purpose == on_purpose


def test_the_session_is_told_of_the_peers_code_and_reason_once(
    serve: Serve, open_client: Open
) -> None:
    server = serve()
    client = open_client(server)

    client.send(client_close(4321, b"that is why") + client_close(1000))
    client.socket.close()

    eventually(lambda: not len(server.connections))
    assert server.sessions[0].lost == [(4321, "that is why")]
    assert len(server.closed) == 1


def test_what_was_sent_before_the_close_frame_is_delivered(serve: Serve, open_client: Open) -> None:
    server = serve()
    client = open_client(server)

    client.send(client_frame(b"last words") + client_close(1000))

    eventually(lambda: server.closed)
    assert server.sessions[0].messages == ["last words"]


def test_the_application_closes_after_what_it_has_sent(serve: Serve, open_client: Open) -> None:
    server = serve()
    client = open_client(server)
    eventually(lambda: server.sessions)
    session = server.sessions[0]

    session.send("bye")
    session.connection.close(4001, "Joined elsewhere.")
    session.send("too late")

    assert session.connection.closed
    assert session.lost == []  # told later, never inside of the call
    assert client.text() == "bye"
    assert client.close_frame() == (4001, "Joined elsewhere.")
    eventually(lambda: server.closed)
    assert session.lost == [(4001, "Joined elsewhere.")]
    assert not session.connection.closed_by_peer
    assert not session.connection.closed_on_purpose


def test_the_server_closes_tcp_when_the_peer_has_answered_its_close_frame(
    serve: Serve, open_client: Open
) -> None:
    server = serve()
    client = open_client(server)
    eventually(lambda: server.sessions)

    server.sessions[0].connection.close(1001, "Going.")
    client.close_frame()
    client.send(client_close(1001))

    assert client.at_end()
    client.socket.close()
    eventually(lambda: not len(server.connections))


def test_nothing_is_delivered_after_the_application_has_closed(
    serve: Serve, open_client: Open
) -> None:
    server = serve()
    client = open_client(server)
    eventually(lambda: server.sessions)

    server.sessions[0].connection.close()
    client.send_text("ignored")
    client.close(1000)

    eventually(lambda: not len(server.connections))
    assert server.sessions[0].messages == []


def test_a_peer_that_does_not_answer_a_close_frame_is_dropped_at_the_deadline(
    serve: Serve, open_client: Open
) -> None:
    server = serve(close_timeout=0.05)
    client = open_client(server)
    eventually(lambda: server.sessions)

    server.sessions[0].connection.close(1001, "Going.")

    eventually(lambda: not len(server.connections))
    assert client.close_frame() == (1001, "Going.")
    assert server.sessions[0].lost == [(1001, "Going.")]


def test_a_peer_that_does_not_end_tcp_after_its_close_frame_is_dropped_at_the_deadline(
    serve: Serve, open_client: Open
) -> None:
    server = serve(close_timeout=0.05)
    client = open_client(server)

    client.send(client_close(1000))

    eventually(lambda: server.closed)
    eventually(lambda: not len(server.connections))
    assert server.sessions[0].lost == [(1000, "the connection was closed")]


def test_the_session_may_close_while_it_receives(serve: Serve, open_client: Open) -> None:
    server = serve()
    client = open_client(server)
    eventually(lambda: server.sessions)
    session = server.sessions[0]
    session.on_message = lambda _: session.connection.close(3000, "Over.")

    client.send(client_frame(b"end it") + client_frame(b"ignored"))

    assert client.close_frame() == (3000, "Over.")
    eventually(lambda: session.lost)
    assert session.messages == ["end it"]


# Being lost.


def test_the_end_of_the_stream_without_a_close_frame_is_1006(
    serve: Serve, open_client: Open
) -> None:
    server = serve()
    client = open_client(server)

    client.socket.close()

    eventually(lambda: server.closed)
    assert server.sessions[0].lost[0][0] == 1006
    assert not server.closed[0].closed_on_purpose


def test_a_half_close_is_a_loss(serve: Serve, open_client: Open) -> None:
    server = serve()
    client = open_client(server)

    client.socket.shutdown(socket.SHUT_WR)

    eventually(lambda: not len(server.connections))
    assert server.sessions[0].lost[0][0] == 1006
    assert client.at_end()


def test_a_reset_is_a_loss(serve: Serve, open_client: Open) -> None:
    server = serve()
    client = open_client(server)
    eventually(lambda: server.sessions)

    client.reset()

    eventually(lambda: server.closed)
    assert server.sessions[0].lost[0][0] == 1006


def test_a_stream_that_ends_within_a_frame_is_a_loss(serve: Serve, open_client: Open) -> None:
    server = serve()
    client = open_client(server)

    client.send(client_frame(b"cut")[:-1])
    client.socket.close()

    eventually(lambda: server.closed)
    assert server.sessions[0].messages == []
    assert server.sessions[0].lost[0][0] == 1006


def test_abort_ends_tcp_at_once(serve: Serve, open_client: Open) -> None:
    server = serve()
    client = open_client(server)
    eventually(lambda: server.sessions)

    server.sessions[0].connection.abort()

    assert len(server.connections) == 0
    eventually(lambda: server.closed)
    assert server.sessions[0].lost[0][0] == 1006
    with pytest.raises(ConnectionResetError):
        client.at_end()


def test_after_the_end_every_call_is_without_effect(serve: Serve, open_client: Open) -> None:
    server = serve()
    client = open_client(server)
    client.close(1000)
    eventually(lambda: server.closed)
    connection = server.closed[0]

    connection.send(b"late")
    connection.close(4000, "late")
    connection.abort()
    connection.ping()

    assert connection.close_code == 1000
    assert connection.buffered == 0
    assert len(server.sessions[0].lost) == 1


def test_a_session_may_drop_the_connection_while_it_receives(
    serve: Serve, open_client: Open
) -> None:
    server = serve()
    client = open_client(server)
    eventually(lambda: server.sessions)
    session = server.sessions[0]
    session.on_message = lambda _: session.connection.abort()

    client.send(client_frame(b"drop it") + client_frame(b"ignored") + client_close(1000))

    eventually(lambda: server.closed)
    assert session.messages == ["drop it"]
    assert [code for code, _ in session.lost] == [1006]
    assert len(server.connections) == 0
