"""One process at a time: the lock that whoever uses a database holds.

It is `flock` on a file beside the database. The kernel lets go of it when the process ends, however
it ends, so nothing is left to tidy up after a `kill -9`; and it leaves SQLite's own locks alone, so
that a backup can be taken from a running server. The file stays: to remove it would let two
processes hold a lock of the same name.
"""

import fcntl
import logging
import os
import time
from typing import Final

import gevent

from chatserver.errors import StartError
from chatserver.logs import tell

WAIT_SECONDS: Final = 30.0
"""How long to wait for another process to let go: more than a server takes to drain when its
successor is started by a reload."""

LOOK_SECONDS: Final = 0.05
"""Pause between two looks: short beside the second in which a server starts."""

logger = logging.getLogger("chatserver")


def take_lock(database: str) -> int:
    """Become the one process that uses `database`; waits for another one to end.

    Returns the descriptor that holds the lock: closing it lets go.

    Raises StartError: another process holds it for longer than WAIT_SECONDS, or the lock cannot be
    made.
    """
    path = f"{database}.lock"
    deadline = time.monotonic() + WAIT_SECONDS
    try:
        # Not inherited by programs that are started: only this process is to hold it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StartError(
            f"Cannot open {path} ({error.strerror}); the database's directory must exist and be"
            " writable."
        ) from None
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            pass  # Held by another.
        except OSError as error:
            os.close(descriptor)
            raise StartError(f"Cannot lock {path} ({error.strerror}).") from None
        if time.monotonic() > deadline:
            os.close(descriptor)
            raise StartError(
                f"The database {database} is in use by another process: stop that one first, or,"
                " for several workers on one chat, use a store that they share"
                " (--store redis://host:port/0)."
            )
        if not told:
            tell(
                logger,
                logging.WARNING,
                "Another process uses the database; waiting for its end",
                store=database,
                seconds=WAIT_SECONDS,
            )
            told = True
        gevent.sleep(LOOK_SECONDS)
