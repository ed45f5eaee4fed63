"""Cap'n Web for blocking Python: object-capability RPC in threads and under gevent.

Both sides of a connection can call each other, pass objects and functions by reference, and
pipeline calls on results that are not there yet. Wire-compatible with the npm package `capnweb`.
"""

from typing import TYPE_CHECKING, Any

from .broadcast import broadcast
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
from .limits import DEFAULT_LIMITS, Limits
from .runtime import Runtime, Transport
from .session import RpcSession
from .stubs import RpcPromise, RpcStub
from .target import RpcTarget
from .values import BigInt, JSDate, Undefined, undefined

if TYPE_CHECKING:
    from .client import ClientSession, ConnectError, connect

__all__ = [
    "DEFAULT_LIMITS",
    "BigInt",
    "ClientSession",
    "ConnectError",
    "JSDate",
    "Limits",
    "RemoteError",
    "RemoteRangeError",
    "RemoteTypeError",
    "RpcError",
    "RpcPromise",
    "RpcRangeError",
    "RpcSession",
    "RpcStub",
    "RpcTarget",
    "RpcTypeError",
    "Runtime",
    "SessionClosed",
    "Transport",
    "Undefined",
    "broadcast",
    "connect",
    "deserialize",
    "serialize",
    "undefined",
]


def __getattr__(name: str) -> Any:
    """The client's names, whose library is imported only when they are used."""
    if name in ("ClientSession", "ConnectError", "connect"):
        from . import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
