"""Where the log ends: what is stored next, in which room."""

from collections.abc import Iterable

from chatserver.store.events import Event, EventType, Reactions, date
from chatserver.store.seats import SeatChange
from chatserver.store.state.archive import Archive
from chatserver.store.state.records import Changes
from chatserver.store.state.room import Room
from chatserver.store.values import Moment, Receipt


class LogEnd:
    """Adds entries.

    Attributes:
        first_id: the oldest entry there; `last_id + 1` if there is none. The engine's to move.
        last_id: the newest one.
        archive: where they go.
        changes: what has changed since the engine took it last.
    """

    def __init__(self, archive: Archive, first_id: int, last_id: int) -> None:
        self.archive = archive
        self.first_id = first_id
        self.last_id = last_id
        self.changes = Changes()

    def add(
        self,
        now: Moment,
        room: Room,
        kind: EventType,
        user: str,
        text: str,
        *,
        by: str = "",
        users: tuple[str, ...] = (),
        count: int = 0,
        target: int = 0,
        reply_to: int = 0,
        reactions: Reactions | None = None,
        seats: tuple[SeatChange, ...] = (),
    ) -> Receipt:
        """An event of a room."""
        if kind == "chat":
            room.said += 1
        event = Event(
            self.last_id + 1,
            kind,
            user,
            text,
            now.wall,
            users,
            count,
            room.name,
            room.last_id,
            by,
            target,
            reply_to,
            room.said,
            seats,
            reactions=reactions,
        )
        room.last_id = event.id
        self._add(event, room.number)
        return Receipt(event.id, date(now.wall))

    def change_seats(self, now: Moment, seats: Iterable[SeatChange]) -> None:
        """An entry that is told to nobody; a seat that begins with it has its id as its number."""
        number = self.last_id + 1
        self._add(Event(number, "seat", "", "", now.wall, room="", seats=tuple(seats)), None)

    def _add(self, event: Event, room: int | None) -> None:
        self.last_id = event.id
        self.changes.events.append(event)
        self.archive.add(event, room)
