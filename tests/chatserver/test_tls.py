"""TLS without a proxy, under both servers: what is shown is what the files hold, and nobody is
dropped for it."""

import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from capnweb_sync import RpcTarget
from capnweb_sync import connect as connect_rpc
from chatserver.certificate import make_context
from chatserver.errors import SettingError, StartError
from chatserver.settings import Settings
from tests.certificates import RSA, Pair, make_certificate
from tests.chatclient.pseudo_terminal import PseudoTerminal
from tests.chatserver.conftest import Connect
from tests.chatserver.test_gunicorn import COMMAND
from tests.chatserver.test_http import get
from tests.conftest import StartProcess, StartServer
from tests.processes import DEADLINE, ServerProcess, free_port, wait_until

#: gunicorn's configuration, with looks at the files that a test can wait for.
IMPATIENT = """
from chatserver import certificate
certificate.LOOK_SECONDS = 0.05
from chatserver.gunicorn_conf import *
"""


@pytest.fixture
def shown(tmp_path: Path) -> Pair:
    """What the server is started with: a certificate with an RSA key."""
    return make_certificate(tmp_path / "shown", RSA)


@pytest.fixture
def next_one(tmp_path: Path) -> Pair:
    """What takes its place: one with another kind of key, as certbot changed its default once."""
    return make_certificate(tmp_path / "next")


def options(pair: Pair) -> tuple[str, ...]:
    return "--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key)


def shows(url: str, pair: Pair) -> bool:
    """Whether a client that trusts only this certificate gets in."""
    address = urlsplit(url)
    with socket.create_connection(
        (address.hostname, address.port or 443), timeout=DEADLINE
    ) as plain:
        try:
            with pair.trusting().wrap_socket(plain, server_hostname="localhost"):
                return True
        except ssl.SSLError:
            return False


class Member(RpcTarget):
    """Talks all the time, from a thread, and waits for each answer before it goes on. (A client
    of ours: `websockets` reads and writes from two threads, which OpenSSL does not allow.)"""

    def __init__(self, url: str, name: str, trusting: ssl.SSLContext) -> None:
        self.said = 0
        self.heard: list[int] = []
        self.stopping = False
        self._name = name
        self._session = connect_rpc(url, sslopt={"context": trusting})
        self._thread = threading.Thread(target=self._talk, name=name)
        self._thread.start()

    def onMessage(self, event: dict[str, Any]) -> None:
        self.heard.append(event["id"])

    def _talk(self) -> None:
        with self._session:
            chat = self._session.main
            chat.join(self._name, self).result()
            while not self.stopping:
                last = chat.sendMessage(self._name, "hello").result()["id"]
                self.said += 1
            wait_until(lambda: last in self.heard)

    def end(self) -> None:
        self.stopping = True
        self._thread.join()


def replaced_under_load(
    url: str, shown: Pair, next_one: Pair, notice: Callable[[], None], times: int
) -> None:
    """A certificate is replaced while everybody talks; nobody loses a connection nor a message."""

    def all_talk() -> None:
        enough = [member.said + 20 for member in members]
        wait_until(lambda: all(m.said > e for m, e in zip(members, enough, strict=True)))

    before = shown.trusting()
    members = [Member(url, f"member {number}", before) for number in range(8)]
    all_talk()
    for number in range(times):
        replaced = shown.copy(shown.key.parent / f"before {number}")

        shown.replace(next_one)
        notice()

        wait_until(lambda: shows(url, shown))
        # Whatever the client can do: its kind of key is not there any more.
        assert not shows(url, replaced)
        all_talk()
        next_one = replaced
    for member in members:
        member.end()
    for member in members:
        assert member.heard == list(range(member.heard[0], member.heard[-1] + 1))


def test_a_certificate_is_replaced_by_sighup_without_dropping_anyone(
    start_server: StartServer, shown: Pair, next_one: Pair, full: bool
) -> None:
    server = start_server(*options(shown))

    times = 50 if full else 1
    replaced_under_load(server.url, shown, next_one, lambda: server.signal(signal.SIGHUP), times)

    assert server.terminate() == 0


