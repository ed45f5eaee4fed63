"""The gunicorn worker, in real gunicorn processes."""

import signal
import socket
import sys

import pytest

from tests.conftest import StartProcess
from tests.processes import Process, free_port, wait_until

from .serving import connect, request

WORKER = "capnweb_sync.server.worker.WebSocketWorker"
APPLICATION = "tests.capnweb_sync.server.example_app:application"


@pytest.fixture
def port() -> int:
    return free_port()


def start_gunicorn(start_process: StartProcess, port: int, *options: str) -> Process:
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", *options, APPLICATION]
    process = start_process(*command)
    process.wait_for_line("Booting worker", stderr=True)

    def accepts() -> bool:
        assert process.running, process.output
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(accepts)
    return process


def test_plain_requests_and_websockets_are_served(start_process: StartProcess, port: int) -> None:
    start_gunicorn(start_process, port, "-k", WORKER)
    plain = connect(port, request(path="/hello", Upgrade=None, Connection=None))
    client = connect(port, request(path="/ws"))
    client.send_text("hello")

    assert plain.status == 200
    assert client.text() == "hello"
    plain.socket.close()
    client.close()


def test_requests_are_in_gunicorns_access_log_upgrades_too(
    start_process: StartProcess, port: int
) -> None:
    gunicorn = start_gunicorn(start_process, port, "-k", WORKER, "--access-logfile", "-")
    connect(port, request(path="/hello", Upgrade=None)).socket.close()
    connect(port, request(path="/ws")).close()

    gunicorn.wait_for_line(r'"GET /hello HTTP/1.1" 200')
    gunicorn.wait_for_line(r'"GET /ws HTTP/1.1" 101')


def test_connections_are_outside_of_worker_connections(
    start_process: StartProcess, port: int
) -> None:
    start_gunicorn(start_process, port, "-k", WORKER, "--worker-connections", "2")

    clients = [connect(port, request(path="/ws")) for _ in range(5)]
    for client in clients:
        client.send_text("all served")

    assert [client.text() for client in clients] == ["all served"] * 5
    for client in clients:
        client.socket.close()


def test_silent_connections_on_all_places_make_room_for_a_request(
    start_process: StartProcess, port: int
) -> None:
    start_gunicorn(start_process, port, "-k", WORKER, "--worker-connections", "5")
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(7)]

    client = connect(port, request(path="/hello", Upgrade=None))

    assert client.status == 200
    for sock in (client.socket, *silent):
        sock.close()


def test_sigterm_runs_the_hooks_closes_with_1001_and_exits_with_0(
    start_process: StartProcess, port: int
) -> None:
    gunicorn = start_gunicorn(start_process, port, "-k", WORKER, "--graceful-timeout", "5")
    client = connect(port, request(path="/ws"))

    gunicorn.signal(signal.SIGTERM)

    assert client.close_frame() == (1001, "The server is going away.")
    client.close(1001)
    assert gunicorn.wait() == 0
    assert "hook ran" in gunicorn.lines
    assert "connection over: 1001" in gunicorn.lines


def test_ctrl_c_closes_with_1001_too(start_process: StartProcess, port: int) -> None:
    gunicorn = start_gunicorn(start_process, port, "-k", WORKER, "--graceful-timeout", "5")
    client = connect(port, request(path="/ws"))

    gunicorn.signal(signal.SIGINT)

    assert client.close_frame()[0] == 1001
    client.close(1001)
    assert gunicorn.wait() == 0


def test_the_death_of_the_master_closes_with_1001(start_process: StartProcess, port: int) -> None:
    gunicorn = start_gunicorn(start_process, port, "-k", WORKER)
    client = connect(port, request(path="/ws"))

    gunicorn.signal(signal.SIGKILL)

    assert client.close_frame()[0] == 1001
    client.close(1001)


def test_a_client_that_does_not_answer_does_not_hold_up_the_end(
    start_process: StartProcess, port: int
) -> None:
    gunicorn = start_gunicorn(start_process, port, "-k", WORKER, "--graceful-timeout", "20")
    client = connect(port, request(path="/ws"))

    gunicorn.signal(signal.SIGTERM)

    assert gunicorn.wait(timeout=10) == 0
    client.socket.close()


def test_a_request_under_way_is_finished_before_the_end(
    start_process: StartProcess, port: int
) -> None:
    gunicorn = start_gunicorn(start_process, port, "-k", WORKER, "--graceful-timeout", "10")
    sock = socket.create_connection(("127.0.0.1", port))
    sock.settimeout(20)
    sock.sendall(request(path="/slow", Upgrade=None, Connection="close"))
    other = connect(port, request(path="/ws"))  # accepted after it, so it is under way
    other.send_text("x")
    other.text()

    gunicorn.signal(signal.SIGTERM)
    other.close_frame()
    other.close(1001)

    answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert answer.endswith(b"hello")
    sock.close()
    assert gunicorn.wait() == 0


def test_a_reload_sends_clients_to_the_new_worker(start_process: StartProcess, port: int) -> None:
    gunicorn = start_gunicorn(start_process, port, "-k", WORKER, "--graceful-timeout", "5")
    client = connect(port, request(path="/ws"))

    gunicorn.signal(signal.SIGHUP)
    assert client.close_frame()[0] == 1001
    client.close(1001)
    again = connect(port, request(path="/ws"))
    again.send_text("hello again")

    assert again.text() == "hello again"
    again.close()


@pytest.mark.parametrize("kind", ["sync", "gevent"])
def test_a_worker_that_cannot_do_websocket_answers_with_a_sentence(
    start_process: StartProcess, port: int, kind: str
) -> None:
    start_gunicorn(start_process, port, "-k", kind)

    client = connect(port, request(path="/ws"))

    assert client.status == 501
    assert WORKER in client.body()
    client.socket.close()
