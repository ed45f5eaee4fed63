"""The same application under gunicorn, with the configuration that comes with it."""

import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.chatserver.conftest import Connect
from tests.chatserver.test_http import FORWARDED, get, upgrade
from tests.conftest import StartProcess
from tests.processes import DEADLINE, Process, free_port

COMMAND = ("-m", "gunicorn", "-c", "python:chatserver.gunicorn_conf", "chatserver:create_app()")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def url(port: int) -> str:
    return f"ws://127.0.0.1:{port}/rpc/ws"


def start(start_process: StartProcess, port: int, *options: str, **env: str) -> Process:
    """gunicorn, when its worker serves."""
    process = start_process(
        sys.executable,
        *COMMAND,
        *options,
        env={"CHAT_PORT": str(port), "CHAT_STORE": "memory:", "CHAT_LOG_LEVEL": "INFO", **env},
    )
    process.wait_for_line("Booting worker", stderr=True)
    return process


def test_members_chat_through_a_worker(
    start_process: StartProcess, connect: Connect, port: int, url: str
) -> None:
    start(start_process, port)
    alice, bob = connect(url), connect(url)
    alice.join("Alice")
    bob.join("Bob")

    alice.say("Alice", "hello")

    bob.wait_for("hello")


def test_stopping_tells_everyone_with_1001(
    start_process: StartProcess, connect: Connect, port: int, url: str
) -> None:
    gunicorn = start(start_process, port)
    member = connect(url)
    member.join("Alice")
    started = time.monotonic()

    assert gunicorn.terminate() == 0

    assert member.closed() == 1001
    assert time.monotonic() - started < 6


def test_a_reload_sends_members_to_the_new_worker(
    start_process: StartProcess, connect: Connect, port: int, url: str
) -> None:
    gunicorn = start(start_process, port)
    member = connect(url)
    member.join("Alice")

    gunicorn.signal(signal.SIGHUP)

    assert member.closed() == 1001
    assert connect(url).join("Alice")["message"]


def test_a_worker_waits_for_no_request_longer_than_is_set(
    start_process: StartProcess, port: int
) -> None:
    start(start_process, port, CHAT_HEAD_SECONDS="0.2")

    assert get(("127.0.0.1", port), "/healthz")[0] == 200
    with socket.create_connection(("127.0.0.1", port), timeout=20) as silent:
        assert silent.recv(1) == b""


def test_several_workers_on_a_store_of_one_process_are_refused_with_both_remedies(
    start_process: StartProcess, port: int
) -> None:
    gunicorn = start_process(
        sys.executable,
        *COMMAND,
        "--workers",
        "2",
        env={"CHAT_PORT": str(port), "CHAT_STORE": "memory:"},
    )

    assert gunicorn.wait() != 0
    refusals = [line for line in gunicorn.error_lines if "memory:" in line]
    assert len(refusals) == 1
    assert "--workers 1" in refusals[0]
    assert "redis://" in refusals[0]
    assert "Traceback" not in gunicorn.output


def test_preloading_is_refused_with_the_reason(
    start_process: StartProcess, port: int, tmp_path: Path
) -> None:
    gunicorn = start_process(
        sys.executable,
        *COMMAND,
        "--preload",
        env={"CHAT_PORT": str(port), "CHAT_STORE": f"sqlite:///{tmp_path}/chat.db"},
    )

    assert gunicorn.wait() == 2
    refusals = [line for line in gunicorn.error_lines if "preload" in line]
    assert len(refusals) == 1
    assert "each worker opens the store for itself" in refusals[0]
    assert "Traceback" not in gunicorn.output


def test_preloading_without_the_configuration_is_no_healthy_chat(
    start_process: StartProcess, port: int
) -> None:
    worker = "capnweb_sync.server.worker.WebSocketWorker"
    options = ("-k", worker, "--preload", "-b", f"127.0.0.1:{port}", "chatserver:create_app()")
    process = start_process(
        sys.executable, "-m", "gunicorn", *options, env={"CHAT_STORE": "memory:"}
    )
    process.wait_for_line("Booting worker", stderr=True)

    for status, _, body in (get(("127.0.0.1", port), "/healthz"), upgrade(("127.0.0.1", port))):
        assert status == 503
        assert "forked" in body


