"""What `deploy/` holds is valid in the eyes of the programs that read it, and nginx's
configuration carries a chat.

A tool that is not installed is a skip with a line that says so; in CI it is a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chatclient import ChatClient
from tests.chatserver.test_http import get
from tests.conftest import StartProcess, StartServer
from tests.processes import REPOSITORY, free_port, not_tested, wait_until

DEPLOY = REPOSITORY / "deploy"
HERE = Path(__file__).parent


def tool(name: str, where: str | None = None) -> str:
    """The path of a program; skips, or fails in CI, if it is not there."""
    found = shutil.which(name, path=where)
    if found is None:
        not_tested(f"{name} is not here: what it reads in deploy/ is not checked")
    return found


def accepted(*command: str) -> None:
    """Run a checker; its complaints are the failure."""
    checked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    complaints = checked.stdout + checked.stderr
    assert checked.returncode == 0, complaints


def test_the_dockerfile_is_clean_in_the_eyes_of_hadolint() -> None:
    accepted(tool("hadolint", str(Path(sys.executable).parent)), str(DEPLOY / "Dockerfile"))


def test_the_compose_file_is_clean_in_the_eyes_of_its_linter() -> None:
    linter = tool("dclint", str(HERE / "node_modules" / ".bin"))
    accepted(linter, "-c", str(HERE / ".dclintrc"), str(DEPLOY / "docker-compose.yml"))


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "chat.service").read_text()
    # It looks whether the program is there.
    installed = unit.replace("/opt/chat/bin/gunicorn", shutil.which("env") or "/usr/bin/env")
    copy = tmp_path / "chat.service"
    copy.write_text(installed)

    accepted(tool("systemd-analyze"), "verify", str(copy))


@pytest.fixture
def nginx(tmp_path: Path, start_process: StartProcess, start_server: StartServer) -> int:
    """The port of an nginx with our configuration: one chat behind it is up, the other down."""
    program = tool("nginx", os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    up, down, port = start_server("--trust-proxies", "1").address[1], free_port(), free_port()
    text = (DEPLOY / "nginx.conf").read_text()
    text = text.replace("chat1:8080", f"127.0.0.1:{down}").replace("chat2:8080", f"127.0.0.1:{up}")
    text = re.sub(r"listen 8080;", f"listen 127.0.0.1:{port};", text)
    text = text.replace("/tmp/nginx.pid", str(tmp_path / "nginx.pid"))
    # What a machine for tests allows; the file's numbers are for a server.
    text = text.replace("worker_rlimit_nofile 131072;", "").replace("65536", "512")
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(text)
    accepted(program, "-t", "-p", str(tmp_path), "-c", str(configuration))
    start_process(
        program,
        "-p",
        str(tmp_path),
        "-c",
        str(configuration),
        "-g",
        "daemon off; error_log stderr;",
    )
    wait_until(lambda: connects(port), message="nginx accepts connections")
    return port


def connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_chat_goes_through_nginx_whose_other_server_is_down(nginx: int) -> None:
    url = f"ws://127.0.0.1:{nginx}/rpc/ws"
    with ChatClient(url, "Alice") as alice, ChatClient(url, "Bob") as bob:
        alice.send("Can you hear me?")

        heard = next(bob.messages())

    assert (heard.user, heard.text) == ("Alice", "Can you hear me?")


def test_a_message_is_not_held_back_by_nginx(nginx: int) -> None:
    with ChatClient(f"ws://127.0.0.1:{nginx}/rpc/ws", "Alice") as alice:
        started = time.monotonic()
        alice.send("one")
        next(alice.messages())

    # A proxy that gathers would wait for a buffer to fill, not for a moment.
    assert time.monotonic() - started < 5


def test_nginx_is_believed_about_the_client_and_the_client_is_not(nginx: int) -> None:
    forged = {
        "Host": "chat.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
    }

    _, _, page = get(("127.0.0.1", nginx), "/", forged)

    assert "ws://chat.example/rpc/ws\n" in page
