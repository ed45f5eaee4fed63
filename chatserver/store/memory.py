"""The store in this process's memory, for tests and for trying things out: nothing survives it."""

import secrets
from concurrent.futures import Future
from itertools import takewhile
from typing import Final, TypeVar

from capnweb_sync.runtimes.fork import in_child
from chatserver.errors import ChatError
from chatserver.store.events import Event
from chatserver.store.inherited import inherit
from chatserver.store.interface import KEY_MS, MAX_TRIM, Clock, Policy, cut
from chatserver.store.local import LocalStore, Operation
from chatserver.store.state import ChatState, UsedKey
from chatserver.store.values import Span

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
        self._used_keys: dict[bytes, UsedKey] = {}
        self._state = ChatState(policy, self._used_keys.get)
        in_child(self, inherit)

    def submit(self, operation: Operation[T]) -> "Future[T]":
        future: Future[T] = Future()
        now = self._clock()
        try:
            result = operation(self._state, now)
        except ChatError as error:
            future.set_exception(error)
            return future
        changes = self._state.take_changes()
        self._events += changes.events
        self._used_keys.update(changes.used_keys)
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
        keep_from = self._policy.keep_from(first, last, now, self._first_young)
        del self._events[: keep_from - first]
        self._state.first_id = keep_from
        for used in list(
            takewhile(lambda used: used.time_ms < now - KEY_MS, self._used_keys.values())
        ):
            del self._used_keys[used.digest]

    def _first_young(self, oldest_ms: int) -> int:
        oldest = self._events[:MAX_TRIM]
        old = sum(1 for _ in takewhile(lambda event: event.time_ms < oldest_ms, oldest))
        return self._state.first_id + old

    def read_span(self, span: Span) -> list[Event]:
        first = self._state.first_id
        start = max(span.after + 1, first) - first
        end = len(self._events)
        if span.before is not None:
            end = min(span.before - first, end)
        indexes = range(start, end)
        found = reversed(indexes) if span.newest else indexes
        return cut((self._events[i] for i in found), span.limit)

    def close(self) -> None:
        """Nothing to let go of."""
