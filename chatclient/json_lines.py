"""Events as lines of JSON, for other programs. `docs/terminal.md` has the fields; none is ever
renamed or taken away, and others may come."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from .events import Event

ALWAYS: Final = ("id", "type", "room", "user", "text")
"""Fields that each event has, beside its time."""


def json_line(event: Event) -> str:
    """An event in one line of ASCII, which no terminal and no pipe does anything with."""
    line: dict[str, Any] = {name: getattr(event, name) for name in ALWAYS}
    line["time"] = iso(event.time)
    if event.type in ("join", "leave"):
        line |= {"users": list(event.users), "count": event.count}
    if event.target:
        line["target"] = event.target
    if event.reply_to:
        line["reply_to"] = event.reply_to
    if event.edited is not None:
        line["edited"] = iso(event.edited)
    if event.removed:
        line["removed"] = True
    if event.reactions:
        line["reactions"] = {
            emoji: {"count": one.count, "users": list(one.users)}
            for emoji, one in event.reactions.items()
        }
    if event.type == "presence":
        line["online"] = event.online
    return json.dumps(line)


def iso(time: Any) -> str | None:
    """`2026-11-27T09:30:00.123Z`; None for a date that no calendar has."""
    if not isinstance(time, datetime):
        return None
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"
