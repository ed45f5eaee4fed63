"""The store in this process's memory, for tests and for trying things out: nothing survives it."""

import secrets
from concurrent.futures import Future
from itertools import takewhile
from typing import Final, TypeVar

from capnweb_sync.runtimes.fork import in_child
from chatserver.errors import ChatError
from chatserver.store.events import Event
from chatserver.store.inherited import inherit
from chatserver.store.interface import DAY_MS, KEY_MS, MAX_READ_EVENTS, MAX_TRIM, Clock, Policy, cut
from chatserver.store.local import LocalStore, Operation
from chatserver.store.state import ChatState, Sent

T = TypeVar("T")

EPOCH_BYTES: Final = 8
"""Randomness of the name of a log's incarnation: no two logs of one place share it."""


class MemoryStore(LocalStore):
    """`memory:`. Operations are applied and answered at once."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        super().__init__()
        self.epoch = secrets.token_hex(EPOCH_BYTES)
        self._policy = policy
        self._clock = clock
        self._events: list[Event] = []
        self._sent: dict[bytes, Sent] = {}
        self._state = ChatState(policy, self._sent.get)
        in_child(self, inherit)

    def submit(self, operation: Operation[T]) -> "Future[T]":
        future: Future[T] = Future()
        now = self._clock()
        try:
            result = operation(self._state, now)
        except ChatError as error:
            future.set_exception(error)
            return future
        self._state.settle(now)
        changes = self._state.take_changes()
        self._events += changes.events
        self._sent.update(changes.sent)
        self._publish(changes)
        future.set_result(result)
        return future

    def tick(self) -> "Future[float]":
        self._trim()
        return super().tick()

    def _trim(self) -> None:
        """Remove the oldest events that the policy does not keep, and keys past their time."""
        now = self._clock().wall
        first, last = self._state.first_id, self._state.last_id
        keep_from = first
        if self._policy.keep_messages is not None:
            keep_from = max(first, last + 1 - self._policy.keep_messages)
        if self._policy.keep_days is not None:
            oldest_ms = now - self._policy.keep_days * DAY_MS
            while keep_from < last and self._events[keep_from - first].time_ms < oldest_ms:
                keep_from += 1
        keep_from = max(first, min(keep_from, last, first + MAX_TRIM))
        del self._events[: keep_from - first]
        self._state.first_id = keep_from
        for sent in list(takewhile(lambda sent: sent.time_ms < now - KEY_MS, self._sent.values())):
            del self._sent[sent.digest]

    def read(
        self,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int = MAX_READ_EVENTS,
        newest: bool = False,
    ) -> list[Event]:
        first = self._state.first_id
        start = max(after + 1, first) - first
        end = len(self._events) if before is None else min(before - first, len(self._events))
        indexes = range(start, end)
        found = cut((self._events[i] for i in (reversed(indexes) if newest else indexes)), limit)
        return found[::-1] if newest else found

    def close(self) -> None:
        """Nothing to let go of."""
