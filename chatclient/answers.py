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
from .events import Event, Receipt, number_of


class Log(NamedTuple):
    """The log of a server that numbers its events: what it takes to come back to it.

    `epoch` names its incarnation, `last_id` is its newest event, and `resume` is the secret with
    which another connection can take the name over.
    """

    epoch: str
    last_id: int
    resume: str


class Joined(NamedTuple):
    """The answer to a join; `log` is None where there is none to come back to."""

    username: str
    log: Log | None


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
