"""The store: the ordered, durable log of the chat, and who speaks for which name.

What every engine keeps to, and what `tests/chatserver/store` asks of each. Rooms are a part of it:
`chatserver.store.room_interface` has their rules. `claim` with `lobby`, `append`, `names`, `counts`
and `read` mean the lobby; `tick` and `follow` are about all rooms. What is said here of names is
about guests; `chatserver.store.people_interface` says what is different for accounts.

**The log.** Its entries have ids 1, 2, 3, … without gaps over all rooms, in the order in which they
were stored; an id is never given twice, whatever is trimmed. Each is of one room, and knows the id
of that room's entry before. `epoch` names the log's incarnation: another epoch, other events behind
the same ids.

**Writing.** `claim`, `release`, `suspend`, `append` and `tick` return a
`concurrent.futures.Future` at once and never block. They take effect in the order in which one
process asked; a `Future` is completed on the loop's thread, and only when what it says is as
durable as the store's URL promises. It fails with `Unavailable` if that did not happen in time:
then it may have been stored, and asking again is safe. Whoever claimed a name so lets go of it
(`release`, `suspend`): nobody else knows the holder.

**Who owns what.** A claim is its claimer's, from the moment that it is asked for: one that failed
with `Unavailable` may have been carried out, and is released by whoever asked (which is `ClaimLost`
if it was not, and harmless). `release`, `suspend` and another's `claim` with the secret
end it; nothing else does, least of all the end of a `Future`. Cancelling a `Future` changes
nothing: what was asked for takes effect. Its callbacks run on the loop's thread, in the order in
which the operations took effect, and must not block. Lists of events are the caller's; the events
in them are shared and never changed. The store itself belongs to who opened it, who calls `close`.

    | method              | blocks | raises                | its `Future` fails with            |
    |---------------------|--------|-----------------------|------------------------------------|
    | claim               | no     | nothing               | NameTaken, Banned, Unauthorized,   |
    |                     |        |                       | TooMany, Unavailable               |
    | release, suspend    | no     | nothing               | ClaimLost, Unavailable             |
    | append              | no     | nothing               | ClaimLost, BadRequest, Forbidden,  |
    |                     |        |                       | Unavailable                        |
    | tick                | no     | nothing               | Unavailable                        |
    | names, counts, read | yes    | Unavailable           |                                    |
    | follow              | yes    | LogReset, Unavailable |                                    |
    | close               | yes    | nothing               |                                    |

In a forked child all of them but `close` raise Unavailable at once: the store is the parent's.

**Time.** Events are dated by the wall's clock, and what is kept for days is kept by it. Whatever
waits for seconds (a name for its holder, a notice for its turn) is measured by a clock that nobody
sets.

**Names.** A name, compared by its key, is in one of three states:

    free       nobody has it
    held       by a holder: a token that stands for one membership on one connection of one worker,
               and that is never used again
    waiting    until a moment, for someone with the secret

    | state   | by                        | becomes | and                                        |
    |---------|---------------------------|---------|--------------------------------------------|
    | free    | claim                     | held    | a new secret; a join notice                |
    | held    | claim with its secret     | held    | by the new holder; the old one is `lost`   |
    | held    | release by its holder     | free    | a leave notice                             |
    | held    | suspend by its holder     | waiting | for `grace_seconds`                        |
    | held    | its worker is gone        | waiting | for `grace_seconds`                        |
    | waiting | claim with its secret     | held    |                                            |
    | waiting | time is up (seen by tick) | free    | a leave notice                             |

A claim of a name that is not free without its secret is `NameTaken`, and so is one of a free name
that could be taken for one that is not (`chatserver.people.lookalikes`). `release`, `suspend` and
`append` by another than its holder are `ClaimLost` and change nothing. A secret means nothing on a
free name. Taking over a name changes neither its secret nor its place in the joining order. A
worker is gone when its process is: engines that one process owns see it when they open the
database, and then everybody who waits gets the whole grace again.

**Notices.** Who joined and who left is told by events, at most one of each kind in
`NOTICE_INTERVAL_MS`: the first at once, what follows gathered into one event by a later `tick`.
Notices wait in the store, so each is told, once, whatever dies. Those of one name are told in their
order; who leaves before anyone was told of the join is not told of at all. `MAX_NOTICES` wait of
each kind; beyond that they are counted without their names.

**Sent once.** `append` with a `key` that this membership (its secret) has used within
`KEY_MS` stores nothing and answers with what was answered then; with another text it is
`BadRequest`.

**Reading.** What reads blocks its greenlet alone, and waits for no write: it shows what was stored
before, all that anyone was answered included, and perhaps more. `read` and `follow` return at most
`MAX_READ_EVENTS` events and about `MAX_READ_BYTES`. `follow` is for one caller per store.

**Retention.** With `keep_days` or `keep_messages`, `tick` removes the oldest events, `MAX_TRIM` at
a time, never the newest one. `Joined.first_id` says where the log begins.
"""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from chatserver.store.commits import Commits
from chatserver.store.events import Event
from chatserver.store.people_interface import PeopleStore
from chatserver.store.room_interface import RoomStore
from chatserver.store.seats import LOBBY
from chatserver.store.values import Account, Claim, Counts, Joined, Moment, Receipt, Span, Tail

