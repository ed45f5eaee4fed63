"""Who is here, seen from this process: connections, and the names that they speak for."""

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from sys import intern
from typing import Final, Protocol

from capnweb_sync import RpcStub
from chatserver.errors import Forbidden, NotJoined, TooMany
from chatserver.people.limits import UNLIMITED, Allowance
from chatserver.people.token_terms import Role
from chatserver.people.tokens import Identity
from chatserver.rooms.history import HistoryReads
from chatserver.store.seats import LOBBY, Seat
from chatserver.store.values import Claim

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


IN_THE_LOBBY: Final[Mapping[str, int]] = {LOBBY: 0}
"""The seats of all who came by `join`, as long as they are there: what else they have concerns no
callback of theirs."""


@dataclass(slots=True, eq=False)
class Member:
    """A name that one connection speaks for: a stay, as far as it is here.

    `callback` is a stub of ours, to be disposed of when the stay is over here. `sink` is what is
    called with each event: the callback, or its `onMessage`. Both are None for who wants to hear
    nothing. `full` is whether it has logged in and hears all rooms; who came by `join` hears what
    callbacks of before know of the lobby. `seats` are the numbers of its seats by their rooms, as
    of where the feed is; they are replaced, never changed. `identity` is whom its token is for; a
    guest has none, and may only look if it is `quiet`.
    """

    client: "ClientState"
    claim: Claim
    name: str
    callback: RpcStub | None
    sink: RpcStub | None
    full: bool = False
    seats: Mapping[str, int] = field(default_factory=lambda: IN_THE_LOBBY)
    identity: Identity | None = None
    quiet: bool = False

    @property
    def over(self) -> bool:
        """Whether the name is not spoken for from here any more."""
        return self.client.members.get(self.claim.key) is not self

    @property
    def role(self) -> Role:
        """What its present token says that it is; a guest is a member."""
        return "member" if self.identity is None else self.identity.role

    def hears(self, room: str) -> bool:
        """Whether what is said in a room in which it is concerns it: of an account, another place
        of it may be there."""
        return self.may_enter(room) if self.full else room == LOBBY

    def may_enter(self, room: str) -> bool:
        """Whether its token is for the room."""
        return self.identity is None or self.identity.may_enter(room)

    def sit(self, room: str, number: int) -> None:
        """A seat has begun."""
        self.seats = {**self.seats, intern(room): number}

    def stand_up(self, room: str) -> None:
        """A seat has ended."""
        self.seats = {other: number for other, number in self.seats.items() if other != room}

    def has(self, seat: Seat) -> bool:
        """Whether it has this very seat, as far as the feed has told."""
        return self.seats.get(seat.room) == seat.number

    def send_away(self, code: int, reason: str) -> None:
        """Close its connection. Never raises: whoever sends several away reaches all of them."""
        try:
            self.client.connection.close(code, reason)
        except Exception:
            logger.exception("The connection of %s cannot be closed.", self.name)


def check_here(member: Member) -> None:
    """Raises NotJoined if the stay is over, or goes on elsewhere."""
    if member.over:
        raise NotJoined("You have logged out, or gone on elsewhere; log in again.")


def check_may_speak(member: Member) -> None:
    """Raises Forbidden for who may only look."""
    if member.quiet:
        raise Forbidden("Guests may only look here; come in with a token to do more.")


class ClientState:
    """One connection and the names that it speaks for, by their keys.

    Attributes:
        connection: how it is reached.
        host: the address that it comes from, "" if that is none.
        allowance: how much it may do.
        members: those who have joined.
        dismissed: names of those whose stay has ended, and the connection with it.
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
        "dismissed",
        "host",
        "joining",
        "members",
        "number",
        "over",
    )

    def __init__(
        self,
        connection: ClientConnection,
        *,
        host: str = "",
        deaf: bool = False,
        allowance: Allowance = UNLIMITED,
        number: int | None = None,
    ) -> None:
        self.connection = connection
        self.host = host
        self.allowance = allowance
        self.deaf = deaf
        self.number = number
        self.members: dict[str, Member] = {}
        self.dismissed: tuple[str, ...] = ()
        self.joining: dict[str, Future[None]] = {}
        self.over = False
        self._history: HistoryReads | None = None

    @property
    def history(self) -> HistoryReads:
        """What it reads of the log; made with the first use, since most never do."""
        if self._history is None:
            self._history = HistoryReads()
        return self._history

    def key_of(self, name: str) -> str | None:
        """The key of a name that is spoken for here, if `name` is just what it is shown as."""
        for key, member in self.members.items():
            if member.name == name:
                return key
        return None

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
            if not self.joining:
                self.joining.clear()  # which gives its memory back, a tenth of a KiB
        decided.set_result(None)
