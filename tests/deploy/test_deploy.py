"""What `deploy/` holds is valid in the eyes of the programs that read it, and nginx's
configuration carries a chat.

A tool that is not installed is a skip with a line that says so; in CI it is a failure.
"""

from __future__ import annotations

import configparser
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from chatclient import ChatClient
from tests.certificates import Pair, make_certificate
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
def certificate(tmp_path: Path) -> Pair:
    """What nginx shows."""
    return make_certificate(tmp_path / "tls")


@pytest.fixture
def nginx(
    tmp_path: Path, certificate: Pair, start_process: StartProcess, start_server: StartServer
) -> int:
    """The port of an nginx with our configuration: one chat behind it is up, the other down."""
    program = tool("nginx", os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    up, down, port = start_server("--trust-proxies", "1").address[1], free_port(), free_port()
    text = (DEPLOY / "nginx.conf").read_text()
    text = text.replace("chat1:8080", f"127.0.0.1:{down}").replace("chat2:8080", f"127.0.0.1:{up}")
    text = text.replace("listen 8080;", f"listen 127.0.0.1:{free_port()};")
    text = text.replace("listen 8443 ssl;", f"listen 127.0.0.1:{port} ssl;")
    text = text.replace("/etc/nginx/tls/fullchain.pem", str(certificate.certificate))
    text = text.replace("/etc/nginx/tls/privkey.pem", str(certificate.key))
    text = text.replace("/tmp/nginx.pid", str(tmp_path / "nginx.pid"))
    # What a machine for tests allows; the file's numbers are for a server.
    text = text.replace("worker_rlimit_nofile 131072;", "").replace("65536", "512")
    if version_of(program) < (1, 27, 3):
        # Debian's is older. It finds out where the servers are once, and that is all it lacks.
        text = text.replace(" resolve ", " ")
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


def version_of(program: str) -> tuple[int, ...]:
    told = subprocess.run([program, "-v"], capture_output=True, text=True, check=True, timeout=60)
    return tuple(map(int, told.stderr.strip().rpartition("/")[2].split(" ")[0].split(".")))


def connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_chat_goes_through_nginx_whose_other_server_is_down(
    nginx: int, certificate: Pair
) -> None:
    url = f"wss://localhost:{nginx}/rpc/ws"
    trust = {"context": certificate.trusting()}
    started = time.monotonic()
    with (
        ChatClient(url, "Alice", sslopt=trust) as alice,
        ChatClient(url, "Bob", sslopt=trust) as bob,
    ):
        alice.send("Can you hear me?")

        heard = next(bob.messages())

    assert (heard.user, heard.text) == ("Alice", "Can you hear me?")
    # A proxy that gathers would wait for a buffer to fill, not for a moment.
    assert time.monotonic() - started < 5


FORGED = {
    "Host": "chat.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Prefix": "/evil",
}


def ask(url: str, certificate: Pair, headers: dict[str, str]) -> tuple[int, str]:
    """The status and the body of the answer to a GET."""
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, context=certificate.trusting(), timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_nginx_is_believed_about_the_client_and_the_client_is_not(
    nginx: int, certificate: Pair
) -> None:
    _, page = ask(f"https://localhost:{nginx}/", certificate, FORGED)

    assert "wss://chat.example/rpc/ws\n" in page


def test_nginx_shows_nobody_the_metrics_and_bounds_each_address(
    nginx: int, certificate: Pair
) -> None:
    url = f"https://localhost:{nginx}"

    assert ask(f"{url}/metrics", certificate, {})[0] == 404
    context = certificate.trusting()
    connection = http.client.HTTPSConnection("localhost", nginx, context=context, timeout=20)
    statuses = set()
    while 429 not in statuses:
        connection.request("GET", "/nothing-there")
        with connection.getresponse() as answer:
            answer.read()
            statuses.add(answer.status)
    connection.close()
    assert statuses == {404, 429}


def test_a_chat_goes_through_caddy_whose_other_server_is_down(
    tmp_path: Path, start_process: StartProcess, start_server: StartServer
) -> None:
    program = tool("caddy", str(Path(sys.executable).parent))
    up, down, port = start_server("--trust-proxies", "1").address[1], free_port(), free_port()
    text = (DEPLOY / "Caddyfile").read_text()
    text = text.replace("chat1:8080", f"127.0.0.1:{down}").replace("chat2:8080", f"127.0.0.1:{up}")
    # Without TLS: Caddy gets its certificates from outside.
    text = text.replace("chat.example", f"http://:{port}")
    configuration = tmp_path / "Caddyfile"
    configuration.write_text("{\n\tadmin off\n}\n" + text)
    start_process(
        program,
        *("run", "--adapter", "caddyfile", "--config", str(configuration)),
        env={"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)},
    )
    wait_until(lambda: connects(port), message="Caddy accepts connections")

    url = f"ws://127.0.0.1:{port}/rpc/ws"
    with ChatClient(url, "Alice") as alice, ChatClient(url, "Bob") as bob:
        alice.send("Can you hear me?")
        assert next(bob.messages()).text == "Can you hear me?"
    assert "ws://chat.example/rpc/ws\n" in get(("127.0.0.1", port), "/", FORGED)[2]


def test_what_the_image_is_built_from_has_all_that_the_project_needs() -> None:
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    wanted = [
        Requirement(line)
        for line in setup["options"]["install_requires"].splitlines()
        if line and not line.startswith("#")
    ]
    lock = (DEPLOY / "requirements.lock").read_text()
    locked = dict(re.findall(r"^([\w.-]+)==([\w.]+)", lock, re.MULTILINE))

    missing = [
        str(each)
        for each in wanted
        if locked.get(canonicalize_name(each.name), "") not in each.specifier
    ]

    assert missing == [], "run scripts/lock_image.sh"
    assert lock.count("==") < lock.count("--hash=sha256:")


@pytest.mark.parametrize("secure", [False, True])
def test_the_health_check_of_the_image_knows_a_server_that_is_there_from_one_that_is_not(
    start_server: StartServer, certificate: Pair, secure: bool
) -> None:
    pair = {
        "CHAT_TLS_CERTIFICATE": str(certificate.certificate),
        "CHAT_TLS_KEY": str(certificate.key),
    }
    environment = pair if secure else {}
    server = start_server(env=environment)

    def alive() -> bool:
        checked = subprocess.run(
            [sys.executable, str(DEPLOY / "healthcheck.py")],
            env={**os.environ, **environment, "CHAT_PORT": str(server.address[1])},
            capture_output=True,
            check=False,
            timeout=60,
        )
        return checked.returncode == 0

    assert alive()
    assert server.terminate() == 0
    assert not alive()
