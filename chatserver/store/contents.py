"""All that a store holds, as of one moment and whichever engine it is: what checking it goes by."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from chatserver.store.events import Event
from chatserver.store.state import Holding, Notice, UsedKey


class Entry(NamedTuple):
    """An event of the log, and how many chat messages there were with it."""

    event: Event
    said: int


class Contents(Protocol):
    """What is stored. Each method is called once, and may raise what the engine raises.

    Attributes:
        epoch: names the log's incarnation.
    """

    epoch: str

    def damage(self) -> Iterator[str]:
        """What the engine itself finds wrong with its data, in sentences."""
        ...

    def entries(self) -> Iterator[Entry]:
        """The log, from its oldest entry on."""
        ...

    def used_keys(self) -> Iterator[UsedKey]:
        """Idempotency keys, by the ids of their events."""
        ...

    def holdings(self) -> Iterator[Holding]:
        """Names that are not free, in joining order."""
        ...

    def notices(self) -> Iterator[Notice]:
        """What waits to be told, in its order."""
        ...
