"""The rules of the store for engines that one process owns, without any storage.

`ChatState` holds in memory what is needed to decide (who has which name, which notices wait, where
the log ends) and collects in `Changes` what each decision means for the disk. An engine applies
operations, then stores the changes, then tells the callers. Should storing fail, the engine makes a
new state from what is stored.

Nothing here blocks, reads a clock or knows gevent. All times are milliseconds; those of events and
idempotency keys are the wall's, all others steady.
"""

import hmac
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from operator import itemgetter
from typing import Final, NamedTuple

from chatserver.people.lookalikes import Lookalikes
from chatserver.store.events import MAX_USERS, Event, NoticeType, notice
from chatserver.store.interface import MAX_NOTICES, MAX_TICK_SECONDS, NOTICE_INTERVAL_MS, Policy
from chatserver.store.refusals import claim_lost, key_reused, looks_like, taken
from chatserver.store.values import digest_of, Claim, Counts, Joined, Moment, Receipt

SECRET_BYTES: Final = 16
"""Randomness of a membership's secret: as hard to guess as an AES-128 key."""

NOTICE_TYPES: Final[tuple[NoticeType, ...]] = ("join", "leave")


@dataclass(frozen=True, slots=True)
class Holding:
    """A name that is not free: held by `holder`, or without one waiting until `until`.

    `number` is its place in the joining order.
    """

    number: int
    key: str
    name: str
    secret: str
    holder: str | None
    until: int | None = None


class Notice(NamedTuple):
    """Someone joined or left, and it is not told yet. `number` says in which order."""

    number: int
    type: NoticeType
    key: str
    name: str


class UsedKey(NamedTuple):
    """An idempotency key that was used: digests of the key with its scope and of the text, and the
    answer that was given."""

    digest: bytes
    text_digest: bytes
    id: int
    time_ms: int


@dataclass(slots=True)
class Changes:
    """What operations did, for the engine to store and to tell."""

    events: list[Event] = field(default_factory=list)
    used_keys: dict[bytes, UsedKey] = field(default_factory=dict)
    holdings: dict[str, Holding | None] = field(default_factory=dict)
    """By key; None: the name became free."""
    notices: list[Notice] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    """Numbers of notices that wait no more: one of `events` tells of them, or nothing does."""
    lost: list[str] = field(default_factory=list)
    """Holders that another one took the name from."""


