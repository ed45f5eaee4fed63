"""What the server itself sends: each connection gets each event once, in order, from `since` on.

The library would sort out what comes twice; here nothing is sorted out.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from tests.proxy.link import UP, Direction, Inspector, Link

EVENT = re.compile(r'\["push",\["pipeline",-\d+,\["onMessage"\],\[\{"id":')
"""An event on its way to somebody who has logged in with an object of its own."""

LOBBY = "lobby"
LOGIN = '["push",["pipeline",0,["login"]'


class WireOrder:
    """An inspector for connections with one member each, as the library makes them.

    Attributes:
        findings: sentences on what came twice, too early, or not at all.
    """

    def __init__(self, further: Inspector | None = None) -> None:
        """`further` decides what is passed on; without it, everything is."""
        self._further = further
        self._last: WeakKeyDictionary[Link, int] = WeakKeyDictionary()
        self._gaps: WeakKeyDictionary[Link, Gap | None] = WeakKeyDictionary()
        self.findings: list[str] = []

    def __call__(self, link: Link, direction: Direction, text: str) -> bool:
        """Look at a message; whether it is passed on."""
        if direction is UP:
            if text.startswith(LOGIN):
                options = json.loads(text)[1][3][1]
                if options.get("since") is not None:
                    self._last[link] = options["since"]
                    self._gaps[link] = None
        elif '"recovered":' in text and text.startswith('["resolve",'):
            self._begin(link, json.loads(text)[2])
        elif EVENT.match(text) is not None:
            event = json.loads(text)[1][3][0]
            # Who has joined by `join` is not told what was before.
            self._take(link, event["id"], event.get("prev", 0))
        return self._further is None or self._further(link, direction, text)

    def _begin(self, link: Link, me: dict[str, Any]) -> None:
        """The answer to a join, or what somebody is who has logged in."""
        gap = self._gaps.pop(link, None)
        if not me["recovered"]:
            self._last[link] = me["lastId"]
        elif "rooms" in me and link in self._last:
            # Who was away for too long has left: it hears what comes after it has entered anew.
            begins = max(
                (room["from"] for room in me["rooms"][0] if room["name"] == LOBBY), default=0
            )
            if gap is not None and begins < gap.before:
                self.findings.append(str(gap))
            elif begins:
                self._last[link] = max(self._last[link], begins)
            else:
                del self._last[link]

    def _take(self, link: Link, number: int, before: int) -> None:
        last = self._last.get(link, before)
        if not before <= last < number:
            gap = Gap(number, before, last)
            if before > last and self._gaps.get(link, gap) is None:
                # From where it is to hear is not told yet.
                self._gaps[link] = gap
            else:
                self.findings.append(str(gap))
        self._last[link] = number


class Gap(NamedTuple):
    """An event that was not to come after `last`."""

    number: int
    before: int
    last: int

    def __str__(self) -> str:
        return f"On one connection, the server sent {self.number} after {self.last}."
