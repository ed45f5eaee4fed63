"""What the store's calls take and give: claims, answers, and what a follower is told."""

import hashlib
import math
from datetime import datetime
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from chatserver.people.token_terms import Role
from chatserver.store.events import Event
from chatserver.store.seats import Aside, Kinds, Seat

DIGEST_BYTES: Final = 16
"""Length of the digests that stand for keys and texts; among the keys of a week at a thousand
messages a second, the odds that two collide are below 1 in 10**20."""

IDENTITY_CHARACTERS: Final = 16
"""Length of what names an identity: 64 bits in hexadecimal, which say nothing of its secret."""


class Moment(NamedTuple):
    """What the clocks show, in milliseconds.

    `wall` is since 1970 in UTC and may be set at any time, back, too. `steady` is since some
    beginning that this process does not share with others, and only passes.
    """

    wall: int
    steady: int


class Account(NamedTuple):
    """Whom a token is for, as far as the store goes by it: its `sub` exactly as it stands, its
    role, and when it was signed, in seconds since 1970."""

    subject: str
    role: Role = "member"
    issued: float = math.inf


class Claim(NamedTuple):
    """The right of one membership to speak for a name; `by` names whose it is, and `account`
    whether that is an account's."""

    key: str
    holder: str
    secret: str
    by: str = ""
    account: bool = False

    @property
    def scope(self) -> str:
        """What the keys of its messages are its own by: of a guest the stay, of an account all of
        its places."""
        return self.by if self.account else self.secret


Why = Literal["taken_over", "account_came", "revoked", "sent_away"]


class Lost(NamedTuple):
    """A holder that lost its claim, why, and what to tell whoever it was.

    `taken_over`: another connection has shown the secret. `account_came`: an account has the name.
    `revoked`: its tokens are good no more. `sent_away`: it was banned, or disconnected.
    """

    holder: str
    why: Why
    text: str = ""


class Joined(NamedTuple):
    """The answer to a claim.

    `last_id` is the newest event at that moment, `first_id` the oldest one still there
    (`last_id + 1` if there is none). `online` is how many are online, `users` the first `MAX_USERS`
    of them in joining order. Both are of the lobby. `seats` are those of the identity now, the
    lobby's first.
    """

    claim: Claim
    name: str
    first_id: int
    last_id: int
    online: int
    users: tuple[str, ...]
    seats: tuple[Seat, ...]


class Receipt(Struct, frozen=True, gc=False):
    """The answer to an append, which its caller gets as it is: the event's id, and its time."""

    id: int
    time: datetime


class Counts(NamedTuple):
    """`users` are online; `messages` have been said since the log began, trimmed ones included."""

    users: int
    messages: int


class Span(NamedTuple):
    """What a read asks for, see `Store.read_room`: `limit` is at most MAX_READ_EVENTS. `by` and
    `seat` are checked in the same step; without `by` it is the server itself that reads."""

    room: str
    kinds: Kinds
    after: int
    before: int | None
    limit: int
    newest: bool
    by: str | None = None
    seat: int = 0


class Tail(NamedTuple):
    """News for the follower: entries in order, those of the type `seat` included; holders that have
    lost their claim; and what is told beside the log."""

    events: list[Event]
    lost: list[Lost]
    asides: tuple[Aside, ...] = ()


class LogReset(Exception):
    """What the follower knows does not hold any more: the log began anew, was trimmed past it, or
    this worker was away for so long that its names were freed. The store's `epoch` and `last_id`
    are those of now; everyone is to join again."""


def digest_of(*parts: str) -> bytes:
    """A digest that only the same parts have; any string will do, lone surrogates included."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.digest()


def account_identity(subject: str) -> str:
    """What names the identity of an account, in all of its places, to everyone."""
    return digest_of("account", subject).hex()[:IDENTITY_CHARACTERS]


def identity_of(secret: str) -> str:
    """What names the identity of a guest's stay with this secret to everyone, `Claim.by`."""
    return digest_of("by", secret).hex()[:IDENTITY_CHARACTERS]
