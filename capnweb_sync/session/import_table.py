"""What a session imports from its peer: the table, and its entries.

One entry stands for one id; any number of hooks (`import_hooks.py`) share it. When the last of them
goes, the peer is told with a release. A promise's entry ends with its resolution: from then on its
hooks go on at the value that arrived.

This side numbers what it pushes, 1, 2, 3, …; the peer numbers what it exports by itself, -1, -2, …;
0 is the peer's main object.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ..core.hooks import ErrorHook, Hook, Pulled
from ..core.ledger import ENTRY_COST, Ledger
from ..core.payload import Payload
from ..core.served_calls import ServedCalls, too_much
from ..core.stubs import Path
from ..core.watches import Watch, Watches
from ..deferred import Deferred, trampoline
from ..errors import RpcError
from ..observe.observer import Call
from ..runtimes.interface import Runtime, Transport


class ImportingSession(Protocol):
    """What imports need of their session."""

    @property
    def calls(self) -> ServedCalls:
        """Where callbacks of the application about imports run."""
        ...

    @property
    def runtime(self) -> Runtime:
        """Whose step guards the table."""
        ...

    @property
    def transport(self) -> Transport:
        """What carries the messages."""
        ...

    @property
    def peer(self) -> str:
        """Who is at the other end, for people."""
        ...

    @property
    def ledger(self) -> Ledger:
        """What is kept for the peer."""
        ...

    def change(self) -> bool:
        """What follows in this step changes the session. Whether that is news."""
        ...

    def changed(self) -> None:
        """The change that was news is complete."""
        ...

    def send_call(self, import_id: int, path: Path, args: Payload | None) -> Hook:
        """Push a call, or a look at a property; a hook for the result. Takes the arguments over."""
        ...

    def send_stream(self, import_id: int, path: Path, args: Payload) -> tuple[Deferred[Any], int]:
        """Send a write to a stream; when it has been taken, and its size in bytes."""
        ...

    def send_map(self, import_id: int, path: Path, captures: list[Hook], steps: list[Any]) -> Hook:
        """Push a `map`; takes the captures over."""
        ...

    def send_pull(self, import_id: int) -> None:
        """Ask for the resolution."""
        ...

    def send_release(self, import_id: int, introduced: int) -> None:
        """Forget the entry, and tell the peer."""
        ...

    @property
    def pack(self) -> Callable[[bytes], bytes]:
        """The transport's, at hand for broadcasts."""
        ...

    @property
    def can_concatenate(self) -> bool:
        """The transport's, at hand for broadcasts."""
        ...

    def push_unneeded(self, packed: bytes, count: int) -> None:
        """Send pushes whose results nobody asks for."""
        ...

    def connection_lost(self, close_code: int | None, reason: str) -> None:
        """The transport is gone."""
        ...

    def hook_dropped(self, entry: Import) -> None:
        """Python has collected a hook of `entry`."""
        ...

    def close(self, *, reason: str) -> None:
        """End the session."""
        ...


class Holder(Protocol):
    """A hook, which holds an entry until it lets go."""

    entry: Import | None


class Import:
    """One entry of the import table."""

    __slots__ = (
        "_pull",
        "_watches",
        "hooks",
        "import_id",
        "introduced",
        "is_promise",
        "resolution",
        "session",
    )

    def __init__(self, session: ImportingSession, import_id: int, introduced: int = 1) -> None:
        self.session = session
        self.import_id = import_id
        self.introduced = introduced
        """How often the peer has introduced this id, or 1 for a push: what a release gives back.
        The reference counts exports of one object under one id but releases the id once (0.12.0),
        so it is counted here, by the importer."""
        self.hooks = 0
        self.is_promise = False
        self.resolution: Hook | None = None
        self._pull: Deferred[Payload] | None = None
        self._watches: Watches | None = None

    def pull(self) -> Pulled:
        """Ask the peer for the value, once."""
        if self.resolution is not None:
            return self.resolution.pull()
        if self._pull is None:
            pull: Deferred[Payload] = Deferred()
            self._pull = pull
            self.session.send_pull(self.import_id)
            return pull
        return self._pull

    @property
    def asked(self) -> bool:
        """Whether the peer has been asked for the value."""
        return self._pull is not None

    def expect_resolution(self) -> None:
        """The peer will send the resolution without being asked."""
        self._pull = Deferred()

    def resolve(self, resolution: Hook) -> None:
        """The peer has sent what this stands for."""
        if self.hooks == 0:
            resolution.dispose()
            return
        if self.resolution is not None:
            resolution.dispose()
            return
        self.resolution = resolution
        self._release()
        watches, self._watches = self._watches, None
        for watch in list(watches or ()):
            resolution.on_broken(watch)
        pull, self._pull = self._pull, None
        if pull is not None:
            pulled = resolution.pull()
            if isinstance(pulled, Payload):
                pull.resolve(pulled)
            else:
                pull.follow(pulled)

    def fail(self, error: BaseException) -> None:
        """It will never be there. Done again, it does what an exception has cut."""
        if self.resolution is None:
            self.resolution = ErrorHook(error)
        while self._watches:
            next(iter(self._watches)).tell(error, self.session.calls)
        if self._pull is not None:
            self._pull.reject(error)
            self._pull = None

    def let_go(self, hook: Holder | None = None) -> None:
        """One hook less: `hook`, or one that Python has collected."""
        news = self.session.change()
        if hook is not None:
            hook.entry = None
        self.hooks -= 1
        if self.hooks == 0:
            self.forget()
        if news:
            self.session.changed()

    def forget(self) -> None:
        """The last hook is gone."""
        if self.resolution is not None:
            trampoline([self.resolution.dispose])
            return
        self._watches = None
        self.fail(RpcError("The promise was disposed of before the answer came.", code="disposed"))
        self._release()

    def _release(self) -> None:
        introduced, self.introduced = self.introduced, 0
        if introduced:
            self.session.send_release(self.import_id, introduced)

    def on_broken(self, watch: Watch) -> None:
        """Have `watch` told when every further use would fail, as one of the session's calls."""
        if self.resolution is not None:
            self.resolution.on_broken(watch)
            return
        if self._watches is None:
            self._watches = {}
        watch.stay_in(self._watches)


