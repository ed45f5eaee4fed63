"""The open connections of one application in one process: how many there may be, and their end.

Neither `flask run` nor gunicorn tells a connection that the process is about to stop, and gunicorn
waits for it, for half a minute. So the process's end is noticed here: at exit, and where gunicorn's
worker stops.
"""

from __future__ import annotations

import atexit
import gc
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from ..close_codes import CloseCode
from ..limits import DEFAULT_LIMITS
from ..runtimes.fork import in_child

DEFAULT_MAX_CONNECTIONS: Final = 1_000
"""Each holds a thread, about 50 KiB of memory and a part of what the system allows."""

DEFAULT_MAX_BUFFERED: Final = 1024 * 1024
"""Bytes that may wait for one connection, as under gevent."""

DEFAULT_PING_INTERVAL: Final = 20.0
"""Seconds of silence. Shorter than the idle timeouts of usual proxies, which begin at 30."""

DEFAULT_PING_TIMEOUT: Final = 20.0
"""Seconds of further silence after which a connection counts as lost."""

DEFAULT_CLOSE_TIMEOUT: Final = 3.0
"""Seconds that a peer has for its part of the closing handshake."""

LOOK_SECONDS: Final = 0.25
"""How often it is looked whether gunicorn's worker stops: unnoticed by people, and no load."""


class Closable(Protocol):
    """An open connection, as it is seen here."""

    def close(self, code: int, reason: str) -> None:
        """Close it politely."""
        ...


_all: list[weakref.ref[ThreadedConnections]] = []
"""Those of all services of this process, which share the threads of its server. Services are made
with the application, and there are few."""


class ThreadedConnections:
    """The open connections of one application in this process. For all threads."""

    def __init__(
        self,
        *,
        max_connections: int | None = None,
        max_message: int = DEFAULT_LIMITS.max_message_size,
        max_buffered: int = DEFAULT_MAX_BUFFERED,
        ping_interval: float = DEFAULT_PING_INTERVAL,
        ping_timeout: float = DEFAULT_PING_TIMEOUT,
        close_timeout: float = DEFAULT_CLOSE_TIMEOUT,
    ) -> None:
        """See `capnweb_sync.server.Connections`, whose parameters these are."""
        self.max_connections = max_connections or DEFAULT_MAX_CONNECTIONS
        self.max_message = max_message
        self.max_buffered = max_buffered
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.close_timeout = close_timeout
        #: Whether the process is about to stop: no connection is taken any more.
        self.draining = False
        self._changed = threading.Condition()
        self._reserved = 0
        self._open: set[Closable] = set()
        self._watched: Any = None
        _all.append(weakref.ref(self))
        atexit.register(_drain_at_exit, weakref.ref(self))
        in_child(self, ThreadedConnections._let_go)

    def __len__(self) -> int:
        return len(self._open)

    def reserve(self, room: int | None) -> bool:
        """Keep room for one more, unless there is none; `release` gives it back.

        Args:
            room: how many the server can hold, if it says so, of all services together.
        """
        if self._reserve(room):
            return True
        if self._reserved <= len(self._open):
            return False
        # Some have not begun. A conversation that the application has dropped, with an exception,
        # is in a cycle with its traceback, and its place is free once that is collected.
        gc.collect()
        return self._reserve(room)

    def _reserve(self, room: int | None) -> bool:
        with self._changed:
            if self.draining or self._reserved >= self.max_connections:
                return False
            self._reserved += 1
        if room is None or _reserved_by_all() <= room:
            return True
        self.release()
        return False

    def release(self) -> None:
        """The connection is over, or never began."""
        with self._changed:
            if self._reserved:  # not of a parent's, dropped in a forked child
                self._reserved -= 1
            self._changed.notify_all()

    @contextmanager
    def open(self, connection: Closable) -> Iterator[None]:
        """While `connection` is open."""
        with self._changed:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._changed:
                self._open.discard(connection)

    def watch(self, worker: Any) -> None:
        """Close all when gunicorn's `worker` stops."""
        with self._changed:
            if worker is None or self._watched is worker:
                return
            self._watched = worker
        threading.Thread(
            target=self._wait_for_end, args=(worker,), name="capnweb_sync end", daemon=True
        ).start()

    def _wait_for_end(self, worker: Any) -> None:
        while worker.alive and self._watched is worker:
            time.sleep(LOOK_SECONDS)
        self.drain()

    def drain(self) -> None:
        """Take nothing new, close all with 1001, and wait until they are closed."""
        with self._changed:
            self.draining = True
            connections = list(self._open)
        for connection in connections:
            connection.close(CloseCode.GOING_AWAY, "The server is going away.")
        with self._changed:
            # Each keeps its own deadline.
            self._changed.wait_for(lambda: not self._reserved, 2 * self.close_timeout)

    def _let_go(self) -> None:
        """In a forked child: they are the parent's."""
        self._changed = threading.Condition()
        self._open.clear()
        self._reserved = 0
        self._watched = None


def _reserved_by_all() -> int:
    """How many connections there are, or are about to be."""
    found = (reference() for reference in _all)
    return sum(connections._reserved for connections in found if connections is not None)


def _drain_at_exit(found: weakref.ref[ThreadedConnections]) -> None:
    connections = found()
    if connections is not None and len(connections):
        connections.drain()
