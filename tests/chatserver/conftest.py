"""Servers and clients for the tests of the chat."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from capnweb_sync.runtimes.interface import default_runtime, set_default_runtime
from capnweb_sync.server import GeventRuntime
from tests.chatserver.guests import SECRET, Guest
from tests.chatserver.wire import WireClient
from tests.processes import Processes, ServerProcess
from tests.redis_server import RedisServer, require_redis

Connect = Callable[..., WireClient]
LogIn = Callable[..., Guest]

_numbers = count(1)


@pytest.fixture(scope="module")
def shared_server() -> Iterator[ServerProcess]:
    """One server for all tests of a module, whose clients have names of their own."""
    server = ServerProcess("--grace", "1")
    yield server
    server.kill()


@pytest.fixture(scope="module", params=["memory", "sqlite", "redis"])
def each_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server on each engine for all tests of a module, whose people and rooms have names of their
    own."""
    folder = tmp_path_factory.mktemp("log")
    with Processes(quiet=True) as processes:
        if request.param == "redis":
            require_redis()
            store = processes.add(RedisServer(folder)).url
        else:
            store = {"memory": "memory:", "sqlite": f"sqlite:///{folder}/chat.db"}[request.param]
        secret = {"CHAT_SECRET": SECRET}
        yield processes.add(ServerProcess("--store", store, "--grace", "1", env=secret))


@pytest.fixture
def log_in(each_server: ServerProcess) -> Iterator[LogIn]:
    """Log somebody in at the server of each engine; over when the test is."""
    guests: list[Guest] = []

    def log_in_as(name: str, **options: Any) -> Guest:
        guests.append(Guest(each_server.url, name, **options))
        return guests[-1]

    yield log_in_as
    for guest in guests:
        guest.close()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect a client to a server's URL; closed when the test is over."""
    clients: list[WireClient] = []

    def connect_to(url: str, **options: object) -> WireClient:
        clients.append(WireClient(url, **options))
        return clients[-1]

    yield connect_to
    for client in clients:
        client.close()


@pytest.fixture
def client(connect: Connect, shared_server: ServerProcess) -> WireClient:
    """A client of the shared server."""
    return connect(shared_server.url)


@pytest.fixture
def other(connect: Connect, shared_server: ServerProcess) -> WireClient:
    """Another client of the shared server."""
    return connect(shared_server.url)


@pytest.fixture
def gevent_default() -> Iterator[None]:
    """Stubs that belong to no session run under gevent, as in the server."""
    before = default_runtime()
    set_default_runtime(GeventRuntime())
    yield
    set_default_runtime(before)


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"Alice {next(_numbers)}"
