"""What a store refuses with, whichever engine it is: the same sentences for the same reasons."""

from chatserver.errors import BadRequest, ClaimLost, NameTaken, Unavailable


def taken(name: str) -> NameTaken:
    """A claim without the secret."""
    return NameTaken(f"The name {name} is taken; choose another one.")


def looks_like(name: str, other: str) -> NameTaken:
    """A claim of a name that could be taken for another's."""
    return NameTaken(f"{name} looks like {other}, who is here; choose another name.")


def claim_lost() -> ClaimLost:
    """Whatever needs the name, by another than its holder."""
    return ClaimLost("This connection does not speak for the name any more; join again.")


def key_reused() -> BadRequest:
    """An idempotency key that came with another text before."""
    return BadRequest("This key was used for another text; use a new key for each message.")


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
