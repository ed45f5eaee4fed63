"""A copy of the database while it is in use: all of one moment, and a log of its own."""

import os
import sqlite3
from contextlib import closing, suppress
from typing import Final

from chatserver.errors import StartError
from chatserver.store.sqlite.schema import NEW_EPOCH
from chatserver.store.sqlite.snapshot import snapshot

PAGES_AT_ONCE: Final = 1000
"""Pages between two moments in which Ctrl+C is heard: some milliseconds of a disk."""

UNFINISHED: Final = ".unfinished"
"""What a copy's name ends in until it is complete and on the disk."""


def back_up(url: str, target: str) -> int:
    """Copy the database that `url` names to a file, which is there only once it is whole.

    The server that uses it goes on, and waits for nothing. The copy's epoch is a new one: a log
    that goes on from it has other events behind the ids that the original went on with.

    Returns the id of the newest event in it. Raises StartError.
    """
    if os.path.lexists(target):
        raise StartError(f"{target} is there already, and a backup replaces nothing.")
    unfinished = target + UNFINISHED
    try:
        # What the server stores is for nobody else to read.
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        with (
            snapshot(url) as source,
            closing(sqlite3.connect(unfinished, isolation_level=None)) as copy,
        ):
            # In the transaction that `source` is in, so that whatever is written meanwhile neither
            # comes in nor makes it begin again.
            source.backup(copy, pages=PAGES_AT_ONCE)
            # One file alone, without a log of writes beside it.
            copy.execute("PRAGMA journal_mode=DELETE")
            copy.execute(f"UPDATE log SET epoch = {NEW_EPOCH}")
            (last_id,) = copy.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()
        _to_disk(unfinished)
        os.rename(unfinished, target)
        _to_disk(os.path.dirname(os.path.abspath(target)))
    except (OSError, sqlite3.Error) as error:
        raise StartError(f"Cannot write the backup {target} ({error}).") from None
    finally:
        with suppress(FileNotFoundError):
            os.unlink(unfinished)
    assert isinstance(last_id, int)
    return last_id


def _to_disk(path: str) -> None:
    """See to it that a file, or what a directory lists, survives the power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
