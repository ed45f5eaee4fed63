"""A gevent server that prints what its observer is told: `python -m …observe.observed_server`."""

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()

import logging
import sys
import time

from gevent.pywsgi import WSGIServer

from capnweb_sync import Observer, RpcTarget, SessionClosed, serve
from capnweb_sync.observe import Call, Conversation
from capnweb_sync.server import WebSocketHandler


def say(*words: object) -> None:
    print(*words, flush=True)


class Prints(Observer):
    """Blocks in each method, as one that writes to a slow disk."""

    def connection_opens(self, conversation: Conversation) -> None:
        time.sleep(0.001)
        say("opens", conversation.peer, conversation.batch)

    def connection_closes(self, conversation: Conversation, error: SessionClosed) -> None:
        time.sleep(0.001)
        say("closes", error.close_code, conversation.calls_served)

    def call_ends(self, call: Call, seconds: float, error: BaseException | None) -> None:
        time.sleep(0.001)
        say("ends", call.method, repr(error))


class Api(RpcTarget):
    def add(self, a: int, b: int) -> int:
        return a + b

    def fail(self) -> None:
        raise ValueError("the secret")


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, format="%(name)s %(levelname)s %(message)s")
    logging.getLogger("capnweb_sync.connection").setLevel(logging.DEBUG)
    server = WSGIServer(
        ("127.0.0.1", 0),
        serve(Api, observer=Prints()),
        handler_class=WebSocketHandler,
        log=None,
    )
    server.start()
    say(f"ready {server.server_port}")
    server.serve_forever()
