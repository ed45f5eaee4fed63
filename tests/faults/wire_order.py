"""What the server itself sends: each connection gets each event once, in order, from `since` on.

The library would sort out what comes twice; here nothing is sorted out.
"""

import json
import re
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
        self.findings: list[str] = []

    def __call__(self, link: Link, direction: Direction, text: str) -> bool:
        """Look at a message; whether it is passed on."""
        if direction is UP:
            if text.startswith(LOGIN):
                options = json.loads(text)[1][3][1]
                if options.get("since") is not None:
                    self._last[link] = options["since"]
        elif '"recovered":' in text and text.startswith('["resolve",'):
            me = json.loads(text)[2]
            if not me["recovered"]:
                self._last[link] = me["lastId"]
            elif "rooms" in me and link in self._last:
                # Who was away for too long has left: it hears what comes after it has entered anew.
                begins = [room["from"] for room in me["rooms"][0] if room["name"] == LOBBY]
                if begins:
                    self._last[link] = max(self._last[link], *begins)
                else:
                    del self._last[link]
        elif EVENT.match(text) is not None:
            event = json.loads(text)[1][3][0]
            number = event["id"]
            # Who has joined by `join` is not told.
            before = event.get("prev", 0)
            last = self._last.get(link, before)
            if not before <= last < number:
                self.findings.append(f"On one connection, the server sent {number} after {last}.")
            self._last[link] = number
        return self._further is None or self._further(link, direction, text)
