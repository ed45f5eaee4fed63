"""How much memory a session keeps for its peer, in one sum, and many sessions together in another.

What a peer can make this process keep is of many kinds, and a bound on the number of each is either
so low that it meets the honest or so high that all of them together fill the memory. So everything
is counted in bytes, in one `Ledger` a session, about as what it costs Python:

    what is kept                          counted by                   until
    an entry of either table              the tables                   it is forgotten
    a result, a pushed value              `Payload.keep`               its last part goes
    a failure                             `ErrorHook`                  nobody names it any more
    arguments of a call under way         `Payload.keep`               it is done
    what promises bring into arguments    `ServedCalls.take`           the call is done
    what waits behind a promise           `ServedCalls.set_aside`      the promise settles
    a chunk of a stream, parts of a blob  `begin_write`, `hold`        it is read
    frames that wait to be sent           the server's outbox          they are sent
    a message that arrives in pieces      the server's frame reader    it is whole

What a call under way takes by itself, about 2 KiB, is left to the bound on their number. Past the
bound nothing is torn out of the middle of a change: the ledger notes that it is
`overdrawn`, and the session ends where the message, or the call, that it was working on is done.

Ledgers add up in a `MemoryOfMany`: that of all sessions of a server, or of one party within it.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, Final, Protocol
from weakref import WeakSet

ENTRY_COST: Final = 1024
"""Bytes of an entry of a table with its hook (measured: 301 to 450 on CPython 3.11), and of a small
value."""

SMALL_VALUE: Final = 512
"""Bytes of a value that the entry, or the call, which has it is counted with."""

PIPE_COST: Final = 1024
"""Bytes of a pipe beside its entry (measured: 400, and 1,000 once chunks have gone through it)."""

WAITING_COST: Final = 768
"""Bytes of a look that waits for a promise (measured: 660)."""

OBJECT_COST: Final = 1024
"""Bytes of a stub, a promise or an object by reference within a value (measured: 350 to 980)."""

UNWEIGHED: Final = 128
"""Bytes of a message, or of a text, that are not worth a look."""

REPORT_STEP: Final = 64 * 1024
"""Bytes by which a ledger may be ahead of what the sums know. Sessions that keep less are
the ordinary ones, and cost the sum nothing."""

SHED_TO: Final = 0.9
"""The part of the whole bound at which ending sessions stops."""

NOTHING: Final = frozenset({type(None), bool, int, float})
"""Types of values that cost next to nothing by themselves."""

_size: Final = sys.getsizeof
_CONTAINERS: Final = frozenset({dict, list, tuple})
_LEAVES: Final = frozenset({str, bytes, int, float, bool, type(None), datetime})


def size_of(value: Any, most: int) -> int:
    """About how many bytes `value` takes, what stands in it several times counted once if it is a
    container; no further than a little past `most`."""
    kind = type(value)
    if kind in _LEAVES:
        return _size(value)
    if kind is dict and _LEAVES.issuperset(map(type, value.values())):  # the typical result
        return _size(value) + sum(map(_size, value)) + sum(map(_size, value.values()))
    total = 0
    containers = []
    walked: set[int] = set()
    if kind in _CONTAINERS:
        containers.append(value)
    else:
        total += _add_object(value, containers)
    while containers and total <= most:
        container = containers.pop()
        total += _size(container)
        items = container
        if type(container) is dict:
            items = container.values()
            total += sum(map(_size, container))
        if _LEAVES.issuperset(map(type, items)):
            total += sum(map(_size, items))
            continue
        walked.add(id(container))
        for item in items:
            kind = type(item)
            if kind in _LEAVES:
                total += _size(item)
            elif id(item) not in walked:
                walked.add(id(item))
                if kind in _CONTAINERS:
                    containers.append(item)
                else:
                    total += _add_object(item, containers)
            elif kind not in _CONTAINERS:
                total += OBJECT_COST  # what is sent for it, each time
    return total


def _add_object(value: Any, containers: list[Any]) -> int:
    """The bytes of what is neither a leaf nor a container; what it has is added to `containers`."""
    if isinstance(value, BaseException):
        containers += [value.args, value.__dict__]
        return OBJECT_COST
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is not None:
        containers.append([getattr(value, name, None) for name in fields])
    return max(OBJECT_COST, _size(value))


class Owner(Protocol):
    """What keeps the things that a ledger counts."""

    def shed(self) -> None:
        """All together keep too much, and this one the most: give it up. It may be called in the
        middle of a change, so it must not change the session by itself."""
        ...


class MemoryOfMany:
    """What many sessions keep together: those of a server, or, within these, those of one party,
    such as an address. Past its bound the largest go first."""

    __slots__ = ("_ledgers", "_look_at", "_within", "held", "most")

    def __init__(self, most: int, within: MemoryOfMany | None = None) -> None:
        """
        Args:
            most: bytes.
            within: what more sessions than these keep together, and these with them.
        """
        self.most = most
        self._within = within
        self.held = 0
        self._look_at = most
        self._ledgers: WeakSet[Ledger] | None = None  # most parties never keep what counts

    def add(self, ledger: Ledger, size: int) -> None:
        """`ledger` keeps so many bytes more than it has told so far."""
        self._count(size)
        level: MemoryOfMany | None = self
        while level is not None:
            if level._ledgers is None:
                level._ledgers = WeakSet()
            level._ledgers.add(ledger)
            if level.held > level._look_at:
                level._look()
            level = level._within

    def remove(self, ledger: Ledger) -> None:
        """It keeps nothing more."""
        self._count(-ledger.reported)
        ledger.reported = 0
        level: MemoryOfMany | None = self
        while level is not None:
            if level._ledgers is not None:
                level._ledgers.discard(ledger)
            level = level._within

    def _count(self, size: int) -> None:
        level: MemoryOfMany | None = self
        while level is not None:
            level.held += size
            level = level._within

    def update(self, ledger: Ledger) -> None:
        """`ledger` may keep less than it has told."""
        own = ledger.own
        self._count(own - ledger.reported)
        ledger.reported = own

    def _look(self) -> None:
        """Ledgers tell what grows, not what shrinks: ask all, and end the largest if need be."""
        ledgers = list(self._ledgers or ())
        for ledger in ledgers:
            ledger.update()
        self.held = sum(ledger.reported for ledger in ledgers)
        # What is on its way out does not come back, and is gone soon.
        staying = [ledger for ledger in ledgers if ledger.owner is not None]
        left = sum(ledger.reported for ledger in staying)
        if left > self.most:
            staying.sort(key=lambda ledger: ledger.reported)
            while left > self.most * SHED_TO:
                left -= staying[-1].reported
                staying.pop().shed()
        # Not again for each small step of one that is just below the bound.
        self._look_at = max(self.most, self.held + self.most // 64)


class Ledger:
    """What one session keeps for its peer, in bytes.

    What is called most adds to `held` and compares with `mark` by itself; all else uses `hold` and
    `give_back`.
    """

    __slots__ = (
        "__weakref__",
        "_memory",
        "_of_session",
        "held",
        "mark",
        "most",
        "overdrawn",
        "owner",
        "reported",
        "shared",
    )

    def __init__(self, most: int, memory: MemoryOfMany | None = None) -> None:
        """
        Args:
            most: bytes that the session may keep.
            memory: of those with whom the session has a bound; None for one that stands alone.
        """
        self.most = most
        self._memory = memory
        self.held = 0
        self.shared = 0
        """Bytes of these that others hold as well, such as the frames of a broadcast: they count
        for this session in full, and not for many together."""
        self.mark = most if memory is None else min(most, REPORT_STEP)
        """`look` is to be called when more than this is held."""
        self.reported = 0
        self._of_session = False
        self.overdrawn = False
        self.owner: Owner | None = None
        """Who ends the session when all together keep too much; None once it is on its way out."""

    def taken_over(self, most: int) -> None:
        """A session keeps its things here, too, of which it may have `most` bytes, and closes the
        ledger: for one that was begun by its transport."""
        self._of_session = True
        self.most = most
        self.mark = min(most, self.mark)

    def belong_to(self, memory: MemoryOfMany) -> None:
        """It is one of those whose `memory` is bounded together, before it keeps anything."""
        self._memory = memory
        self.mark = min(self.most, REPORT_STEP)

    @property
    def own(self) -> int:
        """Bytes that would be free without this session."""
        return max(0, self.held - self.shared)

    @property
    def room(self) -> int:
        """Bytes that may still be kept."""
        return self.most - self.held

    def hold(self, size: int) -> None:
        """Keep `size` bytes more."""
        self.held += size
        if self.held > self.mark:
            self.look()

    def give_back(self, size: int) -> None:
        """`size` bytes less are kept."""
        self.held -= size

    def look(self) -> None:
        """More than `mark` is held: tell the sums; past the bound, note it."""
        if self.held > self.most:
            self.overdrawn = True
        memory = self._memory
        if memory is not None:
            growth = self.own - self.reported
            if growth > 0:
                self.reported += growth
                memory.add(self, growth)
            self.mark = min(self.most, self.held + REPORT_STEP)

    def update(self) -> None:
        """Tell also that less is held."""
        if self._memory is not None:
            self._memory.update(self)

    def shed(self) -> None:
        """Many together keep too much: have the session end."""
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.shed()

    def connection_over(self) -> None:
        """What its transport kept is given back; the session may not have ended all yet."""
        if not self._of_session:
            self.close()

    def close(self) -> None:
        """The session is over: nothing counts any more."""
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.remove(self)
        self.owner = None
        self.most = self.mark = sys.maxsize


class Kept:
    """A value in a ledger, until the last payload that refers to this is disposed of or collected:
    what a stream brings belongs to whoever reads it, who need not dispose of anything."""

    __slots__ = ("_ledger", "_size")

    def __init__(self, ledger: Ledger, size: int) -> None:
        self._ledger = ledger
        self._size = size
        ledger.hold(size)

    def __del__(self) -> None:
        self._ledger.held -= self._size


def kept(value: Any, ledger: Ledger) -> Kept | None:
    """`value` in the ledger; None if it is small, and covered by what the entry, or the call, that
    has it is counted with."""
    size = size_of(value, ledger.room)
    return Kept(ledger, size) if size > SMALL_VALUE else None
