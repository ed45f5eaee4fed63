"""The process: how it starts, what it says, how it stops."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chatserver.conftest import Connect
from tests.chatserver.test_http import get
from tests.conftest import StartProcess, StartServer
from tests.processes import REPOSITORY, ServerProcess, free_port, wait_until

BANNER = """\
💬 Chat Server running on {url}

Methods:
  - join(username, callback) → Welcome message
  - sendMessage(username, text) → Broadcasts to all
  - listUsers() → List of connected users
  - leave(username) → Goodbye message

Run client: python -m chatclient
Press Ctrl+C to stop

In a browser: {page}"""


def run(
    *options: str, env: dict[str, str] | None = None, cwd: Path = REPOSITORY
) -> subprocess.CompletedProcess[str]:
    """A server that does not get to serving."""
    return subprocess.run(
        [sys.executable, "-m", "chatserver", *options],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_the_banner_is_printed_once_connections_are_accepted(chat_server: ServerProcess) -> None:
    with socket.create_connection(chat_server.address, timeout=5):
        pass
    wait_until(lambda: len(chat_server.lines) == BANNER.count("\n") + 1)

    assert "\n".join(chat_server.lines) == BANNER.format(
        url=chat_server.url, page=f"{chat_server.http_url}/"
    )
    assert chat_server.error_lines == []


def test_a_terminal_that_cannot_show_the_balloon_is_no_reason_not_to_start(
    start_server: StartServer,
) -> None:
    server = start_server(env={"PYTHONIOENCODING": "ascii"})

    assert server.lines[0].endswith(server.url)


def serves(port: int) -> bool:
    """Whether requests are answered there."""
    try:
        return get(("127.0.0.1", port), "/healthz")[0] == 200
    except ConnectionRefusedError:
        return False


@pytest.mark.parametrize("redirection", [">&-", "1</dev/null", ">/dev/full", "| true"])
def test_a_banner_that_nobody_can_read_is_no_reason_not_to_serve(
    start_process: StartProcess, redirection: str
) -> None:
    port = free_port()
    command = f"{sys.executable} -m chatserver --port {port} --store memory:"
    shell = start_process("sh", "-c", f"{command} {redirection} & wait $!; echo status $?")

    shell.wait_for_line(r"WARNING \d+ chatserver: Standard output cannot", stderr=True)
    assert serves(port)
    assert "Traceback" not in shell.output


def test_an_output_that_is_full_and_does_not_block_is_waited_for(
    start_process: StartProcess,
) -> None:
    port = free_port()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    command = [sys.executable, "-m", "chatserver", "--port", str(port), "--store", "memory:"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=writing) as server:
        os.close(writing)
        wait_until(lambda: serves(port))
        with os.fdopen(reading, "rb") as output:
            for line in output:
                if b"In a browser" in line:
                    break
        server.terminate()
        assert server.wait(20) == 0


def test_an_output_that_nobody_reads_does_not_keep_it_from_ending() -> None:
    port = free_port()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    command = [sys.executable, "-m", "chatserver", "--port", str(port), "--store", "memory:"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=writing) as server:
        wait_until(lambda: serves(port))
        server.terminate()
        assert server.wait(20) == 0
    os.close(reading)
    os.close(writing)


def test_a_help_that_cannot_be_written_is_a_failure() -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "chatserver", "--help"],
            cwd=REPOSITORY,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=20,
            check=False,
        )

    assert ended.stderr == (
        "chatserver: Standard output cannot be written to: No space left on device.\n"
    )
    assert ended.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(
    chat_server: ServerProcess, connect: Connect, number: signal.Signals
) -> None:
    members = [connect(chat_server.url) for _ in range(3)]
    for index, member in enumerate(members):
        member.join(f"member {index}")
    calls = [
        (member, member.push("sendMessage", f"member {index}", f"last words {turn}"))
        for turn in range(20)
        for index, member in enumerate(members)
    ]
    for member in members:
        member.call("listUsers")
    started = time.monotonic()

    chat_server.signal(number)

    assert chat_server.wait() == 0
    assert time.monotonic() - started < 5
    for member, call in calls:
        assert member.answer(call)["id"]
    assert [member.closed() for member in members] == [1001, 1001, 1001]
    assert chat_server.error_lines == []


def test_a_client_that_does_not_answer_delays_the_end_by_no_more_than_is_allowed(
    start_server: StartServer, connect: Connect
) -> None:
    server = start_server("--drain-seconds", "1")
    deaf = socket.create_connection(server.address, timeout=20)
    deaf.sendall(
        b"GET /rpc/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert deaf.recv(4096).startswith(b"HTTP/1.1 101")
    started = time.monotonic()

    assert server.terminate() == 0

    assert time.monotonic() - started < 3
    deaf.close()


@pytest.mark.parametrize(
    ("sent", "option"),
    [
        (b"", "--head-seconds"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "--idle-seconds"),
        (b"POST /rpc/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[", "--body-seconds"),
    ],
)
def test_a_connection_that_waits_longer_than_is_set_is_closed(
    start_server: StartServer, sent: bytes, option: str
) -> None:
    server = start_server(option, "0.2")
    with socket.create_connection(server.address, timeout=20) as silent:
        silent.sendall(sent)

        while silent.recv(4096):
            pass

    assert server.error_lines == []


def test_more_silent_connections_than_there_may_be_files_keep_nobody_out(
    start_process: StartProcess,
) -> None:
    port = free_port()
    command = f"ulimit -n 60; exec {sys.executable} -m chatserver --port {port} --store memory:"
    server = start_process(
        "sh", "-c", f"{command} --max-connections 10 --head-seconds 3600", ready="Ctrl"
    )
    silent = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(80)]

    status, _, _ = get(("127.0.0.1", port), "/healthz")

    assert status == 200
    assert [line for line in server.error_lines if "Traceback" in line] == []
    for sock in silent:
        sock.close()


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        ended = run("--port", str(port))

    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert f"Cannot listen on 127.0.0.1 port {port}" in line


def test_a_name_that_is_no_address_is_told_in_one_line() -> None:
    ended = run("--host", "no-such-host.invalid")

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "Cannot listen on no-such-host.invalid" in line


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_it_listens_on_an_address_of_ipv6(start_process: StartProcess, host: str) -> None:
    server = start_process(
        sys.executable,
        "-m",
        "chatserver",
        *("--host", host, "--port", "0", "--store", "memory:"),
        ready=r"ws://\[::1\]:\d+/rpc/ws",
    )
    url = server.lines[0].rpartition(" ")[2]
    client = start_process(sys.executable, "-m", "chatclient", "--url", url, "--username", "Alice")

    client.wait_for_line("Joined chat as Alice")


@pytest.mark.parametrize(
    "store",
    [
        "mysql://alice:secret@chat",
        "chat.db",
        "memory",
        "memory:chat",
        "redis://[::1",
        "redis://a:secret@::1:6379/0",
        "redis://:sec/ret@host/0",
        "redis://:sec?ret@host/0",
        "redis://:sec#ret@host/0",
        "redis://host:0/0",
        "redis://host/chat",
        "redis://host/0/1",
        "unix://run/redis.sock",
        "unix:/run/redis.sock",
        "sqlite:chat.db",
        "sqlite:/chat.db",
        "sqlite://chat.db",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///tests/",
        "sqlite:///tests",
        "sqlite:///a%00b",
        "sqlite:///chat#1.db",
        "sqlite:///[::1/chat.db?what",
        "sqlite:///a\tb.db",
    ],
)
def test_a_store_that_is_none_is_told_in_one_line_and_nothing_is_made(
    store: str, tmp_path: Path
) -> None:
    (tmp_path / "tests").mkdir()

    ended = run("--port", str(free_port()), "--store", store, cwd=tmp_path)

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("chatserver: The store")
    assert "sec" not in line
    assert list(tmp_path.iterdir()) == [tmp_path / "tests"]


@pytest.mark.parametrize(
    ("options", "env", "message"),
    [
        (("--port", "many"), {}, "--port: 'many' must be a whole number"),
        (("--port", "70000"), {}, "--port: '70000' must be from 0 to 65535"),
        (("--grace", "-1"), {}, "--grace: '-1' must be 0 or more"),
        (("--colour", "red"), {}, "--colour"),
        (("--allow-origin", "example"), {}, "https://chat.example"),
        (("--allow-origin", "https://*.example"), {}, "must name one host"),
        (("--ping-timeout", "99"), {}, "ping interval"),
        ((), {"CHAT_PORT": "many"}, "CHAT_PORT=many: port must be a whole number"),
        ((), {"CHAT_KEEP_DAYS": "0"}, "CHAT_KEEP_DAYS=0: keep days must be more than 0"),
        ((), {"CHAT_LOG_LEVEL": "loud"}, "CHAT_LOG_LEVEL=loud: log level must be DEBUG"),
    ],
)
def test_a_setting_that_does_not_fit_is_told_in_one_line(
    options: tuple[str, ...], env: dict[str, str], message: str
) -> None:
    ended = run(*options, env=env)

    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert message in line


def test_importing_the_package_imports_nothing_else() -> None:
    program = (
        "import sys; before = set(sys.modules); import chatserver;"
        "print(sorted(set(sys.modules) - before))"
    )

    shown = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    assert shown.stdout.strip() in ("['chatserver']", "['__future__', 'chatserver']")


def test_before_serving_the_collector_is_told_to_look_seldom() -> None:
    program = (
        "import gc; from chatserver.gc_tuning import settle_collector; settle_collector();"
        "print(gc.get_freeze_count() > 1000, *gc.get_threshold())"
    )

    shown = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    assert shown.stdout.split() == ["True", "2000", "5", "10000"]


def test_the_help_names_every_option_its_default_and_its_variable() -> None:
    shown = run("--help")

    assert shown.returncode == 0
    for part in ("--store URL", "sqlite:///chat.db", "CHAT_PORT", "--keep-days DAYS"):
        assert part in shown.stdout
