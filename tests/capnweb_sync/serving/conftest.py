"""One application, under each server that can do WebSocket."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.processes import Process, Processes, free_port, wait_until

APP = "tests.capnweb_sync.serving.app"

WERKZEUG = f"""
from werkzeug.serving import run_simple
from {APP} import app
run_simple("127.0.0.1", PORT, app, threaded=True)
"""

GUNICORN = [sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:PORT", "--graceful-timeout", "20"]

SERVERS = {
    "gevent": [sys.executable, "-m", APP, "PORT"],
    "flask": [sys.executable, "-m", "flask", "--app", APP, "run", "--port", "PORT"],
    "werkzeug": [sys.executable, "-c", WERKZEUG],
    "gthread": [*GUNICORN, "--threads", "8", f"{APP}:app"],
}

THREADED = ["flask", "werkzeug", "gthread"]


class Served(Process):
    """A server that listens."""

    def __init__(self, command: list[str], **env: str) -> None:
        self.port = free_port()
        super().__init__([part.replace("PORT", str(self.port)) for part in command], env=env)
        try:
            wait_until(self._listens, message="the server listens")
        except AssertionError:
            self.kill()
            raise
        self.url = f"ws://127.0.0.1:{self.port}/rpc"
        self.http_url = f"http://127.0.0.1:{self.port}/rpc"

    def _listens(self) -> bool:
        assert self.running, self.output
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


Start = Callable[..., Served]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a server for this test alone."""
    with Processes() as processes:
        yield lambda command, **env: processes.add(Served(command, **env))


@pytest.fixture(scope="module", params=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[Served]:
    """Each server, shared by the tests of a file."""
    assert os.getcwd()
    with Processes() as processes:
        yield processes.add(Served(SERVERS[request.param]))
