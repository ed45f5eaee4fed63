"""Operations that are about accounts and sanctions, see `operations.py`. What each does stands in
claims.lua and moderation.lua; what is told behind a name comes from here."""

from typing import Any, Final

from chatserver.people.token_terms import Role
from chatserver.store.events import because, lasting
from chatserver.store.redis.operations import Answer, Operation
from chatserver.store.redis.room_operations import LARGEST, id_of, nothing, receipt, refused
from chatserver.store.seats import Sanction
from chatserver.store.values import Claim, Receipt

SECOND_MS: Final = 1000


def renew(claim: Claim, issued: float, role: Role) -> Operation[None]:
    return Operation(nothing, "renew", claim.key, claim.holder, issued, role)


# --- moderating


def may_moderate(claim: Claim, room: str, role: Role) -> Operation[None]:
    return Operation(nothing, "may_moderate", claim.key, claim.holder, room, role)


def strike(claim: Claim, room: str, role: Role, message: int, reason: str) -> Operation[Receipt]:
    which = (room, role, id_of(message), reason)
    return Operation(receipt, "strike", claim.key, claim.holder, *which)


def mute(
    claim: Claim, room: str, role: Role, key: str, seconds: float | None, reason: str
) -> Operation[int]:
    told = _sanction(seconds, reason)
    return Operation(_number, "mute", claim.key, claim.holder, room, role, key, *told)


def kick(claim: Claim, room: str, role: Role, key: str, reason: str) -> Operation[None]:
    told = because(reason)
    return Operation(nothing, "kick", claim.key, claim.holder, room, role, key, told)


def ban(
    claim: Claim, room: str, role: Role, key: str, seconds: float | None, reason: str
) -> Operation[int]:
    told = _sanction(seconds, reason)
    return Operation(_number, "ban", claim.key, claim.holder, room, role, key, *told)


def lift(claim: Claim, room: str, role: Role, number: int) -> Operation[None]:
    return Operation(nothing, "lift", claim.key, claim.holder, room, role, id_of(number))


def sanctions(claim: Claim, room: str, role: Role) -> Operation[list[Sanction]]:
    return Operation(_sanctions, "sanctions", claim.key, claim.holder, room, role)


# --- administering


def ban_address(
    claim: Claim, role: Role, address: str, shown: str, seconds: float | None, reason: str
) -> Operation[int]:
    told = _sanction(seconds, reason)
    return Operation(_number, "ban_address", claim.key, claim.holder, role, address, shown, *told)


def disconnect(claim: Claim, role: Role, key: str, reason: str) -> Operation[int]:
    told = because(reason)
    return Operation(_number, "disconnect", claim.key, claim.holder, role, key, told)


def revoke(claim: Claim, role: Role, key: str) -> Operation[int]:
    return Operation(_number, "revoke", claim.key, claim.holder, role, key)


def announce(claim: Claim, role: Role, text: str) -> Operation[Receipt]:
    return Operation(receipt, "announce", claim.key, claim.holder, role, text)


def close_any(claim: Claim, role: Role, room: str) -> Operation[None]:
    return Operation(nothing, "close_any", claim.key, claim.holder, role, room)


def erase(claim: Claim, role: Role, key: str, cursor: str) -> Operation[str]:
    return Operation(_cursor, "erase", claim.key, claim.holder, role, key, cursor)


# --- what they take and give


def _sanction(seconds: float | None, reason: str) -> tuple[int | bool, str, str]:
    """For how long in milliseconds (False: for good), why, and what is told of both."""
    for_ms = False if seconds is None else min(LARGEST, round(seconds * SECOND_MS))
    return for_ms, reason, lasting(seconds, reason)


def _number(result: Any, answer: Answer) -> int:
    if not isinstance(result, int):
        refused(result)
    return result


def _cursor(result: Any, answer: Answer) -> str:
    if not isinstance(result, str):
        refused(result)
    return result


def _sanctions(result: Any, answer: Answer) -> list[Sanction]:
    if isinstance(result[0], str):
        refused(result)
    (found,) = result
    return [Sanction._make((*fields, until_ms or None, rank)) for *fields, until_ms, rank in found]
