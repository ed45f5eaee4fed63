"""Whether all that must hold of what is stored holds.

`findings` looks at record after record, and each kind has a method that says in sentences what
does not hold. A rule that the stores keep to (`interface`, `room_interface`,
`people_interface`) and that can be seen
in what they hold belongs here.
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Final, get_args

from chatserver.people.token_terms import Role
from chatserver.store.contents import (
    AccountRecord,
    AnyRecord,
    BlockRecord,
    Contents,
    ErasedRecord,
    EventRecord,
    Head,
    KeyRecord,
    NameRecord,
    NoticeRecord,
    PassRecord,
    ReactedRecord,
    ReactionRecord,
    RoomRecord,
    SanctionRecord,
    SeatRecord,
)
from chatserver.store.events import MAX_USERS, VERBS, Event, EventType, listed
from chatserver.store.interface import MAX_NOTICES
from chatserver.store.seats import (
    ADMINS_RANK,
    EVERYWHERE,
    LOBBY,
    MAX_PLACES,
    MAX_REACTIONS,
    MAX_SANCTIONS,
    MODERATORS_RANK,
    SanctionKind,
)

TYPES: Final = frozenset(get_args(EventType)) - {"seat"}
"""Of what is told."""

ROLES: Final = frozenset(get_args(Role))

SANCTION_KINDS: Final = frozenset(get_args(SanctionKind))

PAIR: Final = 2
"""People in a direct room."""


class Summary:
    """What was looked at, for who asked.

    Attributes:
        first_id, last_id: the ids of the log.
        counts: how many records there are of each kind.
    """

    def __init__(self) -> None:
        self.first_id = 1
        self.last_id = 0
        self.counts: Counter[str] = Counter()

    def __str__(self) -> str:
        kinds = ("event", "room", "account", "name", "seat", "key", "sanction")
        counts = ", ".join(f"{self.counts[kind]} {kind}s" for kind in kinds)
        return f"ids {self.first_id} to {self.last_id}; {counts}"


def findings(contents: Contents, summary: Summary) -> Iterator[str]:
    """Look at everything; what does not hold, in sentences. `summary` is filled in on the way."""
    damage = list(contents.damage())
    yield from damage
    if damage:
        return  # what is read from there may be anything
    check = _Check()
    for record in contents.records():
        summary.counts[str(record.__struct_config__.tag)] += 1
        yield from check.look_at(record)
    yield from check.at_the_end()
    summary.first_id, summary.last_id = check.first_id, check.last_id


class _Check:
    """What has been seen so far, as far as the rest must fit it."""

    def __init__(self) -> None:
        self.first_id = 1
        self.last_id = 0
        self._last_sanction = 0
        self._accounts: set[str] = set()
        self._rooms: dict[int, RoomRecord] = {}
        self._numbers: dict[str, int] = {}
        self._unique: set[tuple[object, ...]] = set()
        self._people: Counter[int] = Counter()
        self._sanctions: Counter[str] = Counter()
        self._waiting: Counter[tuple[int, str]] = Counter()
        self._emoji: Counter[int] = Counter()
        self._ends: dict[int, tuple[int, int]] = {}
        """Of each room its newest event so far, and how many messages there were with it."""
        self._before = 0
        # A log may have millions of them.
        self._messages = array("q")
        self._times = array("q")

    def look_at(self, record: AnyRecord) -> Iterator[str]:
        match record:
            case Head():
                yield from self._head(record)
            case AccountRecord():
                yield from self._account(record)
            case NameRecord():
                yield from self._name(record)
            case RoomRecord():
                yield from self._room(record)
            case SeatRecord():
                yield from self._seat(record)
            case PassRecord(digest, number):
                if self._kind(number) != "private":
                    yield f"The pass {digest} is into room {number}, which is no private one."
            case BlockRecord(by, key):
                if not (by and key):
                    yield "Somebody blocks nobody."
            case ErasedRecord(by, revoked):
                if not by or revoked <= 0:
                    yield "An account was erased that was nobody's, or whose tokens are good yet."
            case SanctionRecord():
                yield from self._sanction(record)
            case NoticeRecord():
                yield from self._notice(record)
            case ReactedRecord(message, number):
                if number not in self._rooms or not 0 < message <= self.last_id:
                    yield f"Reactions to {message} are to be told in room {number}: not there."
            case EventRecord(event):
                yield from self._event(event)
            case ReactionRecord():
                yield from self._reaction(record)
            case KeyRecord():
                yield from self._key(record)

    def at_the_end(self) -> Iterator[str]:
        """What can be said of rooms once all was seen."""
        if self._kind(self._numbers.get(LOBBY, 0)) != "public":
            yield "There is no lobby."
        for number, room in self._rooms.items():
            last_id, said = self._ends.get(number, (0, room.said))
            if room.last_id != last_id and (last_id or room.last_id >= self.first_id):
                yield f"Room {number} ends with {room.last_id}, its events with {last_id}."
            if room.said != said:
                yield f"Room {number} has {room.said} messages, its events count {said}."
            people = self._people[number]
            if room.kind == "private" and (
                not people or ("seat", number, room.owner) not in (self._unique)
            ):
                yield f"Room {number} is private and without its owner."
            if room.kind == "direct" and people != PAIR:
                yield f"Room {number} is of two, and has {people}."

    def _kind(self, number: int) -> str:
        room = self._rooms.get(number)
        return "" if room is None else room.kind

    def _is_first(self, *what: object) -> bool:
        """Whether this was not seen before."""
        fresh = what not in self._unique
        self._unique.add(what)
        return fresh

    def _head(self, head: Head) -> Iterator[str]:
        self.first_id, self.last_id = head.first_id, head.last_id
        self._last_sanction = head.last_sanction
        if not head.epoch:
            yield "The log has no epoch."
        if not 1 <= head.first_id <= head.last_id + 1:
            yield f"The log begins at {head.first_id} and ends at {head.last_id}."

    def _account(self, record: AccountRecord) -> Iterator[str]:
        shown = repr(record.name)
        if not (record.key and record.name and record.subject) or record.role not in ROLES:
            yield f"The account {shown} has no key, no name, no subject or no role."
        if record.key in self._accounts or not self._is_first("subject", record.subject):
            yield f"The account {shown} has its key or its subject from another one."
        self._accounts.add(record.key)

    def _name(self, record: NameRecord) -> Iterator[str]:
        shown, place = repr(record.name), record.place
        if not 0 <= place <= MAX_PLACES or (place > 0) != (record.key in self._accounts):
            yield f"The name {shown} is a guest's and an account's, or of place {place}."
        if not (record.key and record.name and record.secret):
            yield f"The name {shown} has no key, no name or no secret."
        slot = record.key, place
        fields = (("number", record.number), ("slot", slot), ("secret", record.secret))
        fresh = [self._is_first("name", *field) for field in fields]
        if not all(fresh):
            yield f"The name {shown} has its number, its place or its secret from another one."

    def _room(self, record: RoomRecord) -> Iterator[str]:
        self._rooms[record.number] = record
        if not self._is_first("room", record.number) or record.name in self._numbers:
            yield f"There are two rooms {record.number}, or of the name {record.name!r}."
        self._numbers[record.name] = record.number
        if record.last_id > self.last_id:
            yield f"Room {record.number} ends with {record.last_id}, which is not there yet."

    def _seat(self, record: SeatRecord) -> Iterator[str]:
        number, shown = record.room, repr(record.name)
        self._people[number] += 1
        if number not in self._rooms:
            yield f"{shown} sits in room {number}, which is not there."
        elif record.number > self.last_id or record.read > self._rooms[number].said:
            yield f"{shown} sits in room {number} since, or has read, what is not there yet."
        if not self._is_first("seat", number, record.by):
            yield f"{shown} sits twice in room {number}."

    def _sanction(self, record: SanctionRecord) -> Iterator[str]:
        number, room = record.number, record.room
        if not 0 < number <= self._last_sanction or not self._is_first("sanction", number):
            yield f"The sanction {number} has another one's number, or one that none had yet."
        if record.kind not in SANCTION_KINDS or not (record.by or record.address):
            yield f"The sanction {number} is against nobody, or of no kind: {record.kind!r}."
        if record.rank not in (MODERATORS_RANK, ADMINS_RANK):
            yield f"The sanction {number} was decided by somebody of no rank: {record.rank}."
        if self._kind(self._numbers.get(room, 0)) not in ("public", "private") and (
            (room, record.kind) != (EVERYWHERE, "ban")
        ):
            yield f"The sanction {number} is in the room {room!r}, where there is none."
        self._sanctions[room] += 1
        if self._sanctions[room] == MAX_SANCTIONS + 1:
            yield f"There are more than {MAX_SANCTIONS} sanctions in the room {room!r}."

    def _notice(self, record: NoticeRecord) -> Iterator[str]:
        place = record.room, record.type
        self._waiting[place] += 1
        if record.type not in VERBS or not (record.key and record.name):
            yield f"A notice of room {record.room} tells of nothing: {record.type!r}."
        elif self._kind(record.room) in ("", "direct"):
            yield f"A notice is for room {record.room}, where nobody joins or leaves."
        elif self._waiting[place] == MAX_NOTICES + 1:
            yield f"More than {MAX_NOTICES} notices of room {record.room} wait."

    def _event(self, event: Event) -> Iterator[str]:
        if not max(self._before + 1, self.first_id) <= event.id <= self.last_id:
            yield f"Event {event.id} comes after {self._before}; the log ends at {self.last_id}."
        self._before = event.id
        yield from _look_into(event)
        if event.room == EVERYWHERE:
            if event.type != "notice" or event.prev or event.number:
                yield f"Event {event.id} is for everyone, and no announcement."
            return
        number = self._numbers.get(event.room)
        if number is None:
            yield f"Event {event.id} is of the room {event.room!r}, which is not there."
            return
        last_id, said = self._ends.get(number, (event.prev, event.number - (event.type == "chat")))
        if event.prev != last_id or (number not in self._ends and event.prev >= self.first_id):
            yield f"Event {event.id} says that {event.prev} is before it, and {last_id} is."
        if event.number != said + (event.type == "chat"):
            yield f"Event {event.id} counts {event.number} messages, the one before {said}."
        self._ends[number] = event.id, event.number
        if event.type == "chat":
            self._messages.append(event.id)
            self._times.append(event.time_ms)

    def _reaction(self, record: ReactionRecord) -> Iterator[str]:
        if not self._find(record.id):
            yield f"Somebody has reacted to {record.id}, which is no message."
        if not self._is_first("reaction", record.id, record.emoji, record.by):
            yield f"Somebody has reacted twice to {record.id} with {record.emoji}."
        if self._is_first("emoji", record.id, record.emoji):
            self._emoji[record.id] += 1
            if self._emoji[record.id] == MAX_REACTIONS + 1:
                yield f"There are more than {MAX_REACTIONS} kinds of reactions to {record.id}."

    def _key(self, record: KeyRecord) -> Iterator[str]:
        if record.id > self.last_id:
            yield f"A key was answered with event {record.id}, which is not there yet."
        time_ms = self._find(record.id)
        # One whose event is not there was said in a room that has ended, or was trimmed.
        if time_ms not in (None, record.time_ms):
            yield f"A key was answered with event {record.id}, whose time is another."

    def _find(self, message: int) -> int | None:
        """The time of this message; None if it is not there."""
        place = bisect_left(self._messages, message)
        if place == len(self._messages) or self._messages[place] != message:
            return None
        return self._times[place]


def _look_into(event: Event) -> Iterator[str]:
    """What does not hold of an event alone."""
    if event.time_ms < 0:
        yield f"Event {event.id} is dated {event.time_ms}."
    if event.type not in TYPES:
        yield f"Event {event.id} is of no known type: {event.type!r}."
    elif event.type in ("join", "leave"):
        told = f"{listed(event.users, event.count)} {VERBS[event.type]} " if event.users else None
        if told is None or len(event.users) > MAX_USERS or event.count < len(event.users):
            yield f"Event {event.id} tells of {event.count} and lists {len(event.users)}."
        elif event.user != event.users[0] or not event.text.startswith(told):
            yield f"Event {event.id} tells of others than it lists."
    elif event.users or event.count:
        yield f"Event {event.id} is of the type {event.type}, and lists names."
    elif event.type in ("chat", "edit") and event.removed == bool(event.text):
        yield f"Event {event.id} has no text, or was removed and has one."
    if event.type in ("edit", "remove", "react") and not 0 < event.target < event.id:
        yield f"Event {event.id} is about {event.target}."
    if event.reply_to >= event.id:
        yield f"Event {event.id} is a reply to {event.reply_to}."
