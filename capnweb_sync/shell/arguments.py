"""What is typed on a command line, as what a call takes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

STRING_OR_CALLBACK: Final = re.compile(r'"(?:[^"\\]|\\.)*"|@')
"""Finds each JSON string, and each `@` that stands in none."""

CALLBACK: Final = "\0callback"
"""Stands for `@` while an argument is read as JSON; nobody can type the character 0."""


def argument(text: str, callback: Callable[..., Any]) -> Any:
    """The value of an argument: JSON, where `@` stands for `callback`, or else the text itself."""

    def json_for(found: re.Match[str]) -> str:
        return json.dumps(CALLBACK) if found[0] == "@" else found[0]

    try:
        value = json.loads(STRING_OR_CALLBACK.sub(json_for, text), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text
    return _with(value, callback)


def _refuse(constant: str) -> Any:
    """For `NaN` and `Infinity`, which the standard library reads although they are not JSON."""
    raise ValueError(f"{constant} is not JSON")


def _with(value: Any, callback: Callable[..., Any]) -> Any:
    if value == CALLBACK:
        return callback
    if isinstance(value, list):
        return [_with(item, callback) for item in value]
    if isinstance(value, dict):
        return {name: _with(item, callback) for name, item in value.items()}
    return value


def path(text: str) -> list[str | int]:
    """The way to a method: names between dots, where whole numbers are places in a list. Raises
    ValueError for an empty name."""
    parts = text.split(".")
    if not all(parts):
        raise ValueError(f"a method is a name, or names with dots between, not {text!r}")
    return [int(part) if part.isdecimal() else part for part in parts]
