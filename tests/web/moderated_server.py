"""A lobby in a few lines that knows moderators and accounts, in memory, with hardly a rule kept:
what the server does not have yet. It serves the real page.

`python -m tests.web.moderated_server`; the first line of its output says where it is. Whoever is
called `Mod` moderates the lobby, and whoever has Cara's token is Cara.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import secrets  # noqa: E402 - gevent patches before all else
from datetime import datetime, timezone  # noqa: E402
from typing import Any  # noqa: E402

from gevent.pywsgi import WSGIServer  # noqa: E402

from capnweb_sync import RpcError, RpcSession, RpcStub, RpcTarget  # noqa: E402
from capnweb_sync.server import Connection, WebSocketHandler, gevent_runtime  # noqa: E402
from chatserver.app import create_app  # noqa: E402
from chatserver.errors import NameTaken  # noqa: E402
from chatserver.people.tokens import Identity  # noqa: E402
from chatserver.service import service_of  # noqa: E402

LOBBY = "lobby"
MODERATOR = "Mod"

Event = dict[str, Any]


class Refusal(RpcError):
    """A call that one may not make."""

    def __init__(self, code: str) -> None:
        super().__init__(f"That is {code.replace('_', ' ')}.", code=code)


class Stay:
    """A person from logging in to logging out."""

    def __init__(self, name: str, *, account: bool) -> None:
        self.name = name
        self.account = account
        self.resume = secrets.token_hex(4)
        self.callback: RpcStub | None = None


class Lobby:
    """The room that there is, and everything in it."""

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(4)
        self.stays: dict[str, Stay] = {}
        self.inside: list[str] = []
        self.events: list[Event] = []
        self.messages: dict[int, Event] = {}

    @property
    def last_id(self) -> int:
        """The newest event."""
        return len(self.events)

    @property
    def info(self) -> Event:
        """What everybody sees of it."""
        return {
            "name": LOBBY, "kind": "public", "title": LOBBY, "topic": "", "from": 0, "unread": 0,
            "people": len(self.inside), "lastId": self.last_id, "inside": True,
        }  # fmt: skip

    def add(self, kind: str, user: str, text: str = "", **more: Any) -> Event:
        """Make an event, and tell everyone inside."""
        event = {
            "id": self.last_id + 1, "prev": self.last_id, "room": LOBBY, "type": kind,
            "user": user, "by": user, "text": text, "time": datetime.now(timezone.utc), **more,
        }  # fmt: skip
        self.events.append(event)
        if kind == "chat":
            self.messages[event["id"]] = dict(event)
        for name in self.inside:
            callback = self.stays[name].callback
            if callback is not None:
                callback.onMessage(event)
        return event

    def enter(self, name: str) -> None:
        """Let somebody in."""
        if name not in self.inside:
            self.inside.append(name)
            self.add("join", name, f"{name} joined the chat", users=[name], count=1)

    def leave(self, name: str) -> None:
        """Send somebody out."""
        self.add("leave", name, f"{name} left the chat", users=[name], count=1)
        self.inside.remove(name)

    def remove(self, who: str, message_id: int) -> None:
        """Erase what somebody has said."""
        message = self.messages[message_id]
        message["removed"] = True
        del message["text"]
        self.add("remove", who, target=message_id)


class Room(RpcTarget):
    """The lobby as one person has it."""

    def __init__(self, lobby: Lobby, who: str) -> None:
        self._lobby = lobby
        self._who = who

    @property
    def info(self) -> Event:
        return self._lobby.info

    def say(self, text: str, options: Any = None) -> Event:
        event = self._lobby.add("chat", self._who, text)
        return {"id": event["id"], "time": event["time"]}

    def history(self, options: Any = None) -> list[Event]:
        return list(self._lobby.messages.values())

    def people(self, options: Any = None) -> list[Event]:
        return [{"name": name, "online": True, "role": None} for name in self._lobby.inside]

    def typing(self) -> None:
        pass

    def read(self, event_id: int) -> None:
        pass


class Moderator(RpcTarget):
    """What `Mod` may do."""

    def __init__(self, lobby: Lobby) -> None:
        self._lobby = lobby

    def sanctions(self, options: Any = None) -> list[Event]:
        return []

    def remove(self, message_id: int, reason: str | None = None) -> None:
        self._lobby.remove(MODERATOR, message_id)

    def kick(self, name: str, reason: str | None = None) -> None:
        self._lobby.leave(name)


class Person(RpcTarget):
    """Somebody who is logged in."""

    def __init__(self, lobby: Lobby, stay: Stay) -> None:
        self._lobby = lobby
        self._stay = stay

    @property
    def me(self) -> Event:
        name = self._stay.name
        return {
            "name": name, "account": self._stay.account,
            "role": "moderator" if name == MODERATOR else None,
            "resume": self._stay.resume, "epoch": self._lobby.epoch,
            "lastId": self._lobby.last_id, "recovered": True, "rooms": [self._lobby.info],
        }  # fmt: skip

    def enter(self, name: str) -> Room:
        self._lobby.enter(self._stay.name)
        return Room(self._lobby, self._stay.name)

    def moderate(self, room: str) -> Moderator:
        if self._stay.name != MODERATOR:
            raise Refusal("forbidden")
        return Moderator(self._lobby)

    def logout(self) -> Event:
        self._lobby.leave(self._stay.name)
        del self._lobby.stays[self._stay.name]
        return {"message": f"Goodbye, {self._stay.name}!"}


class Chat(RpcTarget):
    """The main object."""

    def __init__(self, lobby: Lobby, connection: Connection) -> None:
        self._lobby = lobby
        self._connection = connection

    @property
    def about(self) -> Event:
        return {"name": "chat", "version": "0", "guests": True, "lobby": LOBBY}

    def login(self, callback: RpcStub, options: Any = None) -> Person:
        account = "token" in options
        name = options["token"] if account else options["name"]
        stay = self._lobby.stays.get(name)
        if stay is not None and not account and stay.resume != options.get("resume"):
            raise NameTaken(f"The name {name} is taken; choose another one.")
        if stay is None:
            stay = self._lobby.stays[name] = Stay(name, account=account)
        kept = stay.callback = callback.dup()
        self._connection.on_closed = lambda _: self._gone(stay, kept)
        return Person(self._lobby, stay)

    def _gone(self, stay: Stay, kept: RpcStub) -> None:
        self._connection.on_closed = None
        if stay.callback is kept:
            stay.callback = None
        kept.dispose()


def main() -> None:
    lobby = Lobby()
    app = create_app({"STORE": "memory:"})

    def begin(known: Identity | None, connection: Connection) -> RpcSession:
        return RpcSession(connection, Chat(lobby, connection), runtime=gevent_runtime())

    service_of(app).begin = begin  # type: ignore[method-assign]
    server = WSGIServer(("127.0.0.1", 0), app, handler_class=WebSocketHandler, log=None)
    server.start()
    print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
