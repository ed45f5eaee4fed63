"""What the state consists of, as engines keep it, and what operations have changed of it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import Struct

from chatserver.people.token_terms import Role
from chatserver.store.events import Event, NoticeType
from chatserver.store.seats import Aside, RoomKind, Sanction
from chatserver.store.values import Lost, account_identity


class Somebody(NamedTuple):
    """Whom something is done by or to: the key of the name, the name as it is shown, the identity,
    and whether that is an account's."""

    key: str
    name: str
    by: str
    account: bool = False


@dataclass(frozen=True, slots=True)
class Holding:
    """A stay: a guest's, or a place of an account. It is held by `holder`, or without one waiting
    until `until`.

    `number` is its place in the joining order. `place` counts the places of an account from 1; 0 is
    a guest's. `address` is a digest of where a guest comes from, "" if that does not matter.
    """

    number: int
    who: Somebody
    place: int
    secret: str
    holder: str | None
    until: int | None = None
    address: str = ""

    @property
    def slot(self) -> tuple[str, int]:
        """What no two have."""
        return self.who.key, self.place


class AccountRecord(NamedTuple):
    """An account: the key of its name, the name as the latest token spells it, the `sub` that owns
    it, the role of the latest token, and the second since 1970 after which its tokens were signed;
    0: they were never revoked."""

    key: str
    name: str
    subject: str
    role: Role
    revoked: int = 0

    @property
    def who(self) -> Somebody:
        """Whose it is."""
        return Somebody(self.key, self.name, account_identity(self.subject), True)


class SeatRecord(NamedTuple):
    """A seat: its number, whose it is by name, and how many of the room's messages are read."""

    number: int
    name: str
    read: int


class Lobby(NamedTuple):
    """What is asked for of the lobby: who is in it and online, in joining order, and how many
    messages there ever were."""

    people: Collection[Somebody]
    said: int


class RoomRecord(NamedTuple):
    """What an engine keeps of a room beside its events and seats.

    `number` is what it is called in the store, never given twice. `owner` and `maker` are
    identities; "" if nobody is. `last_id` and `said` are as they were when it was stored: the
    events that are there say them better.
    """

    number: int
    name: str
    kind: RoomKind
    title: str
    topic: str
    owner: str
    maker: str
    everything: bool
    last_id: int = 0
    said: int = 0


class Pass(NamedTuple):
    """What lets whoever shows it into a room, by its digest; `uses` are left, None: any number."""

    digest: str
    room: int
    until_ms: int
    uses: int | None


class Notice(NamedTuple):
    """Someone joined or left, and it is not told yet. `number` says in which order, `by` whose the
    name is."""

    number: int
    type: NoticeType
    key: str
    name: str
    room: int
    by: str


class UsedKey(NamedTuple):
    """An idempotency key that was used: digests of the key with its scope and of the text, and the
    answer that was given."""

    digest: bytes
    text_digest: bytes
    id: int
    time_ms: int


class StoredMessage(NamedTuple):
    """What must be known of a message to change it: its room's number, and whose it is."""

    room: int
    by: str
    removed: bool


class Trace(NamedTuple):
    """What somebody has left in a room: a message, or with `emoji` a reaction to another's."""

    message: int
    room: int
    emoji: str


class Changes(Struct):
    """What operations did, for the engine to store and to tell; what they did to messages that are
    stored already, the engine was told at once (`Archive`).

    One is made for each commit: a `Struct`, whose fields get empty containers of their own in C.
    """

    events: list[Event] = []
    used_keys: dict[bytes, UsedKey] = {}
    holdings: dict[tuple[str, int], Holding | None] = {}
    """By slot; None: it is over."""
    accounts: dict[str, AccountRecord | None] = {}
    """By key; None: it was erased."""
    erased: dict[str, int | None] = {}
    """Of accounts that were erased, by identity, the second after which their tokens were signed;
    None: there is such an account again, which knows it."""
    sanctions: dict[int, Sanction | None] = {}
    """By number; None: it is over."""
    rooms: dict[int, RoomRecord | None] = {}
    """By number; None: it has ended, and its events are to be erased."""
    seats: dict[tuple[int, str], SeatRecord | None] = {}
    """By the room's number and the identity; None: it has ended."""
    passes: dict[str, Pass | None] = {}
    """By digest; None: it is good no more."""
    blocks: dict[tuple[str, str], bool] = {}
    """By the identity and the key of the other's name: whether it is blocked."""
    reacted: dict[int, int | None] = {}
    """By the message's id the number of its room, of which a `react` event is due; None: not any
    more."""
    notices: list[Notice] = []
    told: list[int] = []
    """Numbers of notices that wait no more: one of `events` tells of them, or nothing does."""
    lost: list[Lost] = []
    """Holders that lost their claims."""
    asides: list[Aside] = []
    """To be told beside the log."""
