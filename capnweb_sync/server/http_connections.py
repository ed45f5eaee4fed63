"""The connections that speak HTTP: how long each may keep the server waiting, and how many may.

A connection that sends nothing, or never all of a request, costs its client nothing and the server
a greenlet and a descriptor. So a client has a limited time for the head of its request, for each
part of a body, for taking the answer, and for its next request. And there is a bound on how many
connections are held: at it, the one that has kept the server waiting longest is closed for the
newcomer. A request whose head is complete is never closed for another.

A connection that became a WebSocket is none of these any more; see `connections`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import gevent
from gevent import getcurrent
from gevent.hub import get_hub


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

    def __init__(self, waits: dict[Wait, None], seconds: float) -> None:
        """For `HttpConnections`."""
        super().__init__(seconds)
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

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """In the block the current greenlet serves a connection, which is counted."""
        self.count += 1
        if self.count > self.limits.max_connections:
            self.make_room()
        try:
            yield
        finally:
            self.count -= 1

    def wait(self, seconds: float) -> Wait:
        """Begin to wait for the client of the current greenlet; `Wait.close` ends it."""
        return Wait(self._waits, seconds)

    def make_room(self) -> bool:
        """Close the connection that has kept the server waiting longest.

        Returns:
            False if none does: all have requests under way.
        """
        for wait in self._waits:
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
