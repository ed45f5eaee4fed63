"""The opening handshake of a WebSocket, as a route under gevent sees it.

The route decides: it calls `upgrade` and returns what that returns as its response, or anything
else. Nothing of gevent is needed for that, so the same application runs, without its WebSocket,
under any WSGI server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from ..handshake import (
    UPGRADE_KEY,
    HandshakeError,
    Headers,
    UpgradeUnavailable,
    accept,
    no_room,
)

if TYPE_CHECKING:
    from .closing import Session
    from .connection import Connection
    from .connections import Connections

OnConnection: TypeAlias = "Callable[[Connection], Session]"


class Upgrade:
    """Left in the environ by the handler; notes what the route has decided."""

    __slots__ = ("accepted",)

    def __init__(self) -> None:
        self.accepted: tuple[Connections, OnConnection] | None = None


def upgrade(
    environ: Mapping[str, Any],
    connections: Connections,
    on_connection: OnConnection,
) -> tuple[int, Headers]:
    """Accept a request for an upgrade: what the route answers with, and what happens then.

    The connection begins when the response has gone out and the request is over: nothing of the
    request lives on, unless `on_connection` holds it.

    Args:
        environ: of WSGI.
        connections: the connection will be one of them, if they are not `full`.
        on_connection: called with the connection, in a greenlet of its own, before anything is
            read from it. Returns the session that takes its messages.

    Returns:
        Status 101 and the headers of the response, whose body is empty.

    Raises:
        HandshakeError: the request is not a valid one, or there is no room.
        UpgradeUnavailable: the server cannot do it.
    """
    noted = environ.get(UPGRADE_KEY)
    if not isinstance(noted, Upgrade):
        raise UpgradeUnavailable
    headers = accept(environ)
    if noted.accepted is None:
        if connections.full:
            raise no_room()
        connections.reserve()
    noted.accepted = connections, on_connection
    return 101, headers


__all__ = [
    "UPGRADE_KEY",
    "HandshakeError",
    "Headers",
    "OnConnection",
    "Upgrade",
    "UpgradeUnavailable",
    "accept",
    "no_room",
    "upgrade",
]
