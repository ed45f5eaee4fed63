"""Cap'n Web for blocking Python: object-capability RPC in threads and under gevent.

Both sides of a connection can call each other, pass objects and functions by reference, and
pipeline calls on results that are not there yet. Wire-compatible with the npm package `capnweb`.
"""

from typing import TYPE_CHECKING, Any

from .client.batch import BatchError, batch
from .codec.encoder import serialize
from .codec.evaluator import deserialize
from .core.lookup import Lookup
from .core.stubs import RpcPromise, RpcStub
from .core.targets import RpcTarget
from .errors import (
    RemoteError,
    RemoteRangeError,
    RemoteTypeError,
    RpcError,
    RpcRangeError,
    RpcTypeError,
    SessionClosed,
)
from .handshake import Refused
from .limits import DEFAULT_LIMITS, Limits
from .observe import Observer
from .runtimes.interface import Runtime, Transport
from .session.broadcast import broadcast, broadcast_all
from .session.session import RpcSession
from .streams.streams import ReadableStream, WritableStream
from .typed import TypedPromise, TypedStub
from .values.fetch import URL, Blob, ByteContainer, Headers, Request, Response
from .values.javascript import BigInt, JSDate, Undefined, undefined
from .wsgi import Service, serve

if TYPE_CHECKING:
    from .client.connect import (
        ClientSession,
        ConnectError,
        ConnectTimeout,
        HandshakeError,
        ReconnectingSession,
        Status,
        connect,
    )

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_LIMITS",
    "URL",
    "BatchError",
    "BigInt",
    "Blob",
    "ByteContainer",
    "ClientSession",
    "ConnectError",
    "ConnectTimeout",
    "HandshakeError",
    "Headers",
    "JSDate",
    "Limits",
    "Lookup",
    "Observer",
    "ReadableStream",
    "ReconnectingSession",
    "Refused",
    "RemoteError",
    "RemoteRangeError",
    "RemoteTypeError",
    "Request",
    "Response",
    "RpcError",
    "RpcPromise",
    "RpcRangeError",
    "RpcSession",
    "RpcStub",
    "RpcTarget",
    "RpcTypeError",
    "Runtime",
    "Service",
    "SessionClosed",
    "Status",
    "Transport",
    "TypedPromise",
    "TypedStub",
    "Undefined",
    "WritableStream",
    "batch",
    "broadcast",
    "broadcast_all",
    "connect",
    "deserialize",
    "serialize",
    "serve",
    "undefined",
]


CLIENT_NAMES = (
    "ClientSession",
    "ConnectError",
    "ConnectTimeout",
    "HandshakeError",
    "ReconnectingSession",
    "Status",
    "connect",
)


def __getattr__(name: str) -> Any:
    """The client's names, whose library is imported only when they are used."""
    if name in CLIENT_NAMES:
        from .client import connect as client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
