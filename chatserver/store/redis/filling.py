"""Making Redis hold what records say; see `chatserver.store.contents`, and `state.lua` for what is
kept where.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Final

from msgspec.structs import astuple

from chatserver.errors import StartError
from chatserver.people.lookalikes import looks_of
from chatserver.people.names import check_name
from chatserver.store.contents import (
    FORMAT,
    AccountRecord,
    AnyRecord,
    BlockRecord,
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
from chatserver.store.events import VERBS, Event, listed
from chatserver.store.interface import KEY_MS
from chatserver.store.redis.connection import RedisConnection, Word
from chatserver.store.redis.contents import CHUNK, SENT, scan
from chatserver.store.redis.operations import encode
from chatserver.store.redis.scripts import META, META_BEFORE, PREFIX, TAIL
from chatserver.store.seats import EVERYWHERE, LOBBY
from chatserver.store.values import account_identity, identity_of

TIMED_MS: Final = 60_000
"""Between two of the times that are noted of events, by which those that are too old are found: as
many as the script notes would be as many as there are events."""


def fill(connection: RedisConnection, shown: str, records: Iterable[AnyRecord]) -> None:
    """Make a log of a database without one, which holds these. Until all of it is there no server
    can use it; an import that was interrupted is to be done again.

    Raises StartError if there is a log; RedisError.
    """
    if any(connection.ask("TYPE", key) == b"hash" for key in (META, *META_BEFORE)):
        raise StartError(f"The store {shown} has a log, and is not replaced.")
    connection.ask("SET", META, "An import is under way, or was interrupted: start it again.")
    _clear(connection)
    filling = _Filling()
    for record in records:
        filling.add(record)
        if len(filling.commands) >= CHUNK:
            connection.ask_all(*filling.take())
    filling.end()
    connection.ask_all(*filling.take())
    keep_out = ("SET", META_BEFORE[0], "This chat has accounts, which this version does not know")
    connection.ask_all(("MULTI",), ("DEL", META), filling.meta(), keep_out, ("EXEC",))


def _clear(connection: RedisConnection) -> None:
    """Remove what is left of other logs."""
    for key in scan(connection, PREFIX):
        if key != META.encode():
            connection.ask("UNLINK", key)
    for key in scan(connection, SENT):
        connection.ask("UNLINK", key)


class _Filling:
    """Makes commands of record after record."""

    def __init__(self) -> None:
        self.commands: list[tuple[Word, ...]] = []
        self._head = Head(FORMAT, "", 1, 0, 0)
        self._rooms: dict[int, RoomRecord] = {}
        self._numbers = {EVERYWHERE: 0}
        self._seats: dict[int, list[SeatRecord]] = defaultdict(list)
        self._notices: dict[tuple[int, str], int] = defaultdict(int)
        self._made: dict[str, int] = defaultdict(int)
        self._edits: dict[int, list[int]] = {}
        """Of a message that was edited: when, and the ids of its edits."""
        self._emoji: dict[int, list[str]] = {}
        self._keys: dict[str, str] = {}
        """By the identity, what the name is compared by."""
        self._accounts: dict[str, dict[str, Any]] = {}
        """By the key, as it is stored, once all places are there."""
        self._sanctioned: Counter[int] = Counter()
        self._against: dict[tuple[int, str], list[int]] = defaultdict(list)
        self._announced = 0
        self._order = 0
        self._reactions = 0
        self._last: Event | None = None
        self._timed = -TIMED_MS

    def take(self) -> list[tuple[Word, ...]]:
        """What is to be sent next."""
        commands, self.commands = self.commands, []
        return commands

    def _do(self, *command: Word) -> None:
        self.commands.append(command)

    def add(self, record: AnyRecord) -> None:
        match record:
            case Head():
                self._head = record
            case AccountRecord():
                self._add_account(record)
            case NameRecord():
                self._add_name(record)
            case RoomRecord():
                self._do("ZADD", f"{PREFIX}named", 0, record.name)
                self._rooms[record.number] = record
                self._numbers[record.name] = record.number
                if record.maker:
                    self._made[record.maker] += 1
                if record.kind == "public":
                    self._do("ZADD", f"{PREFIX}public", 0, record.name)
            case SeatRecord():
                self._add_seat(record)
            case PassRecord(digest, number, until_ms, uses):
                room = self._rooms[number].name
                self._do("HSET", f"{PREFIX}passes", digest, encode([room, until_ms, uses or False]))
                self._do("SADD", f"{PREFIX}passes:{number}", digest)
            case BlockRecord(by, key):
                self._do("SADD", f"{PREFIX}blocks:{by}", key)
            case ErasedRecord(by, revoked):
                self._do("HSET", f"{PREFIX}revoked", by, revoked)
            case SanctionRecord():
                self._add_sanction(record)
            case NoticeRecord(number, kind, key, name, by):
                self._notices[number, kind] += 1
                self._do("RPUSH", f"{PREFIX}notices:{number}", encode([kind, key, name, by]))
                self._have_to_tell(number)
            case ReactedRecord(message, number):
                self._reactions += 1
                self._do("ZADD", f"{PREFIX}reacting:{number}", self._reactions, message)
                self._have_to_tell(number)
            case EventRecord(event):
                self._add_event(event)
            case ReactionRecord():
                self._add_reaction(record)
            case KeyRecord(digest, text_digest, message, time_ms):
                packed = encode([text_digest, message, time_ms])
                # For as long as a fresh one: the script looks at its time, too.
                self._do("SET", f"{SENT}{digest}", packed, "PX", KEY_MS)

    def _add_account(self, record: AccountRecord) -> None:
        by = account_identity(record.subject)
        self._keys[by] = record.key
        self._accounts[record.key] = {
            "number": 0,
            "name": record.name,
            "by": by,
            "looks": self._know(record, 0),
            "subject": record.subject,
            "role": record.role,
            "revoked": record.revoked,
            "places": [],
        }

    def _add_name(self, record: NameRecord) -> None:
        key, number = record.key, record.number
        stay = {"number": number, "secret": record.secret, "holder": "", "worker": ""}
        stay["waiting"] = True
        self._order = max(self._order, number)
        if record.place:
            self._accounts[key]["places"].append(stay)
            self._do("ZADD", f"{PREFIX}waiting", 0, f"{key}\0{number}")
            return
        by = identity_of(record.secret)
        self._keys[by] = key
        stay |= {"name": record.name, "by": by, "address": record.address}
        stay["looks"] = self._know(record, number)
        self._do("HSET", f"{PREFIX}names", key, encode(stay))
        self._do("ZADD", f"{PREFIX}waiting", 0, key)
        if record.address:
            self._do("ZADD", f"{PREFIX}addresses", 0, f"{record.address}\0{key}")

    def _know(self, record: AccountRecord | NameRecord, number: int) -> list[Any]:
        """List a name; how it looks, as its record has that."""
        skeletons, scripts = looks_of(record.name, record.key)
        self._do("ZADD", f"{PREFIX}known", 0, f"{record.name}\0{record.key}")
        for skeleton in skeletons:
            self._do("SADD", f"{PREFIX}scripts:{skeleton}", scripts)
            self._do("ZADD", f"{PREFIX}looks:{scripts}:{skeleton}", number, record.key)
        return [scripts, skeletons]

    def _add_sanction(self, record: SanctionRecord) -> None:
        number, room = record.number, self._numbers[record.room]
        until = False if record.until_ms is None else record.until_ms
        packed = encode([*astuple(record)[1:-2], until])
        self._do("HSET", f"{PREFIX}sanctions", number, packed)
        self._do("HSET", f"{PREFIX}ranks", number, record.rank)
        self._do("SADD", f"{PREFIX}sanctions:{room}", number)
        if until:
            self._do("ZADD", f"{PREFIX}lifting", until, number)
        for aim in filter(None, (record.by, record.address)):
            self._against[room, f"{record.kind} {aim}"].append(number)
        self._sanctioned[room] += 1

    def _add_seat(self, record: SeatRecord) -> None:
        room, number = self._rooms[record.room], record.room
        seats = self._seats[number]
        seats.append(record)
        key = self._keys.get(record.by) or check_name(record.name).key
        place: tuple[int, ...] = ()
        if room.name == LOBBY:
            self._order = max(self._order, len(seats))
            place = (len(seats),)
        packed = encode([record.number, record.name, record.read, key, *place])
        self._do("HSET", f"{PREFIX}seats:{number}", record.by, packed)
        self._do("ZADD", f"{PREFIX}people:{number}", 0, f"{record.name}\0{record.by}")
        account = self._accounts.get(key)
        if room.name != LOBBY:
            self._do("ZADD", f"{PREFIX}inside:{record.by}", 0, room.name)
        elif account is None or account["places"]:
            shown = record.name if account is None else account["name"]
            self._do("ZADD", f"{PREFIX}order", len(seats), shown)
        if room.kind == "private":
            self._do("ZADD", f"{PREFIX}seated:{number}", record.number, record.by)
        if room.kind == "direct":
            for other in seats[:-1]:
                for pair in (f"{record.by} {other.by}", f"{other.by} {record.by}"):
                    self._do("HSET", f"{PREFIX}direct", pair, room.name)

    def _add_event(self, event: Event) -> None:
        number = self._numbers[event.room]
        self._last = event
        if not number:
            self._announced = event.id
        if event.time_ms - self._timed >= TIMED_MS:
            self._timed = event.time_ms
            self._do("XADD", f"{PREFIX}times", f"{event.id}-0", "t", event.time_ms)
        self._do("XADD", f"{PREFIX}log:{number}", f"{event.id}-0", event.type, body_of(event))
        if event.type in ("chat", "edit") and not event.removed:
            self._do("HSET", f"{PREFIX}texts:{number}", event.id, event.text)
        if event.edited_ms:
            self._edits[event.id] = [event.edited_ms]
        if event.type == "edit" and event.target in self._edits:
            edits = self._edits[event.target]
            edits.append(event.id)
            self._do("HSET", f"{PREFIX}edited:{number}", event.target, encode(edits))

    def _add_reaction(self, record: ReactionRecord) -> None:
        self._reactions += 1
        kinds = self._emoji.setdefault(record.id, [])
        if record.emoji not in kinds:
            kinds.append(record.emoji)
            self._do("HSET", f"{PREFIX}reactions:{record.room}", record.id, encode(kinds))
        member = f"{record.by} {record.name}"
        self._do(*("ZADD", f"{PREFIX}reacted:{record.id}:{record.emoji}", self._reactions, member))

    def _have_to_tell(self, number: int) -> None:
        self._do("ZADD", f"{PREFIX}due", 0, self._rooms[number].name)

    def end(self) -> None:
        """What is known now only."""
        for room in self._rooms.values():
            self._do("HSET", f"{PREFIX}rooms", room.name, encode(self._stored(room)))
        if self._announced or self._sanctioned[0]:
            self._do("HSET", f"{PREFIX}rooms", EVERYWHERE, encode(self._everywhere()))
        for (number, aim), numbers in self._against.items():
            self._do("HSET", f"{PREFIX}against:{number}", aim, encode(numbers))
        for key, account in self._accounts.items():
            self._do("HSET", f"{PREFIX}names", key, encode(account))
        places = [len(account["places"]) for account in self._accounts.values()]
        counts = (
            "accounts",
            len(places),
            "places",
            sum(places),
            "online",
            len(places) - places.count(0),
        )
        self._do("HSET", f"{PREFIX}counts", *counts)
        for maker, made in self._made.items():
            self._do("HSET", f"{PREFIX}made", maker, made)
        if self._head.last_id:
            self._add_to_tail()

    def meta(self) -> tuple[Word, ...]:
        """The command with which it is a log."""
        head = self._head
        fields: dict[str, Word] = {
            "last_id": head.last_id,
            "last_ms": head.last_ms,
            "first_id": head.first_id,
            "uncounted": 0,
            "number": self._order,
            "room": max(self._rooms, default=0),
            "reaction": self._reactions,
            "sanction": head.last_sanction,
            "timed": max(0, self._timed),
            # Long ago: everybody has the whole time to come back, from the first server on.
            "seen": 1,
            "steady": 1,
            "epoch": head.epoch,
        }
        return ("HSET", META, *(word for field in fields.items() for word in field))

    def _stored(self, room: RoomRecord) -> list[Any]:
        """As `ROOM_FIELDS` in `keys.lua` has it."""
        seats = self._seats[room.number]
        is_pair = room.kind == "direct"
        pair = [part for seat in seats for part in (seat.by, seat.name)] if is_pair else False
        return [
            *(room.number, room.kind, room.title, room.topic, room.owner, room.maker),
            *(room.everything, room.last_id, room.said, pair, self._head.first_id, 0, 0),
            *(self._notices[room.number, kind] for kind in ("join", "leave")),
            *(0, 0, 0, self._sanctioned[room.number]),
        ]

    def _everywhere(self) -> list[Any]:
        """The room of announcements, likewise."""
        return [
            *(0, "everywhere", EVERYWHERE, "", "", "", True, self._announced, 0, False),
            *(self._head.first_id, 0, 0, 0, 0, 0, 0, 0, self._sanctioned[0]),
        ]

    def _add_to_tail(self) -> None:
        """The newest entry: what workers that have just come know of the log."""
        head, event = self._head, self._last
        entry = (TAIL, f"{head.last_id}-0")
        if event is None or event.id != head.last_id:
            # One that is no event.
            self._do("XADD", *entry, "seat", encode([0, head.last_ms, "", "", 0, []]), "r", "")
            return
        text = ("t", event.text) if event.type in ("chat", "edit") else ()
        self._do("XADD", *entry, event.type, body_of(event), "r", event.room, *text)


def body_of(event: Event) -> bytes:
    """What the log has of an event; see `entries.event_of`, which reads it."""
    more: list[Any] = []
    user, by = event.user, event.by
    match event.type:
        case "chat":
            more = [event.reply_to]
        case "join" | "leave":
            told = f"{listed(event.users, event.count)} {VERBS[event.type]} "
            more = [event.users, event.count, event.text.removeprefix(told)]
            user = ""
        case "edit":
            more = [event.target]
        case "remove":
            more = [event.target, event.text]
        case "react":
            found = event.reactions or {}
            more = [event.target, [[emoji, *who] for emoji, who in found.items()]]
        case "topic" | "notice":
            more = [event.text, event.seats]
        case "seat":
            more = [event.seats]
    return encode([event.prev, event.time_ms, user, by, event.number, *more])
