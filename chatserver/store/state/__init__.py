"""The rules of the store for engines that one process owns, without any storage.

`ChatState` holds in memory what is needed to decide (who has which name, which rooms there are and
who is in them, which notices wait, where the log ends), asks its engine about messages (`Archive`),
and collects in `Changes` what each decision means for the disk. An engine applies operations, then
stores the changes, then tells the callers. Should storing fail, the engine makes a new state from
what is stored.

    records    what is stored of each of these
    archive    what is asked of the engine
    log        where the log ends
    names      who has which name: guests, accounts, and their stays
    notices    who came and went, and was not told of yet
    sanctions  who is muted or banned
    room       one room
    rooms      which there are, whose they are, what is to be told in them
    seating    who is in them, and online
    messages   what is said, and what becomes of it
    moderation what moderators and admins do

Nothing here blocks, reads a clock or knows gevent. All times are milliseconds; those of events,
passes and idempotency keys are the wall's, all others steady.
"""

from collections.abc import Iterable

from chatserver.people.names import OPERATOR_KEY
from chatserver.people.token_terms import Role
from chatserver.store.events import MAX_USERS, NoticeType, notice_text
from chatserver.store.interface import MAX_TICK_SECONDS, Policy
from chatserver.store.refusals import not_seated, not_the_owner, unauthorized
from chatserver.store.seats import EVERYWHERE, LOBBY, Aside, Sanction, Seat
from chatserver.store.state.archive import Archive
from chatserver.store.state.log import LogEnd
from chatserver.store.state.messages import Messages
from chatserver.store.state.moderation import Moderation, rank
from chatserver.store.state.names import GUEST, Names
from chatserver.store.state.notices import NOTICE_TYPES
from chatserver.store.state.records import (
    AccountRecord,
    Changes,
    Holding,
    Lobby,
    Notice,
    RoomRecord,
    Somebody,
)
from chatserver.store.state.room import Room
from chatserver.store.state.rooms import LOBBY_NUMBER, Rooms
from chatserver.store.state.same import same
from chatserver.store.state.sanctions import Sanctions
from chatserver.store.state.seating import Seating
from chatserver.store.values import (
    Account,
    Claim,
    Joined,
    Lost,
    Moment,
    Receipt,
    account_identity,
)


