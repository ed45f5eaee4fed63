"""What moderators do by typing: `/mute`, `/kick`, `/ban`, `/lift`, and `/remove` of what others
said."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from .client import ChatClient
from .commands import Misuse, addressed, targeted
from .display import escaped
from .errors import Forbidden, NoSuchRoom
from .moderation import Moderator, Sanction
from .outgoing import Task
from .places import Place
from .showing import Showing

LASTING: Final = re.compile(r"([1-9][0-9]{0,3})([smhdw])(?:\s+|$)")
"""For how long: `10m`."""

SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Moderating:
    """What one does to others in the present room, if one may."""

    def __init__(
        self,
        chat: ChatClient,
        showing: Showing,
        names: set[str],
        later: Callable[[Task], None],
    ) -> None:
        """`names` are those that are known; what asks the server is handed to `later`."""
        self._chat = chat
        self._showing = showing
        self._names = names
        self._later = later

    def may(self, place: Place) -> bool:
        """Whether one may moderate a room: the server is asked only where that can be. Raises
        ChatError."""
        private, direct = place.name.startswith("+"), place.name.startswith("@")
        if direct or not (private or self._chat.role in ("moderator", "admin")):
            return False
        try:
            self._chat.moderate(place.name)
        except (Forbidden, NoSuchRoom):
            return False
        return True

    def mute(self, line: str, rest: str) -> None:
        """Let somebody say nothing. Raises Misuse."""
        name, seconds, reason = self._whom(rest)
        self._do(line, lambda moderator: moderator.mute(name, seconds, reason))

    def ban(self, line: str, rest: str) -> None:
        """Send somebody out, and do not let in again. Raises Misuse."""
        name, seconds, reason = self._whom(rest)
        self._do(line, lambda moderator: moderator.ban(name, seconds, reason))

    def kick(self, line: str, rest: str) -> None:
        """Send somebody out. Raises Misuse."""
        name, reason = addressed(rest, self._names)
        self._do(line, lambda moderator: moderator.kick(name, reason))

    def remove(self, line: str, message: int, reason: str) -> None:
        """Erase what somebody else has said."""
        self._do(line, lambda moderator: moderator.remove(message, reason))

    def lift(self, line: str, rest: str) -> None:
        """End a sanction by its number, or all of somebody's; or say which there are."""
        number = targeted(rest)[0].number
        name = rest.removeprefix("@").casefold()

        def lift(moderator: Moderator) -> None:
            there = moderator.sanctions()
            meant = [
                one for one in there if number == one.id or name == (one.name or "").casefold()
            ]
            if not rest:
                for one in there:
                    self._showing.say(told(one))
            for one in meant:
                moderator.lift(one.id)
            if not (meant if rest else there):
                self._showing.complain("There is no such sanction here.")

        self._do(line, lift)

    def _whom(self, rest: str) -> tuple[str, float | None, str]:
        """Who is meant by what stands behind a command, for how many seconds, and why."""
        name, more = addressed(rest, self._names)
        found = LASTING.match(more)
        if found is None:
            return name, None, more
        return name, int(found[1]) * SECONDS[found[2]], more[found.end() :]

    def _do(self, line: str, act: Callable[[Moderator], object]) -> None:
        place = self._showing.places.present
        if not place.name:
            raise Misuse("Nobody moderates here.")

        def do() -> None:
            act(self._chat.moderate(place.name))

        self._later(Task(line, do))


def told(sanction: Sanction) -> str:
    """`#3 mute of Bob by Ann until 27 November 10:30: spam`."""
    whose = escaped(sanction.name or "an address")
    until = ""
    if isinstance(sanction.until, datetime):
        local = sanction.until.astimezone()
        until = f" until {local.day} {local:%B %H:%M}"
    why = f": {escaped(sanction.reason)}" if sanction.reason else ""
    return f"#{sanction.id} {sanction.kind} of {whose} by {escaped(sanction.by)}{until}{why}"
