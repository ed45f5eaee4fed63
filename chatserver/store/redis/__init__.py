"""The store that any number of workers on any number of machines share: Redis.

`redis://user:password@host:6379/0`, `rediss://…` with TLS, `unix://…`, as redis-py reads them.

The rules are carried out by a script in Redis (`script/`, joined by `scripts.py`), for a batch of
operations at a time; Redis runs one script after another, so all workers see one order. What is
read of rooms is read by a script of its own, beside it. Here is what one worker does:

    writer.py           operations wait for the batch before them, and go out together
    operations.py       as what they travel, and what their answers mean
    room_operations.py  …those about rooms
    people_operations.py  …those about accounts and sanctions
    asked.py            methods of the store as operations
    reading.py          questions about rooms and people, and their answers
    entries.py          events, as the log has them
    asides.py           what is told beside the log
    upgrade.py          taking over a database from before there were rooms, or accounts
    server.py           what Redis says of itself: its memory, its disk
    connection.py       the URL, and connections: the writer's, the follower's, some for reads

In a child of a process that forks, the store is the parent's; the child opens its own.
"""

import logging
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final, TypeVar, cast

import gevent
from gevent.event import Event as Signal
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from capnweb_sync.runtimes.fork import in_child
from chatserver.errors import StartError, Unavailable
from chatserver.logs import tell
from chatserver.store.commits import Commits
from chatserver.store.events import Event
from chatserver.store.inherited import inherit
from chatserver.store.interface import MAX_READ_EVENTS, Clock, Policy, cut, system_clock
from chatserver.store.people_interface import PersonInfo, PlaceInfo
from chatserver.store.redis import operations, reading, scripts
from chatserver.store.redis.asides import Asides
from chatserver.store.redis.asked import AskedStore
from chatserver.store.redis.connection import (
    RETRY_SECONDS,
    Address,
    ConnectionPool,
    RedisConnection,
)
from chatserver.store.redis.entries import tail_event
from chatserver.store.redis.operations import Answer, Header, Operation
from chatserver.store.redis.scripts import ERASED, META, PREFIX, TAIL
from chatserver.store.redis.server import server_info, warnings_of
from chatserver.store.redis.upgrade import take_over
from chatserver.store.redis.writer import Writer
from chatserver.store.refusals import not_readable
from chatserver.store.seats import Occupant, RoomInfo, Seat
from chatserver.store.values import Counts, LogReset, Lost, Span, Tail, Why

T = TypeVar("T")

logger = logging.getLogger("chatserver")

TOKEN_BYTES: Final = 8
"""Randomness of a worker's token and of an epoch: no two share one."""

START_SECONDS: Final = 30.0
"""How long a server that starts waits for Redis: it may be starting, too."""

READERS: Final = 4
"""Connections for reads: more would wait for Redis, or for this process, all the same."""

BLOCK_SECONDS: Final = 1.0
"""How long one question for news waits in Redis; after it the follower looks whether the log began
anew, which Redis does not tell it."""

RESET_SECONDS: Final = 3 * BLOCK_SECONDS
"""How long operations wait until the follower has told that the log began anew, so that nobody
joins the new log before those of the old one are sent away."""

FOLLOW_EVENTS: Final = 128
"""Events that the follower asks for at a time: about MAX_READ_BYTES of the longest."""


