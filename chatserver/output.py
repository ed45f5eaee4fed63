"""What the server says on its standard streams, whatever stands behind them.

They may be closed or non-blocking, a disk may be full, a reader gone. Nothing here buffers, so that
the interpreter does not write it again at its end.
"""

import errno
import os
import select
import sys
from contextlib import suppress
from typing import TextIO


def write_output(text: str) -> OSError | None:
    """Write all of `text` to standard output; what went wrong.

    In a process that gevent has patched, a pipe that nobody reads blocks the greenlet alone.
    """
    return _write(sys.stdout, text)


def complain(text: str) -> None:
    """Write `text` to standard error. If that is not to be had, the exit status says it alone."""
    _write(sys.stderr, text)


def _write(stream: TextIO | None, text: str) -> OSError | None:
    if stream is None:
        return OSError(errno.EBADF, os.strerror(errno.EBADF))
    # A terminal that cannot show the balloon is no reason not to start.
    rest = memoryview(text.encode(stream.encoding, "replace"))
    descriptor = stream.fileno()
    try:
        while rest:
            select.select([], [descriptor], [])
            with suppress(BlockingIOError):
                # What is ready takes as much as this without blocking.
                rest = rest[os.write(descriptor, rest[: select.PIPE_BUF]) :]
    except OSError as error:
        return error
    return None
