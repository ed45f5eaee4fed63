"""Who joined a room and who left it, and was not told of yet."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from chatserver.store.events import NoticeType
from chatserver.store.interface import MAX_NOTICES, NOTICE_INTERVAL_MS
from chatserver.store.state.records import Changes, Notice

NOTICE_TYPES: Final[tuple[NoticeType, ...]] = ("join", "leave")


class Gathered(NamedTuple):
    """What one event tells: names, the number of all, and whose it is if that is one."""

    names: list[str]
    number: int
    by: str


class Notices:
    """Those of one room, by kind and key. Of one name at most two wait: a leave, and then a
    join."""

    __slots__ = ("_nameless", "_room", "_told_at", "_waiting")

    def __init__(self, room: int) -> None:
        self._room = room
        self._told_at: dict[NoticeType, int] = {}
        self._waiting: dict[NoticeType, dict[str, Notice]] = {"join": {}, "leave": {}}
        # How many more there are, whose names are not kept; forgotten when the process dies.
        self._nameless: dict[NoticeType, int] = {"join": 0, "leave": 0}

    def __bool__(self) -> bool:
        return any(self._waiting.values())

    def note(self, changes: Changes, pending: Notice) -> bool:
        """Let a notice wait until it is told; False if it need not be kept."""
        joins, mine = self._waiting["join"], self._waiting[pending.type]
        if pending.type == "leave" and pending.key in joins:
            # Nobody was told of either.
            changes.told.append(joins.pop(pending.key).number)
            return False
        if len(mine) >= MAX_NOTICES:
            self._nameless[pending.type] += 1
            return False
        mine[pending.key] = pending
        return True

    def gather(self, changes: Changes, kind: NoticeType, steady: int) -> Gathered | None:
        """All of this kind that may be told, if it is time for one event; they wait no more."""
        told_at = self._told_at.get(kind)
        if told_at is not None and steady - told_at < NOTICE_INTERVAL_MS:
            return None
        told = list(self._tellable(kind))
        if not told:
            return None
        for pending in told:
            del self._waiting[kind][pending.key]
        self._told_at[kind] = steady
        changes.told += [pending.number for pending in told]
        count, self._nameless[kind] = len(told) + self._nameless[kind], 0
        by = told[0].by if count == 1 else ""
        return Gathered([pending.name for pending in told], count, by)

    def due(self) -> Iterator[int]:
        """The moments at which there is something to tell; 0 for what was never told before."""
        for kind in NOTICE_TYPES:
            if any(self._tellable(kind)):
                told_at = self._told_at.get(kind)
                yield 0 if told_at is None else told_at + NOTICE_INTERVAL_MS

    def forget(self) -> list[int]:
        """The numbers of all that wait, which do so no more."""
        numbers = [n.number for waiting in self._waiting.values() for n in waiting.values()]
        for waiting in self._waiting.values():
            waiting.clear()
        return numbers

    def _tellable(self, kind: NoticeType) -> Iterator[Notice]:
        """Those of this kind that wait for nothing but their interval: who left and came back is
        told to have left first."""
        first = self._waiting["leave"] if kind == "join" else {}
        return (pending for key, pending in self._waiting[kind].items() if key not in first)