def test_a_certificate_is_replaced_under_gunicorn_without_dropping_anyone(
    start_process: StartProcess, shown: Pair, next_one: Pair, tmp_path: Path, full: bool
) -> None:
    port = free_port()
    impatient = tmp_path / "impatient.py"
    impatient.write_text(IMPATIENT)
    environment = {
        "CHAT_PORT": str(port),
        "CHAT_STORE": "memory:",
        "CHAT_LOG_LEVEL": "INFO",
        "CHAT_TLS_CERTIFICATE": str(shown.certificate),
        "CHAT_TLS_KEY": str(shown.key),
    }
    gunicorn = start_process(sys.executable, *COMMAND, "-c", f"file:{impatient}", env=environment)
    gunicorn.wait_for_line("Booting worker", stderr=True)

    url = f"wss://127.0.0.1:{port}/rpc/ws"
    replaced_under_load(url, shown, next_one, lambda: None, 50 if full else 1)

    assert gunicorn.terminate() == 0


def test_the_banner_says_wss_and_a_file_that_cannot_be_used_leaves_the_one_before(
    start_server: StartServer, shown: Pair, next_one: Pair
) -> None:
    server = start_server(*options(shown))
    server.wait_for_line(f"Run client: python -m chatclient --url {server.url}$")
    server.wait_for_line(f"In a browser: {server.http_url}/")
    before = shown.copy(shown.key.parent / "before")
    shown.certificate.write_bytes(next_one.certificate.read_bytes())

    server.signal(signal.SIGHUP)

    server.wait_for_line("The certificate before is shown", stderr=True)
    assert shows(server.url, before)
    shown.replace(next_one)
    server.signal(signal.SIGHUP)
    wait_until(lambda: shows(server.url, next_one))


def no_file(pair: Pair) -> None:
    pair.key.unlink()


def no_pem(pair: Pair) -> None:
    pair.certificate.write_text("what is this?")


def another_key(pair: Pair) -> None:
    pair.key.write_bytes(make_certificate(pair.key.parent / "other").key.read_bytes())


def encrypted(pair: Pair) -> None:
    pair.replace(make_certificate(pair.key.parent / "other", password="secret"))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (no_file, "Cannot read {key} (No such file or directory)."),
        (no_pem, "cannot be used"),
        (another_key, "cannot be used"),
        (encrypted, "The key {key} is encrypted"),
    ],
)
def test_files_that_cannot_be_used_are_told_in_one_line(
    next_one: Pair, spoil: Callable[[Pair], None], sentence: str
) -> None:
    spoil(next_one)

    with pytest.raises(StartError) as told:
        make_context(*map(str, next_one))

    assert sentence.format(key=next_one.key) in str(told.value)
    assert "\n" not in str(told.value)


def test_gunicorn_tells_of_files_that_cannot_be_used_in_one_line(
    start_process: StartProcess, tmp_path: Path
) -> None:
    environment = {"CHAT_TLS_CERTIFICATE": str(tmp_path / "none.pem")}

    gunicorn = start_process(sys.executable, *COMMAND, env=environment)

    assert gunicorn.wait() == 2
    (line,) = gunicorn.error_lines
    assert "none.pem (No such file or directory)" in line


def test_a_key_without_its_certificate_is_told() -> None:
    with pytest.raises(SettingError, match="--tls-certificate"):
        Settings(tls_key="key.pem")


SERVER = (sys.executable, "-m", "chatserver", "--port", "0", "--store", "memory:")


def on_terminal(*command: str) -> PseudoTerminal:
    terminal = PseudoTerminal(command)
    wait_until(lambda: any("In a browser" in line for line in terminal.lines))
    return terminal


def test_the_end_of_its_terminal_stops_it_in_order() -> None:
    with on_terminal(*SERVER) as terminal:
        terminal.hang_up()

        assert terminal.wait() == 0


def test_who_was_started_with_nohup_outlives_its_terminal() -> None:
    with on_terminal("sh", "-c", f"trap '' HUP; exec {' '.join(SERVER)}") as terminal:
        page = next(line for line in terminal.lines if "In a browser" in line)
        port = int(page.rstrip("/").rpartition(":")[2])

        terminal.hang_up()

        assert get(("127.0.0.1", port), "/healthz")[0] == 200
        assert get(("127.0.0.1", port), "/healthz")[0] == 200


def test_a_sighup_from_anyone_else_stops_nobody(
    chat_server: ServerProcess, connect: Connect
) -> None:
    alice = connect(chat_server.url)

    chat_server.signal(signal.SIGHUP)

    alice.join("Alice")
    assert chat_server.terminate() == 0
