"""A server for the tests of `capnweb call`: batches and WebSockets, under gevent, on a free port.

The first line of its output says where, once it accepts connections.
"""

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()

import itertools
from concurrent.futures import Future
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer

from capnweb_sync import RpcError, RpcStub, RpcTarget, serve
from capnweb_sync.server import WebSocketHandler

#: Seconds that an answer has to be on its way before what comes after it.
MOMENT = 0.05


class Room(RpcTarget):
    def history(self, count: int) -> list[int]:
        return list(range(count))


class Api(RpcTarget):
    @property
    def rooms(self) -> list[Room]:
        return [Room(), Room()]

    @property
    def room(self) -> Room:
        return Room()

    @property
    def about(self) -> dict[str, str]:
        return {"name": "rooms"}

    def fail(self) -> None:
        raise RpcError("There is nothing left.", code="sold_out")

    def echo(self, *values: Any) -> list[Any]:
        return list(values)

    def buy(self, thing: str) -> None:
        raise RpcError(f"There is no {thing} left.", code="sold_out")

    def upper(self, text: str) -> str:
        return text.upper()

    def each(self, count: int, callback: RpcStub) -> int:
        for number in range(count):
            callback(number, "of", count)
        return count

    def tell(self, member: dict[str, Any]) -> None:
        member["onMessage"]({"text": "Hi!"})

    def later(self, callback: RpcStub) -> str:
        """Calls back once this has been answered."""
        kept = callback.dup()
        gevent.spawn_later(MOMENT, kept, "later")
        return "now"

    def bytes(self) -> bytes:
        return b"\0\xff"

    def chunks(self) -> Any:
        return iter([b"\0\xff", "text", {"n": 1}])

    def endless(self) -> Any:
        return itertools.repeat(b"x" * 1000)

    def never(self) -> Future[None]:
        return Future()


if __name__ == "__main__":
    server = WSGIServer(("127.0.0.1", 0), serve(Api), handler_class=WebSocketHandler, log=None)
    server.start()
    print(f"ready 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
