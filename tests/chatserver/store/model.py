"""What a chat with rooms is, in a page: people, rooms, seats, messages and what becomes of them.

It knows nothing of ids, time, notices or storage. Operations raise `Refused` with the code that a
store refuses with, and change nothing then.
"""

from dataclasses import dataclass, field


class Refused(Exception):
    """With the error's code."""


@dataclass
class Message:
    by: str
    text: str
    edited: bool = False
    removed: bool = False
    reactions: dict[str, set[str]] = field(default_factory=dict)


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
    """People are called by their names, and so are rooms, which nobody calls anything else."""

    def __init__(self) -> None:
        self.people: set[str] = set()
        self.rooms: dict[str, Room] = {"lobby": Room("public")}
        self.keys: dict[tuple[str, str], tuple[str, str, int]] = {}

    def login(self, who: str) -> None:
        if who in self.people:
            raise Refused("username_taken")
        self.people.add(who)

    def logout(self, who: str) -> None:
        self.people.remove(who)
        self.keys = {key: used for key, used in self.keys.items() if key[0] != who}
        for name in [name for name, room in self.rooms.items() if who in room.inside]:
            self._unseat(who, name)

    def enter(self, who: str, name: str) -> None:
        room = self.rooms.get(name)
        if room is None and name[0] != "+":
            room = self.rooms[name] = Room("public")
        if room is None or (who not in room.inside and room.kind != "public"):
            raise Refused("no_such_room")
        self._seat(who, room)

    def open(self, who: str, name: str, everything: bool) -> None:
        self.rooms[name] = Room("private", who, everything)
        self._seat(who, self.rooms[name])

    def direct(self, who: str, other: str, name: str) -> str:
        """The room's name."""
        if other not in self.people or other == who:
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
        self._owned(who, name).topic = topic

    def close(self, who: str, name: str) -> None:
        self._owned(who, name)
        del self.rooms[name]

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
        self.keys[who, key] = said
        room.messages.append(Message(who, text))
        room.read[who] = len(room.messages)
        return len(room.messages) - 1

    def edit(self, who: str, name: str, number: int, text: str) -> None:
        message = self._own(who, name, number)
        message.text, message.edited = text, True

    def remove(self, who: str, name: str, number: int) -> None:
        message = self._own(who, name, number)
        message.text, message.edited, message.removed = "", False, True
        message.reactions.clear()

    def react(self, who: str, name: str, number: int, emoji: str, on: bool) -> None:
        message = self._readable(who, self._inside(who, name), number)
        who_reacted = message.reactions.setdefault(emoji, set())
        (who_reacted.add if on else who_reacted.discard)(who)
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

    # --- what these consist of

    def _inside(self, who: str, name: str) -> Room:
        room = self.rooms.get(name)
        if room is None or who not in room.inside:
            raise Refused("not_joined")
        return room

    def _owned(self, who: str, name: str) -> Room:
        room = self._inside(who, name)
        if room.kind != "private" or room.owner != who:
            raise Refused("forbidden")
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
        if message.by != who:
            raise Refused("forbidden")
        return message

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
            del self.rooms[name]
        elif room.owner == who:
            room.owner = next(iter(room.inside))
