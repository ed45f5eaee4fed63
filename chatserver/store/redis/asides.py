"""What the script tells beside the log, by PUBLISH: to all workers, perhaps."""

import logging
from collections import deque
from typing import Final

import gevent
from gevent.event import Event as Signal
from gevent.lock import Semaphore
from redis.exceptions import RedisError

from chatserver.loop import Loop
from chatserver.store.redis.connection import RETRY_SECONDS, Address
from chatserver.store.redis.operations import decode, encode
from chatserver.store.redis.scripts import ASIDES
from chatserver.store.seats import Aside

logger = logging.getLogger("chatserver")

MAX_ASIDES: Final = 1024
"""Asides that wait to be taken; the oldest are lost beyond it."""

PULSE_SECONDS: Final = 20.0
"""After this time of silence something is told that means nothing, so that whoever listens can tell
silence from a connection that is dead."""

NOTHING: Final = encode([])


class Asides:
    """Hears asides.

    Attributes:
        follower: what Redis calls the connection on which this worker's follower waits for news,
            which it is to wait for no longer when there are asides; 0: there is none.
    """

    def __init__(self, address: Address) -> None:
        self.follower = 0
        self._in: deque[Aside] = deque(maxlen=MAX_ASIDES)
        self._signal = Signal()
        self._telling = address.connection()
        self._hearing = address.connection(2 * PULSE_SECONDS)
        # Held while it asks, and perhaps connects: who is killed then leaves a socket behind.
        self._asking = (Semaphore(), Semaphore())
        self._timeout = address.timeout
        self._failing = False
        self._loops: list[Loop] = []
        self._closed = False

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return bool(self._in)

    def take(self) -> tuple[Aside, ...]:
        """What was heard since the last call; before the first one nobody listens."""
        self._begin()
        asides = tuple(self._in)
        self._in.clear()
        return asides

    def _begin(self) -> None:
        if not self._loops and not self._closed:
            self._loops = [
                Loop("Waking the follower for asides", self._wake),
                Loop("Hearing asides", self._hear),
            ]

    def _wake(self) -> None:
        """Wait until there is something to wake the follower for, and do it."""
        self._signal.wait(PULSE_SECONDS)
        self._signal.clear()
        is_heard = bool(self._in and self.follower)
        try:
            with self._asking[0]:
                if is_heard:
                    self._telling.ask("CLIENT", "UNBLOCK", self.follower)
                else:
                    self._telling.ask("PUBLISH", ASIDES, NOTHING)
        except RedisError as error:
            self._fail(error)

    def _hear(self) -> None:
        """Hear what is told next."""
        try:
            if not self._hearing.connected:
                with self._asking[1]:
                    self._hearing.ask("SUBSCRIBE", ASIDES)
            *_, told = self._hearing.read()
        except RedisError as error:
            self._fail(error)
            return
        self._failing = False
        asides = [Aside(*aside) for aside in decode(told)]
        if asides:
            self._in.extend(asides)
            self._signal.set()

    def _fail(self, error: RedisError) -> None:
        """They are lost; the log and its store say by themselves when Redis is away."""
        log = logger.debug if self._failing else logger.info
        log("Asides are not told, trying on: %s", error)
        self._failing = True
        gevent.sleep(RETRY_SECONDS)

    def leave_to_parent(self) -> None:
        """In a forked child: the connections are the parent's."""
        self._telling.leave_to_parent()
        self._hearing.leave_to_parent()

    def close(self) -> None:
        """Tell and hear nothing more. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for asking in self._asking:
            asking.acquire(timeout=self._timeout)
        for loop in self._loops:
            loop.kill()
        self._telling.drop()
        self._hearing.drop()
