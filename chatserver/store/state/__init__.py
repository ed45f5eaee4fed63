"""The rules of the store for engines that one process owns, without any storage.

`ChatState` holds in memory what is needed to decide (who has which name, which rooms there are and
who is in them, which notices wait, where the log ends), asks its engine about messages (`Archive`),
and collects in `Changes` what each decision means for the disk. An engine applies operations, then
stores the changes, then tells the callers. Should storing fail, the engine makes a new state from
what is stored.

    records    what is stored of each of these
    archive    what is asked of the engine
    log        where the log ends
    names      who has which name
    notices    who came and went, and was not told of yet
    room       one room
    rooms      which there are, who is in them
    messages   what is said, and what becomes of it

Nothing here blocks, reads a clock or knows gevent. All times are milliseconds; those of events,
passes and idempotency keys are the wall's, all others steady.
"""

from collections.abc import Iterable

from chatserver.store.events import MAX_USERS, NoticeType, notice_text
from chatserver.store.interface import MAX_TICK_SECONDS, Policy
from chatserver.store.refusals import not_seated, not_the_owner
from chatserver.store.seats import LOBBY, Seat
from chatserver.store.state.archive import Archive
from chatserver.store.state.log import LogEnd
from chatserver.store.state.messages import Messages
from chatserver.store.state.names import Names
from chatserver.store.state.notices import NOTICE_TYPES
from chatserver.store.state.records import Changes, Holding, Lobby, Notice, RoomRecord
from chatserver.store.state.room import Room
from chatserver.store.state.rooms import LOBBY_NUMBER, Rooms, users_of
from chatserver.store.values import Claim, Joined, Moment, Receipt, identity_of


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
        """
        self._grace_ms = policy.grace_ms
        self._log = LogEnd(archive, first_id, last_id)
        self._names = Names(holdings)
        self._rooms = Rooms(self._log, rooms, last_number=last_room)
        self._rooms.load(notices, blocks)
        self._messages = Messages(self._log, self._rooms)

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
    def holdings(self) -> Iterable[Holding]:
        """The names that are not free."""
        return self._names

    @property
    def rooms(self) -> Rooms:
        """The rooms, for an engine that answers from them."""
        return self._rooms

    @property
    def lobby(self) -> Lobby:
        """The lobby as it is, which goes on changing."""
        lobby = self._rooms.lobby
        return Lobby(lobby.seats.values(), lobby.said)

    def take_changes(self) -> Changes:
        """What has changed since the last call."""
        changes, self._log.changes = self._log.changes, Changes()
        return changes

    # --- operations, as `Store` describes them; each checks everything before it changes anything,
    # and lets time take effect after what it has changed

    def claim(
        self, now: Moment, key: str, name: str, holder: str, secret: str | None, lobby: bool
    ) -> Joined:
        """Free → held, or held or waiting → held with the secret."""
        holding = self._names.take(self._log.changes, now.steady, key, name, holder, secret)
        by = identity_of(holding.secret)
        if lobby:
            self._rooms.come_in(now, holding, by)
        everyone = self._rooms.lobby.seats
        joined = Joined(
            Claim(key, holder, holding.secret, by),
            holding.name,
            self._log.first_id,
            self._log.last_id,
            len(everyone),
            users_of(self._rooms.lobby, MAX_USERS),
            self._rooms.seats_of(by),
        )
        self._settle(now)
        return joined

    def release(self, now: Moment, claim: Claim) -> None:
        """Held → free."""
        self._free(now, self._names.held(claim))
        self._settle(now)

    def suspend(self, now: Moment, claim: Claim) -> None:
        """Held → waiting."""
        holding = self._names.held(claim)
        self._names.suspend(self._log.changes, holding, now.steady + self._grace_ms)
        self._settle(now)

    def append(self, now: Moment, claim: Claim, text: str, key: str | None) -> Receipt:
        """Add a chat message of the lobby, unless `key` says that it is there."""
        holding = self._names.held(claim)
        lobby = self._rooms.lobby
        if claim.by not in lobby.seats:
            raise not_seated()
        receipt = self._messages.say(now, lobby, holding, claim, text, key)
        self._settle(now)
        return receipt

    # --- rooms

    def enter(self, now: Moment, claim: Claim, room: str, makes: bool) -> Seat:
        """A seat in a public room, or the present one."""
        holding = self._names.held(claim)
        seat = self._rooms.enter(now, room, holding, claim.by, makes)
        self._settle(now)
        return seat

    def open_room(
        self, now: Moment, claim: Claim, room: str, title: str, topic: str, everything: bool
    ) -> Seat:
        """A new private room."""
        holding = self._names.held(claim)
        record = RoomRecord(0, room, "private", title, topic, claim.by, claim.by, everything)
        seat = self._rooms.open(now, record, holding, claim.by)
        self._settle(now)
        return seat

    def direct(self, now: Moment, claim: Claim, key: str, room: str) -> Seat:
        """The room of two."""
        holding = self._names.held(claim)
        other = self._names.find(key)
        # Nobody is looked for in the same way as somebody: the time it takes tells nothing.
        other_by = identity_of("" if other is None else other.secret)
        return self._rooms.direct(now, room, holding, claim.by, other, other_by)

    def accept(self, now: Moment, claim: Claim, digest: str) -> Seat:
        """A seat by a pass."""
        seat = self._rooms.accept(now, digest, self._names.held(claim), claim.by)
        self._settle(now)
        return seat

    def leave_room(self, now: Moment, claim: Claim, seat: Seat) -> None:
        """End a seat."""
        holding, room = self._seated(claim, seat)
        self._rooms.leave(now, room, holding, claim.by)
        self._settle(now)

    def block(self, now: Moment, claim: Claim, key: str, on: bool) -> None:
        """Who may not ask for a direct room."""
        self._names.held(claim)
        self._rooms.block(claim.by, key, on)

    def say(
        self, now: Moment, claim: Claim, seat: Seat, text: str, key: str | None, reply_to: int
    ) -> Receipt:
        """Add a message, unless `key` says that it is there; what is above is read."""
        holding, room = self._seated(claim, seat)
        receipt = self._messages.say(now, room, holding, claim, text, key, reply_to)
        if room.seats[claim.by].read < room.said:
            self._messages.mark_read(room, claim.by, room.last_id)
        self._settle(now)
        return receipt

    def edit(self, now: Moment, claim: Claim, seat: Seat, message: int, text: str) -> Receipt:
        """Change one's own message."""
        holding, room = self._seated(claim, seat)
        receipt = self._messages.edit(now, room, holding, claim.by, message, text)
        self._settle(now)
        return receipt

    def remove(self, now: Moment, claim: Claim, seat: Seat, message: int) -> Receipt:
        """Erase one's own message."""
        holding, room = self._seated(claim, seat)
        receipt = self._messages.remove(now, room, holding, claim.by, message)
        self._settle(now)
        return receipt

    def react(
        self, now: Moment, claim: Claim, seat: Seat, message: int, emoji: str, on: bool
    ) -> None:
        """Add or take back a reaction."""
        holding, room = self._seated(claim, seat)
        self._messages.react(room, holding, claim.by, message, emoji, on)
        self._settle(now)

    def mark_read(self, now: Moment, claim: Claim, seat: Seat, message: int) -> None:
        """What is not above this is read."""
        _, room = self._seated(claim, seat)
        self._messages.mark_read(room, claim.by, message)

    def set_topic(self, now: Moment, claim: Claim, seat: Seat, topic: str) -> Receipt:
        """Tell what a private room is about."""
        holding, room = self._owned(claim, seat)
        room.topic = topic
        self._rooms.changed(room)
        name = holding.name
        text = f"{name} set the topic: {topic}" if topic else f"{name} cleared the topic"
        receipt = self._log.add(now, room, "topic", name, text, by=claim.by)
        self._settle(now)
        return receipt

    def create_pass(
        self, now: Moment, claim: Claim, seat: Seat, digest: str, days: float, uses: int | None
    ) -> None:
        """Let others come in."""
        _, room = self._owned(claim, seat)
        self._rooms.add_pass(now, room, digest, days, uses)

    def revoke_passes(self, now: Moment, claim: Claim, seat: Seat) -> None:
        """None is good any more."""
        _, room = self._owned(claim, seat)
        self._rooms.revoke_passes(room)

    def hand_on(self, now: Moment, claim: Claim, seat: Seat, key: str) -> None:
        """Make another one the owner."""
        _, room = self._owned(claim, seat)
        other = self._names.find(key)
        found = None if other is None else (other, identity_of(other.secret))
        self._rooms.give(now, room, *self._rooms.by_name_key(room, found))

    def close_room(self, now: Moment, claim: Claim, seat: Seat) -> None:
        """End a room."""
        holding, room = self._owned(claim, seat)
        self._rooms.close(now, room, holding, claim.by, f"{holding.name} closed the room")

    def _seated(self, claim: Claim, seat: Seat) -> tuple[Holding, Room]:
        """Who speaks, and the room. Raises ClaimLost, NotJoined."""
        return self._names.held(claim), self._rooms.seated(claim.by, seat)

    def _owned(self, claim: Claim, seat: Seat) -> tuple[Holding, Room]:
        """…for what its owner alone may do. Raises Forbidden, too."""
        holding, room = self._seated(claim, seat)
        if room.name == LOBBY:
            raise not_the_owner()
        self._rooms.check_owner(room, claim.by)
        return holding, room

    # --- time passes

    def pass_time(self, now: Moment) -> float:
        """Free the names whose time is up, and tell what is due. The seconds until there is more to
        do, at most MAX_TICK_SECONDS."""
        self._settle(now)
        return self._due(now)

    def _settle(self, now: Moment) -> None:
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
        self._names.free(self._log.changes, holding)
        self._rooms.end_stay(now, holding, identity_of(holding.secret))
