"""Who is in the room, seen from this process: connections, and the names that they speak for."""

import logging
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Protocol

from capnweb_sync import RpcStub
from chatserver.errors import TooMany
from chatserver.people.limits import UNLIMITED, Allowance
from chatserver.rooms.history import HistoryReads
from chatserver.store.interface import Claim

logger = logging.getLogger("chatserver")

MAX_NAMES: Final = 10
"""Names that one connection may hold: enough for a gateway, too few to fill the list of users."""


class ClientConnection(Protocol):
    """What the chat needs of a connection; `capnweb_sync.server.Connection` is one."""

    @property
    def closed(self) -> bool:
        """Whether the end has begun."""

    @property
    def closed_on_purpose(self) -> bool:
        """Whether the peer ended it because it wanted to leave."""

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent."""

    def close(self, code: int, reason: str) -> None:
        """End the connection with a WebSocket close code; never blocks."""

    def wait_drained(self, below: int, timeout: float) -> bool:
        """Block the greenlet until less than `below` bytes wait to be sent, `timeout` seconds at
        most; whether it is so."""


class BatchConnection:
    """The `ClientConnection` of an HTTP batch: a request, its answer, and its client has left."""

    closed = False
    closed_on_purpose = True
    buffered = 0

    def close(self, code: int, reason: str) -> None:
        """The answer ends it soon."""

    def wait_drained(self, below: int, timeout: float) -> bool:
        """Nothing waits to be sent."""
        return True


@dataclass(slots=True, eq=False)
class Member:
    """A name that one connection speaks for.

    `callback` is a stub of ours, to be disposed of when the membership ends. `sink` is what is
    called with each event: the callback, or its `onMessage`.
    """

    client: "ClientState"
    claim: Claim
    name: str
    callback: RpcStub
    sink: RpcStub

    def send_away(self, code: int, reason: str) -> None:
        """Close its connection. Never raises: whoever sends several away reaches all of them."""
        try:
            self.client.connection.close(code, reason)
        except Exception:
            logger.exception("The connection of %s cannot be closed.", self.name)


class ClientState:
    """One connection and the names that it speaks for, by their keys.

    Attributes:
        connection: how it is reached.
        allowance: how much it may do.
        members: those who have joined.
        joining: the latest join under way for a name; completed, always with None, when it is
            decided.
        over: whether the connection is closed.
        deaf: whether it is over too soon for any event to reach it.
        number: of the connection, in the log; None for a batch.
    """

    __slots__ = (
        "_history",
        "allowance",
        "connection",
        "deaf",
        "joining",
        "members",
        "number",
        "over",
    )

    def __init__(
        self,
        connection: ClientConnection,
        *,
        deaf: bool = False,
        allowance: Allowance = UNLIMITED,
        number: int | None = None,
    ) -> None:
        self.connection = connection
        self.allowance = allowance
        self.deaf = deaf
        self.number = number
        self.members: dict[str, Member] = {}
        self.joining: dict[str, Future[None]] = {}
        self.over = False
        self._history: HistoryReads | None = None

    @property
    def history(self) -> HistoryReads:
        """What it reads of the log; made with the first use, since most never do."""
        if self._history is None:
            self._history = HistoryReads()
        return self._history

    def begin_joining(self, key: str) -> "Future[None]":
        """Note that a join is under way. Raises TooMany."""
        names = self.members.keys() | self.joining.keys() | {key}
        if len(names) > MAX_NAMES:
            raise TooMany(f"One connection may hold {MAX_NAMES} names; leave with one first.")
        decided: Future[None] = Future()
        self.joining[key] = decided
        return decided

    def end_joining(self, key: str, decided: "Future[None]") -> None:
        """The join is decided: let go on what waits for it."""
        if self.joining.get(key) is decided:
            del self.joining[key]
        decided.set_result(None)
