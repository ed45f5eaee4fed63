"""The loop's side of the SQLite store: gathering what is asked for, and answering.

What is asked for while one batch is being committed makes up the next: many senders share a commit,
and a lone one waits for nobody. The loop never waits for the disk; a greenlet does, for threads.
"""

import logging
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from time import perf_counter
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote_to_bytes

import gevent
from gevent.event import Event as Signal
from gevent.threadpool import ThreadPool

from capnweb_sync.futures import complete
from capnweb_sync.runtimes.fork import in_child
from chatserver.errors import ChatError, StartError
from chatserver.logs import tell
from chatserver.loop import Loop
from chatserver.store.events import Event
from chatserver.store.inherited import inherit
from chatserver.store.interface import Clock, Policy
from chatserver.store.local import LocalStore, Operation
from chatserver.store.people_interface import PersonInfo, PlaceInfo
from chatserver.store.refusals import not_readable, not_written, stopping
from chatserver.store.seats import Occupant, RoomInfo, Seat
from chatserver.store.sqlite.file_system import network_file_system
from chatserver.store.sqlite.ownership import take_lock
from chatserver.store.sqlite.reader import Reader
from chatserver.store.sqlite.schema import Connect, connect
from chatserver.store.sqlite.writer import FileGone, Writer, Written
from chatserver.store.state.records import Lobby
from chatserver.store.values import Span

T = TypeVar("T")

MAX_BATCH: Final = 1000
"""Operations that share a commit at most: past some hundreds the commit costs little beside them,
and all wait for the last."""

READERS: Final = 2
"""Reads at a time: one that waits for the disk does not hold up all others."""

ANSWER_SECONDS: Final = 5.0
"""How long a disk may take before those who wait are told that it does not answer: longer than one
hiccups, shorter than people wait."""

logger = logging.getLogger("chatserver")


URL: Final = re.compile(r"sqlite:///(?P<path>[^?#]+)(?:\?(?P<options>[^#]*))?", re.IGNORECASE)


class Location(NamedTuple):
    """What a URL says: the file, and SQLite's `synchronous`."""

    path: str
    synchronous: str

    @classmethod
    def of(cls, url: str) -> "Location":
        """Raises StartError."""
        match = URL.fullmatch(url)
        path = os.fsdecode(unquote_to_bytes(match["path"])) if match else ""
        if match is None or "\0" in path or os.path.basename(path) in ("", ":memory:"):
            raise StartError(
                f"The store {url!r} names no file; write sqlite:///relative.db or"
                " sqlite:////absolute.db (and memory: for none)."
            )
        if os.path.isdir(path):
            raise StartError(f"The store {url!r} names a directory; name a file in it.")
        options = dict(parse_qsl(match["options"] or "", keep_blank_values=True))
        synchronous = options.pop("synchronous", "normal").lower()
        if options or synchronous not in ("normal", "full"):
            raise StartError(
                f"The store {url!r} has an option that is not known; there are ?synchronous=normal"
                " (what was answered survives the process) and ?synchronous=full (and the power)."
            )
        return cls(os.path.realpath(path), synchronous)


Request = tuple[Operation[Any], "Future[Any]"]
"""What is asked for, and who waits for it."""


