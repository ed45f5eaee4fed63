"""What only servers with threads do, and those that cannot do WebSocket."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from capnweb_sync import HandshakeError, SessionClosed, batch, connect
from capnweb_sync.server_threads.servers import GREENLETS, NO_SOCKET, ONE_THREAD
from tests.processes import DEADLINE, wait_until

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
    sessions = [connect(server.url) for _ in range(2)]

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
