"""The open connections of one application in one process: their limits, their pings, their end.

A connection that outlived its request is unknown to the server that accepted it and to gunicorn.
How many there may be, whether their peers are still there, and that they are told when the process
stops, is kept here.

Pings need no timer per connection. The connections stand in a ring of sets, one timer goes round it
once per ping interval, and each of its ticks pings the connections of one set and drops those of
another that were pinged `ping_timeout` ago and have been silent since. Silence is counted in ticks,
not on the clock: when the loop was held up, the peers are not blamed for it.
"""

from __future__ import annotations

import logging
import math
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import gevent
from gevent.event import Event
from gevent.hub import get_hub

from ..close_codes import CloseCode
from ..core.ledger import MemoryOfMany
from ..limits import DEFAULT_LIMITS
from ..runtimes.fork import in_child
from .connection import Connection
from .outbox import FlushQueue

_logger = logging.getLogger("capnweb_sync")

#: Ticks per ping interval: the work of pinging everyone is spread over that many.
_RING_SIZE = 20

#: Bytes that may wait for one connection. The longest answers of an application have about as much,
#: and it is 7,000 messages of a chat: who is further behind does better to come back and resume.
DEFAULT_MAX_BUFFERED = 1024 * 1024

#: Connections of one process: about 160 MiB of idle ones, and what a core serves well.
DEFAULT_MAX_CONNECTIONS = 10_000

#: Seconds. Shorter than the idle timeouts of usual proxies, which begin at 30 seconds.
DEFAULT_PING_INTERVAL = 20.0
DEFAULT_PING_TIMEOUT = 20.0

#: Seconds that a peer has to answer a close frame: a bad mobile link takes one, and a server that
#: stops within five needs some for the rest.
DEFAULT_CLOSE_TIMEOUT = 3.0

#: The part of the time for draining that hooks may take before the connections are closed.
_SHARE_OF_HOOKS = 0.5


