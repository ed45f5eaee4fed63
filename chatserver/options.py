"""The options of calls: plain objects whose entries may be missing.

An entry that is absent, `null` or `undefined` is absent; one that the chat does not know is
ignored, since a newer client may send it. A wrong type is a TypeError that names the entry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from capnweb_sync import undefined
from chatserver.errors import BadRequest, BadType
from chatserver.people.names import MAX_KEY
from chatserver.store.interface import MAX_READ_EVENTS

HISTORY_EVENTS: Final = 50
"""Events that `getHistory` returns unless asked for another number: two screenfuls."""

MAX_TOKEN: Final = 64
"""Characters of an `epoch` or a secret: several times what any has had."""

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JoinOptions:
    """Of `join`: the last event that was delivered, the log that its id is of, and the secret of
    the membership to go on with."""

    since: int | None = None
    epoch: str | None = None
    resume: str | None = None

    @classmethod
    def of(cls, options: Any) -> "JoinOptions":
        """Raises BadType, BadRequest."""
        entries = as_options(options)
        return cls(
            whole(entries, "since", least=0), token(entries, "epoch"), token(entries, "resume")
        )


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """Of `getHistory`: bounds, both exclusive, and how many events."""

    after: int | None = None
    before: int | None = None
    limit: int = HISTORY_EVENTS

    @classmethod
    def of(cls, options: Any) -> "HistoryOptions":
        """Raises BadType, BadRequest. A limit past what one read returns is that."""
        entries = as_options(options)
        limit = whole(entries, "limit", least=1) or HISTORY_EVENTS
        return cls(
            whole(entries, "after", least=0),
            whole(entries, "before", least=0),
            min(limit, MAX_READ_EVENTS),
        )


def sent_key(options: Any) -> str | None:
    """The `key` of `sendMessage`. Raises BadType, BadRequest."""
    key = text(as_options(options), "key")
    if key is not None and not 1 <= len(key) <= MAX_KEY:
        raise BadRequest(f"The option 'key' has 1 to {MAX_KEY} characters, not {len(key)}.")
    return key


def as_options(options: Any) -> Options:
    """`options` as a mapping, empty if there are none. Raises BadType."""
    if options is None or options is undefined:
        return {}
    if not isinstance(options, dict):
        raise BadType(f"The options are a plain object, not {kind(options)}.")
    return options


def whole(options: Options, name: str, *, least: int) -> int | None:
    """A whole number, None if absent. Raises BadType, BadRequest."""
    value = present(options, name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadType(f"The option '{name}' is a whole number, not {kind(value)}.")
    if value < least:
        raise BadRequest(f"The option '{name}' is {least} or more, not {value}.")
    return value


def text(options: Options, name: str) -> str | None:
    """A string, None if absent. Raises BadType."""
    value = present(options, name)
    if value is not None and not isinstance(value, str):
        raise BadType(f"The option '{name}' is a string, not {kind(value)}.")
    return value


def token(options: Options, name: str) -> str | None:
    """A string that the server has given out, None if absent. Raises BadType, BadRequest."""
    value = text(options, name)
    if value is not None and len(value) > MAX_TOKEN:
        raise BadRequest(
            f"The option '{name}' has {MAX_TOKEN} characters at most, not {len(value)}."
        )
    return value


def present(options: Options, name: str) -> Any:
    """The entry, None if absent."""
    value = options.get(name)
    return None if value is undefined else value


KINDS: Final = {
    bool: "a boolean",
    int: "a number",
    float: "a number with a fraction",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def kind(value: Any) -> str:
    """What `value` is, in JavaScript's words."""
    if value is None:
        return "null"
    return KINDS.get(type(value), f"a {type(value).__name__}")
