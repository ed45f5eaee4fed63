"""What only servers with threads do, and those that cannot do WebSocket."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from werkzeug.test import create_environ

from capnweb_sync import HandshakeError, SessionClosed, batch, connect, serve
from capnweb_sync.server_threads.servers import GREENLETS, NO_SOCKET, ONE_THREAD
from tests.processes import DEADLINE, wait_until

from .app import Api
from .conftest import APP, GUNICORN, SERVERS, Start

WAITRESS = f"""
import waitress
from {APP} import app
waitress.serve(app, listen="127.0.0.1:PORT")
"""

WITHOUT = {
    "waitress": ([sys.executable, "-c", WAITRESS], NO_SOCKET),
    "one thread": ([*SERVERS["flask"], "--without-threads"], ONE_THREAD),
    "gunicorn sync": ([*GUNICORN, f"{APP}:app"], ONE_THREAD),
    "gunicorn gevent": ([*GUNICORN, "-k", "gevent", f"{APP}:app"], GREENLETS),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_server_that_cannot_do_it_says_so_and_still_serves_batches(
    start: Start, name: str
) -> None:
    command, sentence = WITHOUT[name]
    server = start(command)

    with pytest.raises(HandshakeError) as refused:
        connect(server.url)
    with batch(server.http_url) as main:
        greeting = main.greet("Ada")

    assert refused.value.status == 501
    assert sentence in str(refused.value)
    assert greeting.result() == "Hello, Ada!"


def test_connections_leave_a_thread_of_gunicorns_for_everything_else(start: Start) -> None:
    server = start([*GUNICORN, "--threads", "3", f"{APP}:app"])
    sessions = [connect(server.url), connect(server.url.replace("/rpc", "/traces"))]

    with pytest.raises(HandshakeError) as refused:
        connect(server.url)
    with batch(server.http_url) as main:
        greeting = main.greet("Ada")

    assert refused.value.status == 503
    assert greeting.result() == "Hello, Ada!"
    for session in sessions:
        session.close()


@pytest.mark.parametrize(
    ("name", "number"),
    [("gthread", signal.SIGTERM), ("flask", signal.SIGINT), ("werkzeug", signal.SIGINT)],
)
def test_a_server_that_stops_says_goodbye(start: Start, name: str, number: signal.Signals) -> None:
    server = start(SERVERS[name])
    with connect(server.url) as session:
        assert session.main.greet("Ada").result(DEADLINE)
        server.signal(number)
        wait_until(lambda: session.closed)
        with pytest.raises(SessionClosed) as over:
            session.main.greet("Ada").result(DEADLINE)
    server.wait(10)

    assert over.value.close_code == 1001


def test_flasks_debugger_has_nothing_to_show_when_a_connection_ends(start: Start) -> None:
    server = start([*SERVERS["flask"], "--debug", "--no-reload"])
    for _ in range(3):
        with connect(server.url) as session:
            assert session.main.greet("Ada").result(DEADLINE)
    with connect(server.url) as session:
        wait_until(lambda: len(session.main.left().result(DEADLINE)) == 3)
    with batch(server.http_url) as main:
        greeting = main.greet("Ada")

    assert greeting.result() == "Hello, Ada!"
    assert "Error" not in server.output


def test_a_view_that_returns_a_service_is_told_to_be_a_blueprint(start: Start) -> None:
    server = start(SERVERS["flask"])

    with pytest.raises(HandshakeError, match="500"):
        connect(server.url.replace("/rpc", "/view"))

    wait_until(lambda: "Register a blueprint instead" in server.output)


def test_a_service_has_no_connections_of_gevents_where_they_are_threads() -> None:
    service = serve(Api)
    asked = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    environ = create_environ(headers=asked)
    service({**environ, "werkzeug.socket": object(), "wsgi.multithread": True}, lambda *_: None)

    with pytest.raises(RuntimeError, match=r"are threads of the server's.*ended by its close"):
        _ = service.connections


def test_connections_over_tls_work_as_without(start: Start, certificate: Path) -> None:
    server = start([*SERVERS["flask"], "--cert", str(certificate), "--key", str(certificate)])
    url = server.url.replace("ws://127.0.0.1", "wss://localhost")
    with connect(url, sslopt={"ca_certs": str(certificate)}) as session:
        down = sum(map(len, session.main.numbers(1_000_000).result(DEADLINE)))
        up = session.main.collect(b"y" * 10_000 for _ in range(100)).result(DEADLINE)

    assert (down, up) == (1_000_000, 1_000_000)


def test_without_the_package_the_answer_says_what_to_install() -> None:
    program = f"""
import sys
sys.modules["simple_websocket"] = None
from werkzeug.test import Client
from {APP} import app
asked = {{"Upgrade": "websocket", "Connection": "Upgrade"}}
environ = {{"werkzeug.socket": object(), "wsgi.multithread": True}}
answer = Client(app).get("/rpc", headers=asked, environ_overrides=environ)
print(answer.status_code, answer.text)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.stdout.startswith("501 ")
    assert "pip install 'capnweb-chat[threads]'" in done.stdout, done.stderr
