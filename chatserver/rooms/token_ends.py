"""When tokens end with which people have come in."""

import time
from collections.abc import Iterable
from typing import Final

from chatserver.rooms.member import Member

LOOK_SECONDS: Final = 1.0
"""Between two looks: for as long somebody may stay beyond the end of its token."""


class TokenEnds:
    """Looks at the members of a process once in a while."""

    def __init__(self) -> None:
        self._next = 0.0

    def over(self, members: Iterable[Member]) -> list[Member]:
        """Those whose tokens are good no more; nobody as long as it is too early to look."""
        if time.monotonic() < self._next:
            return []
        self._next = time.monotonic() + LOOK_SECONDS
        now = time.time()
        return [
            member
            for member in members
            if member.identity is not None and member.identity.until <= now
        ]
