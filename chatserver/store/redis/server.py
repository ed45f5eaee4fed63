"""What a Redis server says of itself."""

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
