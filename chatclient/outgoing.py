"""What was typed and is not done yet: one after another, in a thread, so that the line stays free.

While the server is away it waits. What waits can be had back; what is under way cannot, since the
server may have it already.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from .errors import ChatError

MAX_QUEUED: Final = 100
"""Lines that wait at most."""


class Task(NamedTuple):
    """A line, "" if nobody has typed it, and what it takes to do it. `says` is whether it is a
    message, whose loss counts; `undo` is called when it is not done in the end."""

    line: str
    do: Callable[[], None]
    says: bool = False
    undo: Callable[[], None] = lambda: None


class Outgoing:
    """The tasks that wait. All methods may be called from any thread."""

    def __init__(
        self,
        failed: Callable[[Task, ChatError], None],
        changed: Callable[[], None],
        broken: Callable[[Exception], None],
    ) -> None:
        """`failed` is told of a task that could not be done, `changed` that others wait now,
        `broken` of what nobody foresaw, which ends it."""
        self._failed = failed
        self._tell = changed
        self._broken = broken
        self._changed = threading.Condition()
        self._tasks: deque[Task] = deque()
        self._under_way: Task | None = None
        self._online = True
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="chatclient outgoing")

    def start(self) -> None:
        """Begin. Raises RuntimeError where there is no thread to be had."""
        self._thread.start()

    @property
    def online(self) -> bool:
        """Whether the server is there."""
        return self._online

    @online.setter
    def online(self, online: bool) -> None:
        with self._changed:
            self._online = online
            self._changed.notify_all()
        self._tell()

    @property
    def lines(self) -> list[str]:
        """What is not done yet, the oldest first."""
        with self._changed:
            first = [] if self._under_way is None else [self._under_way.line]
            return [*first, *(task.line for task in self._tasks)]

    def add(self, task: Task) -> bool:
        """Do something when all before it is done. False if too much waits already."""
        with self._changed:
            if len(self._tasks) >= MAX_QUEUED:
                return False
            self._tasks.append(task)
            self._changed.notify_all()
        self._tell()
        return True

    def unsend(self) -> Task | None:
        """The last one that waits, which is not done then."""
        with self._changed:
            task = self._tasks.pop() if self._tasks else None
        self._tell()
        return task

    def drain(self, seconds: float) -> bool:
        """Wait until all is done; whether it is."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._closed or not (self._tasks or self._under_way), seconds
            ) and not (self._tasks or self._under_way)

    def close(self) -> list[Task]:
        """Do nothing more; what is not done then."""
        with self._changed:
            left = list(self._tasks)
            self._tasks.clear()
            self._closed = True
            self._changed.notify_all()
        return left

    def join(self) -> None:
        """Wait for the end of what is under way."""
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            while (task := self._next()) is not None:
                try:
                    task.do()
                except ChatError as error:
                    self._failed(task, error)
                self._done()
        except Exception as error:
            self._broken(error)
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()

    def _next(self) -> Task | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (self._tasks and self._online))
            if self._closed:
                return None
            self._under_way = self._tasks.popleft()
            return self._under_way

    def _done(self) -> None:
        with self._changed:
            self._under_way = None
            self._changed.notify_all()
        self._tell()