class Connections:
    """The open connections of one application in this process."""

    def __init__(
        self,
        *,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        max_message: int = DEFAULT_LIMITS.max_message_size,
        max_buffered: int = DEFAULT_MAX_BUFFERED,
        max_memory: int | None = None,
        ping_interval: float = DEFAULT_PING_INTERVAL,
        ping_timeout: float = DEFAULT_PING_TIMEOUT,
        close_timeout: float = DEFAULT_CLOSE_TIMEOUT,
    ) -> None:
        """
        Args:
            max_connections: how many make `full` true.
            max_message: bytes of one incoming message; a longer one closes with 1009.
            max_buffered: bytes that may wait to be sent to one peer; more close with 1013.
            max_memory: bytes that all connections together may keep for their peers; past it those
                that keep the most are closed with 1013. None: no bound.
            ping_interval: seconds from one ping of a connection to its next.
            ping_timeout: seconds of silence after a ping after which the connection counts as
                lost; not more than `ping_interval`.
            close_timeout: seconds that a peer has for its part of the closing handshake.

        Raises:
            ValueError: a number is out of its range.
        """
        if not 0 < ping_timeout <= ping_interval:
            raise ValueError("ping_timeout must be above 0 and not more than ping_interval")
        self.max_connections = max_connections
        self.max_message = max_message
        self.max_buffered = max_buffered
        #: What all of them keep for their peers.
        self.memory = MemoryOfMany(max_memory) if max_memory is not None else None
        #: Bytes of answers that may be unread before nothing more is read from their peer.
        self.max_unread = max_buffered // 2
        self.close_timeout = close_timeout
        #: The outboxes of these connections that are to be flushed in this turn of the loop.
        self.flushes = FlushQueue()
        #: What has arrived on these connections.
        self.received_bytes = 0
        #: Called by `drain` before the connections are closed, each in a greenlet of its own.
        self.on_drain: list[Callable[[], None]] = []
        #: Whether the process is about to stop: no connection is taken any more.
        self.draining = False
        self._reserved = 0
        self._ring: list[set[Connection]] = [set() for _ in range(_RING_SIZE)]
        self._tick_seconds = ping_interval / _RING_SIZE
        self._ticks_of_silence = max(1, math.ceil(ping_timeout / self._tick_seconds - 1e-9))
        self._place = 0
        self._timer: Any = None
        self._empty: Event | None = None
        _all_connections.add(self)
        in_child(self, Connections._let_go)

    def __len__(self) -> int:
        return sum(map(len, self._ring))

    @property
    def kept(self) -> int:
        """Bytes that are kept for peers, without those for which less than `REPORT_STEP` is; 0 if
        they are not bounded."""
        return 0 if self.memory is None else self.memory.held

    def __iter__(self) -> Iterator[Connection]:
        """The connections that are open now, closing ones included."""
        return iter([connection for place in self._ring for connection in place])

    @property
    def full(self) -> bool:
        """Whether there is no room for one more: an upgrade is then answered with 503."""
        return self.draining or len(self) + self._reserved >= self.max_connections

    @property
    def sent_bytes(self) -> int:
        """What has gone out on these connections."""
        return self.flushes.sent_bytes

    def waiting(self) -> tuple[int, int]:
        """What waits to be sent. Asks each connection, so not for what is called often.

        Returns:
            Bytes in all, and bytes of the one for which most waits.
        """
        waiting = [connection.buffered for connection in self]
        return sum(waiting), max(waiting, default=0)

    def reserve(self) -> None:
        """Keep room for a connection whose handshake is being answered. Ends with `release`."""
        self._reserved += 1

    def release(self) -> None:
        """The reserved room is taken by a connection, or will not be needed."""
        self._reserved -= 1

    def add(self, connection: Connection) -> int:
        """For `Connection`.

        Returns:
            Its place in the ring.
        """
        place = min(range(_RING_SIZE), key=lambda place: len(self._ring[place]))
        self._ring[place].add(connection)
        if self._timer is None:
            self._timer = get_hub().loop.timer(self._tick_seconds, self._tick_seconds)
            self._timer.start(self._tick)
        return place

    def remove(self, connection: Connection) -> None:
        """For `Connection`, when its socket is closed."""
        self._ring[connection.ring_place].discard(connection)
        if any(self._ring):
            return
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        if self._empty is not None:
            self._empty.set()
            self._empty = None

    def _tick(self) -> None:
        """Drop those who did not answer their ping, and ping the next."""
        self._place = (self._place + 1) % _RING_SIZE
        for connection in tuple(self._ring[self._place - self._ticks_of_silence]):
            if connection.silent:
                connection.abort("the peer did not answer a ping")
        # A copy, since a ping that overflows an outbox can end its connection at once.
        for connection in tuple(self._ring[self._place]):
            connection.ping()

    def _let_go(self) -> None:
        """In a forked child: all of them are the parent's. New ones may be taken here."""
        for connection in self:
            connection.let_go()
        self._reserved = 0
        in_child(self, Connections._let_go)

    def close_all(self, code: int, reason: str) -> None:
        """Close every connection politely. Never blocks.

        Args:
            code: a code that may stand in a close frame (RFC 6455, section 7.4).
            reason: a sentence; cut to 123 bytes.
        """
        for connection in self:
            connection.close(code, reason)

    def wait_empty(self, timeout: float | None = None) -> bool:
        """Block the calling greenlet until no connection is open.

        Args:
            timeout: seconds; None waits without end.

        Returns:
            False if `timeout` passed first.
        """
        with gevent.Timeout(timeout, False):  # type: ignore[arg-type]  # documented, not in the stubs
            while any(self._ring):
                if self._empty is None:
                    self._empty = Event()
                self._empty.wait()
        return not any(self._ring)

    def drain(self, timeout: float, reason: str = "The server is going away.") -> None:
        """Bring everything to an end: take nothing new, run `on_drain`, close all with 1001.

        Blocks the calling greenlet. When it returns, no connection is open.

        Args:
            timeout: seconds for all of it. Hooks may take half; a peer that has not closed by the
                end is dropped.
            reason: goes into the close frames.
        """
        deadline = time.monotonic() + timeout
        self.draining = True
        hooks = [gevent.spawn(hook) for hook in self.on_drain]
        unfinished = len(hooks) - len(gevent.joinall(hooks, timeout=timeout * _SHARE_OF_HOOKS))
        if unfinished:
            _logger.warning("%d of the hooks for draining did not come to an end", unfinished)
        self.close_all(CloseCode.GOING_AWAY, reason)
        self.wait_empty(max(0.0, deadline - time.monotonic()))
        for connection in self:
            connection.abort()


_all_connections: weakref.WeakSet[Connections] = weakref.WeakSet()


def drain_process(timeout: float) -> None:
    """Drain every `Connections` of this process, side by side; see `Connections.drain`.

    Args:
        timeout: seconds for all of it.
    """
    gevent.joinall([gevent.spawn(connections.drain, timeout) for connections in _all_connections])
