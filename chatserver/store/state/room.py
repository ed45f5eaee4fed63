"""One room in memory: who is in it, and where its events end."""

import math

from chatserver.store.seats import REACTION_INTERVAL_MS, RoomKind
from chatserver.store.state.notices import Notices
from chatserver.store.state.records import Pass, RoomRecord, SeatRecord


class Room:
    """What is decided about a room is decided by this.

    Attributes:
        seats: by identity, in the order in which they began.
        last_id: its newest event, 0 before the first.
        said: how many messages there ever were.
        notices: of who joined and who left; None in a direct room, where nobody does.
        reacted: messages whose reactions have changed and are not told yet, in order.
        reacted_at: when a `react` event was told last, by the steady clock in milliseconds.
        passes: those that are good, by digest.
    """

    __slots__ = (
        "everything",
        "kind",
        "last_id",
        "maker",
        "name",
        "notices",
        "number",
        "owner",
        "passes",
        "reacted",
        "reacted_at",
        "said",
        "seats",
        "title",
        "topic",
    )

    def __init__(self, record: RoomRecord) -> None:
        self.number = record.number
        self.name = record.name
        self.kind: RoomKind = record.kind
        self.title = record.title
        self.topic = record.topic
        self.owner = record.owner
        self.maker = record.maker
        self.everything = record.everything
        self.last_id = record.last_id
        self.said = record.said
        self.seats: dict[str, SeatRecord] = {}
        self.notices = None if record.kind == "direct" else Notices(record.number)
        self.reacted: dict[int, None] = {}
        self.reacted_at: int | None = None
        self.passes: dict[str, Pass] = {}

    @property
    def record(self) -> RoomRecord:
        """What an engine keeps of it."""
        return RoomRecord(
            self.number,
            self.name,
            self.kind,
            self.title,
            self.topic,
            self.owner,
            self.maker,
            self.everything,
            self.last_id,
            self.said,
        )

    def due(self) -> float:
        """The steady moment at which there is something to tell of it; infinite if nothing is."""
        moments = list(self.notices.due()) if self.notices else []
        if self.reacted:
            told_at = self.reacted_at
            moments.append(0 if told_at is None else told_at + REACTION_INTERVAL_MS)
        return min(moments, default=math.inf)

    @property
    def hidden(self) -> bool:
        """Whether what was said before one's seat is not to be read."""
        return self.kind == "private" and not self.everything
