"""The queue of one observer: what has happened within steps, to be told outside of them.

It is filled under the step and worked off as a job of the runtime's, so neither the loop nor a
thread that reads ever waits for an observer, and one that uses a session cannot block itself. There
is at most one such job under way: an observer is told one thing after another.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from ..deferred import Deferred
from ..errors import SessionOfParent, logger
from ..runtimes.interface import Runtime
from ..runtimes.steps import Step
from .observer import Observer

MAX_WAITING: Final = 16 * 1024 * 1024
"""Bytes of events that may wait for an observer, or be with it: a peer that sends as fast as it can
would otherwise fill the memory while a log's disk is slow."""

EVENT_COST: Final = 512
"""Bytes that an event takes besides the message in it, roughly."""

FLUSH_SECONDS: Final = 1.0
"""How long whoever closes a session waits for its observers: long enough for a log on any disk, and
short enough for one that is stuck."""

WARN_SECONDS: Final = 60.0
"""How often the log says of an observer that it is too slow."""

SUMMONED_AGAIN: Final = 64
"""Each time that so many more wait, a job is started although one should be coming: an exception
out of a signal's handler may have ended that one before it began."""

Told = Callable[..., object]


class Delivery:
    """That an observer is being told. Gone with the job that does it, however that ends."""

    __slots__ = ("__weakref__", "thread")

    def __init__(self) -> None:
        self.thread = threading.get_ident()


class Source:
    """Whose events they are: how jobs of its runtime are started, and waited for."""

    __slots__ = ("runtime", "start")

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.start = runtime.call_queue().start


class EventQueue:
    """What is to be told to one observer of the sessions that share a step, under that step."""

    __slots__ = (
        "_delivered",
        "_delivering",
        "_events",
        "_failed",
        "_lost",
        "_missed",
        "_step",
        "_summoned",
        "_waiting",
        "_warn_at",
    )

    def __init__(self, step: Step, missed: Callable[[int], None]) -> None:
        self._step = step
        self._missed = missed
        self._events: deque[tuple[Told, tuple[Any, ...], int]] = deque()
        self._waiting = 0
        self._delivered = 0
        """Bytes of what was told since that was last taken off `_waiting`."""
        self._summoned: Runtime | None = None
        """Whose job will come, and has not yet."""
        self._delivering: weakref.ref[Delivery] | None = None
        """Who tells the observer."""
        self._lost = 0
        self._warn_at = 0.0
        self._failed: set[Told] = set()

    def add(self, source: Source, told: Told, args: tuple[Any, ...], size: int = 0) -> None:
        """Have `told(*args)` called. Under the step; `size` is that of the message in it."""
        cost = size + EVENT_COST
        if self._waiting + cost > MAX_WAITING:
            self._lost += 1
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            self._events.append((self._tell_missed, (lost,), 0))
        self._events.append((told, args, cost))
        self._waiting += cost
        if self._summoned is not source.runtime or not len(self._events) % SUMMONED_AGAIN:
            self._summon(source)

    def _summon(self, source: Source) -> None:
        source.start(self._deliver)
        self._summoned = source.runtime

    def _tell_missed(self, count: int) -> None:
        now = time.monotonic()
        if now >= self._warn_at:
            self._warn_at = now + WARN_SECONDS
            logger.warning("An observer is too slow; it was not told of %d events", count)
        self._missed(count)

    def _deliver(self) -> None:
        """Tell all that waits, unless that is being done already."""
        delivery = Delivery()
        with suppress(SessionOfParent):
            if self._step.run(self._begin, delivery):
                while self._step.run(self._goes_on):
                    self._tell_all()

    def _begin(self, delivery: Delivery) -> bool:
        self._summoned = None
        if self._current() is not None:
            return False
        self._delivering = weakref.ref(delivery)
        return True

    def _current(self) -> Delivery | None:
        return None if self._delivering is None else self._delivering()

    def _goes_on(self) -> bool:
        self._waiting -= self._delivered
        self._delivered = 0
        if not self._events:
            self._delivering = None
        return bool(self._events)

    def _tell_all(self) -> None:
        events = self._events
        for _ in range(len(events)):
            told, args, cost = events.popleft()
            self._delivered += cost
            try:
                told(*args)
            except Exception:
                self._has_failed(told)

    def _has_failed(self, told: Told) -> None:
        if told not in self._failed:
            self._failed.add(told)
            logger.exception("An observer failed in %r; it will not be logged again", told)

    def flush(self, source: Source, timeout: float) -> None:
        """Wait until what has happened so far is told, `timeout` seconds at most. Not within the
        step; the observer itself waits for nothing."""
        current = self._current()
        if current is not None and current.thread == threading.get_ident():
            return
        told = self._step.run(self._last, source)
        if told is not None:
            source.runtime.wait(told, timeout)

    def _last(self, source: Source) -> Deferred[None] | None:
        """What is settled when all that waits now is told; None if nothing does."""
        if not self._events and self._current() is None:
            return None
        told: Deferred[None] = Deferred()
        self._events.append((self._step.run, (told.resolve, None), 0))
        self._summon(source)
        return told


def queue_of(observer: Observer, step: Step) -> EventQueue:
    """The queue of `observer` for sessions with this step. Under it."""
    queues = observer._queues
    if queues is None:
        queues = observer._queues = {}
    queue = queues.get(step)
    if queue is None:
        queue = queues[step] = EventQueue(step, observer.missed)
    return queue
