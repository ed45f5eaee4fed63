"""Our side of big streams, in a process of its own, so that its memory can be looked at.

`python -m tests.interop.stream_peer serve`; the first line of its output says where.
`python -m tests.interop.stream_peer read|write URL CHUNKS SIZE` prints the bytes that went through,
and by how many MiB the process grew at most.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from typing import Any

from capnweb_sync import RpcTarget, connect, serve


class Streams(RpcTarget):
    """The same as in stream_server.mjs, as far as it is used."""

    def give(self, n: int, size: int) -> Any:
        return chunks(n, size)

    def take(self, stream: Any) -> int:
        return sum(len(chunk) for chunk in stream)

    @property
    def peak(self) -> float:
        """The most memory that this process has had, in MiB."""
        return peak()


def chunks(n: int, size: int) -> Iterator[bytes]:
    for _ in range(n):
        yield bytes(size)


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_server() -> None:
    from gevent.pywsgi import WSGIServer

    from capnweb_sync.server import WebSocketHandler

    server = WSGIServer(("127.0.0.1", 0), serve(Streams), handler_class=WebSocketHandler, log=None)
    server.start()
    print(f"ready ws://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()


def run_client(direction: str, url: str, n: int, size: int) -> None:
    with connect(url) as session:
        # What it takes to talk at all is not the stream's.
        session.main.take(chunks(2, size)).result()
        before = peak()
        if direction == "read":
            with session.main.give(n, size) as promise:
                total = sum(len(chunk) for chunk in promise.result())
        else:
            total = session.main.take(chunks(n, size)).result()
        print(f"bytes {total} growth {peak() - before:.1f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        from gevent import monkey

        monkey.patch_all()
        run_server()
    else:
        run_client(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
