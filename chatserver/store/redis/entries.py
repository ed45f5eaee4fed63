"""Events, as the entries of the stream that is the log."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from chatserver.store.events import Event, notice
from chatserver.store.redis.connection import LOG
from chatserver.store.redis.operations import decode
from chatserver.store.values import Span

CHUNK_EVENTS: Final = 64
"""Events that one question asks for: about MAX_READ_BYTES of the longest, so that a reader who
wants many long ones does not get much more than it may return."""

LARGEST_ID: Final = 2**64 - 1
"""The largest number in an entry's id (XADD)."""


def event_of(entry: list[Any]) -> Event:
    """An entry as Redis tells it: its id, `7-0`, and its one field with its value."""
    number = int(entry[0].partition(b"-")[0])
    match decode(entry[1][1]):
        case [time_ms, name, text]:
            return Event(number, "chat", name, text, time_ms)
        case [time_ms, "join" | "leave" as kind, count, names]:
            return notice(number, kind, names, count, time_ms)
    raise ValueError(f"the log's entry {number} is not of this version")


def read_range(ask: Callable[..., Any], span: Span) -> Iterator[Event]:
    """The events of `span`, from the oldest on, or with `newest` from the newest on; `limit` at
    least, if so many are there. Asks as far as it is asked.

    `ask` sends a command to Redis.
    """
    low = max(0, span.after) + 1
    high = LARGEST_ID if span.before is None else min(span.before - 1, LARGEST_ID)
    limit, newest = span.limit, span.newest
    while low <= high and limit > 0:
        bounds = (f"{high}-0", f"{low}-0") if newest else (f"{low}-0", f"{high}-0")
        count = min(limit, CHUNK_EVENTS)
        entries = ask("XREVRANGE" if newest else "XRANGE", LOG, *bounds, "COUNT", count)
        events = [event_of(entry) for entry in entries]
        yield from events
        if len(events) < count:
            return
        limit -= count
        if newest:
            high = events[-1].id - 1
        else:
            low = events[-1].id + 1
