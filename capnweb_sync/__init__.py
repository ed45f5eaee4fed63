"""Cap'n Web for blocking Python: object-capability RPC in threads and under gevent.

Both sides of a connection can call each other, pass objects and functions by reference, and
pipeline calls on results that are not there yet. Wire-compatible with the npm package `capnweb`.
"""

from typing import TYPE_CHECKING, Any

from .batch import BatchError, batch
from .broadcast import broadcast, broadcast_all
from .decoder import deserialize
from .encoder import serialize
from .errors import (
    RemoteError,
    RemoteRangeError,
    RemoteTypeError,
    RpcError,
    RpcRangeError,
    RpcTypeError,
    SessionClosed,
)
from .fetch import URL, Blob, ByteContainer, Headers, Request, Response
from .limits import DEFAULT_LIMITS, Limits
from .runtime import Runtime, Transport
from .serving import Service, serve
from .session import RpcSession
from .streams import ReadableStream, WritableStream
from .stubs import RpcPromise, RpcStub
from .target import RpcTarget
from .typed import TypedPromise, TypedStub
from .values import BigInt, JSDate, Undefined, undefined

if TYPE_CHECKING:
    from .client import ClientSession, ConnectError, ConnectTimeout, HandshakeError, connect

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
    "ReadableStream",
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


def __getattr__(name: str) -> Any:
    """The client's names, whose library is imported only when they are used."""
    if name in ("ClientSession", "ConnectError", "ConnectTimeout", "HandshakeError", "connect"):
        from . import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
