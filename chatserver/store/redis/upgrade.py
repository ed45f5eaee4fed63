"""Taking over a database from before there were accounts, or rooms, a part at a time, while workers
of that version may be at it; from the last part on they can write no more."""

import logging
from typing import Any, Final

from chatserver.people.lookalikes import looks_of
from chatserver.store.interface import Policy
from chatserver.store.redis.connection import RedisConnection
from chatserver.store.redis.operations import TAIL_EVENTS, encode
from chatserver.store.redis.scripts import UPGRADE
from chatserver.store.values import identity_of

logger = logging.getLogger("chatserver")

PART_EVENTS: Final = 1000
"""Events that are taken over at a time: a few milliseconds of Redis."""


def take_over(connection: RedisConnection, policy: Policy) -> None:
    """Take over what there is, if there is something. Raises RedisError."""
    names: dict[str, tuple[Any, ...]] = {}
    while True:
        known = {
            "count": PART_EVENTS,
            "keep_ms": policy.keep_ms is not None,
            "tail": TAIL_EVENTS,
            "names": names,
        }
        state, *unknown = connection.run(UPGRADE, encode(known))
        for each in unknown:
            key, name, secret = (value.decode() for value in each)
            names[key] = (secret, identity_of(secret), *looks_of(name, key))
        if state == b"done":
            logger.warning(
                "The store is one with accounts now; workers of earlier versions cannot use it."
            )
        if state in (b"done", b"none"):
            return
