"""The options of calls: plain objects whose entries may be missing.

An entry that is absent, `null` or `undefined` is absent; one that the chat does not know is
ignored, since a newer client may send it. What an entry may be stands in its type; a wrong type is
a TypeError that names the entry, a wrong value an Error.
"""

from typing import Annotated, Any, Final, TypeVar, get_args

from msgspec import Meta, Struct, ValidationError, convert
from msgspec.structs import fields

from capnweb_sync import undefined
from chatserver.errors import BadRequest, BadType
from chatserver.people.names import MAX_KEY
from chatserver.store.seats import PASS_DAYS

HISTORY_EVENTS: Final = 50
"""Events that `getHistory` returns unless asked for another number: two screenfuls."""

LISTED: Final = 200
"""Rooms or people that one list returns unless asked for another number."""

MAX_LISTED: Final = 500
"""The most of them: as many as events of one read."""

MAX_PASS_DAYS: Final = 365.0
"""Days for which a pass may be good: who needs one for longer makes another one."""

MAX_PASS_USES: Final = 10_000
"""Uses of a pass at most."""

MAX_CURSOR: Final = 128
"""Characters of the name that a part of a list comes after: more than any name has, spelled out."""

MAX_TOKEN: Final = 64
"""Characters of an `epoch` or a secret: several times what any has had."""

# For each: `title` is its type, and `description` its bounds, in the words of an error.
EventId = Annotated[int, Meta(ge=0, title="a whole number", description="0 or more")]
Limit = Annotated[int, Meta(ge=1, title="a whole number", description="1 or more")]
Token = Annotated[
    str,
    Meta(
        max_length=MAX_TOKEN,
        title="a string",
        description=f"at most {MAX_TOKEN} characters long",
    ),
]
"""Something that the server has given out."""

Key = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_KEY,
        title="a string",
        description=f"1 to {MAX_KEY} characters long",
    ),
]


Cursor = Annotated[
    str,
    Meta(
        max_length=MAX_CURSOR,
        title="a string",
        description=f"at most {MAX_CURSOR} characters long",
    ),
]
Typed = Annotated[str, Meta(title="a string")]
"""Something that somebody has typed; checked by its own rules."""

Days = Annotated[
    float,
    Meta(
        gt=0, le=MAX_PASS_DAYS, title="a number", description=f"above 0, {MAX_PASS_DAYS:g} at most"
    ),
]
Uses = Annotated[
    int, Meta(ge=1, le=MAX_PASS_USES, title="a whole number", description=f"1 to {MAX_PASS_USES}")
]


class JoinOptions(Struct, frozen=True):
    """Of `join`: the last event that was delivered, the log that its id is of, the secret of the
    membership to go on with, and the token of an account."""

    since: EventId | None = None
    epoch: Token | None = None
    resume: Token | None = None
    token: Typed | None = None


class LoginOptions(JoinOptions, frozen=True):
    """Of `login`: those of `join`, and the `name` of a guest, who has no token."""

    name: Typed | None = None


class SendOptions(Struct, frozen=True):
    """Of `sendMessage`: what makes sending it again harmless."""

    key: Key | None = None


class SayOptions(SendOptions, frozen=True):
    """Of `Room.say`, and the message that is answered."""

    replyTo: EventId | None = None


class HistoryOptions(Struct, frozen=True):
    """Of `getHistory`, `Room.history` and `Room.events`: bounds, both exclusive, and how many
    events; a limit past what one read returns is that."""

    after: EventId | None = None
    before: EventId | None = None
    limit: Limit = HISTORY_EVENTS


class ListOptions(Struct, frozen=True):
    """Of lists that are sorted by name: the last name of the part before, and how many."""

    after: Cursor | None = None
    limit: Limit = LISTED


class SanctionOptions(Struct, frozen=True):
    """Of `sanctions`: the last id of the part before, and how many."""

    after: EventId | None = None
    limit: Limit = LISTED


class BanOptions(Struct, frozen=True):
    """Of `Admin.ban`: who or what is banned, one of both."""

    name: Typed | None = None
    address: Typed | None = None


class OpenOptions(Struct, frozen=True):
    """Of `open`: what a private room is called, what it is about, and whether later ones may read
    `all` that was before; what they hear begins with their coming otherwise."""

    title: Typed | None = None
    topic: Typed | None = None
    history: Typed | None = None


class PassOptions(Struct, frozen=True):
    """Of `createPass`: for how many days it is good, and how often; without `uses` as often as one
    likes."""

    days: Days = PASS_DAYS
    uses: Uses | None = None


Options = TypeVar("Options", bound=Struct)


def read_options(options: Any, kind: type[Options]) -> Options:
    """What a caller has passed as `options`. Raises BadType, BadRequest."""
    if options is None or options is undefined:
        return kind()
    if not isinstance(options, dict):
        raise BadType(f"The options are a plain object, not {kind_of(options)}.")
    given = {
        name: value
        for name in kind.__struct_fields__
        if (value := options.get(name)) is not None and value is not undefined
    }
    try:
        return convert(given, kind)
    except (ValidationError, UnicodeEncodeError):  # which it raises for a lone surrogate
        raise misfit(given, kind) from None


def misfit(given: dict[str, Any], kind: type[Options]) -> BadType | BadRequest:
    """Which entry of `given` does not fit, and why."""
    for entry in fields(kind):
        # `Key | None` has the declaration among its parts.
        declared = next((part for part in get_args(entry.type) if get_args(part)), entry.type)
        plain, meta = declared.__origin__, declared.__metadata__[0]
        value = given.get(entry.name)
        if value is None:
            continue
        if type(value) is not plain and (plain, type(value)) != (float, int):
            return BadType(f"The option '{entry.name}' is {meta.title}, not {kind_of(value)}.")
        try:
            convert(value, declared)
        except ValidationError:
            found = f"{len(value)}" if isinstance(value, str) else f"{value}"
            return BadRequest(f"The option '{entry.name}' is {meta.description}, not {found}.")
    raise AssertionError("All entries fit.")


KINDS: Final = {
    bool: "a boolean",
    int: "a number",
    float: "a number with a fraction",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def kind_of(value: Any) -> str:
    """What `value` is, in JavaScript's words."""
    return KINDS.get(type(value), f"a {type(value).__name__}")
