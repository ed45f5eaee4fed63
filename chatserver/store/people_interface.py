"""What every engine keeps to where accounts and sanctions are concerned; `Store` has it beside the
log, names and rooms.

**Accounts.** A token's exact `sub` that first used a name owns it (`claim` with `account`): another
one with the same key is `Unauthorized`, and so is a token that was not signed after the second of a
`revoke`. For guests an account's name is taken, whether anybody is there or not, and so are names
that look like it; an account itself is let in whatever its name looks like. A guest who has the
name when the account comes first is out: its stay ends, its holder is `lost` (`account_came`). The
role and the spelling of the name are those of the latest token.

The account of OPERATOR_KEY alone passes as guests do: once it has no place, the next `tick` forgets
it with its seats.

**Places.** An account has up to MAX_PLACES stays at a time. `claim` with the secret of one of them
takes that one over, with any other or none it is one more; of ten, the one that has waited longest
makes room, and without one that waits it is `TooMany`. `Claim.key` is the name's key for all of
them, and the holder says which. `release` and time end a place, and nothing else with it: seats,
rooms, who is blocked, keys of messages and what is read are the identity's, `account_identity`.

**Online** is an account while it has a place, held or waiting. When the first comes or the last
goes, the rooms in which it is are told so beside the log (`presence`), unless they have more than
MAX_PRESENCE seats, or are more than that themselves. Among those who are in the lobby, `names` and
`counts` are about those who are online: an account that is not keeps its seat there. Its coming
online, with a seat there, is told by a join notice, and its going by a leave notice.

**Who may.** A room's `moderator` is the owner of a private one, the roles `moderator` and `admin`
in public ones, `admin` in private ones, too, and nobody in direct ones. Who is banned from the room
or muted in it, does not moderate it meanwhile (`Banned`, `Forbidden`), unless it is an admin.
Whoever calls says with which `role` it comes: the caller knows the token of this very place. What
an identity may not see is `NoSuchRoom`; what it sees and may not do, `Forbidden`. Nobody can
`mute`, `kick` or `ban` oneself, nor somebody of one's own rank in that room or of a higher one:
admins are above moderators and owners, those above all others.

**Sanctions.** Each is against an identity, and if that is a guest's, against guests from the same
address, of which the store keeps the digest that came with the `claim` ("": none, and then it is
against the stay alone, as it is when who decides is a guest from there, too). They are in force
from the moment at which they are stored and on all workers; another of the same kind against the
same person takes the place of the one before. Each keeps the rank of its author, in that room and
by the role with which it came: who stands lower neither lifts it nor puts another in its place
(`Forbidden`), whatever has become of the author since. Whatever else than reading and leaving is
done in a room checks, in the same step: the seat, then the key of a message, then `mute`. What is
left to muted people: `mark_read`, `remove` of their own, `leave_room`. `enter` and `accept` check
`ban`; one who is banned from the room has no seat in it. `claim` checks bans from everywhere
(EVERYWHERE as a room), and such a ban ends all places, or the stay, at once (`sent_away`). A
guest's ban does all of it to guests from the same address, too. When its time is over, the next
`tick` forgets it, with the digest.

**What is told.** A `notice` in the room, `user` and `by` are of who did it: "ANN muted BOB for 10
minutes: REASON", "… sent BOB out …", "… banned BOB …", "… lifted the mute (ban) of BOB"; the one by
which a seat ends is the last that its holder hears. `strike` is told by a `remove`, whose text is
the reason. Of what is done everywhere, who is concerned learns by `Lost.text`. An announcement is a
`notice` of the room EVERYWHERE, without `prev`: everyone who has logged in is there, without a
seat, and `read_rooms` reads it as any other.

**Erasing** an account revokes its tokens, ends its places, and removes what it said, a part with
each call, each message by a `remove` event of who does it, and takes back its reactions; then the
account goes, its seats and whom it blocks. What is left is the identity, with when its tokens were
revoked: who has one that was signed later comes as somebody new, unless banned. Sanctions stay
until they are over; titles and topics of rooms stay, and in the log, whose entries are not all to
be changed on each engine, that somebody of the name came and went, said what was removed, had
reacted, and was told of.

    | method                       | its `Future` fails with, beside ClaimLost and Unavailable   |
    |------------------------------|-------------------------------------------------------------|
    | renew                        | Unauthorized                                                |
    | may_moderate, sanctions      | NoSuchRoom, Forbidden                                       |
    | strike                       | NoSuchRoom, Forbidden, NoSuchMessage                        |
    | kick                         | NoSuchRoom, Forbidden, BadRequest: nobody of that name here |
    | mute, ban                    | …, BadRequest: nobody of that name; TooMany                 |
    | lift                         | NoSuchRoom, Forbidden, BadRequest: no such sanction         |
    | ban_address                  | Forbidden, TooMany                                          |
    | disconnect, revoke, erase    | Forbidden, BadRequest: nobody of that name                  |
    | announce, close_any          | Forbidden; close_any NoSuchRoom, also for direct ones       |
    | everyone, places, all_rooms, | (raise) Unavailable alone; they block the greenlet          |
    | statistics                   |                                                             |
"""