class RedisStore(AskedStore):
    """One worker's view of the log in Redis."""

    def __init__(self, url: str, policy: Policy, clock: Clock) -> None:
        """Connect. With another clock than `system_clock`, which is for tests, that one; otherwise
        the server's. Raises StartError."""
        self.epoch = ""
        self.last_id = 0
        self.available = True
        self.commits = Commits()
        self._last_ms = 0
        self._address = Address.of(url)
        self._clock = None if clock is system_clock else clock
        self._policy = policy
        self._rules = operations.rules(policy, self._address.lease)
        self._worker = secrets.token_hex(TOKEN_BYTES)
        self._connection = self._address.connection()
        self._tails = ConnectionPool(self._address, 1, BLOCK_SECONDS)
        self._streams = (TAIL, f"{PREFIX}lost:{self._worker}")
        self._lost_position = "0-0"
        self._readers = ConnectionPool(self._address, READERS)
        self._reset_due = False
        self._reset_told = Signal()
        self._followed = False
        self._open()
        self._writer = Writer(self._send, self._wait_for_reset, self._address.timeout, self.commits)
        self._asides = Asides(self._address)
        in_child(self, RedisStore._leave_to_parent)

    def _open(self) -> None:
        """Introduce this worker, to what there is from before if need be. Raises StartError."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                take_over(self._connection, self._policy)
                self._call(self._connection, 0)
                return
            except (RedisError, ValueError) as error:
                hopeless = isinstance(error, (AuthenticationError, NoPermissionError, ValueError))
                if time.monotonic() > deadline or hopeless:
                    raise StartError(
                        f"The store {self._address.shown} cannot be used ({error}); start Redis,"
                        " or set the store's URL, password included, to where it is."
                    ) from None
                self._failed(error)
            gevent.sleep(RETRY_SECONDS)

    # --- the script

    def _call(
        self, connection: RedisConnection, sequence: int, batch: bytes = b""
    ) -> Answer | None:
        """Run the script; note what it tells of the log. Raises RedisError, LogReset."""
        caller: dict[str, Any] = {
            "worker": self._worker,
            "epoch": self.epoch,
            "known_id": self.last_id,
            "known_ms": self._last_ms,
            "fresh_epoch": secrets.token_hex(TOKEN_BYTES),
            "sequence": sequence,
        }
        if self._clock is not None:
            caller["now"], caller["steady"] = self._clock()
        head, *rest = connection.run(scripts.BATCH, self._rules, operations.encode(caller), batch)
        header = Header(*operations.decode(head))
        # Of two calls that were under way, the other one may have learned so first.
        is_news = header.epoch == caller["epoch"] or header.epoch != self.epoch
        if header.epoch != self.epoch:
            self.epoch = header.epoch
            self.last_id = self._last_ms = 0
        self._note(header.last_id, header.last_ms)
        if header.reset:
            if is_news:
                self._reset_due = True
                self._reset_told.clear()
            raise LogReset
        return Answer(*rest) if rest else None

    def _note(self, last_id: int, last_ms: int) -> None:
        """Remember the newest event that was seen: should it not be there one day, the log has lost
        its end."""
        if last_id > self.last_id:
            self.last_id, self._last_ms = last_id, last_ms

    def _send(self, sequence: int, batch: bytes) -> Answer:
        """Have a batch carried out, for the writer. Raises RedisError, LogReset."""
        try:
            answer = self._call(self._connection, sequence, batch)
        except RedisError as error:
            self._failed(error)
            raise
        assert answer is not None
        if not self.available:
            self.available = True
            tell(logger, logging.WARNING, "The store answers again", store=self._address.shown)
        return answer

    def _failed(self, error: Exception) -> None:
        if self.available:
            self.available = False
            tell(logger, logging.ERROR, "The store fails", store=self._address.shown, reason=error)

    def _wait_for_reset(self) -> None:
        if self._followed:
            self._reset_told.wait(RESET_SECONDS)

    def submit(self, operation: Operation[T]) -> "Future[T]":
        return self._writer.submit(operation)

    # --- reading

    def _ask(self, question: bytes) -> list[Any]:
        try:
            return self._readers.run(scripts.READ, question)
        except RedisError:
            raise not_readable() from None

    def names(self) -> list[str]:
        return reading.names(self._ask)

    def counts(self) -> Counts:
        return reading.counts(self._ask)

    def read_span(self, span: Span) -> list[Event]:
        return cut(reading.read_range(self._ask, span), span.limit)

    def read_rooms(self, afters: Mapping[str, int], before: int, limit: int) -> list[Event]:
        return reading.read_rooms(self._ask, afters, before, limit)

    def people(self, by: str, seat: Seat, after: str | None, limit: int) -> list[Occupant]:
        return reading.people(self._ask, by, seat, after, limit)

    def room(self, by: str, seat: Seat) -> RoomInfo:
        return reading.room(self._ask, by, seat)

    def rooms(
        self, by: str, after: str | None, limit: int, *, inside: bool = False
    ) -> list[RoomInfo]:
        return reading.rooms(self._ask, by, after, limit, inside)

    def blocked(self, by: str, after: str | None, limit: int) -> list[str]:
        return reading.blocked(self._ask, by, after, limit)

    def everyone(self, after: str | None, limit: int) -> list[PersonInfo]:
        return reading.everyone(self._ask, after, limit)

    def places(self, after: str | None, limit: int) -> list[PlaceInfo]:
        return reading.places(self._ask, after, limit)

    def all_rooms(self, after: str | None, limit: int) -> list[RoomInfo]:
        return reading.all_rooms(self._ask, after, limit)

    def statistics(self) -> dict[str, int]:
        return reading.statistics(self._ask)

    def follow(self, after: int, timeout: float) -> Tail:
        self._followed = True
        deadline = time.monotonic() + timeout
        while True:
            self._tell_reset()
            try:
                with self._tails.one() as connection:
                    news = self._ask_for_news(
                        connection, after, max(0.0, deadline - time.monotonic())
                    )
            except RedisError as error:
                raise Unavailable(f"The store cannot be followed ({error}).") from None
            except LogReset:
                news = Tail([], [])
            if self._reset_due:
                # Who lost a name is told so first: it must not come back like all the others.
                news = Tail([], news.lost)
            news = news._replace(asides=self._asides.take())
            is_over = time.monotonic() >= deadline and not self._reset_due
            if news.events or news.lost or news.asides or is_over:
                return news

    def _tell_reset(self) -> None:
        """Raises LogReset, once each time that the log began anew."""
        if self._reset_due:
            self._reset_due = False
            self._reset_told.set()
            raise LogReset

    def _ask_for_news(self, connection: RedisConnection, after: int, timeout: float) -> Tail:
        """News that come within `timeout` and BLOCK_SECONDS. Raises RedisError, LogReset."""
        if not connection.connected:
            # Perhaps to another server: then what came before `after` need not be there.
            self._call(connection, 0)
            self._asides.follower = connection.ask("CLIENT", "ID")
        seconds = 0.0 if self._asides.waiting else min(timeout, BLOCK_SECONDS)
        # Redis ends such waits some times a second only.
        block = ("BLOCK", max(1, round(seconds * 1000))) if seconds else ()
        positions = (f"{after}-0", self._lost_position)
        streams = ("STREAMS", *self._streams, *positions)
        answer, epoch = connection.ask_all(
            ("XREAD", "COUNT", FOLLOW_EVENTS, *block, *streams), ("HGET", META, "epoch")
        )
        if epoch != self.epoch.encode():
            # Asked afterwards, for an epoch never comes back: those may be another log's events.
            self._call(connection, 0)
        events: list[Event] = []
        lost: list[Lost] = []
        for key, entries in answer or ():
            if key == TAIL.encode():
                events = cut(map(tail_event, entries), MAX_READ_EVENTS)
                self._note(events[-1].id, events[-1].time_ms)
            else:
                lost = [lost_of(fields) for _, fields in entries if fields[1]]
                self._lost_position = entries[-1][0].decode()
        missed = events[0].id - after - 1 if events else 0
        if missed and missed != connection.ask("ZCOUNT", ERASED, after + 1, events[0].id - 1):
            # What came between was trimmed.
            self._reset_due = True
        return Tail(events, lost)

    def _server_info(self) -> dict[str, str]:
        """What Redis says of itself. Raises RedisError."""
        with self._readers.one() as connection:
            return server_info(connection.ask)

    def condition(self) -> dict[str, float]:
        try:
            said = self._server_info()
        except RedisError:
            return {}
        return {
            "redis_memory_bytes": float(said["used_memory"]),
            "redis_memory_limit_bytes": float(said.get("maxmemory", 0)),
            "redis_saves": float(
                said.get("aof_last_write_status", "ok") == "ok"
                and said.get("rdb_last_bgsave_status", "ok") == "ok"
            ),
        }

    def warnings(self) -> list[str]:
        try:
            return warnings_of(self._server_info(), self._address.shown)
        except RedisError:
            return []

    def _leave_to_parent(self) -> None:
        """In a forked child: the connections, and what this worker says on them, are the
        parent's."""
        self._connection.leave_to_parent()
        self._tails.leave_to_parent()
        self._readers.leave_to_parent()
        self._asides.leave_to_parent()
        inherit(self)

    def close(self) -> None:
        self._writer.submit(operations.goodbye())
        self._writer.close()
        self._asides.close()
        self._connection.drop()
        self._tails.close()
        self._readers.close()


def lost_of(fields: list[bytes]) -> Lost:
    """Who has lost a claim, as the script tells the worker: names of fields with their values."""
    _, holder, *more = fields
    if not more:  # a version without accounts knew one reason
        return Lost(holder.decode(), "taken_over")
    return Lost(holder.decode(), cast("Why", more[1].decode()), more[3].decode())
