"""The connections that speak HTTP: how long each may keep the server waiting, and how many may.

A connection that sends nothing, or never all of a request, costs its client nothing and the server
a greenlet and a descriptor. So a client has a limited time for the head of its request, for each
part of a body, for taking the answer, and for its next request. And there is a bound on how many
connections are held, of all and of one address: at it, the one that has kept the server waiting
longest is closed for the newcomer. A request whose head is complete is never closed for another.

A connection that became a WebSocket is none of these any more; see `connections`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import gevent
from gevent import getcurrent
from gevent.hub import get_hub


def anyone(address: str) -> None:
    """Nobody in particular: no address is told from another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What a client of HTTP may take."""

    #: Seconds for the head of a request, from its first byte or from the beginning of the
    #: connection. The handshake of TLS has as many for itself.
    head_seconds: float = 10.0
    #: Seconds of waiting for one body, however steadily it comes.
    body_seconds: float = 120.0
    #: Bytes per second of a body, on average after the first `head_seconds`, and likewise of an
    #: answer that is being taken. A poor mobile link has ten times as many.
    min_rate: float = 1000.0
    #: Seconds between an answer and the next request. Browsers and proxies open another one easily.
    idle_seconds: float = 15.0
    #: Connections at a time. A request takes milliseconds, so this many are a crowd.
    max_connections: int = 1000
    #: Connections at a time of one client, whom `client_of` names.
    max_client_connections: int = 200
    #: Who has an address, given as text: for example the address, or the network that it is of.
    #: None for who may have all there are. By default that is everyone, since all that comes
    #: through a proxy has its address.
    client_of: Callable[[str], Hashable | None] = anyone

    def patience(self, transferred: int) -> float:
        """How long a transfer may take.

        Args:
            transferred: bytes so far.

        Returns:
            Seconds from its beginning.
        """
        return self.head_seconds + transferred / self.min_rate


class Wait(gevent.Timeout):
    """The waiting for a client in the current greenlet.

    It is raised there when it lasts too long, or when a newcomer needs the place.
    """

    def __init__(self, waits: dict[Wait, None], seconds: float, client: Hashable | None) -> None:
        """For `HttpConnections`."""
        super().__init__(seconds)
        #: Who is waited for, where clients are told from each other.
        self.client = client
        self._waits = waits
        self._greenlet: Any = getcurrent()
        waits[self] = None
        self.start()

    def close(self) -> None:
        """The client has spoken, or the connection is over."""
        super().close()
        self._waits.pop(self, None)

    def give_way(self) -> None:
        """End the waiting soon, if the client says nothing before."""
        del self._waits[self]
        get_hub().loop.run_callback(self._raise)

    def _raise(self) -> None:
        if self.pending:
            self._greenlet.throw(self)


class TooManyOfOne(Exception):
    """A client has more connections than it may, and requests under way on all of them."""


class HttpConnections:
    """The connections of one process, or of one server, that are not WebSockets."""

    def __init__(self, limits: HttpLimits) -> None:
        """
        Args:
            limits: for each of them, and how many there may be.
        """
        self.limits = limits
        #: How many are served now.
        self.count = 0
        # Ordered by their beginning, as dicts are.
        self._waits: dict[Wait, None] = {}
        self._held: Counter[Hashable] = Counter()

    @contextmanager
    def admitted(self, address: Any) -> Iterator[Hashable | None]:
        """In the block the current greenlet serves a connection, which is counted; what it gives is
        for `wait`. `address`: the peer's, as `accept()` returned it. Raises TooManyOfOne."""
        client = self.limits.client_of(address[0]) if isinstance(address, tuple) else None
        self.count += 1
        try:
            if client is not None:
                self._held[client] += 1
            if client is not None and self._held[client] > self.limits.max_client_connections:
                if not self.make_room(client):
                    raise TooManyOfOne(f"too many connections of {address[0]}")
            elif self.count > self.limits.max_connections:
                self.make_room()
            yield client
        finally:
            self.count -= 1
            if client is not None:
                self._held[client] -= 1
                if not self._held[client]:
                    del self._held[client]

    def wait(self, seconds: float, client: Hashable | None = None) -> Wait:
        """Begin to wait for the client of the current greenlet; `Wait.close` ends it."""
        return Wait(self._waits, seconds, client)

    def make_room(self, client: Hashable | None = None) -> bool:
        """Close the connection that has kept the server waiting longest.

        Args:
            client: only one of this one's.

        Returns:
            False if none does: all have requests under way.
        """
        for wait in self._waits:
            if client is None or wait.client == client:
                wait.give_way()
                return True
        return False


class BodyReader:
    """The body of a request as it arrives, with an end to the patience for it.

    Stands where pywsgi's `Input` has the file of the connection. Only the time spent in waiting for
    the client counts, not what the application does in between.
    """

    __slots__ = ("_limits", "_received", "_rfile", "_waited", "broken")

    def __init__(self, rfile: Any, limits: HttpLimits) -> None:
        self._rfile = rfile
        self._limits = limits
        self._received = 0
        self._waited = 0.0
        #: Whether the client was too slow: what it sends later is no new request.
        self.broken = False

    def read(self, size: int) -> bytes:
        """`size` bytes, or fewer at the end of the connection. Raises TimeoutError."""
        parts = []
        while size and (part := self._receive(self._rfile.read1, size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def readline(self, size: int) -> bytes:
        """Up to the end of the line or `size` bytes. Raises TimeoutError."""
        parts = []
        while size and (seen := self._receive(self._rfile.peek, 1)):
            end = seen.find(b"\n") + 1
            part = self._rfile.read1(min(size, end or len(seen)))
            parts.append(part)
            size -= len(part)
            if part.endswith(b"\n"):
                break
        return b"".join(parts)

    def _receive(self, read: Callable[[int], bytes], size: int) -> bytes:
        if self.broken:
            return b""
        limits = self._limits
        patience = min(limits.body_seconds, limits.patience(self._received)) - self._waited
        too_slow = TimeoutError("the body of the request comes too slowly")
        began = time.monotonic()
        try:
            with gevent.Timeout(max(0.0, patience), too_slow):
                part = read(size)
        except TimeoutError:
            self.broken = True
            raise
        finally:
            self._waited += time.monotonic() - began
        self._received += len(part)
        return part


DEFAULT_HTTP_CONNECTIONS: Final = HttpConnections(HttpLimits())
"""Those of all servers of this process that have none of their own."""
