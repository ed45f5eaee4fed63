"""Lists that come in parts."""

from chatserver.options import MAX_LISTED, ListOptions
from chatserver.people.names import mended


def asked_for(wanted: ListOptions) -> tuple[str | None, int]:
    """The name that a part of a list comes after, and how many it has at most."""
    after = None if wanted.after is None else mended(wanted.after)
    return after, min(wanted.limit, MAX_LISTED)
