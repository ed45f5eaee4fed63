"""The way of operations to Redis: what is asked while a batch is under way makes the next one.

One batch at a time is under way, numbered, and the script remembers the last one with its answer.
So a batch whose answer was lost can be sent again without taking effect twice, and one that was
given up takes no effect any more once a later one has: whatever a connection that broke still
delivers, operations take effect in the order in which they were asked, or not at all.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import chain, repeat
from typing import Any, Final, TypeVar

import gevent
from gevent.event import Event
from redis.exceptions import RedisError

from chatserver.loop import Loop
from chatserver.store.commits import Commits
from chatserver.store.redis.connection import RETRY_SECONDS
from chatserver.store.redis.operations import Answer, Operation, batch_of
from chatserver.store.refusals import not_written, stopping
from chatserver.store.values import LogReset

T = TypeVar("T")

logger = logging.getLogger("chatserver")

MAX_BATCH: Final = 256
"""Operations in a batch: a few milliseconds of Redis, in which nobody else gets a turn."""

MAX_BATCH_BYTES: Final = 256 * 1024
"""Bytes in a batch, about: for the same reason, and so that it is through in time where the
connection is slow."""


class Writer:
    """A queue of operations, and the greenlet that has Redis carry them out."""

    def __init__(
        self,
        send: Callable[[int, bytes], Answer],
        reset: Callable[[], None],
        timeout: float,
        commits: Commits,
    ) -> None:
        """Begin.

        Args:
            send: has Redis carry out a batch with this number. Raises RedisError; LogReset if
                nothing was done, because the log began anew.
            reset: returns when that was told to those whom it concerns.
            timeout: seconds after which nobody waits for an operation any more.
            commits: is told how long each batch took.
        """
        self._send = send
        self._reset = reset
        self._timeout = timeout
        self._commits = commits
        self._number = 0
        self._queue: deque[Operation[Any]] = deque()
        self._batch: list[Operation[Any]] = []
        self._regrets: list[Operation[Any]] = []
        self._wake = Event()
        self._idle = Event()
        self._loops = [
            Loop("Writing to Redis", self._write),
            Loop("Telling who has waited too long for Redis", self._expire),
        ]
        self._closed = False

    def submit(self, operation: Operation[T]) -> "Future[T]":
        """Carry out `operation` after all that were submitted before."""
        if self._closed:
            operation.future.set_exception(stopping())
        else:
            operation.deadline = time.monotonic() + self._timeout
            self._queue.append(operation)
            self._wake.set()
        return operation.future

    def close(self) -> None:
        """Wait until everything is carried out or in vain, and end. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._idle.clear()
        self._wake.set()
        self._idle.wait(self._timeout)
        for loop in self._loops:
            loop.kill()
        self._fail(math.inf)

    def _write(self) -> None:
        """Wait until there is something to do, and do it."""
        self._wake.wait()
        self._wake.clear()
        while self._take():
            try:
                answer = self._store()
            except Exception:
                self._tell(None)
                self._wake.set()
                raise
            self._tell(answer)
        self._idle.set()

    def _take(self) -> bool:
        """Make the next batch; whether there is one."""
        if self._regrets:
            # Alone: what is given up must not be stored for the sake of what cannot be.
            self._batch, self._regrets = self._regrets, []
            return True
        size = 0
        while self._queue and len(self._batch) < MAX_BATCH and size < MAX_BATCH_BYTES:
            operation = self._queue.popleft()
            size += len(operation.packed)
            self._batch.append(operation)
        return bool(self._batch)

    def _store(self) -> Answer | None:
        """Send the batch until it is answered. None: nobody waits for it any more."""
        self._number += 1
        packed = batch_of(self._batch)
        answer = None
        while answer is None and not all(operation.future.done() for operation in self._batch):
            answer = self._try(packed)
        return answer

    def _try(self, packed: bytes) -> Answer | None:
        began = time.perf_counter()
        try:
            answer = self._send(self._number, packed)
        except LogReset:
            self._reset()
        except RedisError:
            gevent.sleep(RETRY_SECONDS)
        else:
            self._commits.done(time.perf_counter() - began, len(self._batch))
            return answer
        return None

    def _tell(self, answer: Answer | None) -> None:
        results = repeat(None) if answer is None else answer.results
        for operation, result in zip(self._batch, results, strict=False):
            if answer is not None and not operation.future.done():
                operation.complete(result, answer)
                continue
            if not operation.future.done():
                operation.future.set_exception(not_written())
            if operation.regret is not None:
                self._regrets.append(operation.regret)
        self._batch = []

    def _expire(self) -> None:
        """Tell those who have waited too long; wait until the next ones have."""
        now = time.monotonic()
        self._fail(now)
        pending = (op.deadline for op in chain(self._batch, self._queue) if not op.future.done())
        # Who comes later is also due later.
        gevent.sleep(min(next(pending, math.inf) - now, self._timeout))

    def _fail(self, now: float) -> None:
        """Fail the operations whose deadline is not after `now`."""
        due = [operation for operation in self._batch if operation.deadline <= now]
        while self._queue and self._queue[0].deadline <= now:
            due.append(self._queue.popleft())
        for operation in due:
            if not operation.future.done():
                operation.future.set_exception(not_written())
