"""Answers as tables for people, and as JSON for programs.

Names and titles were typed by others: what could do something to a terminal is written as its
number.
"""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from chatserver.errors import StartError
from chatserver.output import write_output

WIDE: Final = frozenset({"W", "F"})
"""Characters of these widths (UAX #11) take two columns."""


def say(text: str) -> None:
    """Write a line. Raises StartError."""
    failure = write_output(f"{text}\n")
    if failure is not None:
        raise StartError(f"Standard output cannot be written to: {failure.strerror}.")


def as_json(value: Any) -> str:
    """A value in one line of ASCII; dates in ISO 8601."""
    return json.dumps(value, default=datetime.isoformat)


def table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The fields of these names, one row each, below their names."""
    lines = [[column.upper() for column in columns]]
    lines += [[cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            text + " " * (wide - width(text)) for text, wide in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    ]


def cell(value: Any) -> str:
    """A value as people read it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
    return harmless(str(value))


def harmless(text: str) -> str:
    """A text in one line that does nothing to a terminal."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def width(text: str) -> int:
    """How many columns a text takes."""
    return sum(
        0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in WIDE)
        for one in text
    )
