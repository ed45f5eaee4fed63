"""What rooms consist of, as the store's calls take and give it: seats, rooms, people, and what is
told beside the log.
"""

from typing import Any, Final, Literal, NamedTuple

LOBBY: Final = "lobby"
"""The room that is always there, and that the seed's calls mean."""

EVERYWHERE: Final = "*"
"""The room of announcements, in which everyone is who has logged in."""

RoomKind = Literal["public", "private", "direct"]

Kinds = Literal["seed", "events", "messages"]
"""Which of a room's events a read is for: `seed` those of SEED_TYPES, `events` all but those of the
type `seat`, `messages` the chat messages. All as they stand: with their present text, or
removed."""


class Bounds(NamedTuple):
    """How many rooms one person may be in beside the lobby; with how many direct ones others cannot
    ask for one more, since strangers must not take all of its seats; and how many it may have made
    that are still there."""

    rooms: int
    direct: int
    made: int


GUEST: Final = Bounds(20, 10, 5)

ACCOUNT: Final = Bounds(1000, 500, 100)

MAX_PLACES: Final = 10
"""Places of one account: its connections, and those that it has just lost."""

MAX_PRESENCE: Final = 200
"""Seats of a room in which it is told who comes online and goes: in a crowd nobody looks. And rooms
beside the lobby in which it is told of one person, as often as that comes and goes."""

MAX_SANCTIONS: Final = 1000
"""Sanctions in force in one room at a time, and as many everywhere."""

MAX_REACTIONS: Final = 20
"""Kinds of reactions to one message."""

MAX_REACTION_NAMES: Final = 50
"""Names that are listed for each."""

REACTION_INTERVAL_MS: Final = 250
"""Milliseconds between two `react` events of one room: four a second."""

PASS_DAYS: Final = 7.0
"""Days for which a pass is good unless its maker says another number."""

MAX_PASSES: Final = 100
"""Passes of one room at a time."""

MAX_BLOCKED: Final = 1000
"""People whom one may block."""


class Seat(NamedTuple):
    """A person's place in a room, from entering to leaving. Its number is the id of the log's entry
    that began it (of `join`, the newest there was): what comes above it is the person's to hear,
    and no later seat of the same person in the room has it again."""

    room: str
    number: int


class SeatChange(NamedTuple):
    """A seat of the identity `by` begins or ends with the entry of the log that says so."""

    by: str
    room: str
    number: int
    begins: bool


SanctionKind = Literal["mute", "ban"]

MODERATORS_RANK: Final = 1
"""Where moderators of public rooms stand, and owners of private ones: above all who may not
moderate. What was decided before ranks were kept was by one of them, as far as one knows."""

ADMINS_RANK: Final = 2


class Sanction(NamedTuple):
    """What somebody may not do for a time.

    Muted people may read and leave, and remove what is theirs; banned ones are not let in. It is
    against the identity `by` (""; of an address alone: nobody's), and against guests from an
    address, of which it knows a digest ("": from none). `room` is the room's name, `*` stands for
    the whole chat. `name` is of whom it was, as it is shown, `author` of who decided, `rank` where
    that one stood when it decided: whoever stands lower changes nothing of it. `until_ms` is in
    milliseconds since 1970, None: for good.
    """

    number: int
    kind: SanctionKind
    room: str
    by: str
    address: str
    name: str
    author: str
    reason: str
    time_ms: int
    until_ms: int | None
    rank: int

    def holds(self, now_ms: int) -> bool:
        """Whether it is not over."""
        return self.until_ms is None or now_ms < self.until_ms

    def left_ms(self, now_ms: int) -> int | None:
        """For how long it holds yet; None: for good."""
        return None if self.until_ms is None else self.until_ms - now_ms


class RoomInfo(NamedTuple):
    """A room as one person sees it.

    `people` have a seat in it. `last_id` is its newest event, 0 before the first. `number` is that
    of the person's seat, None without one; `unread` is 0 then. `other` is the name of the other one
    in a direct room. `everything`: whoever enters may read what was before.
    """

    name: str
    kind: RoomKind
    title: str
    topic: str
    people: int
    last_id: int
    number: int | None
    unread: int
    other: str | None
    owner: bool
    everything: bool

    def value(self) -> dict[str, Any]:
        """As clients get it."""
        value: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "title": self.title,
            "topic": self.topic,
            "people": self.people,
            "lastId": self.last_id,
            "from": self.number or 0,
            "unread": self.unread,
            "inside": self.number is not None,
        }
        if self.other is not None:
            value["with"] = self.other
        return value


class Occupant(NamedTuple):
    """Somebody in a room. `role` is `owner`, `moderator` or `member`."""

    name: str
    online: bool
    role: str


class Aside(NamedTuple):
    """Told beside the log: never stored, may be lost."""

    room: str
    type: Literal["typing", "presence"]
    user: str
    by: str
    online: bool = True

    def value(self) -> dict[str, Any]:
        """As members get it."""
        value: dict[str, Any] = {
            "room": self.room,
            "type": self.type,
            "user": self.user,
            "by": self.by,
        }
        if self.type == "presence":
            value["online"] = self.online
        return value
