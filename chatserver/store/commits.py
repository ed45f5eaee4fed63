"""How long a store takes to write: counted, and told where it is so long that people notice."""

import logging
from typing import Final

from capnweb_sync.observe.durations import Durations
from chatserver.logs import tell

logger: Final = logging.getLogger("chatserver")

SLOW_SECONDS: Final = 1.0
"""From which on a message takes so long that its sender wonders."""


class Commits(Durations):
    """The commits of one store.

    Attributes:
        operations: how many operations they had in all.
    """

    __slots__ = ("operations",)

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def done(self, seconds: float, operations: int) -> None:
        """One more, of so many operations."""
        self.note(seconds)
        self.operations += operations
        if seconds > SLOW_SECONDS:
            tell(
                logger,
                logging.WARNING,
                "The store is slow",
                seconds=round(seconds, 3),
                operations=operations,
            )