class SqliteStore(LocalStore):
    """`sqlite:///chat.db`."""

    def __init__(
        self,
        url: str,
        policy: Policy,
        clock: Clock,
        connect_to: Callable[[str, str], sqlite3.Connection] = connect,
    ) -> None:
        """Wait for the file to be free, and open it. Raises StartError.

        `connect_to(path, synchronous)` opens a connection.
        """
        super().__init__()
        location = Location.of(url)
        self._path = location.path
        connect_here: Connect = partial(connect_to, *location)
        self._lock = take_lock(self._path)
        self._reader = Reader(connect_here)
        self._writer = Writer(self._path, policy, clock, connect_here)
        self._reading = ThreadPool(READERS)
        self._writing = ThreadPool(1)
        self._queue: list[Request] = []
        self._trim = False
        self._wake = Signal()
        self._closing = False
        self._let_go_of = False
        self._all_written = Signal()
        error = self._writing.apply(result_or_error, (self._writer.open,))
        if error is not None:
            self._let_go()
            raise why_not(self._path, error)
        self.epoch = self._writer.epoch
        self.last_id = self._writer.last_id
        self._loop = Loop(f"Writing to {self._path}", self._write_next)
        in_child(self, SqliteStore._leave_to_parent)

    def submit(self, operation: Operation[T]) -> "Future[T]":
        future: Future[T] = Future()
        if self._closing:
            future.set_exception(stopping())
        else:
            self._queue.append((operation, future))
            self._wake.set()
        return future

    def tick(self) -> "Future[float]":
        self._trim = True
        return super().tick()

    def lobby(self) -> Lobby:
        if self._closing:
            raise stopping()
        return self._writer.lobby

    def read_log(self, after: int) -> list[Event]:
        return self._read(self._reader.read_log, after)

    def read_span(self, span: Span) -> list[Event]:
        return self._read(self._reader.read, span)

    def read_rooms(self, afters: Mapping[str, int], before: int, limit: int) -> list[Event]:
        return self._read(self._reader.read_rooms, afters, before, limit)

    def people(self, by: str, seat: Seat, after: str | None, limit: int) -> list[Occupant]:
        return self._read(self._reader.people, by, seat, after, limit)

    def room(self, by: str, seat: Seat) -> RoomInfo:
        return self._read(self._reader.room, by, seat)

    def rooms(
        self, by: str, after: str | None, limit: int, *, inside: bool = False
    ) -> list[RoomInfo]:
        return self._read(self._reader.rooms, by, after, limit, inside)

    def blocked(self, by: str, after: str | None, limit: int) -> list[str]:
        return self._read(self._reader.blocked, by, after, limit)

    def everyone(self, after: str | None, limit: int) -> list[PersonInfo]:
        return self._read(self._reader.everyone, after, limit)

    def places(self, after: str | None, limit: int) -> list[PlaceInfo]:
        return self._read(self._reader.places, after, limit)

    def all_rooms(self, after: str | None, limit: int) -> list[RoomInfo]:
        return self._read(self._reader.all_rooms, after, limit)

    def statistics(self) -> dict[str, int]:
        return self._read(self._reader.statistics)

    def _read(self, read: Callable[..., T], *arguments: Any) -> T:
        """What a thread reads."""
        if self._closing:
            raise stopping()
        found: Any = TimeoutError("no answer")
        with gevent.Timeout(ANSWER_SECONDS, False):  # type: ignore[arg-type]  # not in the stubs
            # A thread that cannot be started is a reason like any other.
            found = result_or_error(self._reading.apply, result_or_error, (read, *arguments))
        if isinstance(found, ChatError):
            raise found
        if isinstance(found, Exception):
            tell(logger, logging.ERROR, "The store cannot be read", store=self._path, reason=found)
            raise not_readable()
        result: T = found
        return result

    def condition(self) -> dict[str, float]:
        disk = self._reading.apply(result_or_error, (os.statvfs, os.path.dirname(self._path)))
        if isinstance(disk, Exception):
            return {}
        return {"disk_free_bytes": disk.f_bavail * disk.f_frsize}

    def warnings(self) -> list[str]:
        kind = network_file_system(self._path)
        if kind is None:
            return []
        sentence = (
            f"The database {self._path} is on a network file system ({kind}), where SQLite's"
            " write-ahead log does not work; move it to a local disk, or use Redis"
            " (--store redis://host:port/0)."
        )
        return [sentence]

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._wake.set()
            self._all_written.wait()
            self._loop.kill()
            self._let_go()

    def _leave_to_parent(self) -> None:
        """In a forked child: nothing of the parent's is used, not even to close it."""
        if self._let_go_of:
            return
        self._writer.leave_to_parent()
        self._reader.leave_to_parent()
        # A copy of the descriptor would hold the lock after the parent's end, too.
        os.close(self._lock)
        inherit(self)

    def _let_go(self) -> None:
        self._let_go_of = True
        self._reading.join()
        self._reading.apply(self._reader.close)
        # The last one to close tidies the WAL up.
        self._writing.apply(self._writer.close)
        self._reading.kill()
        self._writing.kill()
        os.close(self._lock)

    # --- the greenlet that waits for the writer

    def _write_next(self) -> None:
        """Have the next batch written and answer it; wait for one if there is none."""
        if not self._queue:
            if self._closing:
                self._all_written.set()
            self._wake.clear()
            self._wake.wait()
            return
        batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
        trim, self._trim = self._trim, False
        began = perf_counter()
        try:
            written = self._write(batch, trim)
            if isinstance(written, Written):
                self.commits.done(perf_counter() - began, len(batch))
                self._answer(batch, written)
            else:
                self._fail(batch, written)
        except Exception as error:
            # Those who have been answered are not told twice. What else was told cannot be said:
            # the next batch begins with what is stored, and so does the follower.
            self._fail(batch, error)
            self._writing.apply(result_or_error, (self._writer.close,))
            raise

    def _write(self, batch: list[Request], trim: bool) -> Any:
        """What the writer returns for this batch, or raises."""
        operations = [operation for operation, _ in batch]
        job = self._writing.spawn(result_or_error, self._writer.write, operations, trim)
        while job.wait(ANSWER_SECONDS) is None and not job.ready():
            # Those who have come since are behind it. Whether all this is stored shows later.
            waiting, self._queue = self._queue, []
            self._fail([*batch, *waiting], TimeoutError("the disk does not answer"))
        return job.get()

    def _answer(self, batch: list[Request], written: Written) -> None:
        if not self.available:
            self.available = True
            tell(logger, logging.WARNING, "The store answers again", store=self._path)
        if written.reloaded_to is not None:
            self._continue_from(written.reloaded_to)
        self._publish(written.changes)
        for (_, future), answer in zip(batch, written.answers, strict=True):
            # Who waits may have been told already that it took too long.
            complete(future, answer, answer if isinstance(answer, Exception) else None)

    def _fail(self, batch: Iterable[Request], error: Exception) -> None:
        if self.available:
            self.available = False
            expected = isinstance(error, (sqlite3.Error, OSError, FileGone))
            tell(
                logger,
                logging.ERROR,
                "The store fails",
                store=self._path,
                reason=error,
                exc_info=None if expected else error,
            )
        for _, future in batch:
            complete(future, None, not_written())


def result_or_error(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a call in a thread, or the exception that it raised: gevent would print one
    that leaves a thread of its pool."""
    try:
        return function(*arguments)
    except Exception as error:
        return error


def why_not(path: str, error: Exception) -> Exception:
    """What to raise if opening the database has raised `error`."""
    if isinstance(error, (sqlite3.OperationalError, OSError)):
        return StartError(f"Cannot open the database {path} ({error}).")
    if isinstance(error, sqlite3.DatabaseError):
        return StartError(
            f"The database {path} is damaged, or no database at all ({error}): restore it, or"
            " choose another file with --store sqlite:///file.db."
        )
    return error
