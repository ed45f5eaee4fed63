"""What a store refuses with, whichever engine it is: the same sentences for the same reasons."""

import math

from chatserver.errors import (
    BadRequest,
    Banned,
    ClaimLost,
    Forbidden,
    NameTaken,
    NoSuchMessage,
    NoSuchRoom,
    NotJoined,
    Sanctioned,
    TooMany,
    Unauthorized,
    Unavailable,
)
from chatserver.store.events import about, because


def taken(name: str, waits_ms: float | None) -> NameTaken:
    """A claim without the secret; of a name that waits, for so long yet."""
    if waits_ms is None:
        return NameTaken(f"The name {name} is taken; choose another one.")
    seconds = max(waits_ms, 0) / 1000
    return NameTaken(
        f"The name {name} is taken, for {math.ceil(seconds)} s yet unless its owner comes back; "
        "wait, or choose another one.",
        seconds,
    )


def looks_like(name: str, other: str) -> NameTaken:
    """A claim of a name that could be taken for another's."""
    return NameTaken(f"{name} looks like {other}, who is here; choose another name.")


def claim_lost() -> ClaimLost:
    """Whatever needs the name, by another than its holder."""
    return ClaimLost("This connection does not speak for the name any more; join again.")


def key_reused() -> BadRequest:
    """An idempotency key that came with another text before."""
    return BadRequest("This key was used for another text; use a new key for each message.")


def not_seated() -> NotJoined:
    """Whatever needs a seat in a room, with one that has ended."""
    return NotJoined("You are not in this room any more; enter it again.")


def no_such_room() -> NoSuchRoom:
    """A room, a person or a pass that is not there, or not to be seen: the same for all."""
    return NoSuchRoom("There is no such room, or none that you may see.")


def no_such_message() -> NoSuchMessage:
    """An id which names no message of this room that the caller may read, or one that was
    removed."""
    return NoSuchMessage("There is no such message in this room, or it was removed.")


def not_yours() -> Forbidden:
    """Changing what somebody else has said."""
    return Forbidden("You can change only what you have said yourself.")


def not_heard() -> Forbidden:
    """Speaking to somebody who blocks the speaker."""
    return Forbidden("The other one takes no messages from you.")


def not_a_moderator() -> Forbidden:
    """Moderating a room, or the whole chat, without being who may."""
    return Forbidden("You may not moderate this room.")


def not_an_admin() -> Forbidden:
    """What only admins may do."""
    return Forbidden("You may not administer this chat.")


def above_you(name: str) -> Forbidden:
    """Doing something to oneself, or to somebody who may do the same or more."""
    return Forbidden(f"You cannot do that to {name}: only to those who may do less than you.")


def decided_above() -> Forbidden:
    """Lifting what an admin has decided, or putting something in its place, without being one."""
    return Forbidden("An admin has decided that: only admins change it.")


def muted(left_ms: float | None, reason: str) -> Sanctioned:
    """Whatever others would hear of, by somebody who is muted for so long yet; None: for good."""
    return Sanctioned(f"You are muted here{left(left_ms)}{because(reason)}")


def banned(left_ms: float | None, reason: str) -> Banned:
    """Coming in, by somebody who is banned from there for so long yet."""
    return Banned(f"You are banned from here{left(left_ms)}{because(reason)}")


def left(left_ms: float | None) -> str:
    """ " for 5 minutes yet"."""
    return " for good" if left_ms is None else f" for {about(max(left_ms, 1) / 1000)} yet"


def unauthorized() -> Unauthorized:
    """A token that is not good: the same for whatever is wrong with it."""
    return Unauthorized("This token is not good here.")


def nobody_known(name: str) -> BadRequest:
    """Naming somebody of whom nobody knows."""
    return BadRequest(f"There is nobody of the name {name}.")


def no_such_sanction() -> BadRequest:
    """Lifting what is not in force in this room."""
    return BadRequest("There is no such sanction here, or it is over.")


def not_the_owner() -> Forbidden:
    """What only the owner of a private room may do."""
    return Forbidden("Only the owner of a private room may do that.")


def nobody_here(name: str) -> BadRequest:
    """Naming somebody who is not in the room."""
    return BadRequest(f"{name} is not in this room.")


def too_many(number: int, what: str) -> TooMany:
    """One more than one may have."""
    return TooMany(f"You may have {number} {what}; give one up first.")


def not_written() -> Unavailable:
    """What was asked for was not stored in time; later it may be."""
    return Unavailable(
        "The store cannot be written to at the moment; try again, it may not be stored."
    )


def not_readable() -> Unavailable:
    """Why stands in the log alone: reasons name machines and files, and this travels to clients."""
    return Unavailable("The store cannot be read at the moment; try again.")


def stopping() -> Unavailable:
    """Asked of a store that is being closed."""
    return Unavailable("The server is about to stop; try again.")
