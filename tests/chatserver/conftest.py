"""Servers and clients for the tests of the chat."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from capnweb_sync.runtimes.interface import default_runtime, set_default_runtime
from capnweb_sync.server import GeventRuntime
from tests.chatserver.wire import WireClient
from tests.processes import ServerProcess

Connect = Callable[..., WireClient]

_numbers = count(1)


@pytest.fixture(scope="module")
def shared_server() -> Iterator[ServerProcess]:
    """One server for all tests of a module, whose clients have names of their own."""
    server = ServerProcess("--grace", "1")
    yield server
    server.kill()


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