def test_a_worker_believes_as_many_proxies_as_it_is_told(
    start_process: StartProcess, port: int
) -> None:
    start(start_process, port, CHAT_TRUST_PROXIES="1")

    _, _, page = get(("127.0.0.1", port), "/", FORWARDED)

    assert "wss://chat.example/chat/rpc/ws\n" in page


def test_a_setting_that_does_not_fit_is_told_in_one_line(start_process: StartProcess) -> None:
    gunicorn = start_process(sys.executable, *COMMAND, env={"CHAT_GRACE": "soon"})

    assert gunicorn.wait() == 2
    assert gunicorn.error_lines == [
        "chatserver: CHAT_GRACE=soon: grace must be a number.",
    ]


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_it_listens_on_an_address_of_ipv6(
    start_process: StartProcess, port: int, host: str
) -> None:
    start(start_process, port, CHAT_HOST=host)

    assert get(("::1", port), "/healthz")[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "no-such-host.invalid", "[::1"])
def test_an_address_that_is_none_is_told_in_one_line(
    start_process: StartProcess, host: str
) -> None:
    gunicorn = start_process(sys.executable, *COMMAND, env={"CHAT_HOST": host})

    assert gunicorn.wait() == 2
    (line,) = gunicorn.error_lines
    assert host in line


@pytest.mark.parametrize("worker", ["sync", "gevent"])
def test_a_worker_that_cannot_do_websocket_says_how_to_start_one(
    start_process: StartProcess, port: int, worker: str
) -> None:
    start(start_process, port, "-k", worker)

    status, _, body = upgrade(("127.0.0.1", port))

    assert status == 501
    assert "gunicorn -c python:chatserver.gunicorn_conf" in body
    assert get(("127.0.0.1", port), "/healthz")[0] == 200


def test_with_one_worker_on_a_file_a_reload_waits_for_the_old_one_and_loses_nothing(
    start_process: StartProcess, connect: Connect, port: int, url: str, tmp_path: Path
) -> None:
    gunicorn = start(start_process, port, CHAT_STORE=f"sqlite:///{tmp_path}/chat.db")
    alice = connect(url)
    secret = alice.join("Alice")["resume"]
    said = alice.say("Alice", "before")

    gunicorn.signal(signal.SIGHUP)

    assert alice.closed() == 1001
    back = connect(url)
    assert back.join("Alice", {"resume": secret, "since": said})["recovered"] is True
    assert back.say("Alice", "after") == said + 1
    assert gunicorn.terminate() == 0
    assert "Traceback" not in gunicorn.output


def test_a_file_that_cannot_be_used_ends_it_at_once_with_one_line_that_says_why(
    start_process: StartProcess, port: int, tmp_path: Path
) -> None:
    (tmp_path / "chat.db").write_text("no database")

    gunicorn = start_process(
        sys.executable,
        *COMMAND,
        env={"CHAT_PORT": str(port), "CHAT_STORE": f"sqlite:///{tmp_path}/chat.db"},
    )

    assert gunicorn.wait() != 0
    reasons = [line for line in gunicorn.error_lines if "damaged" in line]
    assert len(reasons) == 1
    assert reasons[0].startswith("chatserver: The database")
    assert "Traceback" not in gunicorn.output


@pytest.mark.parametrize(
    "head",
    [
        "GET /healthz",
        "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b",
        "POST /rpc/batch HTTP/1.1\r\nHost: a\r\nContent-Length: +49",
        "POST /rpc/batch HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
    ],
)
def test_a_worker_refuses_what_is_no_request(
    start_process: StartProcess, port: int, head: str
) -> None:
    start(start_process, port)

    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
        client.sendall(f"{head}\r\n\r\n".encode())

        assert client.recv(100).startswith(b"HTTP/1.1 400 ")