class ChatState:
    """Who has which name, which rooms there are, and where the log stands."""

    def __init__(
        self,
        policy: Policy,
        archive: Archive,
        *,
        first_id: int = 1,
        last_id: int = 0,
        holdings: Iterable[Holding] = (),
        rooms: Iterable[Room] = (),
        last_room: int = LOBBY_NUMBER,
        notices: Iterable[Notice] = (),
        blocks: Iterable[tuple[str, str]] = (),
        accounts: Iterable[AccountRecord] = (),
        erased: Iterable[tuple[str, int]] = (),
        sanctions: Iterable[Sanction] = (),
        last_sanction: int = 0,
    ) -> None:
        """Start from what is stored.

        Args:
            policy: for how long a name waits.
            archive: the engine's side.
            first_id: the oldest entry there; `last_id + 1` if there is none.
            last_id: the newest entry there.
            holdings: in joining order.
            rooms: with their seats, passes and reactions that are due.
            last_room: the number of the room that was made last.
            notices: those that wait, in the order in which they happened.
            blocks: identities, and keys of names that they block.
            accounts: in any order.
            erased: identities of accounts that were, and when their tokens were revoked.
            sanctions: in any order.
            last_sanction: the number of the one that was made last.
        """
        self._grace_ms = policy.grace_ms
        self._log = LogEnd(archive, first_id, last_id)
        self._names = Names(holdings, accounts, erased)
        self._sanctions = Sanctions(sanctions, last_sanction)
        self._rooms = Rooms(self._log, self._sanctions, rooms, last_number=last_room)
        self._rooms.load(notices, blocks)
        online = {holding.who.by: holding.who for holding in self._names}
        self._seating = Seating(self._log, self._rooms, self._sanctions, online)
        self._messages = Messages(self._log, self._rooms, self._sanctions)
        self.moderation = Moderation(
            self._log,
            self._names,
            self._rooms,
            self._seating,
            self._messages,
            self._sanctions,
            self._free,
        )

    @property
    def first_id(self) -> int:
        """The oldest entry of the log."""
        return self._log.first_id

    @first_id.setter
    def first_id(self, first_id: int) -> None:
        self._log.first_id = first_id

    @property
    def last_id(self) -> int:
        """The newest one."""
        return self._log.last_id

    @property
    def names_held(self) -> Names:
        """Who has which name, for an engine that answers from it."""
        return self._names

    @property
    def sanctions(self) -> Sanctions:
        """Those in force, likewise."""
        return self._sanctions

    @property
    def seating(self) -> Seating:
        """Who is in which room, likewise."""
        return self._seating

    @property
    def rooms(self) -> Rooms:
        """The rooms, for an engine that answers from them."""
        return self._rooms

    @property
    def lobby(self) -> Lobby:
        """The lobby as it is, which goes on changing."""
        return Lobby(self._seating.people, self._rooms.lobby.said)

    def take_changes(self) -> Changes:
        """What has changed since the last call."""
        changes, self._log.changes = self._log.changes, Changes()
        return changes

    # --- operations, as `Store` describes them; each checks everything before it changes anything,
    # and lets time take effect after what it has changed

    def claim(
        self,
        now: Moment,
        key: str,
        name: str,
        holder: str,
        secret: str | None,
        lobby: bool,
        account: Account | None,
        address: str,
    ) -> Joined:
        """A guest: free → held, or held or waiting → held with the secret; an account: a place."""
        if account is None:
            holding = self._take(now, key, name, holder, secret, lobby, address)
        else:
            holding = self._take_place(now, key, name, holder, secret, lobby, account)
        who = holding.who
        if lobby:
            self._seating.come_in(who)
        joined = Joined(
            Claim(key, holder, holding.secret, who.by, who.account),
            who.name,
            self._log.first_id,
            self._log.last_id,
            self._seating.present,
            self._seating.users(),
            self._seating.seats_of(who.by),
        )
        self.settle(now)
        return joined

    def _take(
        self,
        now: Moment,
        key: str,
        name: str,
        holder: str,
        secret: str | None,
        lobby: bool,
        address: str,
    ) -> Holding:
        stays = [one for one in self._names.stays(key) if one.place == GUEST]
        known = bool(stays and secret is not None and same(secret, stays[0].secret))
        if known or not stays:
            self._check_let_in(now, stays[0].who.by if known else "", address, lobby)
        return self._names.take(self._log.changes, now.steady, key, name, holder, secret, address)

    def _take_place(
        self,
        now: Moment,
        key: str,
        name: str,
        holder: str,
        secret: str | None,
        lobby: bool,
        account: Account,
    ) -> Holding:
        changes = self._log.changes
        self._names.check_account(key, account)
        self._check_let_in(now, account_identity(account.subject), "", lobby)
        self._names.check_place(key, secret)
        for guest in self._names.stays(key):
            if guest.place == GUEST:
                if guest.holder is not None:
                    text = f"An account has the name {guest.who.name}"
                    changes.lost.append(Lost(guest.holder, "account_came", text))
                self._free(now, guest)
        was_online = self._names.is_online(key)
        who = self._names.let_in(changes, key, name, account)
        holding = self._names.take_place(changes, who, holder, secret)
        if not was_online:
            self._seating.come_online(who)
        return holding

    def _check_let_in(self, now: Moment, by: str, address: str, lobby: bool) -> None:
        """Raises Banned."""
        self._sanctions.check_let_in(now, EVERYWHERE, by, address)
        if lobby and by not in self._rooms.lobby.seats:
            self._sanctions.check_let_in(now, LOBBY, by, address)

    def release(self, now: Moment, claim: Claim) -> None:
        """Held → free."""
        self._free(now, self._names.held(claim))
        self.settle(now)

    def suspend(self, now: Moment, claim: Claim) -> None:
        """Held → waiting."""
        holding = self._names.held(claim)
        self._names.suspend(self._log.changes, holding, now.steady + self._grace_ms)
        self.settle(now)

    def append(self, now: Moment, claim: Claim, text: str, key: str | None) -> Receipt:
        """Add a chat message of the lobby, unless `key` says that it is there."""
        holding = self._names.held(claim)
        lobby = self._rooms.lobby
        if holding.who.by not in lobby.seats:
            raise not_seated()
        receipt = self._messages.say(now, lobby, holding, claim, text, key)
        self.settle(now)
        return receipt

    # --- rooms

    def enter(self, now: Moment, claim: Claim, room: str, makes: bool) -> Seat:
        """A seat in a public room, or the present one."""
        seat = self._seating.enter(now, room, self._names.held(claim), makes)
        self.settle(now)
        return seat

    def open_room(
        self, now: Moment, claim: Claim, room: str, title: str, topic: str, everything: bool
    ) -> Seat:
        """A new private room."""
        who = self._names.held(claim).who
        record = RoomRecord(0, room, "private", title, topic, who.by, who.by, everything)
        seat = self._seating.open(now, record, who)
        self.settle(now)
        return seat

    def direct(self, now: Moment, claim: Claim, key: str, room: str) -> Seat:
        """The room of two."""
        who = self._names.held(claim).who
        return self._seating.direct(now, room, who, self._names.find(key))

    def accept(self, now: Moment, claim: Claim, digest: str) -> Seat:
        """A seat by a pass."""
        seat = self._seating.accept(now, digest, self._names.held(claim))
        self.settle(now)
        return seat

    def leave_room(self, now: Moment, claim: Claim, seat: Seat) -> None:
        """End a seat."""
        holding, room = self._seated(claim, seat)
        self._seating.leave(now, room, holding.who)
        self.settle(now)

    def block(self, now: Moment, claim: Claim, key: str, on: bool) -> None:
        """Who may not ask for a direct room."""
        self._rooms.block(self._names.held(claim).who.by, key, on)

    def say(
        self, now: Moment, claim: Claim, seat: Seat, text: str, key: str | None, reply_to: int
    ) -> Receipt:
        """Add a message, unless `key` says that it is there; what is above is read."""
        holding, room = self._seated(claim, seat)
        receipt = self._messages.say(now, room, holding, claim, text, key, reply_to)
        by = holding.who.by
        if room.seats[by].read < room.said:
            self._messages.mark_read(room, by, room.last_id)
        self.settle(now)
        return receipt

    def edit(self, now: Moment, claim: Claim, seat: Seat, message: int, text: str) -> Receipt:
        """Change one's own message."""
        holding, room = self._seated(claim, seat)
        receipt = self._messages.edit(now, room, holding, message, text)
        self.settle(now)
        return receipt

    def remove(self, now: Moment, claim: Claim, seat: Seat, message: int) -> Receipt:
        """Erase one's own message."""
        holding, room = self._seated(claim, seat)
        receipt = self._messages.remove(now, room, holding, message)
        self.settle(now)
        return receipt

    def react(
        self, now: Moment, claim: Claim, seat: Seat, message: int, emoji: str, on: bool
    ) -> None:
        """Add or take back a reaction."""
        holding, room = self._seated(claim, seat)
        self._messages.react(now, room, holding, message, emoji, on)
        self.settle(now)

    def mark_read(self, now: Moment, claim: Claim, seat: Seat, message: int) -> None:
        """What is not above this is read."""
        holding, room = self._seated(claim, seat)
        self._messages.mark_read(room, holding.who.by, message)

    def typing(self, now: Moment, claim: Claim, seat: Seat) -> None:
        """Have it told."""
        holding, room = self._seated(claim, seat)
        self._messages.check_heard(now, room, holding)
        aside = Aside(room.name, "typing", holding.who.name, holding.who.by)
        self._log.changes.asides.append(aside)

    def set_topic(self, now: Moment, claim: Claim, seat: Seat, topic: str, role: Role) -> Receipt:
        """Tell what a room is about."""
        holding, room = self._seated(claim, seat)
        who = holding.who
        if room.kind == "direct" or not rank(room, who, role):
            raise not_the_owner()
        self._sanctions.check_may_speak(now, room.name, holding)
        room.topic = topic
        self._rooms.changed(room)
        text = f"{who.name} set the topic: {topic}" if topic else f"{who.name} cleared the topic"
        receipt = self._log.add(now, room, "topic", who.name, text, by=who.by)
        self.settle(now)
        return receipt

    def create_pass(
        self, now: Moment, claim: Claim, seat: Seat, digest: str, days: float, uses: int | None
    ) -> None:
        """Let others come in."""
        _, room = self._owned(now, claim, seat)
        self._rooms.add_pass(now, room, digest, days, uses)

    def revoke_passes(self, now: Moment, claim: Claim, seat: Seat) -> None:
        """None is good any more."""
        _, room = self._owned(now, claim, seat)
        self._rooms.revoke_passes(room)

    def hand_on(self, now: Moment, claim: Claim, seat: Seat, key: str) -> None:
        """Make another one the owner."""
        _, room = self._owned(now, claim, seat)
        who, found = self._seating.inside(room, self._names.find(key))
        self._seating.give(now, room, who.by, found)

    def close_room(self, now: Moment, claim: Claim, seat: Seat) -> None:
        """End a room."""
        who, room = self._owned(now, claim, seat)
        self._seating.close(now, room, who, f"{who.name} closed the room")

    # --- accounts

    def renew(self, now: Moment, claim: Claim, issued: float, role: Role) -> None:
        """Go on with the next token."""
        who = self._names.held(claim).who
        account = self._names.account(who.key)
        if account is None:
            raise unauthorized()
        self._names.let_in(
            self._log.changes, who.key, who.name, Account(account.subject, role, issued)
        )

    def _seated(self, claim: Claim, seat: Seat) -> tuple[Holding, Room]:
        """Who speaks, and the room. Raises ClaimLost, NotJoined."""
        holding = self._names.held(claim)
        return holding, self._seating.seated(holding.who.by, seat)

    def _owned(self, now: Moment, claim: Claim, seat: Seat) -> tuple[Somebody, Room]:
        """…for what its owner alone may do. Raises Forbidden, too."""
        holding, room = self._seated(claim, seat)
        if room.kind != "private" or room.owner != holding.who.by:
            raise not_the_owner()
        self._sanctions.check_may_speak(now, room.name, holding)
        return holding.who, room

    # --- time passes

    def pass_time(self, now: Moment) -> float:
        """Free the names whose time is up, and tell what is due. The seconds until there is more to
        do, at most MAX_TICK_SECONDS."""
        self._sanctions.pass_time(self._log.changes, now.wall)
        self._forget_operator(now)
        self.settle(now)
        return self._due(now)

    def _forget_operator(self, now: Moment) -> None:
        operator = self._names.account(OPERATOR_KEY)
        if operator is not None and not self._names.is_online(OPERATOR_KEY):
            self._seating.end_stay(now, operator.who)
            self._names.forget(self._log.changes, operator)

    def settle(self, now: Moment) -> None:
        """Let time take effect."""
        for holding in self._names.over(now.steady):
            self._free(now, holding)
        for room in self._rooms.pending(now.steady):
            # A leave that was told may be what the same name's join has waited for.
            while any(self._tell(room, kind, now) for kind in NOTICE_TYPES):
                pass
            self._messages.tell_reaction(now, room)

    def _tell(self, room: Room, kind: NoticeType, now: Moment) -> bool:
        """Make one event of all notices of this kind that may be told; whether there was any."""
        if room.notices is None:
            return False
        gathered = room.notices.gather(self._log.changes, kind, now.steady)
        if gathered is None:
            return False
        names, count, by = gathered
        place = "the chat" if room is self._rooms.lobby else room.title
        text = notice_text(kind, names, count, place)
        users = tuple(names[:MAX_USERS])
        self._log.add(now, room, kind, names[0], text, by=by, users=users, count=count)
        return True

    def _due(self, now: Moment) -> float:
        moments = [now.steady + round(MAX_TICK_SECONDS * 1000), *self._names.due()]
        return max(0, min(*moments, self._rooms.due) - now.steady) / 1000

    def _free(self, now: Moment, holding: Holding) -> None:
        who = holding.who
        self._names.free(self._log.changes, holding)
        if not who.account:
            self._seating.end_stay(now, who)
        elif not self._names.is_online(who.key):
            self._seating.go_offline(who)
