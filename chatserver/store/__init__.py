"""The store: the ordered, durable log of the chat, and who speaks for which name.

interface   what every engine keeps to
state       the rules of names, notices and keys, for engines that one process owns
local       what the engines of one process share
memory      nothing on a disk: for tests
sqlite/     the default: a file that one process owns
redis/      any number of workers, on any number of machines
"""

from typing import Final

from capnweb_sync.urls import without_password
from chatserver.errors import StartError
from chatserver.store.interface import Clock, Policy, Store, system_clock

SHARED_SCHEMES: Final = frozenset({"redis", "rediss", "unix"})
"""Kinds of stores that any number of processes can use at a time."""


def engine_of(url: str) -> str:
    """The kind of store that `url` names, which need not be one that there is."""
    return url.partition(":")[0].lower() if ":" in url else ""


def is_shared(url: str) -> bool:
    """Whether several workers can use the store that `url` names."""
    return engine_of(url) in SHARED_SCHEMES


def secret_file(url: str) -> str | None:
    """Where the secret of the chat is that `url` names, beside its database; None: it has no place
    of its own."""
    if engine_of(url) != "sqlite":
        return None
    from chatserver.store.sqlite.store import Location

    return f"{Location.of(url).path}.secret"


def open_store(url: str, policy: Policy | None = None, clock: Clock = system_clock) -> Store:
    """Open the store that `url` names: `memory:`, `sqlite:///relative.db`, `sqlite:////absolute.db`,
    `redis://host:port/db` (and `rediss://`, `unix://`).

    Args:
        url: which engine, and where its data is.
        policy: grace and retention.
        clock: another one than the machine's, for tests.

    Raises:
        StartError: it cannot be opened; says why and what to do.
    """
    scheme = engine_of(url)
    policy = policy or Policy()
    if not url.isprintable():
        raise StartError(
            "The store's URL has characters that cannot be shown; write them as in %09."
        )
    if url.lower() in ("memory:", "memory://"):
        from chatserver.store.memory import MemoryStore

        return MemoryStore(policy, clock)
    if scheme in SHARED_SCHEMES:
        from chatserver.store.redis import RedisStore

        return RedisStore(url, policy, clock)
    if scheme == "sqlite":
        from chatserver.store.sqlite import SqliteStore

        return SqliteStore(url, policy, clock)
    raise StartError(
        f"The store {without_password(url)!r} is of no known kind; use sqlite:///file.db,"
        " sqlite:////absolute/path/to/file.db, redis://host:port/0, or memory: for a try."
    )
