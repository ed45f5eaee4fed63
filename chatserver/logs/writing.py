"""Writing to standard error, whoever reads it.

A pipe whose reader has stopped blocks who writes to it, and with gevent the whole server: so a
thread of the system's does it, also where gevent has patched the standard library. (Its
`QueueListener` would be a greenlet there.) What waits for the thread is bounded, and what finds no
room is counted and told of later.
"""

import logging
import os
import time
from contextlib import suppress
from typing import Any, Final

from gevent import monkey

from capnweb_sync.runtimes.fork import in_child

STANDARD_ERROR: Final = 2
"""Its descriptor."""

MAX_WAITING: Final = 1000
"""Lines that wait while nobody reads: some seconds of a busy server."""

WRITE_BYTES: Final = 64 * 1024
"""Bytes that are written at once: what a pipe of Linux holds."""

FLUSH_SECONDS: Final = 1.0
"""How long the end of the process waits for its last lines."""

LOOK_SECONDS: Final = 0.001
"""Pause between two looks whether they are written."""

_Queue: Any = monkey.get_original("queue", "SimpleQueue")
_start_thread: Any = monkey.get_original("_thread", "start_new_thread")
_sleep: Any = monkey.get_original("time", "sleep")


class StandardError(logging.Handler):
    """Writes to standard error, and never waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self._begin()

    def _begin(self) -> None:
        """In the process that made it, and anew in each that is forked from there: threads stay
        behind."""
        # Each of these is changed by one side only: here, or in the thread.
        self._put = self._left_out = 0
        self._written = self._told = 0
        self._queue = _Queue()
        _start_thread(self._write, (self._queue,))
        in_child(self, StandardError._begin)

    def emit(self, record: logging.LogRecord) -> None:
        """Have a record written, if there is room for it."""
        if self._put - self._written >= MAX_WAITING:
            self._left_out += 1
            return
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        self._put += 1
        self._queue.put(line + "\n")

    def flush(self) -> None:
        """Wait until what was logged is written, but not for a reader who has stopped."""
        deadline = time.monotonic() + FLUSH_SECONDS
        while self._written < self._put and time.monotonic() < deadline:
            _sleep(LOOK_SECONDS)

    def _write(self, queue: Any) -> None:
        """Write what comes; for ever, in a thread of the system's."""
        while True:
            lines = [queue.get()]
            while queue.qsize() and sum(map(len, lines)) < WRITE_BYTES:
                lines.append(queue.get())
            _write_all("".join(lines))
            left_out = self._left_out - self._told
            if left_out:
                self._told += left_out
                _write_all(self.format(_note(left_out)) + "\n")
            self._written += len(lines)


def _write_all(text: str) -> None:
    data = text.encode(errors="backslashreplace")
    # Standard error may be closed, its reader gone, its disk full: nobody can be told.
    with suppress(OSError):
        while data:
            data = data[os.write(STANDARD_ERROR, data) :]


def _note(left_out: int) -> logging.LogRecord:
    """The line that tells of those for which there was no room."""
    message = "%d lines were left out: standard error was not read"
    return logging.LogRecord("chatserver", logging.WARNING, __file__, 0, message, (left_out,), None)
