"""What Python lets everybody do to an object, and what makes no sense for one that is elsewhere.

A stub has any attribute, since its peer may have it. So a mistake is no AttributeError by itself: a
promise in an `if` would be true, a loop over a stub would call `__getitem__(0)`, `(1)`, … without
end. Each of these raises a TypeError here, which says what to do instead.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Set
from dataclasses import is_dataclass
from datetime import date, time, timedelta
from enum import Enum
from typing import Final, NoReturn
from uuid import UUID

import msgspec

from ..values.javascript import JSDate, Undefined

ASK_FOR_RESULT: Final = "Call result() for its value."

ASK_THE_PEER: Final = (
    "It stands for an object that is elsewhere: call a method of it, and result() of what that"
    " returns."
)

COMPARED: Final = (
    type(None),
    Undefined,
    numbers.Number,
    str,
    bytes,
    bytearray,
    list,
    tuple,
    dict,
    Set,
    date,
    time,
    timedelta,
    Enum,
    UUID,
    msgspec.Struct,
    JSDate,
)
"""Types of values that a result can be compared with, and that no promise equals."""


class Elsewhere:
    """An object at the peer, of which nothing is known here."""

    __slots__ = ()

    def __iter__(self) -> NoReturn:
        raise TypeError(f"A stub can't be iterated over. {ASK_THE_PEER}")

    def __contains__(self, item: object) -> NoReturn:
        raise TypeError(f"A stub contains nothing. {ASK_THE_PEER}")

    def __len__(self) -> NoReturn:
        raise TypeError(f"A stub has no length. {ASK_THE_PEER}")


class NotThereYet:
    """A result for which nobody has waited. These are what a forgotten `result()` leads to."""

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        raise TypeError(f"A promise is neither true nor false. {ASK_FOR_RESULT}")

    def __len__(self) -> NoReturn:
        raise TypeError(f"A promise has no length. {ASK_FOR_RESULT}")

    def __iter__(self) -> NoReturn:
        raise TypeError(f"A promise can't be iterated over. {ASK_FOR_RESULT}")

    def __contains__(self, item: object) -> NoReturn:
        raise TypeError(f"A promise contains nothing. {ASK_FOR_RESULT}")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, COMPARED) or is_dataclass(other):
            raise TypeError(f"A promise is not compared with {other!r:.50}. {ASK_FOR_RESULT}")
        # The other one may know better: `unittest.mock.ANY` equals everything.
        return True if self is other else NotImplemented

    __hash__ = object.__hash__

    @property
    def _condition(self) -> NoReturn:
        """What `concurrent.futures.wait` and `as_completed` ask of each Future first."""
        raise TypeError("A promise is no Future. Give this function promise.future() instead.")


def no_keywords(named: Iterable[str]) -> TypeError:
    """The error for arguments that were given by keyword."""
    names = ", ".join(f"{name}=" for name in named)
    return TypeError(
        f"Cap'n Web has no keyword arguments ({names}). Give arguments by position, or many options"
        " in a dict as the last one, as in JavaScript."
    )
