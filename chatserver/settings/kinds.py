"""What a setting is: a field with a default, a help, and a kind, which makes its value of a string.

A kind is a type with bounds, or a function that raises ValueError with what is wrong.
"""

import ipaddress
import sys
from collections.abc import Callable
from dataclasses import field
from typing import Annotated, Any, Final

from msgspec import Meta, ValidationError, convert

from chatserver.logs import FORMATTERS
from chatserver.people.limits import Network
from chatserver.people.token_terms import MIN_SECRET_BYTES

MIB: Final = 1024 * 1024

MAX_PORT: Final = 65_535
"""The largest TCP port (RFC 9293, section 3.1)."""

MIN_OUTBOX: Final = 64 * 1024
MIN_MEMORY: Final = 64 * MIB
"""Bytes: four clients that keep all that one may."""

MIN_MESSAGE: Final = 16 * 1024
"""Bytes that any conversation needs: an event of 4,000 characters, and its like."""

FINITE: Final = sys.float_info.max
"""Neither infinite nor no number at all."""


def text(value: str) -> str:
    """Any text but none."""
    if not value.strip():
        raise ValueError("must not be empty")
    return value


# For each: `title` is its type, and `description` its bounds, in the words of an error.
Port = Annotated[
    int, Meta(ge=0, le=MAX_PORT, title="a whole number", description=f"from 0 to {MAX_PORT}")
]
OwnPort = Annotated[
    int, Meta(ge=1, le=MAX_PORT, title="a whole number", description=f"from 1 to {MAX_PORT}")
]
CountOrZero = Annotated[int, Meta(ge=0, title="a whole number", description="0 or more")]
Count = Annotated[int, Meta(ge=1, title="a whole number", description="1 or more")]
OutboxBytes = Annotated[
    int,
    Meta(ge=MIN_OUTBOX, title="a whole number", description=f"{MIN_OUTBOX} or more"),
]
MemoryBytes = Annotated[
    int,
    Meta(ge=MIN_MEMORY, title="a whole number", description=f"{MIN_MEMORY} or more"),
]
MessageBytes = Annotated[
    int,
    Meta(ge=MIN_MESSAGE, title="a whole number", description=f"{MIN_MESSAGE} or more"),
]
Seconds = Annotated[float, Meta(ge=0, le=FINITE, title="a number", description="0 or more")]
Positive = Annotated[float, Meta(gt=0, le=FINITE, title="a number", description="more than 0")]
"""Seconds, days, or bytes a second."""


def read_as(kind: Any) -> Callable[[str], Any]:
    """The `parse` of a setting that one of the types above declares."""
    plain, meta = kind.__origin__, kind.__metadata__[0]

    def parse(value: str) -> Any:
        try:
            parsed = plain(value)
        except ValueError:
            raise ValueError(f"must be {meta.title}") from None
        try:
            return convert(parsed, kind)
        except ValidationError:
            raise ValueError(f"must be {meta.description}") from None

    return parse


def network(value: str) -> Network:
    """An IP address or a range of them."""
    try:
        return ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("must be an IP address, or a range like 192.0.2.0/24") from None


def log_level(value: str) -> str:
    """A level of the standard library's logging."""
    level = value.upper()
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        raise ValueError("must be DEBUG, INFO, WARNING, ERROR or CRITICAL")
    return level


def guests(value: str) -> str:
    """Whether guests are let in."""
    if value not in ("yes", "no", "read"):
        raise ValueError("must be yes, no or read")
    return value


def open_rooms(value: str) -> str:
    """Who may make rooms."""
    if value not in ("everyone", "accounts", "moderators"):
        raise ValueError("must be everyone, accounts or moderators")
    return value


def secret_text(value: str) -> str:
    """A secret that nobody guesses."""
    if len(value.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"must have {MIN_SECRET_BYTES} bytes at least")
    return value


def log_format(value: str) -> str:
    """A form of lines."""
    if value not in FORMATTERS:
        raise ValueError(f"must be {' or '.join(FORMATTERS)}")
    return value


def flag(value: str) -> bool:
    """Whether something is wanted, in the environment."""
    wanted = value.lower()
    if wanted not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ValueError("must be 1 or 0")
    return wanted in ("1", "true", "yes", "on")


def setting(
    default: Any,
    kind: Any,
    help: str,  # noqa: A002 - argparse's word
    metavar: str | None = None,
) -> Any:
    """A field of `Settings`; `kind` is one of the types above, or a function that makes its value
    of a string and raises ValueError with what is wrong. A tuple as default: the option can be
    repeated."""
    parse = read_as(kind) if hasattr(kind, "__metadata__") else kind
    return field(default=default, metadata={"parse": parse, "help": help, "metavar": metavar})


def secret_setting(kind: Callable[[str], Any]) -> Any:
    """A field of `Settings` that only the environment has, since others see the command line of a
    process. Nothing shows its value."""
    return field(default=None, repr=False, metadata={"parse": kind, "secret": True})
