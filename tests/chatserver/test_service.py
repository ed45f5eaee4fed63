"""As a service of systemd, and in a container: who is told what, and what need not be there."""

import fcntl
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chatserver.test_gunicorn import COMMAND
from tests.chatserver.test_http import get
from tests.conftest import StartProcess, StartServer
from tests.processes import DEADLINE, free_port


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """What hears what a service tells of itself."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hears:
        hears.bind(str(tmp_path / "notify"))
        hears.settimeout(DEADLINE)
        yield hears


def test_systemd_is_told_of_the_beginning_and_the_end(
    start_server: StartServer, systemd: socket.socket
) -> None:
    server = start_server(env={"NOTIFY_SOCKET": systemd.getsockname()})

    assert systemd.recv(100) == b"READY=1"
    server.signal(signal.SIGTERM)
    assert systemd.recv(100) == b"STOPPING=1"
    assert server.wait() == 0


def test_gunicorn_is_ready_when_a_worker_is_and_needs_no_home_folder(
    start_process: StartProcess, systemd: socket.socket, tmp_path: Path
) -> None:
    port = free_port()
    with (tmp_path / "chat.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        gunicorn = start_process(
            sys.executable,
            *COMMAND,
            env={
                "CHAT_PORT": str(port),
                "CHAT_STORE": f"sqlite:///{tmp_path}/chat.db",
                # Where nobody can make anything, as in a container whose file system is read-only.
                "HOME": "/proc",
                "XDG_RUNTIME_DIR": "",
                "NOTIFY_SOCKET": systemd.getsockname(),
            },
        )
        gunicorn.wait_for_line("Another process uses the database", stderr=True)
        systemd.setblocking(False)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
    systemd.settimeout(DEADLINE)

    assert systemd.recv(100) == b"READY=1"

    assert get(("127.0.0.1", port), "/healthz")[0] == 200
    assert gunicorn.terminate() == 0
    assert "control socket" not in gunicorn.output.lower()
