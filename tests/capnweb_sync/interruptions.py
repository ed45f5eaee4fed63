"""Exceptions that come at a chosen opcode of the core's code, as a signal's handler raises them.

Left out are the opcodes by which a `with` gives a lock back: there, CPython runs no handlers.
"""

from __future__ import annotations

import dis
import linecache
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import capnweb_sync

CORE = str(Path(capnweb_sync.__file__).parent)

GIVES_BACK = ("with self", "self.release()")
"""How lines begin that give a lock back."""


NOP = dis.opmap["NOP"]
"""An opcode that does nothing cannot be cut, and no handler of exceptions covers it."""


class Signal:
    """Raises `error` at the opcode of the core's code with the number `at`."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self._left = at
        self._error = error
        self.place = ""

    def during(self, operation: Callable[[], Any]) -> bool:
        """Run `operation`; whether it was interrupted."""
        tracer = sys.gettrace()
        sys.settrace(self._call)
        try:
            operation()
        except BaseException:
            if not self.place:
                raise
        finally:
            sys.settrace(tracer)
        return bool(self.place)

    def _call(self, frame: FrameType, event: str, arg: Any) -> Any:
        if not frame.f_code.co_filename.startswith(CORE) or in_finalizer(frame):
            return None
        frame.f_trace_opcodes = True
        return self._opcode

    def _opcode(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "opcode" and not self.place and is_interruptible(frame):
            self._left -= 1
            if self._left < 0:
                self.place = f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_lasti})"
                raise self._error
        return self._opcode


def is_interruptible(frame: FrameType) -> bool:
    """Whether CPython may run a handler near the opcode that comes next."""
    line = frame.f_lineno
    if line is None or frame.f_code.co_code[frame.f_lasti] == NOP:
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
