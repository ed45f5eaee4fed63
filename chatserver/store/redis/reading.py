"""Questions about rooms and people, which `read.lua` answers beside the script that writes."""

from collections.abc import Callable, Iterator, Mapping
from heapq import nsmallest
from typing import Any, Final, TypeVar, cast

from chatserver.people.token_terms import Role
from chatserver.store.events import Event
from chatserver.store.interface import MAX_READ_EVENTS, cut
from chatserver.store.people_interface import PersonInfo, PlaceInfo
from chatserver.store.redis.entries import room_event
from chatserver.store.redis.operations import encode
from chatserver.store.refusals import not_seated
from chatserver.store.seats import Occupant, RoomInfo, Seat
from chatserver.store.values import Counts, Span

Row = TypeVar("Row", Occupant, RoomInfo, PersonInfo)

Ask = Callable[[bytes], Any]
"""Has the script answer a question. Raises RedisError."""

CHUNK_EVENTS: Final = 64
"""Events that one question asks for: about MAX_READ_BYTES of the longest, so that a reader who
wants many long ones does not get much more than it may return."""

ROWS: Final = 100
"""Rooms or people that one question is about: a millisecond or two of Redis."""

ROOM_EVENTS: Final = 8
"""Events of each of them."""

LARGEST_ID: Final = 2**53
"""Above all ids, and still a number of Lua's."""


def names(ask: Ask) -> list[str]:
    """Everyone in the lobby, in joining order."""
    return [name.decode() for name in ask(encode(("names",)))]


def counts(ask: Ask) -> Counts:
    """How many are in the lobby, and how much was said there."""
    return Counts(*ask(encode(("counts",))))


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
    wanted = [(room, low) for room, low in lows.items() if low <= high]
    newer = {
        name.decode()
        for start in range(0, len(wanted), ROWS)
        for name in ask(encode(("newer", wanted[start : start + ROWS])))
    }
    lows = {room: low for room, low in wanted if room in newer}
    found: list[Event] = []
    while True:
        # What is below all that was not asked for yet is in its place.
        edge = min(lows.values(), default=LARGEST_ID)
        known = sorted((event for event in found if event.id < edge), key=lambda event: event.id)
        if not lows or len(known) >= limit:
            return cut(known, limit)
        asked = nsmallest(ROWS, lows.items(), key=lambda item: item[1])
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

    def some(after: str | None, count: int) -> list[Occupant]:
        question = ("people", seat.room, by, seat.number, after is not None and after, count)
        (found,) = _inside(ask, *question)
        return [
            Occupant(name.decode(), bool(online), role.decode()) for name, online, role in found
        ]

    return _listed(some, after, limit)


def room(ask: Ask, by: str, seat: Seat) -> RoomInfo:
    """Raises NotJoined."""
    (found,) = _inside(ask, "room", seat.room, by, seat.number)
    return _info(found)


def rooms(ask: Ask, by: str, after: str | None, limit: int, inside: bool) -> list[RoomInfo]:
    """Those that this identity sees."""

    def some(after: str | None, count: int) -> list[RoomInfo]:
        # Public ones and those that one is in, `count` of each.
        found = map(_info, ask(encode(("rooms", by, after is not None and after, count, inside))))
        later = [info for info in found if after is None or info.name > after]
        return nsmallest(count, later, key=lambda info: info.name)

    return _listed(some, after, limit)


def blocked(ask: Ask, by: str, after: str | None, limit: int) -> list[str]:
    """Names that this identity blocks."""
    keys = sorted(key.decode() for key in ask(encode(("blocked", by))))
    wanted = [key for key in keys if after is None or key > after][:limit]
    parts = (wanted[start : start + ROWS] for start in range(0, len(wanted), ROWS))
    return [name.decode() for part in parts for name in ask(encode(("shown", part)))]


# --- for admins


def everyone(ask: Ask, after: str | None, limit: int) -> list[PersonInfo]:
    def some(after: str | None, count: int) -> list[PersonInfo]:
        found = ask(encode(("everyone", after is not None and after, count)))
        return [
            PersonInfo(
                name.decode(), cast("Role | None", role and role.decode()), bool(here), rooms
            )
            for name, role, here, rooms in found
        ]

    return _listed(some, after, limit)


def places(ask: Ask, after: str | None, limit: int) -> list[PlaceInfo]:
    """All of one name together."""
    found: list[PlaceInfo] = []
    last: str | None = after
    while len(found) < limit:
        further, rows = ask(encode(("places", last is not None and last, min(ROWS, limit))))
        more = [
            PlaceInfo(name.decode(), bool(account), holder and holder.decode())
            for name, account, holder in rows
        ]
        found += sorted(more, key=lambda place: (place.name, place.holder or ""))
        if further is None:
            break
        last = further.decode()
    end = found[limit - 1].name if len(found) >= limit else None
    return [place for place in found if end is None or place.name <= end]


def all_rooms(ask: Ask, after: str | None, limit: int) -> list[RoomInfo]:
    def some(after: str | None, count: int) -> list[RoomInfo]:
        low = "-" if after is None else f"({after}"
        # The names of direct rooms begin with @; A is what comes next.
        high = "[A" if after is None or after < "A" else low
        return [_info(row) for row in ask(encode(("all_rooms", low, high, count)))]

    return _listed(some, after, limit)


def statistics(ask: Ask) -> dict[str, int]:
    accounts, online, places, names, rooms, sanctions, *log = ask(encode(("statistics",)))
    first_id, last_id, messages = log
    guests = names - accounts
    last: Any = False
    while last is not None:
        last, said = ask(encode(("said", last and last.decode(), ROWS)))
        messages += said
    return {
        "accounts": accounts,
        "online": guests + online,
        "places": guests + places,
        "rooms": rooms,
        "messages": messages,
        "events": last_id + 1 - first_id,
        "sanctions": sanctions,
    }


def _listed(
    some: Callable[[str | None, int], list[Row]], after: str | None, limit: int
) -> list[Row]:
    """The first `limit` that come after a name, asked for some at a time."""
    found: list[Row] = []
    while len(found) < limit:
        count = min(ROWS, limit - len(found))
        more = some(after, count)
        found += more
        if len(more) < count:
            break
        after = more[-1].name
    return found


def _inside(ask: Ask, *question: Any) -> list[Any]:
    """The answer to what is asked from a seat. Raises NotJoined."""
    answer: list[Any] = ask(encode(question))
    if answer[0] is None:
        raise not_seated()
    return answer


def _info(row: list[Any]) -> RoomInfo:
    name, kind, title, topic, people, last_id, number, unread, other, owner, everything = row
    return RoomInfo(
        name.decode(),
        kind.decode(),
        title.decode(),
        topic.decode(),
        people,
        last_id,
        number,
        unread,
        None if other is None else other.decode(),
        bool(owner),
        bool(everything),
    )