class SeenImport(Import):
    """The result of a call that is observed."""

    __slots__ = ("_call",)

    def __init__(self, session: ImportingSession, import_id: int, call: Call) -> None:
        super().__init__(session, import_id)
        self._call: Call | None = call

    def resolve(self, resolution: Hook) -> None:
        self._ended(resolution.error if isinstance(resolution, ErrorHook) else None)
        super().resolve(resolution)

    def fail(self, error: BaseException) -> None:
        # A result that nobody has asked for, and nobody wants any more, is no failure.
        self._ended(None if not self.asked and self.hooks == 0 else error)
        super().fail(error)

    def _ended(self, error: BaseException | None) -> None:
        call, self._call = self._call, None
        seen = self.session.calls.seen
        if call is not None and seen is not None:
            seen.ended(call, error)


class ImportTable:
    """The entries by id, and the next id of a push.

    It does not refer to its session, which is passed where an entry is made: a session that is over
    goes with its last reference, without the cyclic collector.
    """

    __slots__ = ("_ledger", "entries", "next_id")

    def __init__(self, session: ImportingSession) -> None:
        self._ledger = session.ledger
        self.entries: dict[int, Import] = {}
        self.next_id = 1
        """A broadcast, whose results nobody needs, takes ids without making entries."""

    def main(self, session: ImportingSession) -> Import:
        """The entry for the peer's main object. Most sessions of a server never need it."""
        entry = self.entries.get(0)
        if entry is None:
            self._ledger.hold(ENTRY_COST)
            entry = self.entries[0] = Import(session, 0)
        return entry

    def check_room(self) -> None:
        """Raises RpcError with the code `too_many` if too much is imported: a peer can have this
        side ask for things, by naming its own promises in calls."""
        ledger = self._ledger
        if ledger.room < ENTRY_COST:
            raise RpcError(too_much(ledger.most), code="too_many")

    def push(self, session: ImportingSession, seen_as: Call | None = None) -> Import:
        """The entry for the result of what is pushed next, which observers see as a call."""
        self._ledger.hold(ENTRY_COST)
        if seen_as is None:
            entry = Import(session, self.next_id)
        else:
            entry = SeenImport(session, self.next_id, seen_as)
        self.entries[self.next_id] = entry
        self.next_id += 1
        return entry

    def introduce(self, session: ImportingSession, import_id: int) -> Import:
        """The entry for something that the peer has passed by reference, perhaps once more. Raises
        RpcError for an id that is not its own, and past the limit."""
        entry = self.entries.get(import_id)
        if entry is None:
            return self._add(session, import_id)
        entry.introduced += 1
        return entry

    def promise(self, session: ImportingSession, import_id: int) -> Import:
        """The entry for a promise of the peer's, which will resolve it unasked. Raises RpcError for
        an id that is in use or not its own, and past the limit."""
        if import_id in self.entries:
            raise RpcError(f"The peer sent a promise under an ID that is in use: {import_id}")
        entry = self._add(session, import_id)
        entry.expect_resolution()
        return entry

    def _add(self, session: ImportingSession, import_id: int) -> Import:
        if import_id >= 0:
            raise RpcError(f"The peer exported under an ID that is not its own: {import_id}")
        self.check_room()
        self._ledger.hold(ENTRY_COST)
        entry = self.entries[import_id] = Import(session, import_id)
        return entry

    def forget(self, import_id: int) -> None:
        """The entry is given back. Without effect the second time."""
        if self.entries.pop(import_id, None) is not None:
            self._ledger.give_back(ENTRY_COST)

    def pull_all(self) -> None:
        """Ask for the result of every call whose promise is still there."""
        for entry in list(self.entries.values()):
            if entry.is_promise:
                entry.pull()

    def failing(self, error: BaseException) -> Iterator[None]:
        """The session is over: fail the entries, one at each `next`. Begun again, it does what an
        exception has cut."""
        entries = deque(self.entries.values())
        while entries:
            entry = entries.popleft()
            entry.fail(error)
            self.forget(entry.import_id)
            yield
