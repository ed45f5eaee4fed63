"""A chat with rooms in a few lines, to show the page what it will meet: people, rooms,
conversations, and what one does to messages, in memory, with hardly a rule kept. It serves the real
page.

`python -m tests.web.rooms_server`; the first line of its output says where it is. Whoever is called
`Mod` may moderate public rooms.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import secrets  # noqa: E402 - gevent patches before all else
from datetime import datetime, timezone  # noqa: E402
from itertools import count  # noqa: E402
from typing import Any  # noqa: E402

from gevent.pywsgi import WSGIServer  # noqa: E402

from capnweb_sync import RpcError, RpcSession, RpcStub, RpcTarget  # noqa: E402
from capnweb_sync.server import Connection, WebSocketHandler, gevent_runtime  # noqa: E402
from chatserver.app import create_app  # noqa: E402
from chatserver.errors import BadRequest, NameTaken  # noqa: E402
from chatserver.service import service_of  # noqa: E402

LOBBY = "lobby"
MODERATOR = "Mod"

UNHEARD = "nobody is told of this"
"""A message that gets lost on its way to everyone."""

Event = dict[str, Any]


class Refusal(RpcError):
    """A call that one may not make."""

    def __init__(self, code: str) -> None:
        super().__init__(f"That is {code.replace('_', ' ')}.", code=code)


class World:
    """Everything that there is."""

    def __init__(self) -> None:
        self.ids = count(1)
        self.last_id = 0
        self.epoch = secrets.token_hex(4)
        self.stays: dict[str, Stay] = {}
        self.rooms: dict[str, Place] = {}
        self.room(LOBBY)

    def room(self, name: str, **properties: Any) -> Place:
        """The room of this name, made if there is none."""
        return self.rooms.setdefault(name, Place(self, name, **properties))


class Stay:
    """A person from logging in to logging out."""

    def __init__(self, name: str, *, account: bool) -> None:
        self.name = name
        self.account = account
        self.resume = secrets.token_hex(4)
        self.callback: RpcStub | None = None
        self.blocked: set[str] = set()

    def tell(self, event: Event) -> None:
        """Call the person with an event, if it is there."""
        if self.callback is not None:
            self.callback.onMessage(event)


class Place:
    """A room as everyone has it."""

    def __init__(
        self, world: World, name: str, kind: str = "public", title: str = "", owner: str = MODERATOR
    ) -> None:
        self.world = world
        self.name = name
        self.kind = kind
        self.title = title or name
        self.owner = owner
        self.topic = ""
        self.events: list[Event] = []
        self.messages: dict[int, Event] = {}
        self.seats: dict[str, int] = {}
        self.marks: dict[str, int] = {}
        self.keys: dict[str, Event] = {}
        self.passes: set[str] = set()

    def info(self, who: str) -> Event:
        """What one sees of it."""
        mark = self.marks.get(who, 0)
        chats = [e for e in self.events if e["type"] == "chat" and e["id"] > mark]
        info = {
            "name": self.name, "kind": self.kind, "title": self.title, "topic": self.topic,
            "people": len(self.seats), "lastId": self.events[-1]["id"] if self.events else 0,
            "from": self.seats.get(who, 0), "unread": len(chats), "inside": who in self.seats,
        }  # fmt: skip
        if self.kind == "direct":
            info["with"] = next(name for name in self.seats if name != who)
        return info

    def add(self, kind: str, user: str, text: str = "", **more: Any) -> Event:
        """Make an event, and tell everyone inside."""
        event = {
            "id": next(self.world.ids), "prev": self.events[-1]["id"] if self.events else 0,
            "room": self.name, "type": kind, "user": user, "by": user, "text": text,
            "time": datetime.now(timezone.utc), **more,
        }  # fmt: skip
        self.world.last_id = event["id"]
        self.events.append(event)
        if kind == "chat":
            self.messages[event["id"]] = dict(event)
        if text != UNHEARD:
            self.tell(event)
        return event

    def tell(self, event: Event) -> None:
        """Tell everyone inside."""
        for name in self.seats:
            self.world.stays[name].tell(event)

    def seat(self, name: str) -> None:
        """Let somebody in, who sees everything from before."""
        if name not in self.seats:
            self.seats[name] = self.world.last_id
            self.marks[name] = self.world.last_id
            self.add("join", name, f"{name} joined {self.title}", users=[name], count=1)

    def unseat(self, name: str) -> None:
        """Send somebody out."""
        self.add("leave", name, f"{name} left {self.title}", users=[name], count=1)
        del self.seats[name]


class Room(RpcTarget):
    """A room as one person has it."""

    def __init__(self, place: Place, who: str) -> None:
        self._place = place
        self._who = who

    def _own(self, message_id: int) -> Event:
        message = self._place.messages[message_id]
        if message["user"] != self._who:
            raise Refusal("forbidden")
        return message

    @property
    def info(self) -> Event:
        return self._place.info(self._who)

    def say(self, text: str, options: Any = None) -> Event:
        options = options or {}
        if self._who not in self._place.seats:
            raise Refusal("no_such_room")
        key = self._who + options["key"]
        if key not in self._place.keys:
            reply = {"replyTo": options["replyTo"]} if "replyTo" in options else {}
            self._place.keys[key] = self._place.add("chat", self._who, text, **reply)
        event = self._place.keys[key]
        return {"id": event["id"], "time": event["time"]}

    def history(self, options: Any = None) -> list[Event]:
        wanted = options or {}
        after, before = wanted.get("after", 0), wanted.get("before", 1 << 50)
        found = [m for m in self._place.messages.values() if after < m["id"] < before]
        limit = wanted.get("limit", 50)
        return found[:limit] if "after" in wanted else found[-limit:]

    def events(self, options: Any) -> list[Event]:
        after, before = options["after"], options["before"]
        return [e for e in self._place.events if after < e["id"] < before]

    def people(self, options: Any = None) -> list[Event]:
        stays = self._place.world.stays
        return [
            {"name": name, "online": stays[name].callback is not None, "role": None}
            for name in sorted(self._place.seats)
            if name > (options or {}).get("after", "")
        ]

    def typing(self) -> None:
        self._place.tell({"type": "typing", "room": self._place.name, "user": self._who})

    def edit(self, message_id: int, text: str) -> None:
        event = self._place.add("edit", self._who, text, target=message_id)
        self._own(message_id).update(text=text, edited=event["time"])

    def remove(self, message_id: int) -> None:
        self._own(message_id).update(text=None, removed=True)
        self._place.add("remove", self._who, target=message_id)

    def react(self, message_id: int, emoji: str, on: bool = True) -> None:
        reactions = self._place.messages[message_id].setdefault("reactions", {})
        users = reactions.setdefault(emoji, {"count": 0, "users": []})["users"]
        if on and self._who not in users:
            users.append(self._who)
        elif not on and self._who in users:
            users.remove(self._who)
        reactions[emoji]["count"] = len(users)
        if not users:
            del reactions[emoji]
        self._place.add("react", self._who, target=message_id, reactions=reactions)

    def read(self, event_id: int) -> None:
        self._place.marks[self._who] = event_id

    def setTopic(self, text: str) -> None:
        self._place.topic = text
        self._place.add("topic", self._who, text)

    def createPass(self, options: Any = None) -> str:
        new = secrets.token_hex(8)
        self._place.passes.add(new)
        return new

    def leave(self) -> None:
        self._place.unseat(self._who)


class Moderator(RpcTarget):
    """What the owner of a private room, and `Mod`, may do."""

    def __init__(self, place: Place, who: str) -> None:
        self._place = place
        self._who = who

    def sanctions(self, options: Any = None) -> list[Event]:
        return []

    def remove(self, message_id: int, reason: str | None = None) -> None:
        self._place.messages[message_id].update(text=None, removed=True)
        self._place.add("remove", self._who, target=message_id)

    def kick(self, name: str, reason: str | None = None) -> None:
        self._place.unseat(name)


class Person(RpcTarget):
    """Somebody who is logged in."""

    def __init__(self, world: World, stay: Stay, connection: Connection) -> None:
        self._world = world
        self._stay = stay
        self._connection = connection

    @property
    def me(self) -> Event:
        name = self._stay.name
        return {
            "name": name, "account": self._stay.account,
            "role": "moderator" if name == MODERATOR else None,
            "resume": self._stay.resume, "epoch": self._world.epoch,
            "lastId": self._world.last_id, "recovered": True, "rooms": self.rooms(),
        }  # fmt: skip

    def rooms(self, options: Any = None) -> list[Event]:
        name = self._stay.name
        return [
            place.info(name)
            for place in self._world.rooms.values()
            if name in place.seats or place.kind == "public"
        ]

    def _inside(self, place: Place) -> Room:
        return Room(place, self._stay.name)

    def enter(self, name: str) -> Room:
        place = self._world.rooms.get(name)
        if place is None or place.kind == "public":
            if " " in name:
                raise BadRequest("The name of a room has no spaces.")
            place = self._world.room(name)
            place.seat(self._stay.name)
        elif self._stay.name not in place.seats:
            raise Refusal("no_such_room")
        return self._inside(place)

    def open(self, options: Any) -> Room:
        name = "+" + secrets.token_hex(16)
        place = self._world.room(
            name, kind="private", title=options["title"], owner=self._stay.name
        )
        place.seat(self._stay.name)
        return self._inside(place)

    def direct(self, name: str) -> Room:
        pair = sorted([name, self._stay.name])
        if name not in self._world.stays:
            raise Refusal("no_such_room")
        place = self._world.room("@" + "-".join(pair), kind="direct")
        for each in pair:
            place.seats.setdefault(each, 0)
        return self._inside(place)

    def accept(self, given: str) -> Room:
        for place in self._world.rooms.values():
            if given in place.passes:
                place.seat(self._stay.name)
                return self._inside(place)
        raise Refusal("no_such_room")

    def block(self, name: str, on: bool = True) -> None:
        self._stay.blocked.add(name)

    def moderate(self, room: str) -> Moderator:
        place = self._world.rooms[room]
        if self._stay.name != place.owner:
            raise Refusal("forbidden")
        return Moderator(place, self._stay.name)

    def logout(self) -> Event:
        name = self._stay.name
        for place in self._world.rooms.values():
            if name in place.seats and place.kind != "direct":
                place.unseat(name)
        del self._world.stays[name]
        return {"message": f"Goodbye, {name}!"}


class Chat(RpcTarget):
    """The main object."""

    def __init__(self, world: World, connection: Connection) -> None:
        self._world = world
        self._connection = connection

    @property
    def about(self) -> Event:
        return {"name": "chat", "version": "0", "guests": True, "lobby": LOBBY}

    @property
    def userCount(self) -> int:
        return len(self._world.stays)

    def login(self, callback: RpcStub, options: Any = None) -> Person:
        # Whoever has Cara's token is Cara.
        account = "token" in options
        name = options["token"] if account else options["name"]
        stay = self._world.stays.get(name)
        if stay is not None and not account and stay.resume != options.get("resume"):
            raise NameTaken(f"The name {name} is taken; choose another one.")
        if stay is None:
            stay = self._world.stays[name] = Stay(name, account=account)
        kept = stay.callback = callback.dup()
        self._connection.on_closed = lambda _: self._gone(stay, kept)
        since = options.get("since")
        if since:
            missed = [
                event
                for place in self._world.rooms.values()
                if name in place.seats
                for event in place.events
                if event["id"] > since
            ]
            for event in sorted(missed, key=lambda event: event["id"]):
                stay.tell(event)
        return Person(self._world, stay, self._connection)

    def _gone(self, stay: Stay, kept: RpcStub) -> None:
        self._connection.on_closed = None
        if stay.callback is kept:
            stay.callback = None
        kept.dispose()


def main() -> None:
    world = World()
    app = create_app({"STORE": "memory:"})

    def begin(connection: Connection) -> RpcSession:
        return RpcSession(connection, Chat(world, connection), runtime=gevent_runtime())

    service_of(app).begin = begin  # type: ignore[method-assign]
    server = WSGIServer(("127.0.0.1", 0), app, handler_class=WebSocketHandler, log=None)
    server.start()
    print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
