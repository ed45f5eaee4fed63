"""A copy of the database while it is in use: all of one moment, and a log of its own."""

import sqlite3
from contextlib import closing
from typing import Final

from chatserver.store.sqlite.schema import NEW_EPOCH
from chatserver.store.sqlite.snapshot import snapshot

PAGES_AT_ONCE: Final = 1000
"""Pages between two moments in which Ctrl+C is heard: some milliseconds of a disk."""


def back_up(url: str, target: str) -> int:
    """Copy the database that `url` names into the empty file `target`.

    The server that uses it goes on, and waits for nothing. The copy's epoch is a new one: a log
    that goes on from it has other events behind the ids that the original went on with.

    Returns the id of the newest event in it. Raises StartError, sqlite3.Error.
    """
    with (
        snapshot(url) as source,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        # In the transaction that `source` is in, so that whatever is written meanwhile neither
        # comes in nor makes it begin again.
        source.backup(copy, pages=PAGES_AT_ONCE)
        # One file alone, without a log of writes beside it.
        copy.execute("PRAGMA journal_mode=DELETE")
        copy.execute(f"UPDATE log SET epoch = {NEW_EPOCH}")
        (last_id,) = copy.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()
    assert isinstance(last_id, int)
    return last_id
