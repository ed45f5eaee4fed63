"""What a Redis server says of itself, and what there is to be said against it."""

from collections.abc import Callable
from typing import Any


def server_info(ask: Callable[..., Any]) -> dict[str, str]:
    """Memory and persistence, by Redis's own names.

    Args:
        ask: sends a command. Raises RedisError.
    """
    lines = [line for part in ("memory", "persistence") for line in ask("INFO", part).splitlines()]
    fields = (line.decode().partition(":") for line in lines if b":" in line)
    return {name: value for name, _, value in fields}


def warnings_of(info: dict[str, str], shown: str) -> list[str]:
    """What will hurt one day: a sentence each, with what to do.

    Args:
        info: as `server_info` has it.
        shown: the store's URL, without a password.
    """
    found = []
    if info.get("aof_enabled") == "0":
        found.append(
            f"The Redis at {shown} has no append-only file, so what was answered is lost when it"
            " ends; start it with --appendonly yes."
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(
            f"The Redis at {shown} evicts keys when its memory is full ({policy}), which breaks the"
            " chat's rules; set its maxmemory-policy to noeviction."
        )
    return found
