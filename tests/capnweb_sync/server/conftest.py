"""Servers and clients on this process's loop, which end with their test."""

from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from capnweb_sync.server import Connections

from .serving import Client, Server, connect

#: Seconds between pings where a test is not about them: it never sees one.
NO_PINGS = 3600.0


class Serve(Protocol):
    """What the fixture `serve` is."""

    def __call__(self, **limits: Any) -> Server: ...


class Open(Protocol):
    """What the fixture `open_client` is."""

    def __call__(self, server: Server, *, early: bytes = b"") -> Client: ...


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server whose `Connections` have these limits, without pings if none says so."""
    servers: list[Server] = []

    def start(**limits: Any) -> Server:
        server = Server(Connections(**{"ping_interval": NO_PINGS, **limits}))
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def open_client() -> Iterator[Open]:
    """Open a WebSocket connection to a server."""
    clients: list[Client] = []

    def start(server: Server, *, early: bytes = b"") -> Client:
        client = connect(server.port, early=early)
        assert client.status == 101
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.socket.close()
