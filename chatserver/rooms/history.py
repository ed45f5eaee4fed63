"""Reading for those who ask for it, history and lists: for each connection one read at a time."""

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import gevent

from capnweb_sync import Lookup

T = TypeVar("T")


class HistoryReads:
    """What one connection has asked for.

    However much one asks for, the others wait for one read of it at most, since the store
    does them in turns. One whose result was given up before its turn came is not begun.
    """

    __slots__ = ("_reading", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[tuple[Lookup[Any], Callable[[], Any]]] = deque()
        self._reading = False

    def ask(self, read: Callable[[], T]) -> "Lookup[T]":
        """What `read`, which may block its greenlet, gives in its turn."""
        asked: Lookup[T] = Lookup()
        self._waiting.append((asked, read))
        if not self._reading:
            self._reading = True
            gevent.spawn_raw(self._read_all)
        return asked

    def _read_all(self) -> None:
        while self._waiting:
            asked, read = self._waiting.popleft()
            if not asked.set_running_or_notify_cancel():
                continue
            try:
                asked.set_result(read())
            except Exception as error:  # the caller is told, and the next has its turn
                asked.set_exception(error)
        self._reading = False
