"""What goes to the script and what comes back: operations and batches of them, in MessagePack."""

import math
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from chatserver.people.lookalikes import looks_of
from chatserver.people.names import OPERATOR_KEY
from chatserver.store.events import MAX_USERS, date
from chatserver.store.interface import (
    KEY_MS,
    MAX_NOTICES,
    MAX_TICK_SECONDS,
    MAX_TRIM,
    NOTICE_INTERVAL_MS,
    Policy,
)
from chatserver.store.refusals import (
    banned,
    claim_lost,
    key_reused,
    looks_like,
    muted,
    not_seated,
    taken,
    too_many,
    unauthorized,
)
from chatserver.store.seats import (
    ACCOUNT,
    GUEST,
    MAX_BLOCKED,
    MAX_PASSES,
    MAX_PLACES,
    MAX_PRESENCE,
    MAX_REACTION_NAMES,
    MAX_REACTIONS,
    MAX_SANCTIONS,
    REACTION_INTERVAL_MS,
    Seat,
)
from chatserver.store.state.names import SECRET_BYTES
from chatserver.store.values import (
    Account,
    Claim,
    Joined,
    Receipt,
    account_identity,
    digest_of,
    identity_of,
)

T = TypeVar("T")

STANDSTILL_SECONDS: Final = 2.0
"""When no worker has called for so long, Redis was away, or all of them were: nobody could renew
a lease, nobody could come back. Several ticks of the slowest worker."""

TAIL_EVENTS: Final = 10_000
"""Entries that the tail has at most: a worker that is further behind is told to begin anew."""

encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder().decode


class Header(NamedTuple):
    """What each answer begins with.

    `last_id` and `last_ms` are the id and the time of the newest event. With `reset` nothing was
    done: the worker knows of another log than `epoch`, or its names were freed while it was away.
    """

    reset: bool
    epoch: str
    last_id: int
    last_ms: int


class Answer:
    """The answer to a batch.

    Attributes:
        results: one for each operation; an array that begins with a word tells why not.
        lists: users online; claims refer to beginnings of them.
    """

    def __init__(self, reply: bytes) -> None:
        self.results: list[Any]
        self.lists: list[list[str]]
        self.results, self.lists = decode(reply)


class Operation(Generic[T]):
    """Something asked of the store.

    Attributes:
        packed: as the script reads it.
        future: completed with the answer.
        deadline: the `time.monotonic()` at which nobody waits any more; at first, never.
        regret: what to ask for if it takes effect when nobody waits any more.
    """

    __slots__ = ("_read", "deadline", "future", "packed", "regret")

    def __init__(
        self,
        read: Callable[[Any, Answer], T],
        *arguments: str | float | tuple[str | float, ...],
        regret: "Operation[None] | None" = None,
    ) -> None:
        """`arguments` are the name and what the script's function takes. `read(result, answer)`
        makes a value of the result."""
        self.packed = encode(arguments)
        self.future: Future[T] = Future()
        self.deadline = math.inf
        self.regret = regret
        self._read = read

    def complete(self, result: Any, answer: Answer) -> None:
        """Tell the one who waits."""
        try:
            value = self._read(result, answer)
        except Exception as error:
            # Not a refusal: an answer that is not of this version, say. Theirs alone, all the same.
            self.future.set_exception(error)
        else:
            self.future.set_result(value)


def batch_of(operations: "Sequence[Operation[Any]]") -> bytes:
    """The operations as the script reads them."""
    return encode([msgspec.Raw(operation.packed) for operation in operations])