class ChatState:
    """Who has which name, and where the log stands."""

    def __init__(
        self,
        policy: Policy,
        find_used_key: Callable[[bytes], UsedKey | None],
        *,
        first_id: int = 1,
        last_id: int = 0,
        messages: int = 0,
        holdings: Iterable[Holding] = (),
        notices: Iterable[Notice] = (),
    ) -> None:
        """Start from what is stored.

        Args:
            policy: for how long a name waits.
            find_used_key: looks a digest up among the keys that are stored and not too old.
            first_id: the oldest event there; `last_id + 1` if there is none.
            last_id: the newest event there.
            messages: how many chat messages there ever were.
            holdings: in joining order.
            notices: in the order in which they happened.
        """
        self.first_id = first_id
        self.last_id = last_id
        self.messages = messages
        self._grace_ms = policy.grace_ms
        self._find_used_key = find_used_key
        self._holdings = {holding.key: holding for holding in holdings}
        self._lookalikes = Lookalikes()
        for holding in self._holdings.values():
            self._lookalikes.add(holding.key, holding.name)
        # In the order in which they come to their ends.
        self._waiting = dict(
            sorted(
                (
                    (holding.key, holding.until)
                    for holding in self._holdings.values()
                    if holding.until is not None
                ),
                key=itemgetter(1),
            )
        )
        numbers = [holding.number for holding in self._holdings.values()]
        self._last_number = max(numbers, default=0)
        self._told_at: dict[NoticeType, int] = {}
        self._changes = Changes()
        self._last_notice = 0
        # By kind and key. Of one name at most two wait: a leave, and then a join.
        self._notices: dict[NoticeType, dict[str, Notice]] = {"join": {}, "leave": {}}
        # How many more there are, whose names are not kept; forgotten when the process dies.
        self._nameless: dict[NoticeType, int] = {"join": 0, "leave": 0}
        for pending in notices:
            self._last_notice = pending.number
            if not self._wait(pending):
                self._changes.told.append(pending.number)

    def take_changes(self) -> Changes:
        """What has changed since the last call."""
        changes, self._changes = self._changes, Changes()
        return changes

    # --- operations, as `Store` describes them; each checks everything before it changes anything,
    # and lets time take effect after what it has changed

    def claim(self, now: Moment, key: str, name: str, holder: str, secret: str | None) -> Joined:
        """Free → held, or held or waiting → held with the secret."""
        holding = self._holdings.get(key)
        if holding is None:
            lookalike = self._lookalikes.find(key, name)
            if lookalike is not None:
                raise looks_like(name, self._holdings[lookalike].name)
            self._last_number += 1
            new_secret = secrets.token_urlsafe(SECRET_BYTES)
            holding = Holding(self._last_number, key, name, new_secret, holder)
            self._lookalikes.add(key, name)
            self._notify("join", holding)
        elif secret is not None and same(secret, holding.secret):
            if holding.holder is not None:
                self._changes.lost.append(holding.holder)
            holding = replace(holding, holder=holder, until=None)
        else:
            raise taken(holding.name)
        self._put(holding)
        joined = Joined(
            Claim(key, holder, holding.secret),
            holding.name,
            self.first_id,
            self.last_id,
            len(self._holdings),
            tuple(taken.name for taken in islice(self._holdings.values(), MAX_USERS)),
        )
        self._settle(now)
        return joined

    def release(self, now: Moment, claim: Claim) -> None:
        """Held → free."""
        self._free(self._held(claim))
        self._settle(now)

    def suspend(self, now: Moment, claim: Claim) -> None:
        """Held → waiting."""
        self._put(replace(self._held(claim), holder=None, until=now.steady + self._grace_ms))
        self._settle(now)

    def append(self, now: Moment, claim: Claim, text: str, key: str | None) -> Receipt:
        """Add a chat message, unless `key` says that it is there."""
        holding = self._held(claim)
        if key is None:
            return self._say(now, holding, text)
        digest = digest_of(claim.secret, key)
        text_digest = digest_of(text)
        used = self._changes.used_keys.get(digest) or self._find_used_key(digest)
        if used is None:
            receipt = self._say(now, holding, text)
            self._changes.used_keys[digest] = UsedKey(digest, text_digest, *receipt)
            return receipt
        if used.text_digest != text_digest:
            raise key_reused()
        return Receipt(used.id, used.time_ms)

    def names(self, now: Moment) -> list[str]:
        """Everyone online, in joining order."""
        return [holding.name for holding in self._holdings.values()]

    def counts(self, now: Moment) -> Counts:
        """How many are online, and how much was said."""
        return Counts(len(self._holdings), self.messages)

    # --- time passes

    def pass_time(self, now: Moment) -> float:
        """Free the names whose time is up, and tell the notices that are due. The seconds until
        there is more to do, at most MAX_TICK_SECONDS."""
        self._settle(now)
        return self._due(now)

    def _settle(self, now: Moment) -> None:
        if not self._waiting and not any(self._notices.values()):
            return
        # One grace for all: those that began to wait first are through first.
        while self._waiting:
            key, until = next(iter(self._waiting.items()))
            if until > now.steady:
                break
            self._free(self._holdings[key])
        while any(self._tell(kind, now) for kind in NOTICE_TYPES):
            # A leave that was told may be what the same name's join has waited for.
            pass

    def _due(self, now: Moment) -> float:
        moments = [now.steady + round(MAX_TICK_SECONDS * 1000), *islice(self._waiting.values(), 1)]
        moments += [self._told_at[kind] + NOTICE_INTERVAL_MS for kind in self._pending_types()]
        return max(0, min(moments) - now.steady) / 1000

    # --- what operations consist of

    def _held(self, claim: Claim) -> Holding:
        holding = self._holdings.get(claim.key)
        if holding is None or holding.holder != claim.holder:
            raise claim_lost()
        return holding

    def _put(self, holding: Holding) -> None:
        # A name that is taken over keeps its place in the joining order: dicts keep it.
        self._holdings[holding.key] = self._changes.holdings[holding.key] = holding
        self._waiting.pop(holding.key, None)
        if holding.until is not None:
            self._waiting[holding.key] = holding.until

    def _free(self, holding: Holding) -> None:
        del self._holdings[holding.key]
        self._lookalikes.remove(holding.key, holding.name)
        self._waiting.pop(holding.key, None)
        self._changes.holdings[holding.key] = None
        self._notify("leave", holding)

    def _say(self, now: Moment, holding: Holding, text: str) -> Receipt:
        self.messages += 1
        self._add(Event(self.last_id + 1, "chat", holding.name, text, now.wall))
        receipt = Receipt(self.last_id, now.wall)
        self._settle(now)
        return receipt

    def _add(self, event: Event) -> None:
        self.last_id = event.id
        self._changes.events.append(event)

    def _notify(self, kind: NoticeType, holding: Holding) -> None:
        pending = Notice(self._last_notice + 1, kind, holding.key, holding.name)
        if self._wait(pending):
            self._last_notice = pending.number
            self._changes.notices.append(pending)

    def _wait(self, pending: Notice) -> bool:
        """Let a notice wait until it is told; False if it need not be kept."""
        joins, mine = self._notices["join"], self._notices[pending.type]
        if pending.type == "leave" and pending.key in joins:
            # Nobody was told of either.
            self._changes.told.append(joins.pop(pending.key).number)
            return False
        if len(mine) >= MAX_NOTICES:
            self._nameless[pending.type] += 1
            return False
        mine[pending.key] = pending
        return True

    def _tell(self, kind: NoticeType, now: Moment) -> bool:
        """Make one event of all notices of this kind that may be told, if it is time for one."""
        told_at = self._told_at.get(kind)
        if told_at is not None and now.steady - told_at < NOTICE_INTERVAL_MS:
            return False
        told = list(self._tellable(kind))
        if not told:
            return False
        for pending in told:
            del self._notices[kind][pending.key]
        self._told_at[kind] = now.steady
        self._changes.told += [pending.number for pending in told]
        count, self._nameless[kind] = len(told) + self._nameless[kind], 0
        names = [pending.name for pending in told]
        self._add(notice(self.last_id + 1, kind, names, count, now.wall))
        return True

    def _tellable(self, kind: NoticeType) -> Iterator[Notice]:
        """Those of this kind that wait for nothing but their interval: who left and came back is
        told to have left first."""
        first = self._notices["leave"] if kind == "join" else {}
        return (pending for key, pending in self._notices[kind].items() if key not in first)

    def _pending_types(self) -> list[NoticeType]:
        """The kinds of which some wait for nothing but their interval."""
        return [kind for kind in self._told_at if any(self._tellable(kind))]


def same(secret: str, other: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(
        secret.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
    )
