"""What a chat with rooms is, in some pages: people, rooms, seats, messages and what becomes of
them, and who may do what to whom.

It knows nothing of ids, time, notices or storage. Operations raise `Refused` with the code that a
store refuses with, and change nothing then.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

EVERYWHERE = "*"
MAX_PLACES = 10


class Refused(Exception):
    """With the error's code."""


Identity = tuple[str, int]
"""Whose something is: the name, and which of its stays if that is a guest's."""


@dataclass
class Message:
    by: Identity
    text: str
    edited: bool = False
    removed: bool = False
    reactions: dict[str, set[Identity]] = field(default_factory=dict)


@dataclass
class Sanction:
    kind: str
    room: str
    against: Identity
    rank: int = field(default=0, compare=False)
    """Of whoever decided."""


@dataclass
class Room:
    kind: str
    owner: str = ""
    everything: bool = True
    topic: str = ""
    inside: dict[str, int] = field(default_factory=dict)
    """Who is in, in the order of coming, and how many messages there were then."""
    read: dict[str, int] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    passes: dict[str, int] = field(default_factory=dict)
    """How many uses are left."""


class Model:
    """People are called by their names, and so are rooms, which nobody calls anything else.

    Attributes:
        roles: of those who have accounts.
        known: who can be named: guests who are there, and accounts that ever were.
        online: how many stays there are, by name.
        sanctions: by number; those of earlier stays of a guest concern nobody any more.
    """

    def __init__(self, roles: Mapping[str, str]) -> None:
        self.roles = roles
        self.known: set[str] = set()
        self.online: Counter[str] = Counter()
        self.rooms: dict[str, Room] = {"lobby": Room("public")}
        self.keys: dict[tuple[str, str], tuple[str, str, int]] = {}
        self.sanctions: dict[int, Sanction] = {}
        self._stays: Counter[str] = Counter()

    # --- coming and going

    def login(self, who: str, lobby: bool) -> None:
        if who not in self.roles:
            if who in self.known:
                raise Refused("username_taken")
            self._stays[who] += 1
        self._check_let_in(who, EVERYWHERE)
        if lobby and who not in self.rooms["lobby"].inside:
            self._check_let_in(who, "lobby")
        if self.online[who] == MAX_PLACES:
            raise Refused("too_many")
        self.known.add(who)
        self.online[who] += 1
        if lobby:
            self._seat(who, self.rooms["lobby"])

    def logout(self, who: str) -> None:
        """End one stay."""
        self.online[who] -= 1
        if who in self.roles:
            return
        self.known.remove(who)
        self.keys = {key: used for key, used in self.keys.items() if key[0] != who}
        for name in [name for name, room in self.rooms.items() if who in room.inside]:
            self._unseat(who, name)

    def enter(self, who: str, name: str) -> None:
        room = self.rooms.get(name)
        if room is None and name[0] != "+":
            room = self.rooms[name] = Room("public")
        if room is None or (who not in room.inside and room.kind != "public"):
            raise Refused("no_such_room")
        if who not in room.inside:
            self._check_let_in(who, name)
        self._seat(who, room)

    def open(self, who: str, name: str, everything: bool) -> None:
        self.rooms[name] = Room("private", who, everything)
        self._seat(who, self.rooms[name])

    def direct(self, who: str, other: str, name: str) -> str:
        """The room's name."""
        if other not in self.known or other == who:
            raise Refused("no_such_room")
        for found, room in self.rooms.items():
            if room.kind == "direct" and {who, other} == room.inside.keys():
                return found
        room = self.rooms[name] = Room("direct")
        self._seat(who, room)
        self._seat(other, room)
        return name

    def create_pass(self, who: str, name: str, digest: str, uses: int) -> None:
        self._owned(who, name).passes[digest] = uses

    def revoke_passes(self, who: str, name: str) -> None:
        self._owned(who, name).passes.clear()

    def accept(self, who: str, digest: str) -> str:
        """The room's name."""
        for name, room in self.rooms.items():
            if room.passes.get(digest):
                if who not in room.inside:
                    self._check_let_in(who, name)
                    room.passes[digest] -= 1
                    self._seat(who, room)
                return name
        raise Refused("no_such_room")

    def leave(self, who: str, name: str) -> None:
        self._inside(who, name)
        self._unseat(who, name)

    def hand_on(self, who: str, name: str, other: str) -> None:
        room = self._owned(who, name)
        if other not in room.inside:
            raise Refused("bad_request")
        room.owner = other

    def set_topic(self, who: str, name: str, topic: str) -> None:
        room = self._inside(who, name)
        if room.kind == "direct" or not self._rank(who, room):
            raise Refused("forbidden")
        self._check_may_speak(who, name)
        room.topic = topic

    def close(self, who: str, name: str) -> None:
        self._owned(who, name)
        self._end(name)

    # --- messages

    def say(self, who: str, name: str, text: str, key: str, reply_to: int) -> int:
        """The message's number."""
        room = self._inside(who, name)
        said = (name, text, reply_to)
        if (who, key) in self.keys:
            if self.keys[who, key] != said:
                raise Refused("bad_request")
            return -1
        if reply_to:
            self._readable(who, room, reply_to - 1)
        self._check_may_speak(who, name)
        self.keys[who, key] = said
        room.messages.append(Message(self._identity(who), text))
        room.read[who] = len(room.messages)
        return len(room.messages) - 1

    def edit(self, who: str, name: str, number: int, text: str) -> None:
        message = self._own(who, name, number)
        self._check_may_speak(who, name)
        message.text, message.edited = text, True

    def remove(self, who: str, name: str, number: int) -> None:
        self._erase(self._own(who, name, number))

    def react(self, who: str, name: str, number: int, emoji: str, on: bool) -> None:
        message = self._readable(who, self._inside(who, name), number)
        self._check_may_speak(who, name)
        who_reacted = message.reactions.setdefault(emoji, set())
        (who_reacted.add if on else who_reacted.discard)(self._identity(who))
        if not who_reacted:
            del message.reactions[emoji]

    def mark_read(self, who: str, name: str, number: int) -> None:
        room = self._inside(who, name)
        if number < len(room.messages):
            room.read[who] = max(room.read[who], number + 1)

    def history(self, who: str, name: str) -> list[Message]:
        room = self._inside(who, name)
        hidden = room.kind == "private" and not room.everything
        return room.messages[room.inside[who] if hidden else 0 :]

    # --- moderating

    def strike(self, who: str, name: str, number: int) -> None:
        room = self._moderated(who, name)
        if number >= len(room.messages) or room.messages[number].removed:
            raise Refused("no_such_message")
        self._erase(room.messages[number])

    def sanction(self, kind: str, who: str, name: str, other: str) -> Sanction:
        room = self._moderated(who, name)
        if other not in self.known:
            raise Refused("bad_request")
        self._check_below(who, other, room)
        made = Sanction(kind, name, self._identity(other), self._rank(who, room))
        for before in self.sanctions.values():
            if before == made and before.rank > made.rank:
                raise Refused("forbidden")
        self.sanctions = {n: one for n, one in self.sanctions.items() if one != made}
        return made

    def kick(self, who: str, name: str, other: str) -> None:
        room = self._moderated(who, name)
        if other not in room.inside:
            raise Refused("bad_request")
        self._check_below(who, other, room)
        self._unseat(other, name)

    def banned(self, name: str, other: str) -> None:
        """What follows from a ban."""
        if name == EVERYWHERE:
            self.end_stays(other)
        elif other in self.rooms[name].inside:
            self._unseat(other, name)

    def lift(self, who: str, name: str, number: int) -> None:
        room = self._moderated(who, name)
        if number not in self.sanctions or self.sanctions[number].room != name:
            raise Refused("bad_request")
        if self.sanctions[number].rank > self._rank(who, room):
            raise Refused("forbidden")
        del self.sanctions[number]

    def in_force(self, who: str, name: str) -> list[int]:
        self._moderated(who, name)
        return [number for number, one in self.sanctions.items() if one.room == name]

    def revoke(self, who: str, other: str) -> None:
        self._moderated(who, EVERYWHERE)
        if other not in self.roles or other not in self.known:
            raise Refused("bad_request")
        self.end_stays(other)

    def disconnect(self, who: str, other: str) -> None:
        self._moderated(who, EVERYWHERE)
        if other not in self.known:
            raise Refused("bad_request")
        self.end_stays(other)

    def end_stays(self, who: str) -> None:
        while self.online[who]:
            self.logout(who)

    # --- what these consist of

    def _identity(self, who: str) -> Identity:
        return who, self._stays[who]

    def _check_let_in(self, who: str, name: str) -> None:
        if Sanction("ban", name, self._identity(who)) in self.sanctions.values():
            raise Refused("forbidden")

    def _check_may_speak(self, who: str, name: str) -> None:
        if Sanction("mute", name, self._identity(who)) in self.sanctions.values():
            raise Refused("forbidden")

    def _moderated(self, who: str, name: str) -> Room:
        if name == EVERYWHERE:
            if self.roles.get(who) != "admin":
                raise Refused("forbidden")
            return Room("everywhere")
        room = self.rooms.get(name)
        sees = room and (
            who in room.inside
            or room.kind == "public"
            or (room.kind == "private" and self.roles.get(who) == "admin")
        )
        if room is None or not sees:
            raise Refused("no_such_room")
        if room.kind == "direct" or not self._rank(who, room):
            raise Refused("forbidden")
        if self.roles.get(who) != "admin":
            self._check_let_in(who, name)
            self._check_may_speak(who, name)
        return room

    def _rank(self, who: str, room: Room) -> int:
        role = self.roles.get(who)
        if role == "admin":
            return 2
        if room.kind == "private":
            return int(room.owner == who)
        return int(room.kind == "public" and role == "moderator")

    def _check_below(self, who: str, other: str, room: Room) -> None:
        if who == other or self._rank(other, room) >= self._rank(who, room):
            raise Refused("forbidden")

    def _inside(self, who: str, name: str) -> Room:
        room = self.rooms.get(name)
        if room is None or who not in room.inside:
            raise Refused("not_joined")
        return room

    def _owned(self, who: str, name: str) -> Room:
        room = self._inside(who, name)
        if room.kind != "private" or room.owner != who:
            raise Refused("forbidden")
        self._check_may_speak(who, name)
        return room

    def _readable(self, who: str, room: Room, number: int) -> Message:
        hidden = room.kind == "private" and not room.everything
        if not (room.inside[who] if hidden else 0) <= number < len(room.messages):
            raise Refused("no_such_message")
        if room.messages[number].removed:
            raise Refused("no_such_message")
        return room.messages[number]

    def _own(self, who: str, name: str, number: int) -> Message:
        message = self._readable(who, self._inside(who, name), number)
        if message.by != self._identity(who):
            raise Refused("forbidden")
        return message

    def _erase(self, message: Message) -> None:
        message.text, message.edited, message.removed = "", False, True
        message.reactions.clear()

    def _seat(self, who: str, room: Room) -> None:
        if who not in room.inside:
            room.inside[who] = room.read[who] = len(room.messages)

    def _unseat(self, who: str, name: str) -> None:
        room = self.rooms[name]
        del room.inside[who], room.read[who]
        if name == "lobby":
            return
        if room.kind == "direct" or (
            not room.inside and (room.kind == "private" or not room.messages)
        ):
            self._end(name)
        elif room.owner == who:
            room.owner = next(iter(room.inside))

    def _end(self, name: str) -> None:
        del self.rooms[name]
        self.sanctions = {n: one for n, one in self.sanctions.items() if one.room != name}
