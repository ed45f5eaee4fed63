"""Questions about rooms, which `read.lua` answers beside the script that writes."""

from collections.abc import Callable, Iterator, Mapping
from heapq import nsmallest
from typing import Any, Final, NamedTuple

from chatserver.store.events import Event
from chatserver.store.interface import MAX_READ_EVENTS, cut
from chatserver.store.redis.entries import room_event
from chatserver.store.redis.operations import decode, encode
from chatserver.store.refusals import not_seated
from chatserver.store.seats import Occupant, RoomInfo, RoomKind, Seat
from chatserver.store.values import Span

Ask = Callable[[bytes], Any]
"""Has the script answer a question. Raises RedisError."""

CHUNK_EVENTS: Final = 64
"""Events that one question asks for: about MAX_READ_BYTES of the longest, so that a reader who
wants many long ones does not get much more than it may return."""

ROOMS_ASKED: Final = 64
"""Rooms that one question for news is about."""

ROOM_EVENTS: Final = 8
"""Events of each of them."""

LARGEST_ID: Final = 2**53
"""Above all ids, and still a number of Lua's."""


class RoomRecord(NamedTuple):
    """What rooms.lua keeps of a room, as far as it is read here."""

    number: int
    kind: RoomKind
    title: str
    topic: str
    owner: str
    maker: str
    everything: bool
    last_id: int
    said: int
    pair: list[str]


def read_range(ask: Ask, span: Span) -> Iterator[Event]:
    """The events of `span`, from the oldest on, or with `newest` from the newest on; `limit` at
    least, if so many are there. Asks as far as it is asked. Raises NotJoined."""
    low = min(max(0, span.after) + 1, LARGEST_ID)
    high = LARGEST_ID if span.before is None else min(span.before - 1, LARGEST_ID)
    left = span.limit
    while low <= high and left > 0:
        count = min(left, CHUNK_EVENTS)
        bounds = (low, high, count, span.newest)
        place = (span.by is not None and span.by, span.seat)
        position, rows = _inside(ask, "range", span.room, span.kinds, *bounds, *place)
        yield from (room_event(span.room, row) for row in rows)
        left -= len(rows)
        if not position:
            return
        if span.newest:
            high = position
        else:
            low = position


def read_rooms(ask: Ask, afters: Mapping[str, int], before: int, limit: int) -> list[Event]:
    """The events of these rooms above the id given for each and below `before`, in the order of
    ids; the first of them. Asks nothing of rooms without news."""
    high = min(before - 1, LARGEST_ID)
    limit = min(limit, MAX_READ_EVENTS)
    lows = {room: min(max(0, after) + 1, LARGEST_ID) for room, after in afters.items()}
    newer = {name.decode() for name in ask(encode(("newer", list(lows.items()))))}
    lows = {room: low for room, low in lows.items() if room in newer and low <= high}
    found: list[Event] = []
    while True:
        # What is below all that was not asked for yet is in its place.
        edge = min(lows.values(), default=LARGEST_ID)
        known = sorted((event for event in found if event.id < edge), key=lambda event: event.id)
        if not lows or len(known) >= limit:
            return cut(known, limit)
        asked = nsmallest(ROOMS_ASKED, lows.items(), key=lambda item: item[1])
        count = max(ROOM_EVENTS, CHUNK_EVENTS // len(asked))
        answers = {
            name.decode(): (position, rows)
            for name, position, rows in ask(encode(("news", asked, high, count)))
        }
        for room, _ in asked:
            position, rows = answers.get(room, (0, ()))
            found += [room_event(room, row) for row in rows]
            lows[room] = position
            if not position:
                del lows[room]


def people(ask: Ask, by: str, seat: Seat, after: str | None, limit: int) -> list[Occupant]:
    """Raises NotJoined."""
    question = (seat.room, by, seat.number, after is not None and after, limit)
    (found,) = _inside(ask, "people", *question)
    return [Occupant(name.decode(), bool(online), role.decode()) for name, online, role in found]


def room(ask: Ask, by: str, seat: Seat) -> RoomInfo:
    """Raises NotJoined."""
    (found,) = _inside(ask, "room", seat.room, by, seat.number)
    return _info(by, found)


def rooms(ask: Ask, by: str, after: str | None, limit: int, inside: bool) -> list[RoomInfo]:
    """Those that this identity sees."""
    found = ask(encode(("rooms", by, after is not None and after, limit, inside)))
    seen = (_info(by, row) for row in found)
    later = [info for info in seen if after is None or info.name > after]
    return nsmallest(limit, later, key=lambda info: info.name)


def _inside(ask: Ask, *question: Any) -> list[Any]:
    """The answer to what is asked from a seat. Raises NotJoined."""
    answer: list[Any] = ask(encode(question))
    if answer[0] is None:
        raise not_seated()
    return answer


def _info(by: str, row: list[Any]) -> RoomInfo:
    name, packed, people, number, read = row
    record = RoomRecord(*decode(packed)[: len(RoomRecord._fields)])
    other = None
    if record.pair:
        first, first_name, _, second_name = record.pair
        other = second_name if first == by else first_name
    return RoomInfo(
        name.decode(),
        record.kind,
        record.title,
        record.topic,
        people,
        record.last_id,
        number,
        0 if number is None else record.said - read,
        other,
        record.kind == "private" and record.owner == by,
        record.everything,
    )
