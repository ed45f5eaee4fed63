"""The queue of one observer: what has happened within steps, to be told outside of them.

It is filled under the step and worked off as a job of the runtime's, so neither the loop nor a
thread that reads ever waits for an observer, and one that uses a session cannot block itself. There
is at most one such job under way: an observer is told one thing after another.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from ..deferred import Deferred
from ..errors import SessionOfParent, logger
from ..runtimes.interface import Runtime
from .observer import Observer

MAX_WAITING: Final = 16 * 1024 * 1024
"""Bytes of events that may wait for an observer, or be with it: a peer that sends as fast as it can
would otherwise fill the memory while a log's disk is slow."""

EVENT_COST: Final = 512
"""Bytes that an event takes besides the message in it, roughly."""

FLUSH_SECONDS: Final = 1.0
"""How long whoever closes a session waits for its observers: long enough for a log on any disk, and
short enough for one that is stuck."""

Told = Callable[..., object]


class EventQueue:
    """What is to be told to one observer of sessions of one runtime, under whose step it is."""

    __slots__ = (
        "_delivered",
        "_delivering",
        "_events",
        "_failed",
        "_lost",
        "_missed",
        "_runtime",
        "_start",
        "_summoned",
        "_waiting",
    )

    def __init__(self, runtime: Runtime, missed: Callable[[int], None]) -> None:
        self._runtime = runtime
        self._start = runtime.call_queue().start
        self._missed = missed
        self._events: deque[tuple[Told, tuple[Any, ...], int]] = deque()
        self._waiting = 0
        self._delivered = 0
        """Bytes of what was told since that was last taken off `_waiting`."""
        self._summoned = False
        """Whether a job will come, and has not yet."""
        self._delivering: int | None = None
        """The thread (or greenlet) that tells the observer."""
        self._lost = 0
        self._failed: set[Told] = set()

    def add(self, told: Told, args: tuple[Any, ...], size: int = 0) -> None:
        """Have `told(*args)` called. Under the step; `size` is that of the message in it."""
        cost = size + EVENT_COST
        if self._waiting + cost > MAX_WAITING:
            self._lost += 1
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            self._append(self._tell_missed, (lost,), EVENT_COST)
        self._append(told, args, cost)

    def _append(self, told: Told, args: tuple[Any, ...], cost: int) -> None:
        self._events.append((told, args, cost))
        self._waiting += cost
        if not self._summoned:
            self._start(self._deliver)
            self._summoned = True

    def _tell_missed(self, count: int) -> None:
        logger.warning("An observer is too slow; it was not told of %d events", count)
        self._missed(count)

    def _deliver(self) -> None:
        """Tell all that waits, unless that is being done already."""
        with suppress(SessionOfParent):
            if not self._runtime.step.run(self._begin):
                return
            try:
                while self._runtime.step.run(self._goes_on):
                    for _ in range(len(self._events)):
                        self._tell_next()
            finally:
                self._delivering = None

    def _begin(self) -> bool:
        self._summoned = False
        if self._delivering is not None:
            return False
        self._delivering = threading.get_ident()
        return True

    def _goes_on(self) -> bool:
        self._waiting -= self._delivered
        self._delivered = 0
        if not self._events:
            self._delivering = None
        return bool(self._events)

    def _tell_next(self) -> None:
        told, args, cost = self._events.popleft()
        self._delivered += cost
        try:
            told(*args)
        except Exception:
            if told not in self._failed:
                self._failed.add(told)
                logger.exception("An observer failed in %r; it will not be logged again", told)

    def flush(self, timeout: float) -> None:
        """Wait until what has happened so far is told, `timeout` seconds at most. Not within the
        step; the observer itself waits for nothing."""
        if self._delivering == threading.get_ident():
            return
        told = self._runtime.step.run(self._last)
        if told is not None:
            self._runtime.wait(told, timeout)

    def _last(self) -> Deferred[None] | None:
        """What is settled when all that waits now is told; None if nothing does."""
        if not self._events and self._delivering is None:
            return None
        told: Deferred[None] = Deferred()
        self._append(self._runtime.step.run, (told.resolve, None), 0)
        return told


def queue_of(observer: Observer, runtime: Runtime) -> EventQueue:
    """The queue of `observer` for sessions of `runtime`. Under the step."""
    queues = observer._queues
    if queues is None:
        queues = observer._queues = {}
    step = runtime.step
    queue = queues.get(step)
    if queue is None:
        queue = queues[step] = EventQueue(runtime, observer.missed)
    return queue
