"""Hours at the terminal: what is kept of what was shown has a bound."""

import tracemalloc
from collections.abc import Iterable
from datetime import datetime, timezone

import pytest

from chatclient import Event
from chatclient.completion import MAX_NAMES, remember
from chatclient.inbox import Inbox
from chatclient.looks import Ink
from chatclient.showing import Showing, Wishes
from chatclient.terminal import PlainTerminal

PLAIN = Ink((), plain=True)

A_SECOND = 10
"""Messages, in three rooms."""


@pytest.mark.alone
def test_two_hours_of_messages_take_no_more_memory_than_minutes(full: bool) -> None:
    terminal = PlainTerminal(PLAIN, source=[], quiet=True)
    showing = Showing(terminal, PLAIN, Wishes(), interactive=True)
    showing.begin("Ann", "lobby")
    inbox = Inbox(1_000, lambda room, after: [])
    inbox.begin("a log", 0, 0, {"lobby": 0, "tea": 0, "garden": 0})

    def go_through(ids: Iterable[int]) -> None:
        for number in ids:
            room = ("lobby", "tea", "garden")[number % 3]
            said = f"message {number} " * 20
            now = datetime.now(timezone.utc)
            inbox.put(Event(number, "chat", f"Bob {number % 50}", said, now, room=room))
            event = inbox.take()
            assert event is not None
            showing.happen(event)

    minutes, hours = 300 * A_SECOND, (7_200 if full else 900) * A_SECOND
    tracemalloc.start()
    try:
        go_through(range(1, minutes))
        before = tracemalloc.get_traced_memory()[0]
        go_through(range(minutes, hours))
        more = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert more < 100_000, "bytes"


def test_no_more_names_are_known_than_is_bounded() -> None:
    names = {"Ann"}
    for number in range(200):
        remember(names, (f"Bob {number} {other}" for other in range(200)))
    assert len(names) == MAX_NAMES
