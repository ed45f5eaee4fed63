"""What whoever may moderate can do in one room.

Holding it is not enough: with each call the store looks whether the person still may, by the role
that its present token has, and whom it is about. Each use is a line of the log, without any text.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from capnweb_sync import RpcTarget
from capnweb_sync.values.javascript import MAX_SAFE_INTEGER
from chatserver.capabilities.room import message_id
from chatserver.errors import BadRequest
from chatserver.futures import then
from chatserver.options import MAX_LISTED, SanctionOptions, read_options
from chatserver.people.names import Name, check_name, clean_reason
from chatserver.people.token_terms import Role
from chatserver.rooms.member import Member, check_here
from chatserver.rooms.present import tell_use
from chatserver.rooms.stays import Stays
from chatserver.store.events import date
from chatserver.store.interface import Store
from chatserver.store.refusals import no_such_sanction, nobody_known
from chatserver.store.seats import Sanction
from chatserver.store.values import Claim, Receipt

T = TypeVar("T")

MAX_SECONDS: Final = 10 * 365 * 24 * 60 * 60
"""For how long somebody may be muted or banned, unless it is for good."""


class Powers(RpcTarget):
    """What those have in common who may do something to others: `room` is where they may, `*` is
    everywhere."""

    __slots__ = ("_member", "_room", "_stays")

    def __init__(self, stays: Stays, member: Member, room: str) -> None:
        self._stays = stays
        self._member = member
        self._room = room

    def lift(self, sanction: int) -> "Future[None]":
        """End a sanction of this room."""
        if not 0 < sanction <= MAX_SAFE_INTEGER:
            raise no_such_sanction()
        return self._use(
            lambda store, claim, role: store.lift(claim, self._room, role, sanction),
            "Lifted",
            id=sanction,
        )

    def sanctions(self, options: Any = None) -> "Future[list[dict[str, Any]]]":
        """Those in force in this room, by id: `{id, kind, name, by, reason, time, until}`."""
        wanted = read_options(options, SanctionOptions)
        limit = min(wanted.limit, MAX_LISTED)

        def part(found: list[Sanction]) -> list[dict[str, Any]]:
            return [shown(one) for one in found if one.number > (wanted.after or 0)][:limit]

        asked = self._use(
            lambda store, claim, role: store.sanctions(claim, self._room, role), "Listed sanctions"
        )
        return then(asked, part)

    def _use(
        self,
        operation: "Callable[[Store, Claim, Role], Future[T]]",
        what: str,
        **fields: Any,
    ) -> "Future[T]":
        """What the store does for whoever may, by the role that its token has now; then a line of
        the log says so."""
        member = self._member
        check_here(member)
        role = member.role

        def used(result: T) -> T:
            tell_use(member, what, **fields, **self._where)
            return result

        asked = self._stays.ask(member, lambda store: operation(store, member.claim, role))
        return then(asked, used)

    @property
    def _where(self) -> dict[str, str]:
        return {"room": self._room}


class Moderator(Powers):
    """Somebody who may moderate a room."""

    __slots__ = ()

    def remove(self, message: int, reason: str | None = None) -> "Future[Receipt]":
        """Erase what anybody has said."""
        erased, why = message_id(message), clean_reason(reason or "")
        return self._use(
            lambda store, claim, role: store.strike(claim, self._room, role, erased, why),
            "Removed",
            id=erased,
        )

    def mute(
        self, name: str, seconds: float | None = None, reason: str | None = None
    ) -> "Future[int]":
        """Let somebody say nothing here, for so long or for good: the sanction's id."""
        who, span, why = whom(name), lasting(seconds), clean_reason(reason or "")
        return self._use(
            lambda store, claim, role: store.mute(claim, self._room, role, who.key, span, why),
            "Muted",
            person=who.shown,
            seconds=span,
        )

    def kick(self, name: str, reason: str | None = None) -> "Future[None]":
        """Send somebody out, who may come back."""
        who, why = whom(name), clean_reason(reason or "")
        return self._use(
            lambda store, claim, role: store.kick(claim, self._room, role, who.key, why),
            "Kicked",
            person=who.shown,
        )

    def ban(
        self, name: str, seconds: float | None = None, reason: str | None = None
    ) -> "Future[int]":
        """Send somebody out and let nobody of it in, for so long or for good: the sanction's
        id."""
        who, span, why = whom(name), lasting(seconds), clean_reason(reason or "")
        return self._use(
            lambda store, claim, role: store.ban(claim, self._room, role, who.key, span, why),
            "Banned",
            person=who.shown,
            seconds=span,
        )


def whom(name: str) -> Name:
    """Whom something is done to. Raises BadRequest, for what can be nobody's name as for what is
    nobody's."""
    try:
        return check_name(name, operator=True)
    except BadRequest:
        raise nobody_known("that") from None


def lasting(seconds: float | None) -> float | None:
    """For how long; None: for good. Raises BadRequest."""
    if seconds is not None and not 0 < seconds <= MAX_SECONDS:
        raise BadRequest("For how long: a number of seconds above 0, of ten years at most.")
    return seconds


def shown(sanction: Sanction) -> dict[str, Any]:
    """As moderators get it: nothing of an address."""
    return {
        "id": sanction.number,
        "kind": sanction.kind,
        "name": sanction.name if sanction.by else None,
        "by": sanction.author,
        "reason": sanction.reason,
        "time": date(sanction.time_ms),
        "until": None if sanction.until_ms is None else date(sanction.until_ms),
    }
