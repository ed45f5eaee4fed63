"""What moderators and admins do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatserver.people.token_terms import Role
from chatserver.store.events import because, lasting
from chatserver.store.refusals import (
    above_you,
    no_such_room,
    nobody_known,
    not_a_moderator,
    not_an_admin,
)
from chatserver.store.seats import (
    ADMINS_RANK,
    EVERYWHERE,
    LOBBY,
    MODERATORS_RANK,
    RoomKind,
    Sanction,
    SanctionKind,
)
from chatserver.store.state.log import LogEnd
from chatserver.store.state.messages import Messages
from chatserver.store.state.names import Names
from chatserver.store.state.records import AccountRecord, Holding, RoomRecord, Somebody
from chatserver.store.state.room import Room
from chatserver.store.state.rooms import Rooms
from chatserver.store.state.sanctions import Sanctions
from chatserver.store.state.seating import Seating
from chatserver.store.values import Claim, Lost, Moment, Receipt, Why

EVERYWHERE_NUMBER: Final = 0
"""What the room of announcements is called in the store."""


@dataclass(frozen=True, slots=True)
class Moderation:
    """Operations, as `PeopleStore` describes them; each checks everything before it changes
    anything. Whoever calls lets time take effect afterwards.

    `free` ends a stay.
    """

    log: LogEnd
    names: Names
    rooms: Rooms
    seating: Seating
    messages: Messages
    sanctions: Sanctions
    free: Callable[[Moment, Holding], None]

    # --- moderating

    def may_moderate(self, now: Moment, claim: Claim, room: str, role: Role) -> None:
        """Raises what `moderated` does."""
        self.moderated(now, claim, room, role)

    def strike(
        self, now: Moment, claim: Claim, name: str, role: Role, message: int, reason: str
    ) -> Receipt:
        """Erase a message."""
        doer, room = self.moderated(now, claim, name, role)
        if room is None:
            raise no_such_room()
        return self.messages.strike(now, room, doer, message, reason)

    def mute(
        self,
        now: Moment,
        claim: Claim,
        name: str,
        role: Role,
        key: str,
        seconds: float | None,
        reason: str,
    ) -> int:
        """Let somebody say nothing."""
        doer, room = self.moderated(now, claim, name, role)
        if room is None:
            raise no_such_room()
        who = self._below(doer, room, role, key)
        number = self._sanction(now, "mute", room, who, doer, role, seconds, reason)
        self._tell(now, room, doer, f"muted {who.name}{lasting(seconds, reason)}")
        return number

    def kick(self, now: Moment, claim: Claim, name: str, role: Role, key: str, reason: str) -> None:
        """End a seat."""
        doer, room = self.moderated(now, claim, name, role)
        if room is None:
            raise no_such_room()
        who, _ = self.seating.inside(room, self.names.find(key))
        self._check_below(doer, room, role, who)
        text = f"{doer.name} sent {who.name} out{because(reason)}"
        self.seating.send_out(now, room, who, doer, text)

    def ban(
        self,
        now: Moment,
        claim: Claim,
        name: str,
        role: Role,
        key: str,
        seconds: float | None,
        reason: str,
    ) -> int:
        """Let somebody in no more."""
        doer, room = self.moderated(now, claim, name, role)
        who = self._below(doer, room, role, key)
        number = self._sanction(now, "ban", room, who, doer, role, seconds, reason)
        how = lasting(seconds, reason)
        alike = self._guests_from(self._address_of(who, doer))
        if room is None:
            self._end_stays(now, key, "sent_away", f"You were banned{how}")
            self._send_away(now, alike, how)
            return number
        if who.by not in room.seats:
            self._tell(now, room, doer, f"banned {who.name}{how}")
        for one in dict.fromkeys((who, *(holding.who for holding in alike))):
            if one.by in room.seats:
                self.seating.send_out(now, room, one, doer, f"{doer.name} banned {one.name}{how}")
        return number

    def lift(self, now: Moment, claim: Claim, name: str, role: Role, number: int) -> None:
        """End a sanction."""
        doer, room = self.moderated(now, claim, name, role)
        found = self.sanctions.get(name, number, now.wall)
        self.sanctions.lift(self.log.changes, found, rank(room, doer, role))
        if room is not None:
            self._tell(now, room, doer, f"lifted the {found.kind} of {found.name}")

    def in_force(self, now: Moment, claim: Claim, name: str, role: Role) -> list[Sanction]:
        """The sanctions of a room."""
        self.moderated(now, claim, name, role)
        return self.sanctions.of(name, now.wall)

    # --- administering

    def ban_address(
        self,
        now: Moment,
        claim: Claim,
        role: Role,
        address: str,
        shown: str,
        seconds: float | None,
        reason: str,
    ) -> int:
        """Let in no guests from there."""
        doer = self._admin(claim, role)
        until = None if seconds is None else now.wall + round(seconds * 1000)
        decided = doer.name, reason, now.wall, until, ADMINS_RANK
        made = Sanction(0, "ban", EVERYWHERE, "", address, shown, *decided)
        number = self.sanctions.add(self.log.changes, made)
        self._send_away(now, self._guests_from(address), lasting(seconds, reason))
        return number

    def disconnect(self, now: Moment, claim: Claim, role: Role, key: str, reason: str) -> int:
        """End all stays of a name."""
        self._admin(claim, role)
        self._known(key)
        return self._end_stays(now, key, "sent_away", f"You were disconnected{because(reason)}")

    def revoke(self, now: Moment, claim: Claim, role: Role, key: str) -> int:
        """No token is good that was not signed later."""
        self._admin(claim, role)
        self._revoke(now, self._account(key))
        return self._end_stays(now, key, "revoked", "Your tokens were revoked")

    def announce(self, now: Moment, claim: Claim, role: Role, text: str) -> Receipt:
        """Tell everyone."""
        doer = self._admin(claim, role)
        # Made anew each time: nothing there comes after anything.
        record = RoomRecord(EVERYWHERE_NUMBER, EVERYWHERE, "public", EVERYWHERE, "", "", "", True)
        return self.log.add(now, Room(record), "notice", doer.name, text, by=doer.by)

    def close_any(self, now: Moment, claim: Claim, role: Role, name: str) -> None:
        """End a room."""
        doer = self._admin(claim, role)
        room = self.rooms.named(name)
        if room is None or room.kind == "direct":
            raise no_such_room()
        if room.name == LOBBY:
            raise not_an_admin()
        self.seating.close(now, room, doer, f"{doer.name} closed the room")

    def erase(self, now: Moment, claim: Claim, role: Role, key: str, cursor: str) -> str:
        """Erase a part of what an account has said, and of its reactions, and at last itself."""
        doer = self._admin(claim, role)
        account = self._account(key)
        who = account.who
        if who.by == doer.by:
            raise above_you(who.name)
        if not cursor:
            account = self._revoke(now, account)
        # At each step: nobody may have come in between.
        self._end_stays(now, key, "sent_away", "Your account was erased")
        traces, further = self.log.archive.traces_of(who.by, cursor)
        for message, number, emoji in traces:
            room = self.rooms.numbered(number)
            if room is None:
                continue
            if emoji:
                self.messages.take_back(room, who, message, emoji)
            else:
                self.messages.strike(now, room, doer, message, "")
        if not further:
            self.seating.end_stay(now, who)
            self.names.forget(self.log.changes, account)
        return further

    # --- who may, and whom

    def moderated(
        self, now: Moment, claim: Claim, name: str, role: Role
    ) -> tuple[Somebody, Room | None]:
        """Who speaks, and the room, None for EVERYWHERE. Raises ClaimLost, NoSuchRoom,
        Forbidden."""
        if name == EVERYWHERE:
            return self._admin(claim, role), None
        holding = self.names.held(claim)
        who = holding.who
        room = self.rooms.named(name)
        if room is None or not self._sees(room, who, role):
            raise no_such_room()
        if room.kind == "direct" or not rank(room, who, role):
            raise not_a_moderator()
        if role != "admin":
            self.sanctions.check_let_in(now, name, who.by, holding.address)
            self.sanctions.check_may_speak(now, name, holding)
        return who, room

    def _sees(self, room: Room, who: Somebody, role: Role) -> bool:
        if room.kind == "public" or who.by in room.seats:
            return True
        return room.kind == "private" and role == "admin"

    def _admin(self, claim: Claim, role: Role) -> Somebody:
        who = self.names.held(claim).who
        if role != "admin":
            raise not_an_admin()
        return who

    def _below(self, doer: Somebody, room: Room | None, role: Role, key: str) -> Somebody:
        """Somebody who may do less. Raises BadRequest, Forbidden."""
        who = self._known(key)
        self._check_below(doer, room, role, who)
        return who

    def _check_below(self, doer: Somebody, room: Room | None, role: Role, who: Somebody) -> None:
        account = self.names.account(who.key)
        theirs = rank(room, who, "member" if account is None else account.role)
        if who.by == doer.by or theirs >= rank(room, doer, role):
            raise above_you(who.name)

    def _known(self, key: str) -> Somebody:
        who = self.names.find(key)
        if who is None:
            raise nobody_known(key)
        return who

    def _account(self, key: str) -> AccountRecord:
        account = self.names.account(key)
        if account is None:
            raise nobody_known(key)
        return account

    # --- what is done

    def _sanction(
        self,
        now: Moment,
        kind: SanctionKind,
        room: Room | None,
        who: Somebody,
        doer: Somebody,
        role: Role,
        seconds: float | None,
        reason: str,
    ) -> int:
        where = EVERYWHERE if room is None else room.name
        until = None if seconds is None else now.wall + round(seconds * 1000)
        decided = doer.name, reason, now.wall, until, rank(room, doer, role)
        address = self._address_of(who, doer)
        made = Sanction(0, kind, where, who.by, address, who.name, *decided)
        return self.sanctions.add(self.log.changes, made)

    def _revoke(self, now: Moment, account: AccountRecord) -> AccountRecord:
        changed = account._replace(revoked=now.wall // 1000)
        self.names.put_account(self.log.changes, changed)
        return changed

    def _address_of(self, who: Somebody, doer: Somebody) -> str:
        """From where guests share what is done to `who`; "": from nowhere, as if it came from where
        the one comes from who does it."""
        theirs, own = (
            next((stay.address for stay in self.names.stays(one.key)), "") for one in (who, doer)
        )
        return "" if theirs == own else theirs

    def _guests_from(self, address: str) -> list[Holding]:
        return [one for one in self.names if address and one.address == address]

    def _tell(self, now: Moment, room: Room, doer: Somebody, what: str) -> None:
        self.log.add(now, room, "notice", doer.name, f"{doer.name} {what}", by=doer.by)

    def _end_stays(self, now: Moment, key: str, why: Why, text: str) -> int:
        stays = self.names.stays(key)
        for holding in stays:
            self._end(now, holding, Lost(holding.holder or "", why, text))
        return len(stays)

    def _send_away(self, now: Moment, stays: list[Holding], how: str) -> None:
        for holding in stays:
            if self.names.is_here(holding.who.by):
                lost = Lost(holding.holder or "", "sent_away", f"You were banned{how}")
                self._end(now, holding, lost)

    def _end(self, now: Moment, holding: Holding, lost: Lost) -> None:
        if lost.holder:
            self.log.changes.lost.append(lost)
        self.free(now, holding)


def rank(room: Room | None, who: Somebody, role: Role) -> int:
    """Where one stands in a room (None: everywhere), among those who may moderate it: 0 is nobody
    of them."""
    if role == "admin":
        return ADMINS_RANK
    if room is None:
        return 0
    if room.kind == "private":
        moderates = room.owner == who.by
    else:
        moderates = room.kind == "public" and role == "moderator"
    return MODERATORS_RANK if moderates else 0


def role_in(kind: RoomKind, owns: bool, role: Role) -> str:
    """What somebody is in a room, as all see it, who owns it or not and whose token has this
    role."""
    if kind == "private" and owns:
        return "owner"
    return "moderator" if kind == "public" and role != "member" else "member"
