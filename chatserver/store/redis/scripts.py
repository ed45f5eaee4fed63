"""The scripts that Redis carries out, and the keys that they are about."""

import hashlib
from importlib.resources import files
from typing import Final, NamedTuple

PREFIX: Final = "{chat}2:"
"""What the names of all keys begin with. Redis Cluster hashes only what stands in braces, so all
are on one node, which scripts require; those of before there were rooms, too, which began with
`{chat}:`, as that of what is `sent` does still."""

TAIL: Final = PREFIX + "tail"
META: Final = PREFIX + "state"
META_BEFORE: Final = (PREFIX + "meta", "{chat}:meta")
"""Where versions without accounts, and without rooms, had it: a text keeps them out."""
ERASED: Final = PREFIX + "erased"
ASIDES: Final = PREFIX + "asides"
"""The channel on which asides are told."""


class Script(NamedTuple):
    """A script; by its digest Redis knows one that it has seen (EVALSHA)."""

    source: bytes
    digest: str

    @classmethod
    def of(cls, source: bytes) -> "Script":
        """The script with this text."""
        return cls(source, hashlib.sha1(source, usedforsecurity=False).hexdigest())


def _joined(*names: str, parts: tuple[str, ...] = ()) -> Script:
    """The files of `script/` with these names, one after the other; `parts` come before the last.

    Each part is a block, and what others use of it is in a table of its name: Lua allows 200
    locals, and looks through all in sight for each that a function uses, whenever a script begins.
    """
    directory = files(__package__).joinpath("script")
    sources = [directory.joinpath(f"{name}.lua").read_bytes() for name in names]
    blocks = [b"do\n%b\nend" % directory.joinpath(f"{part}.lua").read_bytes() for part in parts]
    tables = [f"local {part} = {{}}".encode() for part in parts]
    return Script.of(b"\n".join([*sources[:-1], *tables, *blocks, sources[-1]]))


BATCH: Final = _joined(
    "keys",
    "state",
    "batch",
    parts=(
        "sanctions",
        "rooms",
        "telling",
        "names",
        "seats",
        "messages",
        "time",
        "ranks",
        "operations",
        "claims",
        "moderation",
    ),
)
"""Carries out a batch of operations."""

READ: Final = _joined("keys", "read")
"""Answers a question and changes nothing."""

UPGRADE: Final = _joined("keys", "upgrade")
"""Takes over a part of a database from before there were rooms, or accounts."""