MAX_READ_EVENTS: Final = 500
"""Events that one read returns at most: a screenful of history many times over."""


MAX_READ_BYTES: Final = 1024 * 1024
"""Bytes that one read returns at most, about (but always one event): what a reader holds in
memory, and what one answer puts in a connection's outbox."""


NOTICE_INTERVAL_MS: Final = 250
"""Milliseconds between two join events, and between two leave events: four a second."""


MAX_NOTICES: Final = 1000
"""Names that wait to be told of, of each kind: several times what one event lists. Joining and
leaving as fast as it goes must not fill the store, nor be told for longer than it lasted."""


DAY_MS: Final = 24 * 60 * 60 * 1000


KEY_MS: Final = 7 * DAY_MS
"""Milliseconds for which an idempotency key is kept: longer than any client tries again."""


MAX_TRIM: Final = 1000
"""Events that one `tick` removes at most, so that nobody waits long behind it."""


MAX_TICK_SECONDS: Final = 0.25
"""Seconds after which `tick` is to be called again at the latest."""


Clock = Callable[[], Moment]


def system_clock() -> Moment:
    """The clocks of this machine."""
    return Moment(time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decides about the log. None: without bound."""

    grace_seconds: float = 15.0
    keep_days: float | None = None
    keep_messages: int | None = None

    @property
    def grace_ms(self) -> int:
        """For how long a name waits, in milliseconds."""
        return round(self.grace_seconds * 1000)

    @property
    def keep_ms(self) -> int | None:
        """For how long an event is kept, in milliseconds."""
        return None if self.keep_days is None else round(self.keep_days * DAY_MS)

    def keep_from(
        self, first_id: int, last_id: int, now_ms: int, first_young: Callable[[int], int]
    ) -> int:
        """The id before which events are to be removed, by `now_ms` on the wall's clock; `first_id`
        if none is. The Redis store's script has the same rules.

        Args:
            first_id: the oldest event there is.
            last_id: the newest one, which stays whatever is asked for.
            now_ms: milliseconds since 1970.
            first_young: the first event that is not older than these milliseconds since 1970; of
                the oldest MAX_TRIM only, and the one behind them if all are older.
        """
        keep_from = first_id
        if self.keep_messages is not None:
            keep_from = max(keep_from, last_id + 1 - self.keep_messages)
        if self.keep_ms is not None:
            keep_from = max(keep_from, first_young(now_ms - self.keep_ms))
        return max(first_id, min(keep_from, last_id, first_id + MAX_TRIM))


class Store(RoomStore, PeopleStore):
    """One log and its names; the module's text has the rules. All methods are called from greenlets
    of one loop.

    Attributes:
        epoch: names the log's incarnation.
        last_id: the newest event that this process knows of; 0 before the first.
        available: whether the last attempt to write went well.
        commits: how long writing took, each time.
    """

    epoch: str
    last_id: int
    available: bool
    commits: Commits

    @abstractmethod
    def claim(
        self,
        key: str,
        name: str,
        holder: str,
        secret: str | None,
        lobby: bool = True,
        *,
        account: Account | None = None,
        address: str = "",
    ) -> "Future[Joined]":
        """Take a name for `holder`.

        Args:
            key: what the name is compared by (`chatserver.people.names`).
            name: as it is shown.
            holder: a token of this membership, never used before.
            secret: the one of an earlier membership, with which its name is taken over; None or a
                wrong one takes only a name that is free.
            lobby: whether it comes into the lobby with it, unless it is there.
            account: whom a token is for; None: a guest.
            address: a digest of where a guest comes from; "": whatever holds for addresses does
                not concern it.

        Returns:
            A `Future` of `Joined`, whose claim is the caller's to end. It fails with NameTaken,
            Banned, and for accounts with Unauthorized and TooMany, which leave everything as it
            was, and with Unavailable: then the name may be held, and
            the caller still releases or suspends what it asked for, or asks again as `holder`.
        """

    @abstractmethod
    def release(self, claim: Claim) -> "Future[None]":
        """Free the name.

        Args:
            claim: is over with this, whatever comes of it.

        Returns:
            A `Future` that fails with ClaimLost, if another has the name or nobody, and with
            Unavailable: then it is to be asked again, or the name stays held.
        """

    @abstractmethod
    def suspend(self, claim: Claim) -> "Future[None]":
        """Let the name wait for its holder to come back, for `grace_seconds`.

        Args:
            claim: its holder speaks for the name no more; its secret takes the name again.

        Returns:
            A `Future` that fails as that of `release` does.
        """

    @abstractmethod
    def append(self, claim: Claim, text: str, key: str | None = None) -> "Future[Receipt]":
        """Store a chat message of the lobby, by who has a seat there.

        Args:
            claim: of who says it; stays the caller's.
            text: checked by the caller; stored as it is.
            key: the sender's own, 1 to 64 characters; the same one again stores nothing.

        Returns:
            A `Future` of a `Receipt`, done when the message is durable. It fails with ClaimLost,
            and with BadRequest for a key that was used with another text: nothing is stored then.
            With Unavailable it may be; with a key, asking again is safe.
        """

    @abstractmethod
    def names(self) -> list[str]:
        """Everyone in the lobby who is online, held or waiting, in joining order. Blocks the
        greenlet, and no other one; the list is the caller's. Raises Unavailable."""

    @abstractmethod
    def counts(self) -> Counts:
        """How many are in the lobby and online, and how much was said there. Blocks the greenlet,
        and no other one. Raises Unavailable."""

    @abstractmethod
    def tick(self) -> "Future[float]":
        """Free the names whose time is up, tell the notices that are due, trim.

        Returns:
            A `Future` of the seconds after which to call it again, MAX_TICK_SECONDS at most. It
            fails with Unavailable: then it is to be called again after that time.
        """

    def read(
        self,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int = MAX_READ_EVENTS,
        newest: bool = False,
    ) -> list[Event]:
        """Events of the lobby, of SEED_TYPES, as they stand. Blocks the greenlet, and no other one.

        Args:
            after: the id above which they are.
            before: the id below which they are; None: up to the end.
            limit: how many at most; MAX_READ_EVENTS and about MAX_READ_BYTES are never exceeded.
            newest: whether the newest of them are wanted rather than the oldest.

        Returns:
            The events, ascending; the list is the caller's.

        Raises:
            Unavailable: the store did not answer in time; nothing was changed.
        """
        span = Span(LOBBY, "seed", after, before, min(limit, MAX_READ_EVENTS), newest)
        found = self.read_span(span)
        return found[::-1] if newest else found

    @abstractmethod
    def follow(self, after: int, timeout: float) -> Tail:
        """Wait until there is news. Blocks the greenlet; for one caller per store.

        Args:
            after: the id of the last event that the caller knows.
            timeout: seconds; then without news.

        Returns:
            News, perhaps none. Who lost a claim is told once: what is returned must be acted upon.

        Raises:
            LogReset: what the caller knows holds no more; told once.
            Unavailable: nothing was told; to be called again with the same `after`.
        """

    def condition(self) -> dict[str, float]:
        """How what it lives on is. Blocks the greenlet, and no other one.

        Returns:
            Figures by name: `disk_free_bytes`, `redis_memory_bytes`, `redis_memory_limit_bytes`
            (0: none), `redis_saves` (whether its latest write to its disk went well). None of what
            cannot be asked.
        """
        return {}

    def warnings(self) -> list[str]:
        """What will hurt one day, as far as the store can tell. Blocks the greenlet, and no other
        one.

        Returns:
            A sentence each, with what to do.
        """
        return []

    @abstractmethod
    def close(self) -> None:
        """Store what is under way and let go of everything. Blocks the greenlet until then.
        Idempotent. What is asked afterwards is a mistake; where anything was let go of, it fails
        with Unavailable."""


def cut(events: Iterable[Event], limit: int) -> list[Event]:
    """The first of `events` that one read may return: `limit`, MAX_READ_EVENTS and MAX_READ_BYTES
    at most, but always one if there is one. Takes no more from the iterator than it looks at."""
    taken: list[Event] = []
    size = 0
    limit = min(limit, MAX_READ_EVENTS)
    for event in events:
        size += event.size
        if taken and size > MAX_READ_BYTES:
            break
        taken.append(event)
        if len(taken) >= limit:
            break
    return taken
