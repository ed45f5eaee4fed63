"""Standard input, output and error, whatever stands behind them.

Another program may have made them non-blocking (Node does), opened them the other way round, closed
them; a disk may be full, a reader gone. They are used by their descriptors, without a buffer that
would be written again at the end, and without the lock of `sys.stdin`, which is fatal at the
interpreter's end when a blocked thread holds it.
"""

from __future__ import annotations

import codecs
import errno
import os
import select
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, TextIO

READ_SIZE: Final = 64 * 1024
"""Bytes that are read from a pipe at once: what it holds on Linux."""


class StreamError(Exception):
    """Standard input or output cannot be used any more; `str(error)` is a sentence."""


class NobodyReads(StreamError):
    """Whoever read standard output has gone: nothing to complain about, and nobody to tell."""


def pieces_of_input() -> Iterator[str]:
    """Standard input as it comes, to its end. Raises StreamError."""
    stream = sys.stdin
    try:
        if stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))  # Closed before we started.
        decoder = codecs.getincrementaldecoder(stream.encoding)(errors="replace")
        while data := _read(stream.fileno()):
            yield decoder.decode(data)
    except OSError as error:
        raise StreamError(f"Standard input cannot be read: {error.strerror}.") from error
    yield decoder.decode(b"", final=True)


def _read(descriptor: int) -> bytes:
    while True:
        with suppress(BlockingIOError):
            return os.read(descriptor, READ_SIZE)
        select.select([descriptor], [], [])


def write_output(text: str) -> None:
    """Write all of `text` to standard output. Raises StreamError."""
    try:
        _write(sys.stdout, text)
    except OSError as error:
        raise output_error(error) from error


def output_error(error: OSError) -> StreamError:
    """What is raised for an error of standard output."""
    if isinstance(error, BrokenPipeError):
        return NobodyReads("Nobody reads standard output.")
    return StreamError(f"Standard output cannot be written to: {error.strerror}.")


def write_error(text: str) -> None:
    """Write `text` to standard error, if there is one."""
    try:
        _write(sys.stderr, text)
    except OSError:
        pass  # There is nobody left to tell; the exit status says it, too.


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    # A terminal that cannot show a character shows its number.
    rest = memoryview(text.encode(stream.encoding, "backslashreplace"))
    descriptor = stream.fileno()
    while rest:
        select.select([], [descriptor], [])
        with suppress(BlockingIOError):
            rest = rest[os.write(descriptor, rest) :]


def finish_output() -> None:
    """Write what others have left in the buffer of standard output. Raises StreamError, and then
    the interpreter does not try it again at its end."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        raise output_error(error) from error
