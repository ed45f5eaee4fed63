"""The embedded store, `sqlite:///chat.db`: one file, of one process.

| file | what lives there |
|---|---|
| `store` | `SqliteStore`: who asks is answered; the loop's side of everything |
| `writer` | one thread that decides, stores and commits, batch by batch |
| `reader` | reading events, in threads of its own |
| `schema` | connecting to the file, its tables, its migrations |
| `file_system` | whether the file is on a network file system, where it must not be |
| `ownership` | the lock that keeps a second process out |
"""

from chatserver.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
