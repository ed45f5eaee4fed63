"""What a server answers, looked at before it is believed.

The server may be another than ours, with the same calls: what it does not say is done without, and
what cannot be is a `BadAnswer`, which names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any, NamedTuple

from capnweb_sync import JSDate

from .errors import BadAnswer
from .events import Event, Receipt, number_of, string_of


class Log(NamedTuple):
    """The log of a server that numbers its events: what it takes to come back to it.

    `epoch` names its incarnation, `last_id` is its newest event, and `resume` is the secret with
    which another connection can take the name over.
    """

    epoch: str
    last_id: int
    resume: str


class Joined(NamedTuple):
    """The answer to a join; `log` is None where there is none to come back to. `rooms` are those
    that one is in, each with the id above which it is heard; None where there are no rooms. `role`
    is what an account is."""

    username: str
    log: Log | None
    rooms: Mapping[str, int] | None = None
    role: str | None = None


def joined(answer: Any, username: str) -> Joined:
    """The answer to a join with this name. Raises BadAnswer."""
    if not isinstance(answer, Mapping):
        raise BadAnswer(f"The server's answer to join is no object but {kind(answer)}.")
    name, epoch, resume = (answer.get(key) for key in ("username", "epoch", "resume"))
    last_id: Any = answer.get("lastId")
    log = None
    if isinstance(epoch, str) and isinstance(resume, str) and is_whole(last_id):
        log = Log(epoch, last_id, resume)
    return Joined(name if isinstance(name, str) else username, log)


def logged_in(me: Any, username: str) -> Joined:
    """What one is after logging in, `Person.me`. Raises BadAnswer."""
    if not isinstance(me, Mapping):
        raise BadAnswer(f"The server's answer to login is no object but {kind(me)}.")
    found = joined({**me, "username": me.get("name")}, username)
    if found.log is None:
        raise BadAnswer("The server's answer to login has no resume, epoch or lastId.")
    infos = [RoomInfo.of(room) for room in listed(me.get("rooms"), "rooms")]
    return found._replace(
        rooms={info.name: info.since for info in infos}, role=string_of(me.get("role")) or None
    )


class RoomInfo(NamedTuple):
    """A room as one sees it.

    Attributes:
        name: what it is called; begins with `+` or `@` where the server has named it.
        kind: `public`, `private` or `direct`.
        title: what people call it; a direct room is called as the other one.
        topic: what it is about.
        people: how many are in it.
        last_id: the id of its newest event.
        unread: messages above what was read.
        inside: whether one is in it.
        other: in a direct room the name of the other one.
        since: the id at which one came in.
    """

    name: str
    kind: str
    title: str
    topic: str
    people: int
    last_id: int
    unread: int
    inside: bool
    other: str | None
    since: int

    @classmethod
    def of(cls, value: Any) -> RoomInfo:
        """Read what the server says of a room.

        Args:
            value: what came.

        Returns:
            The room.

        Raises:
            BadAnswer: it is none.
        """
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise BadAnswer("The server has told of a room without a name.")
        other = string_of(value.get("with")) or None
        return cls(
            value["name"],
            string_of(value.get("kind")) or "public",
            other or string_of(value.get("title")) or value["name"],
            string_of(value.get("topic")),
            number_of(value.get("people")),
            number_of(value.get("lastId")),
            number_of(value.get("unread")),
            value.get("inside") is True,
            other,
            number_of(value.get("from")),
        )


class Occupant(NamedTuple):
    """Somebody in a room.

    Attributes:
        name: as it is shown.
        online: whether the person is.
        role: `owner`, `moderator` or `member`.
    """

    name: str
    online: bool
    role: str


def occupants(answer: Any) -> list[Occupant]:
    """The answer to `Room.people`. Raises BadAnswer."""
    found = [one for one in listed(answer, "people") if isinstance(one, Mapping)]
    return [
        Occupant(string_of(one.get("name")), one.get("online") is True, string_of(one.get("role")))
        for one in found
    ]


def listed(answer: Any, what: str) -> list[Any]:
    """A list that the server answers with. Raises BadAnswer."""
    if not isinstance(answer, list):
        raise BadAnswer(f"The server's {what} are no list but {kind(answer)}.")
    return answer


def fields(value: Any) -> Mapping[str, Any]:
    """An object that the server answers with. Raises BadAnswer."""
    if not isinstance(value, Mapping):
        raise BadAnswer(f"The server's answer is no object but {kind(value)}.")
    return value


def moment(value: Any) -> datetime | JSDate | None:
    """A date; None for anything else."""
    return value if isinstance(value, (datetime, JSDate)) else None


def receipt(answer: Any) -> Receipt:
    """The answer to a message: without an id, it is 0; without a time, it is now."""
    value = answer if isinstance(answer, Mapping) else {}
    time = value.get("time")
    if not isinstance(time, (datetime, JSDate)):
        time = datetime.now(timezone.utc)
    return Receipt(number_of(value.get("id")), time)


def names(answer: Any) -> list[str]:
    """The answer to listUsers. Raises BadAnswer."""
    if not isinstance(answer, list) or not all(isinstance(name, str) for name in answer):
        raise BadAnswer("The server's answer to listUsers is no list of names.")
    return answer


def count(answer: Any) -> int:
    """The server's userCount. Raises BadAnswer."""
    if not is_whole(answer):
        raise BadAnswer(f"The server's userCount is no number but {kind(answer)}.")
    return int(answer)


def goodbye(answer: Any) -> str:
    """The answer to leave, which may say nothing."""
    message = answer.get("message") if isinstance(answer, Mapping) else answer
    return message if isinstance(message, str) else ""


def history(answer: Any, after: int | None, before: int | None) -> Sequence[Event]:
    """The answer to getHistory: ascending, between these ids. Raises BadAnswer."""
    if not isinstance(answer, list):
        raise BadAnswer(f"The server's answer to getHistory is no list but {kind(answer)}.")
    events = [Event.of(event) for event in answer]
    ids = [after or 0, *(event.id for event in events)]
    if before is not None:
        ids.append(before)
    # Otherwise whoever reads on would read the same again, for ever.
    if any(later <= earlier for earlier, later in pairwise(ids)):
        raise BadAnswer("The server's answer to getHistory is not in the order of its ids.")
    return events


def is_whole(value: Any) -> bool:
    """Whether it is a whole number from 0 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def kind(value: Any) -> str:
    """What `value` is, for a sentence."""
    return "null" if value is None else f"a {type(value).__name__}"
