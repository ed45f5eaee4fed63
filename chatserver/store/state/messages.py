"""What is said, and what becomes of it."""

from chatserver.store.events import date
from chatserver.store.refusals import key_reused, no_such_message, not_yours, too_many
from chatserver.store.seats import LOBBY, MAX_REACTIONS, REACTION_INTERVAL_MS
from chatserver.store.state.log import LogEnd
from chatserver.store.state.records import Holding, SeatRecord, Somebody, StoredMessage, UsedKey
from chatserver.store.state.room import Room
from chatserver.store.state.rooms import Rooms
from chatserver.store.state.sanctions import Sanctions
from chatserver.store.values import Claim, Moment, Receipt, digest_of


class Messages:
    """Messages of all rooms; who is told to do something has a seat in the room."""

    def __init__(self, log: LogEnd, rooms: Rooms, sanctions: Sanctions) -> None:
        self._log = log
        self._rooms = rooms
        self._sanctions = sanctions

    def say(
        self,
        now: Moment,
        room: Room,
        holding: Holding,
        claim: Claim,
        text: str,
        key: str | None,
        reply_to: int = 0,
    ) -> Receipt:
        """Add a chat message, unless `key` says that it is there. Raises BadRequest, NoSuchMessage,
        Forbidden."""
        if key is None:
            return self._say(now, room, holding, claim, text, reply_to)
        digest = digest_of(claim.scope, key)
        plain = room.name == LOBBY and not reply_to
        text_digest = digest_of(text) if plain else digest_of(text, room.name, str(reply_to))
        changes = self._log.changes
        used = changes.used_keys.get(digest) or self._log.archive.used_key(digest)
        if used is None:
            receipt = self._say(now, room, holding, claim, text, reply_to)
            changes.used_keys[digest] = UsedKey(digest, text_digest, receipt.id, now.wall)
            return receipt
        if used.text_digest != text_digest:
            raise key_reused()
        return Receipt(used.id, date(used.time_ms))

    def _say(
        self, now: Moment, room: Room, holding: Holding, claim: Claim, text: str, reply_to: int
    ) -> Receipt:
        who = holding.who
        if reply_to:
            self._find(room, who.by, reply_to)
        self.check_heard(now, room, holding)
        return self._log.add(now, room, "chat", who.name, text, by=who.by, reply_to=reply_to)

    def check_heard(self, now: Moment, room: Room, holding: Holding) -> None:
        """Raises Forbidden for who is muted there, or blocked by the other one of two."""
        self._sanctions.check_may_speak(now, room.name, holding)
        self._rooms.check_heard(room, holding.who)

    def edit(self, now: Moment, room: Room, holding: Holding, message: int, text: str) -> Receipt:
        """Raises NoSuchMessage, Forbidden."""
        who = holding.who
        self._own(room, who.by, message)
        self.check_heard(now, room, holding)
        receipt = self._log.add(now, room, "edit", who.name, text, by=who.by, target=message)
        self._log.archive.edit(message, text, now.wall)
        return receipt

    def remove(self, now: Moment, room: Room, holding: Holding, message: int) -> Receipt:
        """Raises NoSuchMessage, Forbidden."""
        self._own(room, holding.who.by, message)
        return self.strike(now, room, holding.who, message, "")

    def strike(self, now: Moment, room: Room, doer: Somebody, message: int, reason: str) -> Receipt:
        """Erase a message, whose ever it is. Raises NoSuchMessage."""
        found = self._log.archive.message(message)
        if found is None or found.room != room.number or found.removed:
            raise no_such_message()
        self._log.archive.erase(message)
        return self._log.add(now, room, "remove", doer.name, reason, by=doer.by, target=message)

    def react(
        self, now: Moment, room: Room, holding: Holding, message: int, emoji: str, on: bool
    ) -> None:
        """Raises NoSuchMessage, Forbidden, TooMany."""
        by = holding.who.by
        self._find(room, by, message)
        self.check_heard(now, room, holding)
        archive = self._log.archive
        if archive.has_reacted(message, emoji, by) == on:
            return
        if on:
            kinds = archive.kinds(message)
            if emoji not in kinds and len(kinds) >= MAX_REACTIONS:
                raise too_many(MAX_REACTIONS, "kinds of reactions to one message")
        self._put_reaction(room, holding.who, message, emoji, on)

    def take_back(self, room: Room, who: Somebody, message: int, emoji: str) -> None:
        """End a reaction that is there."""
        self._put_reaction(room, who, message, emoji, False)

    def _put_reaction(self, room: Room, who: Somebody, message: int, emoji: str, on: bool) -> None:
        self._log.archive.react(message, emoji, who.by, who.name, on)
        self._rooms.note_reaction(room, message)

    def tell_reaction(self, now: Moment, room: Room) -> None:
        """Tell of the first message whose reactions have changed, if it is time for it."""
        told_at = room.reacted_at
        if not room.reacted or (
            told_at is not None and now.steady - told_at < REACTION_INTERVAL_MS
        ):
            return
        message = next(iter(room.reacted))
        del room.reacted[message]
        self._log.changes.reacted[message] = None
        room.reacted_at = now.steady
        found = self._log.archive.message(message)
        if found is not None and not found.removed:
            reactions = self._log.archive.reactions(message)
            self._log.add(now, room, "react", "", "", target=message, reactions=reactions)

    def mark_read(self, room: Room, by: str, message: int) -> None:
        """Move the mark up to this id, never back."""
        seat = room.seats[by]
        if message >= room.last_id:
            read = room.said
        else:
            read = self._log.archive.number_at(room.number, message)
        if read > seat.read:
            self.mark(room, by, seat._replace(read=read))

    def mark(self, room: Room, by: str, seat: SeatRecord) -> None:
        """Keep what is read."""
        room.seats[by] = self._log.changes.seats[room.number, by] = seat

    def _find(self, room: Room, by: str, message: int) -> StoredMessage:
        """A message of the room that this identity may read, and that was not removed. Raises
        NoSuchMessage."""
        found = self._log.archive.message(message)
        unseen = room.hidden and message <= room.seats[by].number
        if found is None or found.room != room.number or found.removed or unseen:
            raise no_such_message()
        return found

    def _own(self, room: Room, by: str, message: int) -> None:
        if self._find(room, by, message).by != by:
            raise not_yours()
