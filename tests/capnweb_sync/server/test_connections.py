"""All connections of a process: capacity, pings, and how they end together."""

from collections.abc import Callable

import gevent
import gevent.event
import pytest

from capnweb_sync.server import Connections, drain_process

from .conftest import Open, Serve
from .frame_building import CLOSE, PING, PONG, client_close, client_frame
from .serving import connect
from .waiting import eventually

# Capacity.


def test_a_full_server_answers_503_before_the_upgrade_and_room_comes_back(
    serve: Serve, open_client: Open
) -> None:
    server = serve(max_connections=2)
    first, _ = open_client(server), open_client(server)

    refused = connect(server.port)
    refused.socket.close()
    first.close()
    eventually(lambda: len(server.connections) == 1)
    admitted = open_client(server)

    assert refused.status == 503
    assert admitted.status == 101


# Pings.


def test_a_connection_is_pinged_and_stays_open_while_it_answers(
    serve: Serve, open_client: Open
) -> None:
    server = serve(ping_interval=0.1, ping_timeout=0.1)
    client = open_client(server)

    for _ in range(5):
        opcode, payload = client.frame()
        assert opcode == PING
        client.send(client_frame(payload, PONG))

    assert server.closed == []


def test_any_bytes_count_as_life(serve: Serve, open_client: Open) -> None:
    server = serve(ping_interval=0.1, ping_timeout=0.1)
    client = open_client(server)

    for byte in client_frame(b"x" * 100)[:5]:
        opcode, _ = client.frame()
        assert opcode == PING
        client.send(bytes((byte,)))

    assert server.closed == []


def test_a_connection_that_answers_nothing_is_lost(serve: Serve, open_client: Open) -> None:
    server = serve(ping_interval=0.2, ping_timeout=0.05)
    client = open_client(server)

    eventually(lambda: server.closed)

    assert client.frame()[0] == PING
    assert server.sessions[0].lost == [(1006, "the peer did not answer a ping")]
    assert not server.closed[0].closed_on_purpose


def test_a_silent_connection_is_lost_and_its_neighbours_are_not(
    serve: Serve, open_client: Open
) -> None:
    server = serve(ping_interval=0.1, ping_timeout=0.1)
    silent, alive = open_client(server), open_client(server)

    while len(server.connections) == 2:
        opcode, payload = alive.frame()
        assert opcode == PING
        alive.send(client_frame(payload, PONG))

    eventually(lambda: server.closed)
    assert len(server.connections) == 1
    assert silent.frame()[0] == PING
    with pytest.raises(ConnectionResetError):
        silent.frame()


def test_no_timer_runs_without_connections(serve: Serve, open_client: Open) -> None:
    server = serve()
    open_client(server).close()

    eventually(lambda: not len(server.connections))

    assert server.connections._timer is None


@pytest.mark.parametrize(("interval", "timeout"), [(10, 11), (10, 0), (0, 0)])
def test_a_timeout_that_cannot_be_kept_is_refused(interval: float, timeout: float) -> None:
    with pytest.raises(ValueError, match="ping_timeout"):
        Connections(ping_interval=interval, ping_timeout=timeout)


# Ending together.


def test_all_are_closed_with_a_code_and_waiting_ends_when_they_are_gone(
    serve: Serve, open_client: Open
) -> None:
    server = serve()
    clients = [open_client(server) for _ in range(3)]

    server.connections.close_all(1012, "The log starts anew.")
    assert [client.close_frame() for client in clients] == [(1012, "The log starts anew.")] * 3
    for client in clients:
        client.send(client_close(1012))
        client.socket.close()

    assert server.connections.wait_empty(timeout=20.0)


def test_waiting_for_the_end_of_all_is_bounded(serve: Serve, open_client: Open) -> None:
    server = serve()
    open_client(server)

    assert not server.connections.wait_empty(timeout=0.01)


def test_draining_runs_hooks_closes_with_1001_and_drops_who_does_not_answer(
    serve: Serve, open_client: Open
) -> None:
    server = serve(close_timeout=20.0)
    polite, deaf = open_client(server), open_client(server)
    eventually(lambda: len(server.sessions) == 2)
    order: list[str] = []

    def hook() -> None:
        order.append(f"hook with {sum(not c.closed for c in server.connections)} open")

    server.connections.on_drain.append(hook)
    draining = gevent.spawn(server.connections.drain, 0.3)
    assert polite.close_frame() == (1001, "The server is going away.")
    polite.close(1001)
    draining.get(timeout=20)

    assert order == ["hook with 2 open"]
    assert len(server.connections) == 0
    assert deaf.close_frame()[0] == 1001


def test_draining_takes_no_new_connection(serve: Serve, open_client: Open) -> None:
    server = serve(close_timeout=0.05)
    server.connections.drain(0.1)

    refused = connect(server.port)
    refused.socket.close()

    assert refused.status == 503


def fail() -> None:
    raise RuntimeError("no store any more")


def hang() -> None:
    gevent.event.Event().wait()


@pytest.mark.parametrize("hook", [fail, hang])
def test_a_hook_that_fails_or_hangs_does_not_keep_the_connections_from_closing(
    serve: Serve, open_client: Open, hook: Callable[[], None]
) -> None:
    server = serve(close_timeout=0.05)
    client = open_client(server)

    server.connections.on_drain.append(hook)
    server.connections.drain(0.2)

    assert client.close_frame()[0] == 1001
    assert len(server.connections) == 0


def test_everything_in_the_process_is_drained(serve: Serve, open_client: Open) -> None:
    servers = [serve(close_timeout=0.05), serve(close_timeout=0.05)]
    clients = [open_client(server) for server in servers]

    drain_process(1.0)

    assert [client.close_frame()[0] for client in clients] == [1001, 1001]


def test_past_the_memory_of_all_the_one_that_keeps_the_most_is_closed_with_1013(
    serve: Serve, open_client: Open
) -> None:
    server = serve(max_memory=4 << 20)
    clients = [open_client(server) for _ in range(3)]
    eventually(lambda: len(server.sessions) == 3)
    ledgers = [session.connection.ledger for session in server.sessions]
    ledgers[0].hold(1 << 20)
    ledgers[1].hold(2 << 20)

    ledgers[2].hold((1 << 20) + 1)

    opcode, payload = clients[1].frame()
    assert (opcode, payload[:2]) == (CLOSE, (1013).to_bytes(2, "big"))
    assert [session.connection.closed for session in server.sessions] == [False, True, False]
    clients[1].send(client_close(1013))
    eventually(lambda: len(server.connections) == 2)
    assert server.connections.memory is not None
    assert server.connections.memory.held <= 3 << 20


def test_a_message_that_is_not_whole_yet_counts_and_is_given_back(
    serve: Serve, open_client: Open
) -> None:
    server = serve()
    client = open_client(server)
    frame = client_frame(b"x" * 10_000)
    client.send(frame[:9_000])
    eventually(lambda: server.sessions and server.sessions[0].connection.ledger.held > 8_000)

    client.send(frame[9_000:])

    eventually(lambda: server.sessions[0].connection.ledger.held == 0)
