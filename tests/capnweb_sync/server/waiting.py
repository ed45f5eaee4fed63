"""Waiting for conditions in tests that run on the loop."""

import time
from collections.abc import Callable

import gevent

#: Seconds that a condition may take on a busy machine. A passing test never waits for it.
DEADLINE = 20.0


def eventually(condition: Callable[[], object], timeout: float = DEADLINE) -> None:
    """Let the loop run until `condition` is true; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"after {timeout} seconds still not true"
        gevent.sleep(0.002)