from abc import ABC, abstractmethod
from concurrent.futures import Future
from typing import NamedTuple

from chatserver.people.token_terms import Role
from chatserver.store.seats import RoomInfo, Sanction
from chatserver.store.values import Claim, Receipt


class PersonInfo(NamedTuple):
    """Somebody whom the chat knows: an account, or a guest who is online. `role` is None of a
    guest; `rooms` are those in which it has a seat, the lobby included."""

    name: str
    role: Role | None
    online: bool
    rooms: int


class PlaceInfo(NamedTuple):
    """A stay: of a guest, or one of an account's. `holder` names the connection that holds it, None
    while it waits for one."""

    name: str
    account: bool
    holder: str | None


class PeopleStore(ABC):
    """The part of a `Store` that is about accounts and sanctions."""

    @abstractmethod
    def renew(self, claim: Claim, issued: float, role: Role) -> "Future[None]":
        """Go on with the next token of the same account, signed at `issued` (seconds since
        1970)."""

    # --- moderating; `room` is a room's name, `key` that of a name

    @abstractmethod
    def may_moderate(self, claim: Claim, room: str, role: Role) -> "Future[None]":
        """Whether one is its moderator; for EVERYWHERE, whether one is an admin."""

    @abstractmethod
    def strike(
        self, claim: Claim, room: str, role: Role, message: int, reason: str
    ) -> "Future[Receipt]":
        """Erase somebody's message, whoever it is; the receipt is the `remove` event's."""

    @abstractmethod
    def mute(
        self, claim: Claim, room: str, role: Role, key: str, seconds: float | None, reason: str
    ) -> "Future[int]":
        """Let somebody, whether in the room or not, say nothing there; None: for good. The
        sanction's number."""

    @abstractmethod
    def kick(self, claim: Claim, room: str, role: Role, key: str, reason: str) -> "Future[None]":
        """End somebody's seat."""

    @abstractmethod
    def ban(
        self, claim: Claim, room: str, role: Role, key: str, seconds: float | None, reason: str
    ) -> "Future[int]":
        """End somebody's seat, if there is one, and let nobody of it in again; for EVERYWHERE, all
        of its stays."""

    @abstractmethod
    def lift(self, claim: Claim, room: str, role: Role, number: int) -> "Future[None]":
        """End a sanction of this room."""

    @abstractmethod
    def sanctions(self, claim: Claim, room: str, role: Role) -> "Future[list[Sanction]]":
        """Those in force in the room, by number."""

    # --- administering, with the role `admin`

    @abstractmethod
    def ban_address(
        self,
        claim: Claim,
        role: Role,
        address: str,
        shown: str,
        seconds: float | None,
        reason: str,
    ) -> "Future[int]":
        """Let in no guests from an address, whose digest this is; those who are here are sent away.
        `shown` is the sanction's `name`."""

    @abstractmethod
    def disconnect(self, claim: Claim, role: Role, key: str, reason: str) -> "Future[int]":
        """End a guest's stay, or all places of an account. How many there were."""

    @abstractmethod
    def revoke(self, claim: Claim, role: Role, key: str) -> "Future[int]":
        """No token of the account is good that was not signed later; all of its places end. How
        many there were. The operator's own may be revoked, too."""

    @abstractmethod
    def announce(self, claim: Claim, role: Role, text: str) -> "Future[Receipt]":
        """Tell everyone."""

    @abstractmethod
    def close_any(self, claim: Claim, role: Role, room: str) -> "Future[None]":
        """End a room; not the lobby (Forbidden)."""

    @abstractmethod
    def erase(self, claim: Claim, role: Role, key: str, cursor: str) -> "Future[str]":
        """Erase a part of what an account has said, and of its reactions, from `cursor` on; ""
        begins, ends its places, and revokes its tokens. Where to go on; "": all is done."""

    # --- reading; blocks the greenlet and no other one

    @abstractmethod
    def everyone(self, after: str | None, limit: int) -> list[PersonInfo]:
        """All accounts, and guests who are online, sorted by name; those after the name `after`."""

    @abstractmethod
    def places(self, after: str | None, limit: int) -> list[PlaceInfo]:
        """All stays, sorted by name and holder; those of names after `after`. All of one name are
        given together, so there may be more than `limit`."""

    @abstractmethod
    def all_rooms(self, after: str | None, limit: int) -> list[RoomInfo]:
        """All rooms but direct ones, as somebody sees them who is not in them, sorted by name;
        those after the name `after`."""

    @abstractmethod
    def statistics(self) -> dict[str, int]:
        """How much there is: `accounts`, `online` (people), `places`, `rooms` (that have not
        ended), `messages` (said since the log began), `events` (in the log), `sanctions`."""
