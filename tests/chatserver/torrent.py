"""`python -m tests.chatserver.torrent URL`: writes 5,000 messages a second to a store until it is
told to end by SIGTERM, and says how many of them are answered, line by line."""

import signal
import sys
import time
from collections import deque
from concurrent.futures import Future
from typing import Any

import gevent
from gevent.event import Event

from chatserver.futures import wait
from chatserver.store import open_store

RATE = 5000

TURN_SECONDS = 0.01

UNDER_WAY = RATE // 2
"""Messages that wait for their answer at most: half a second's."""


def main() -> None:
    store = open_store(sys.argv[1])
    claim = wait(store.claim("alice", "Alice", "holder", None)).claim
    under_way: deque[Future[Any]] = deque()
    began = time.monotonic()
    sent = answered = told = 0
    stop = Event()
    gevent.signal_handler(signal.SIGTERM, stop.set)
    while not stop.wait(TURN_SECONDS):
        due = round((time.monotonic() - began) * RATE) - sent
        for _ in range(min(due, UNDER_WAY - len(under_way))):
            sent += 1
            # One of ten has a key, as those of a client that may have to try again.
            key = None if sent % 10 else f"key {sent}"
            under_way.append(store.append(claim, f"message {sent}", key))
        while under_way and under_way[0].done():
            under_way.popleft().result()
            answered += 1
        if answered >= told + RATE // 10:
            told = answered
            print(f"{answered} answered, {answered / (time.monotonic() - began):.0f} a second")
    while under_way:
        wait(under_way.popleft())
    store.close()


main()
