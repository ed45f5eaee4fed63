"""What every engine keeps to where rooms are concerned; `Store` has it beside the log and names.

**Identity.** `Claim.by` names who a claim speaks for: for a guest it is made from the stay's secret
(`identity_of`), so it lasts as long as the stay, whatever connection speaks for it. Seats, rooms
made, keys and messages are its.

**Rooms.** `lobby` is always there. A public room is made by whoever enters it first, and ends with
its last seat if nothing was ever said in it; a private one is opened by its owner, a direct one by
asking for it, and both end with their last seat (a direct one with either of a guest's stay). What
ends is erased, a part with each `tick`, and named by nobody from the moment on at which it ended.
When the owner of a private room is gone for good, whoever has been in it longest owns it.

**Seats.** `claim` with `lobby` (that is `join`) begins a seat in the lobby, without an entry of the
log, since nobody but the caller is concerned: its number is `Joined.last_id`. Every other seat
begins and ends with an entry: `Event.seats`. Seats of a guest end when its name becomes free: one
entry of type `seat` has all of them but the lobby's, each room gets its leave notice. Nobody is
told of who comes into a private or direct room but those in it.

**One check, in the same step.** Whatever is done or read in a room carries the claim (its holder
must speak for the name: `ClaimLost`) and the seat (it must be the identity's present one:
`NotJoined`), then the key, then the rest. What an identity may not see is `NoSuchRoom`, whether it
is there or not, by the same way through the code.

**Messages.** Text, edits, removal and reactions of a message are decided in the same step as the
event that tells of them. `edit` and `remove` are for the identity that said it (`Forbidden` for
others, `NoSuchMessage` for what is no message of this room, or was removed). Editing changes the
stored text and dates `edited_ms`; removing erases the text, and that of its edits, wherever they
are. `react` changes what is stored at once, and is told by a `react` event with all reactions as
they stand, gathered: at most one each REACTION_INTERVAL_MS and room, by `tick` or the next
operation. An unchanged reaction tells nothing.

**Notices** are gathered for each room as they are for the lobby (`Store`). Not in direct rooms:
nobody joins or leaves those. Their texts end in "the chat" in the lobby, and in the room's title
elsewhere.

**Unread** is the room's messages above the mark by their `Event.number`; entering and `say` put the
mark at the newest, `mark_read` moves it up to an id, never back.

**Reading** goes beside the writer, never through it, and is checked against the seat in the same
step. In a private room that was not opened with `everything`, only what is above the seat's number.

    | method                      | blocks | its `Future` fails with                             |
    |-----------------------------|--------|-----------------------------------------------------|
    | all that return a `Future`  | no     | ClaimLost, Unavailable                              |
    | enter, direct, accept       | no     | NoSuchRoom, TooMany; Banned for the first and last  |
    | open_room, block            | no     | TooMany                                             |
    | say, edit, remove, react,   | no     | NotJoined; NoSuchMessage for the first four, and    |
    | mark_read, leave_room       |        | BadRequest for `say` with a key that was used       |
    | say, edit, react, typing    | no     | Forbidden: who is muted, or blocked                 |
    | edit, remove                | no     | Forbidden                                           |
    | react, create_pass          | no     | TooMany                                             |
    | set_topic, create_pass,     | no     | NotJoined, and Forbidden for all but the owner of a |
    | revoke_passes, hand_on,     |        | private room; `hand_on` BadRequest                  |
    | close_room                  |        |                                                     |
    | read_room, people, room     | yes    | (raise) NotJoined, Unavailable                      |
    | rooms, blocked, read_rooms  | yes    | (raise) Unavailable                                 |
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import Future

from chatserver.people.token_terms import Role
from chatserver.store.events import Event
from chatserver.store.seats import Kinds, Occupant, RoomInfo, Seat
from chatserver.store.values import Claim, Receipt, Span


class RoomStore(ABC):
    """The part of a `Store` that is about rooms."""

    # --- coming and going

    @abstractmethod
    def enter(self, claim: Claim, room: str, makes: bool = True) -> "Future[Seat]":
        """The seat in a public room, which is made if there is none, or in any room in which there
        is one already: then that one. `room` is compared as it is; whoever calls checks names of
        public ones, and names that begin with `+` or `@` are never made. None is made unless
        `makes`."""

    @abstractmethod
    def open_room(
        self, claim: Claim, room: str, title: str, topic: str, everything: bool
    ) -> "Future[Seat]":
        """A new private room, owned by the caller, who is in it. `room` is a fresh name, `+` and
        128 random bits. `everything`: later ones may read what was before."""

    @abstractmethod
    def direct(self, claim: Claim, key: str, room: str) -> "Future[Seat]":
        """The room of the caller and whoever has the name with this key, the same for both. `room`,
        `@` and 128 random bits, is its name if there is none yet. Both are seated by one entry,
        without a notice. NoSuchRoom: oneself, nobody, somebody who blocks the caller."""

    @abstractmethod
    def accept(self, claim: Claim, digest: str) -> "Future[Seat]":
        """A seat by a pass, whose digest this is; counts as a use unless one is in it already.
        NoSuchRoom if it is not good (any more)."""

    @abstractmethod
    def leave_room(self, claim: Claim, seat: Seat) -> "Future[None]":
        """End the seat. In the lobby too, for who came in by `enter` or by `join`."""

    @abstractmethod
    def block(self, claim: Claim, key: str, on: bool) -> "Future[None]":
        """Whether the one with this name's key can ask for a direct room with the caller. A name
        that nobody has is blocked all the same. In a direct room that is there it can say and edit
        nothing any more (`Forbidden`)."""

    # --- what is said

    @abstractmethod
    def say(
        self, claim: Claim, seat: Seat, text: str, key: str | None, reply_to: int
    ) -> "Future[Receipt]":
        """Store a chat message. `reply_to` is an id of a message of this room, or 0. A key that was
        used with another text, room or `reply_to` is BadRequest; for the lobby without `reply_to`
        the digests are those of `Store.append`."""

    @abstractmethod
    def edit(self, claim: Claim, seat: Seat, message: int, text: str) -> "Future[Receipt]":
        """Change what one has said; the receipt is the `edit` event's."""

    @abstractmethod
    def remove(self, claim: Claim, seat: Seat, message: int) -> "Future[Receipt]":
        """Erase what one has said; a second time is NoSuchMessage."""

    @abstractmethod
    def react(self, claim: Claim, seat: Seat, message: int, emoji: str, on: bool) -> "Future[None]":
        """Add or take back a reaction; `emoji` is checked by the caller. MAX_REACTIONS: TooMany."""

    @abstractmethod
    def mark_read(self, claim: Claim, seat: Seat, message: int) -> "Future[None]":
        """What is not above this id is read."""

    # --- what the owner of a private room does

    @abstractmethod
    def set_topic(
        self, claim: Claim, seat: Seat, topic: str, role: Role = "member"
    ) -> "Future[Receipt]":
        """Tell of it by a `topic` event, "NAME set the topic: TOPIC" or "NAME cleared the
        topic". For the room's moderators (`people_interface`)."""

    @abstractmethod
    def create_pass(
        self, claim: Claim, seat: Seat, digest: str, days: float, uses: int | None
    ) -> "Future[None]":
        """Let whoever shows what has this digest come in. `uses` None: any number."""

    @abstractmethod
    def revoke_passes(self, claim: Claim, seat: Seat) -> "Future[None]":
        """None of the room's passes is good any more."""

    @abstractmethod
    def hand_on(self, claim: Claim, seat: Seat, key: str) -> "Future[None]":
        """Make whoever in the room has this name's key its owner (BadRequest: nobody in it); told
        by a `notice`, "NAME owns the room now"."""

    @abstractmethod
    def close_room(self, claim: Claim, seat: Seat) -> "Future[None]":
        """End the room: a `notice`, "NAME closed the room", whose `seats` end all of its seats."""

    # --- beside the log

    @abstractmethod
    def typing(self, claim: Claim, seat: Seat) -> "Future[None]":
        """Have those in the room told, on all workers, that one is typing (`Tail.asides`). The
        caller gathers."""

    # --- reading; blocks the greenlet and no other one

    def read_room(
        self,
        by: str,
        seat: Seat,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int,
        newest: bool = False,
        kinds: Kinds = "events",
    ) -> list[Event]:
        """Events of the room, ascending, bounded as `Store.read` is. `messages` have
        `reactions`."""
        span = Span(seat.room, kinds, after, before, limit, newest, by, seat.number)
        found = self.read_span(span)
        return found[::-1] if newest else found

    @abstractmethod
    def read_span(self, span: Span) -> list[Event]:
        """What an engine does for a read of one room. Blocks the greenlet, and no other one.

        Args:
            span: which events are wanted, and by whom.

        Returns:
            Events from the oldest of the span on, or with `newest` from the newest on, `cut` to
            what one read may return.

        Raises:
            NotJoined: the seat has ended.
            Unavailable: the store did not answer in time; nothing was changed.
        """

    @abstractmethod
    def people(self, by: str, seat: Seat, after: str | None, limit: int) -> list[Occupant]:
        """Who is in the room, sorted by name; those after the name `after`."""

    @abstractmethod
    def room(self, by: str, seat: Seat) -> RoomInfo:
        """The room as its holder sees it."""

    @abstractmethod
    def rooms(
        self, by: str, after: str | None, limit: int, *, inside: bool = False
    ) -> list[RoomInfo]:
        """The rooms that the identity sees, sorted by name: public ones and those that it is in;
        those after the name `after`. `inside`: only those that it is in."""

    @abstractmethod
    def blocked(self, by: str, after: str | None, limit: int) -> list[str]:
        """The names that an identity blocks, sorted by their keys; those after the key `after`.
        They are as they are shown, or where there is nobody of that name now, the keys."""

    @abstractmethod
    def read_rooms(self, afters: Mapping[str, int], before: int, limit: int) -> list[Event]:
        """What a member that comes back is told: of each room the events above the id given for it
        and below `before`, as they stand, merged in the order of ids; the first `limit` of them
        (and about MAX_READ_BYTES). Asks nothing of rooms without news."""
