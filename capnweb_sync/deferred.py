"""A value that will be there later, inside the core.

It is smaller than `concurrent.futures.Future` and has no lock of its own: like all state of the
core, it is touched only under the runtime's step, whose owner is the only one to run its callbacks.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _Turn(threading.local):
    """What the action that is under way on this thread has set off; None if none is under way."""

    set_off: list[Callable[[], Any]] | None = None


_turn = _Turn()


def trampoline(actions: Iterable[Callable[[], Any]]) -> None:
    """Run `actions` now; within another such action, right after it.

    One promise settles, delivers or releases the next, and how long such a chain is, the peer
    decides: nested calls would come to the end of Python's stack. The order is that of nested
    calls all the same.
    """
    if _turn.set_off is not None:
        _turn.set_off.extend(actions)
        return
    set_off: list[Callable[[], Any]] = []
    remaining = iter(actions)
    try:
        _turn.set_off = set_off
        _run_each(remaining, set_off)
    except BaseException:
        # One was cut, by Ctrl+C for instance; somebody waits for the others all the same.
        _run_each(remaining, set_off)
        raise
    finally:
        _turn.set_off = None


def abandon_turn() -> None:
    """No action is under way on this thread any more: an exception came out of it, perhaps before
    that could be noted. Later ones would wait for its end."""
    _turn.set_off = None


def _run_each(actions: Iterator[Callable[[], Any]], set_off: list[Callable[[], Any]]) -> None:
    """Run `actions`, and after each what it has set off."""
    if set_off:
        _run_all(set_off)
    for action in actions:
        action()
        if set_off:
            _run_all(set_off)


def _run_all(set_off: list[Callable[[], Any]]) -> None:
    """Run what has been set off, and what that sets off, until nothing is left."""
    agenda: deque[Callable[[], Any]] = deque()
    try:
        while set_off or agenda:
            agenda.extendleft(reversed(set_off))
            set_off.clear()
            agenda.popleft()()
    except BaseException:
        set_off.extend(agenda)  # for `trampoline`, which goes on with them
        raise


class Deferred(Generic[T]):
    """Settled once, with `value` or with `error`.

    Callbacks run in the order in which they were added, within the step that settles it, one after
    another (`trampoline`). They are the core's own: short, never blocking, never raising.
    """

    __slots__ = ("_callbacks", "error", "settled", "value")

    def __init__(self) -> None:
        self.settled = False
        self.value: T | None = None
        self.error: BaseException | None = None
        self._callbacks: list[Callable[[Deferred[T]], Any]] | None = None

    @staticmethod
    def of(value: T) -> Deferred[T]:
        """One that is settled with `value` already."""
        deferred: Deferred[T] = Deferred()
        deferred.settled = True
        deferred.value = value
        return deferred

    @staticmethod
    def failed(error: BaseException) -> Deferred[Any]:
        """One that is settled with `error` already."""
        deferred: Deferred[Any] = Deferred()
        deferred.settled = True
        deferred.error = error
        return deferred

    def resolve(self, value: T) -> None:
        """Settle with `value`; without effect if it is settled."""
        if not self.settled:
            self.value = value
            self._settle()

    def reject(self, error: BaseException) -> None:
        """Settle with `error`; without effect if it is settled."""
        if not self.settled:
            self.error = error
            self._settle()

    def _settle(self) -> None:
        if not self._callbacks:
            self.settled = True
            return
        # All is prepared before it counts as settled: cut before that, it can be settled again.
        actions = [partial(callback, self) for callback in self._callbacks]
        self.settled = True
        self._callbacks = None
        trampoline(actions)

    def add_callback(self, callback: Callable[[Deferred[T]], Any]) -> None:
        """Call `callback(self)` once this is settled; at once if it is."""
        if self.settled:
            callback(self)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    def remove_callback(self, callback: Callable[[Deferred[T]], Any]) -> None:
        """Forget `callback`, if it is still waiting."""
        if self._callbacks and callback in self._callbacks:
            self._callbacks.remove(callback)

    def follow(self, other: Deferred[T]) -> None:
        """Settle this as `other` is settled."""
        other.add_callback(self._copy)

    def _copy(self, other: Deferred[T]) -> None:
        if other.error is not None:
            self.reject(other.error)
        else:
            self.resolve(other.value)  # type: ignore[arg-type]
