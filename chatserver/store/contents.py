"""All that a store holds, record by record, in one order whichever engine it is: what is written
when one is exported, what is read when one is imported, and what checking one goes by.

Ids, numbers, secrets and digests are as they are stored. What ends with the process that stored it
is not there (who holds a name, when a notice was told last), nor the entries of the log that only
say who sits where, nor rooms that have ended.
"""

from collections.abc import Iterator
from typing import Final, Protocol

from msgspec import Struct

from chatserver.people.token_terms import Role
from chatserver.store.events import Event, NoticeType
from chatserver.store.seats import MODERATORS_RANK, RoomKind, SanctionKind

FORMAT: Final = 3
"""Of what follows. It grows when an older version could not read what a newer one writes. What
began later than 1 has a default, or a kind of its own, so that this version reads them all."""


class Record(Struct, frozen=True, tag_field="record"):
    """One of the kinds below, which come in their order."""


class Head(Record, frozen=True, tag="log"):
    """The log: its epoch, the oldest and the newest id that it has given, the newest time, and the
    number of the sanction that was made last."""

    format: int
    epoch: str
    first_id: int
    last_id: int
    last_ms: int
    last_sanction: int = 0


class AccountRecord(Record, frozen=True, tag="account"):
    """An account, by its key; see `state.records.AccountRecord`."""

    key: str
    name: str
    subject: str
    role: Role
    revoked: int


class NameRecord(Record, frozen=True, tag="name"):
    """A stay, by its place in the joining order: `place` counts those of an account from 1; 0 is a
    guest's, with a digest of where it comes from."""

    number: int
    key: str
    name: str
    secret: str
    place: int = 0
    address: str = ""


class RoomRecord(Record, frozen=True, tag="room"):
    """A room, by its number: `last_id` is its newest event, `said` counts its messages."""

    number: int
    name: str
    kind: RoomKind
    title: str
    topic: str
    owner: str
    maker: str
    everything: bool
    last_id: int
    said: int


class SeatRecord(Record, frozen=True, tag="seat"):
    """A seat: in the room with this number, of the identity `by`. By rooms; in the lobby in joining
    order, elsewhere by their numbers."""

    room: int
    by: str
    number: int
    name: str
    read: int


class PassRecord(Record, frozen=True, tag="pass"):
    """A pass into the room with this number, by its digest."""

    digest: str
    room: int
    until_ms: int
    uses: int | None


class BlockRecord(Record, frozen=True, tag="block"):
    """The identity `by` blocks the name with this key."""

    by: str
    key: str


class ErasedRecord(Record, frozen=True, tag="erased"):
    """An account that was, by its identity, and the second after which its tokens were signed."""

    by: str
    revoked: int


class SanctionRecord(Record, frozen=True, tag="sanction"):
    """A sanction, by its number; see `seats.Sanction`."""

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
    rank: int = MODERATORS_RANK


class NoticeRecord(Record, frozen=True, tag="notice"):
    """Someone joined or left and it is not told yet: by rooms, in their order."""

    room: int
    type: NoticeType
    key: str
    name: str
    by: str = ""


class ReactedRecord(Record, frozen=True, tag="reacted"):
    """The reactions to this message are to be told, by ids."""

    id: int
    room: int


class EventRecord(Record, frozen=True, tag="event"):
    """An event of a room as it stands, by its id; what became of a message is in it but for its
    reactions. Those of the room EVERYWHERE, of which there is no record, are announcements."""

    event: Event


class ReactionRecord(Record, frozen=True, tag="reaction"):
    """A reaction to a message of the room with this number: by messages, then by emoji in the order
    in which they are shown, then in the order in which they came."""

    id: int
    room: int
    emoji: str
    by: str
    name: str


class KeyRecord(Record, frozen=True, tag="key"):
    """An idempotency key that was used, by the event's id; digests in hexadecimal."""

    digest: str
    text_digest: str
    id: int
    time_ms: int


AnyRecord = (
    Head
    | AccountRecord
    | NameRecord
    | RoomRecord
    | SeatRecord
    | PassRecord
    | BlockRecord
    | ErasedRecord
    | SanctionRecord
    | NoticeRecord
    | ReactedRecord
    | EventRecord
    | ReactionRecord
    | KeyRecord
)


class Contents(Protocol):
    """What is stored. Each method may raise what the engine raises."""

    def damage(self) -> Iterator[str]:
        """What the engine itself finds wrong with its data, in sentences."""
        ...

    def records(self) -> Iterator[AnyRecord]:
        """All of it, in order."""
        ...
