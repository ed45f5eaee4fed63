"""A chat server that is not ours, but has the same calls, in a process of its own.

`python -m tests.chatclient.other_servers` for one room as a first example has it, with a number for
a `Torrent` of so many messages a second, or with a JSON object of answers for a `Strange` one; the
first line of its output says where, once it accepts connections.
"""

from gevent import monkey

if __name__ == "__main__":
    monkey.patch_all()

import json
import sys
import time
from typing import Any, Final

import gevent
from gevent.pywsgi import WSGIServer

from capnweb_sync import RpcError, RpcStub, RpcTarget, serve
from capnweb_sync.server import WebSocketHandler

TURN_SECONDS: Final = 0.01
"""Between two handfuls of a torrent."""


class Plain(RpcTarget):
    """No ids, no log, no secret, and not an argument more than it knows. It does not look at
    connections: who does not leave stays."""

    def __init__(self) -> None:
        self._callbacks: dict[str, RpcStub] = {}

    def join(self, username: str, callback: RpcStub, *more: Any) -> Any:
        if more:
            raise TypeError("join takes two arguments")
        if username in self._callbacks:
            raise RpcError(f"Username '{username}' is already taken")
        self._tell({"username": "System", "text": f"{username} joined", "type": "system"})
        self._callbacks[username] = callback.dup()
        users = list(self._callbacks)
        return {"message": f"Welcome, {username}!", "userCount": len(users), "users": users}

    def sendMessage(self, username: str, text: str, *more: Any) -> Any:
        if more:
            raise TypeError("sendMessage takes two arguments")
        self._tell({"username": username, "text": text, "type": "chat"})
        return {"status": "sent", "timestamp": 1}

    def listUsers(self) -> Any:
        return list(self._callbacks)

    def leave(self, username: str) -> Any:
        self._callbacks.pop(username).dispose()
        self._tell({"username": "System", "text": f"{username} left", "type": "system"})
        return {"message": f"Goodbye, {username}!"}

    def _tell(self, event: Any) -> None:
        for callback in self._callbacks.values():
            callback.onMessage(event)


class Torrent(Plain):
    """Says as many messages a second to everyone as it was told to."""

    def __init__(self, rate: int) -> None:
        super().__init__()
        gevent.spawn(self._flow, rate)

    def _flow(self, rate: int) -> None:
        began, said = time.monotonic(), 0
        while True:
            gevent.sleep(TURN_SECONDS)
            due = round((time.monotonic() - began) * rate)
            while said < due:
                said += 1
                self._tell({"username": "Bob", "text": f"message {said}", "type": "chat"})


class Strange(RpcTarget):
    """Answers what it was told to; `events` come before the answer to a join."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers: dict[str, Any] = {
            "join": {"lastId": 0, "epoch": "e", "resume": "r"},
            "listUsers": ["Alice"],
            "getHistory": [],
            "sendMessage": {"id": 1},
            "leave": None,
            "userCount": 1,
            "events": [{"id": 1, "type": "chat", "user": "Alice", "text": "hello"}],
            **answers,
        }

    def join(self, username: str, callback: RpcStub) -> Any:
        for event in self._answers["events"]:
            callback.onMessage(event)
        return self._answers["join"]

    def listUsers(self) -> Any:
        return self._answers["listUsers"]

    def getHistory(self, options: Any) -> Any:
        return self._answers["getHistory"]

    def sendMessage(self, username: str, text: str) -> Any:
        return self._answers["sendMessage"]

    @property
    def userCount(self) -> Any:
        return self._answers["userCount"]

    def leave(self, username: str) -> Any:
        return self._answers["leave"]


def main() -> None:
    told = json.loads(sys.argv[1]) if len(sys.argv) > 1 else None
    api = Plain() if told is None else Torrent(told) if isinstance(told, int) else Strange(told)
    server = WSGIServer(("127.0.0.1", 0), serve(api), handler_class=WebSocketHandler, log=None)
    server.start()
    print(f"ready ws://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
