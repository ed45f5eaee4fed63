"""Exceptions that come at a chosen opcode of the core's code, as a signal's handler raises them.

Left out are the opcodes by which a `with` gives a lock back: there, CPython runs no handlers.
"""

from __future__ import annotations

import dis
import linecache
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import capnweb_sync

CORE = str(Path(capnweb_sync.__file__).parent)

GIVES_BACK = ("with self", "self.release()")
"""How lines begin that give a lock back."""


NOP = dis.opmap["NOP"]
"""An opcode that does nothing cannot be cut, and no handler of exceptions covers it."""

TOOL = 4
"""One of the numbers for tools that `sys.monitoring` leaves free."""


class Signal:
    """Raises `error` at the opcode of the core's code with the number `at`."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self._left = at
        self._error = error
        self.place = ""

    def during(self, operation: Callable[[], Any]) -> bool:
        """Run `operation`; whether it was interrupted."""
        self._thread = threading.get_ident()
        with each_opcode(self._opcode):
            try:
                operation()
            except BaseException:
                if not self.place:
                    raise
        return bool(self.place)

    def _opcode(self, frame: FrameType) -> None:
        if self.place or threading.get_ident() != self._thread or not is_interruptible(frame):
            return
        self._left -= 1
        if self._left < 0:
            self.place = f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_lasti})"
            raise self._error


@contextmanager
def each_opcode(function: Callable[[FrameType], None]) -> Iterator[None]:
    """Have `function(frame)` called before each opcode of the core's code."""
    if sys.version_info >= (3, 12):

        def instruction(code: CodeType, offset: int) -> Any:
            if not code.co_filename.startswith(CORE):
                return sys.monitoring.DISABLE
            function(sys._getframe(1))
            return None

        events = sys.monitoring.events.INSTRUCTION
        sys.monitoring.use_tool_id(TOOL, __name__)
        sys.monitoring.register_callback(TOOL, events, instruction)
        sys.monitoring.set_events(TOOL, events)
        try:
            yield
        finally:
            sys.monitoring.set_events(TOOL, 0)
            sys.monitoring.free_tool_id(TOOL)
        return

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        if not frame.f_code.co_filename.startswith(CORE):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            function(frame)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def is_interruptible(frame: FrameType) -> bool:
    """Whether CPython may run a handler near the opcode that comes next."""
    line = frame.f_lineno
    if line is None or frame.f_code.co_code[frame.f_lasti] == NOP or in_finalizer(frame):
        return False
    code = linecache.getline(frame.f_code.co_filename, line).lstrip()
    return not code.startswith(GIVES_BACK)


def in_finalizer(frame: FrameType | None) -> bool:
    """Whether Python runs a finalizer: what is raised there reaches nobody."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False
