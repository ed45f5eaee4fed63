"""A view of all that there is, which goes on until it is interrupted."""

import shutil
import signal
import sys
from datetime import datetime, timezone
from typing import Any, Final

import gevent
from gevent.event import Event

from chatserver.admin.connection import Administration
from chatserver.admin.tables import as_json, say, table

CLEAR: Final = "\x1b[H\x1b[J"
"""What lets a terminal (ECMA-48) begin anew at its top."""

LISTED: Final = 100
"""Of each list, what is asked for: as much as a screen has."""


def watch(admin: Administration, seconds: float, programs: bool) -> None:
    """Show everything again and again, until SIGINT or SIGTERM. Raises StartError, and what asking
    raises."""
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, stop.set)
    while not stop.is_set():
        shown = view(admin)
        if programs:
            say(as_json(shown))
        elif sys.stdout is not None and sys.stdout.isatty():
            columns, lines = shutil.get_terminal_size()
            say(CLEAR + "\n".join(line[:columns] for line in page_of(shown)[: lines - 1]))
        else:
            say("\n".join([*page_of(shown), ""]))
        stop.wait(seconds)


def view(admin: Administration) -> dict[str, Any]:
    """All that there is, at this moment."""

    def ask(what: str) -> Any:
        return admin.ask(what, {"limit": LISTED})

    return {
        "time": datetime.now(timezone.utc),
        "statistics": admin.ask("statistics"),
        "sanctions": ask("sanctions"),
        "connections": ask("connections"),
        "rooms": ask("rooms"),
    }


def page_of(shown: dict[str, Any]) -> list[str]:
    """The same for people."""
    numbers = "  ".join(f"{name} {number}" for name, number in shown["statistics"].items())
    busiest = sorted(shown["rooms"], key=lambda room: -room["people"])
    return [
        f"{shown['time'].astimezone():%H:%M:%S}  {numbers}",
        *(["", *table(SANCTIONS, shown["sanctions"])] if shown["sanctions"] else []),
        "",
        *table(CONNECTIONS, shown["connections"]),
        "",
        *table(ROOMS, busiest),
    ]


PEOPLE: Final = ("name", "role", "online", "rooms")
CONNECTIONS: Final = ("name", "account", "connected")
ROOMS: Final = ("name", "kind", "people", "title", "topic")
SANCTIONS: Final = ("id", "kind", "name", "by", "time", "until", "reason")
