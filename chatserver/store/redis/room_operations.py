"""Operations that are about rooms, see `operations.py`. What each does stands in operations.lua."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn

from chatserver.errors import ChatError
from chatserver.people.token_terms import Role
from chatserver.store.events import date
from chatserver.store.interface import DAY_MS
from chatserver.store.redis.operations import Answer, Operation, key_digests, refuse
from chatserver.store.refusals import (
    above_you,
    decided_above,
    no_such_message,
    no_such_room,
    no_such_sanction,
    nobody_here,
    nobody_known,
    not_a_moderator,
    not_an_admin,
    not_heard,
    not_the_owner,
    not_yours,
    too_many,
)
from chatserver.store.seats import (
    LOBBY,
    MAX_BLOCKED,
    MAX_PASSES,
    MAX_REACTIONS,
    MAX_SANCTIONS,
    Seat,
)
from chatserver.store.values import Claim, Receipt

LARGEST: Final = 2**53
"""Above all ids, and still a number of Lua's."""


def enter(claim: Claim, room: str, makes: bool) -> Operation[Seat]:
    return _coming(claim, "enter", room, makes)


def open_room(claim: Claim, room: str, title: str, topic: str, everything: bool) -> Operation[Seat]:
    return _coming(claim, "open_room", room, title, topic, everything)


def direct(claim: Claim, key: str, room: str) -> Operation[Seat]:
    return _coming(claim, "direct", key, room)


def accept(claim: Claim, digest: str) -> Operation[Seat]:
    return _coming(claim, "accept", digest)


def block(claim: Claim, key: str, on: bool) -> Operation[None]:
    return Operation(nothing, "block", claim.key, claim.holder, key, on)


def say(claim: Claim, seat: Seat, text: str, key: str | None, reply_to: int) -> Operation[Receipt]:
    is_plain = seat.room == LOBBY and not reply_to
    said = (text,) if is_plain else (text, seat.room, str(reply_to))
    digests = key_digests(claim, key, *said)
    return _inside(receipt, claim, seat, "say", text, *digests, id_of(reply_to))


def edit(claim: Claim, seat: Seat, message: int, text: str) -> Operation[Receipt]:
    return _inside(receipt, claim, seat, "edit", id_of(message), text)


def remove(claim: Claim, seat: Seat, message: int) -> Operation[Receipt]:
    return _inside(receipt, claim, seat, "remove", id_of(message))


def react(claim: Claim, seat: Seat, message: int, emoji: str, on: bool) -> Operation[None]:
    return _inside(nothing, claim, seat, "react", id_of(message), emoji, on)


def mark_read(claim: Claim, seat: Seat, message: int) -> Operation[None]:
    return _inside(nothing, claim, seat, "mark_read", id_of(message))


def leave_room(claim: Claim, seat: Seat) -> Operation[None]:
    return _inside(nothing, claim, seat, "leave_room")


def set_topic(claim: Claim, seat: Seat, topic: str, role: Role) -> Operation[Receipt]:
    return _inside(receipt, claim, seat, "set_topic", topic, role)


def create_pass(
    claim: Claim, seat: Seat, digest: str, days: float, uses: int | None
) -> Operation[None]:
    lasting = min(LARGEST, round(days * DAY_MS))
    left = False if uses is None else min(LARGEST, uses)
    return _inside(nothing, claim, seat, "create_pass", digest, lasting, left)


def revoke_passes(claim: Claim, seat: Seat) -> Operation[None]:
    return _inside(nothing, claim, seat, "revoke_passes")


def hand_on(claim: Claim, seat: Seat, key: str) -> Operation[None]:
    return _inside(nothing, claim, seat, "hand_on", key)


def close_room(claim: Claim, seat: Seat) -> Operation[None]:
    return _inside(nothing, claim, seat, "close_room")


def typing(claim: Claim, seat: Seat) -> Operation[None]:
    return _inside(nothing, claim, seat, "typing")


# --- what they take and give


def id_of(number: int) -> int:
    """An id as it travels: what is none names nothing."""
    return max(-1, min(number, LARGEST))


def _coming(claim: Claim, name: str, *arguments: str | bool) -> Operation[Seat]:
    return Operation(_seat, name, claim.key, claim.holder, *arguments)


def _inside(
    read: "Callable[[Any, Answer], Any]", claim: Claim, seat: Seat, name: str, *arguments: str | int
) -> "Operation[Any]":
    return Operation(read, name, claim.key, claim.holder, *seat, *arguments)


_REFUSALS: Final[dict[str, Callable[[], ChatError]]] = {
    "no room": no_such_room,
    "no message": no_such_message,
    "not yours": not_yours,
    "not heard": not_heard,
    "not the owner": not_the_owner,
    "reactions": partial(too_many, MAX_REACTIONS, "kinds of reactions to one message"),
    "passes": partial(too_many, MAX_PASSES, "passes to a room"),
    "blocked": partial(too_many, MAX_BLOCKED, "people blocked"),
    "sanctions": partial(too_many, MAX_SANCTIONS, "sanctions in one room"),
    "not a moderator": not_a_moderator,
    "not an admin": not_an_admin,
    "no sanction": no_such_sanction,
    "decided above": decided_above,
}


def refused(result: Any) -> NoReturn:
    """Raise what the result of an operation from a seat, or on a room, tells."""
    refuse(result)
    match result:
        case ["nobody", name]:
            raise nobody_here(name)
        case ["rooms", most]:
            raise too_many(most, "rooms")
        case ["made", most]:
            raise too_many(most, "rooms of your own")
        case ["nobody known", key]:
            raise nobody_known(key)
        case ["above", name]:
            raise above_you(name)
    raise _REFUSALS[result[0]]()


def nothing(result: Any, answer: Answer) -> None:
    if result is not True:
        refused(result)


def receipt(result: Any, answer: Answer) -> Receipt:
    if isinstance(result[0], str):
        refused(result)
    return Receipt(result[0], date(result[1]))


def _seat(result: Any, answer: Answer) -> Seat:
    if isinstance(result[0], str):
        refused(result)
    number, room = result
    return Seat(room, number)
