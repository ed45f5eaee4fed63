"""A filter for logs that anyone on the network can make this process write to.

    floods = FloodFilter()
    logging.getLogger("capnweb_sync").addFilter(floods)

The same line is one that comes from the same place in the code; with an exception, from the same
place where that was raised, so that no bug hides behind another one. What stands in the line, such
as a client's address, makes it no other line: whoever floods a log has as many as he likes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from typing import Final

MAX_LINES: Final = 10
"""Of the same line, within a `WINDOW`."""

WINDOW: Final = 60.0
"""Seconds."""

MAX_TEMPLATE: Final = 200
"""Characters of the line that are shown with the count of those that were left out."""

_IS_COUNT: Final = "capnweb_sync_flood_count"
"""The attribute of a record that tells of others that were left out."""


class _Line:
    """One line: since when it is counted, how often it came, and how to tell of it."""

    __slots__ = ("began", "count", "record", "source")

    def __init__(self, began: float, record: logging.LogRecord, source: Hashable) -> None:
        self.began = began
        self.source = source
        self.count = 0
        template = str(record.msg).partition("\n")[0][:MAX_TEMPLATE]
        #: Of all that its arguments and its exception hold, nothing is kept.
        self.record = (record.name, record.levelno, record.pathname, record.lineno, template)


class FloodFilter(logging.Filter):
    """Lets the same line through ten times a minute, and says how many more there were.

    To be added to loggers or to handlers. The count comes with the next line of any kind after the
    minute, or when `flush` is called, so a program calls that now and then.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        most: int = MAX_LINES,
        source: Callable[[logging.LogRecord], Hashable] | None = None,
    ) -> None:
        """
        Args:
            clock: seconds that only pass.
            most: how often the same line is written in a minute.
            source: what makes two lines the same, where that is not their place in the code, such
                as whom they are about; None for one that is always written. It is shown with the
                count.
        """
        super().__init__()
        self._clock = clock
        self._most = most
        self._source = source
        self._lines: dict[Hashable, _Line] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is written."""
        if hasattr(record, _IS_COUNT):
            return True
        now = self._clock()
        self._flush(now)
        if self._source is None:
            key, source = _place(record), None
        else:
            key = source = self._source(record)
            if source is None:
                return True
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(now, record, source)
        line.count += 1
        return line.count <= self._most

    def flush(self) -> None:
        """Write how many lines were left out, where the minute is over."""
        self._flush(self._clock())

    def _flush(self, now: float) -> None:
        # Ordered by their beginning, as dicts are. Another thread may be doing the same.
        for key, line in tuple(self._lines.items()):
            if now - line.began < WINDOW:
                return
            if self._lines.pop(key, None) is line and line.count > self._most:
                _tell(line.count - self._most, line.source, *line.record)


def _tell(
    count: int, source: Hashable, name: str, level: int, path: str, number: int, template: str
) -> None:
    logger = logging.getLogger(name)
    message = "… %d more of these in the last minute: %s"
    arguments: tuple[object, ...] = (count, template)
    if source is not None:
        message = "… %d more of these in the last minute, of %s: %s"
        arguments = (count, source, template)
    extra = {_IS_COUNT: True}
    record = logger.makeRecord(name, level, path, number, message, arguments, None, extra=extra)
    logger.handle(record)


def _place(record: logging.LogRecord) -> Hashable:
    """Where in the code the line comes from."""
    place = (record.name, record.levelno, record.pathname, record.lineno)
    error, traceback = (record.exc_info or (None, None, None))[1:]
    if error is None:
        return place
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    raised = traceback and (traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
    return (*place, type(error), raised)
