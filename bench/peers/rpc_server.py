"""Serves one method with this project's RPC, on gevent. Usage: rpc_server.py PORT"""

from gevent import monkey

monkey.patch_all()

import gc
import sys

from gevent.pywsgi import WSGIServer

from capnweb_sync import RpcTarget, serve
from capnweb_sync.server import WebSocketHandler


class Adder(RpcTarget):
    """The same method as in rpc_server.mjs."""

    def add(self, a: int, b: int) -> int:
        return a + b


server = WSGIServer(
    ("127.0.0.1", int(sys.argv[1])), serve(Adder), handler_class=WebSocketHandler, log=None
)
# As the chat server does: the core makes no reference cycles for the collector to find.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 100)
server.serve_forever()
