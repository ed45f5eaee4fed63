"""What was read at a terminal, told to the server: so nothing of it is unread on other devices.

Of each room the newest message that was shown, gathered: thousands of messages in a second cost a
call every two seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from .errors import ChatError
from .places import Place

GATHERED_SECONDS: Final = 2.0
"""Pause between two times that it is told: nobody changes devices faster."""


class Marks:
    """What is to be told. `read` may be called from any thread."""

    def __init__(
        self, tell: Callable[[Place, int], None], broken: Callable[[Exception], None]
    ) -> None:
        """`tell` may raise ChatError: then the next message that is read tells of this one, too.
        `broken` is told of what nobody foresaw, which ends it."""
        self._tell = tell
        self._broken = broken
        self._changed = threading.Condition()
        self._untold: dict[Place, int] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="chatclient marks")

    def start(self) -> None:
        """Begin. Raises RuntimeError where there is no thread to be had."""
        self._thread.start()

    def read(self, place: Place, message: int) -> None:
        """A message was shown."""
        with self._changed:
            self._untold[place] = message
            self._changed.notify_all()

    def close(self, *, online: bool) -> None:
        """Tell of the rest if the server is there, and end."""
        with self._changed:
            self._closed = True
            if not online:
                self._untold.clear()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            while untold := self._next():
                for place, message in untold.items():
                    self._try_to_tell(place, message)
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, GATHERED_SECONDS)
        except Exception as error:
            self._broken(error)

    def _try_to_tell(self, place: Place, message: int) -> None:
        try:
            self._tell(place, message)
        except ChatError:
            pass  # Nothing is lost but that it counts as unread elsewhere.

    def _next(self) -> dict[Place, int]:
        """What is to be told next; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._untold or self._closed)
            untold, self._untold = self._untold, {}
            return untold