def rules(policy: Policy, lease: float) -> bytes:
    """The numbers of the rules as the script reads them; `lease` is in seconds."""
    return encode(
        {
            "grace_ms": policy.grace_ms,
            "lease_ms": round(lease * 1000),
            "standstill_ms": round(STANDSTILL_SECONDS * 1000),
            "key_ms": KEY_MS,
            "notice_interval_ms": NOTICE_INTERVAL_MS,
            "max_notices": MAX_NOTICES,
            "max_users": MAX_USERS,
            "max_trim": MAX_TRIM,
            "guest": GUEST._asdict(),
            "account": ACCOUNT._asdict(),
            "operator": OPERATOR_KEY,
            "max_places": MAX_PLACES,
            "max_presence": MAX_PRESENCE,
            "max_sanctions": MAX_SANCTIONS,
            "max_reactions": MAX_REACTIONS,
            "max_reaction_names": MAX_REACTION_NAMES,
            "reaction_interval_ms": REACTION_INTERVAL_MS,
            "max_passes": MAX_PASSES,
            "max_blocked": MAX_BLOCKED,
            "tail": TAIL_EVENTS,
            "max_tick_ms": round(MAX_TICK_SECONDS * 1000),
            "keep_ms": policy.keep_ms is not None and policy.keep_ms,
            "keep_messages": policy.keep_messages or False,
        }
    )


# --- the operations; what each does stands in operations.lua


def claim(
    key: str,
    name: str,
    holder: str,
    secret: str | None,
    lobby: bool,
    account: Account | None,
    address: str,
) -> Operation[Joined]:
    # What is shown may be anything; what does not travel is not ours.
    shown = secret is not None and secret.encode("utf-8", "replace").decode()
    fresh = secrets.token_urlsafe(SECRET_BYTES)
    # Else a name whose claim was answered too late would be held for ever, by nobody.
    regret = Operation(nothing, "abandon", key, holder, fresh)
    read = partial(_joined, key, holder, name, account is not None)
    membership = (shown, fresh, identity_of(fresh), lobby)
    looks = looks_of(name, key)
    whose: bool | tuple[str | float, ...] = False
    if account is not None:
        whose = (account.subject, account_identity(account.subject), account.role, account.issued)
    arguments = (key, name, holder, *membership, *looks, address, whose)
    return Operation(read, "claim", *arguments, regret=regret)


def release(claim: Claim) -> Operation[None]:
    return Operation(nothing, "release", claim.key, claim.holder)


def suspend(claim: Claim) -> Operation[None]:
    return Operation(nothing, "suspend", claim.key, claim.holder)


def append(claim: Claim, text: str, key: str | None) -> Operation[Receipt]:
    digests = key_digests(claim, key, text)
    return Operation(receipt, "append", claim.key, claim.holder, text, *digests)


def tick() -> Operation[float]:
    return Operation(_seconds, "tick")


def goodbye() -> Operation[None]:
    return Operation(nothing, "goodbye")


# --- what operations take and give


def key_digests(claim: Claim, key: str | None, *said: str) -> tuple[str | bool, str]:
    """What stands for an idempotency key with its scope, if there is one, and for what is said with
    it. In hexadecimal: the MessagePack of Redis knows no bytes."""
    if key is None:
        return False, ""
    return digest_of(claim.scope, key).hex(), digest_of(*said).hex()


def refuse(result: Any) -> None:
    """Raise what a result tells that is not a success."""
    match result:
        case ["lost"]:
            raise claim_lost()
        case ["unseated"]:
            raise not_seated()
        case ["key"]:
            raise key_reused()
        case ["mute", left_ms, reason]:
            raise muted(left_ms or None, reason)
        case ["ban", left_ms, reason]:
            raise banned(left_ms or None, reason)
        case ["unauthorized"]:
            raise unauthorized()


def nothing(result: Any, answer: Answer) -> None:
    refuse(result)


def receipt(result: Any, answer: Answer) -> Receipt:
    if isinstance(result[0], str):
        refuse(result)
    return Receipt(result[0], date(result[1]))


def _joined(
    key: str, holder: str, wanted: str, account: bool, result: Any, answer: Answer
) -> Joined:
    refuse(result)
    match result:
        case ["places"]:
            raise too_many(MAX_PLACES, "connections at a time")
        case ["taken", name, waits_ms]:
            raise taken(name, waits_ms or None)
        case ["alike", name]:
            raise looks_like(wanted, name)
    name, secret, by, first_id, last_id, online, number, length, seats = result
    # Lua counts from 1.
    users = tuple(answer.lists[number - 1][:length])
    claim = Claim(key, holder, secret, by, account)
    return Joined(claim, name, first_id, last_id, online, users, tuple(Seat(*s) for s in seats))


def _seconds(result: Any, answer: Answer) -> float:
    seconds: float = result / 1000
    return seconds
