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


def _joined(*names: str) -> Script:
    """The files of `script/` with these names, one after the other."""
    directory = files(__package__).joinpath("script")
    return Script.of(b"\n".join(directory.joinpath(f"{name}.lua").read_bytes() for name in names))


BATCH: Final = _joined(
    "keys",
    "state",
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
    "batch",
)
"""Carries out a batch of operations."""

READ: Final = _joined("keys", "read")
"""Answers a question and changes nothing."""

UPGRADE: Final = _joined("keys", "upgrade")
"""Takes over a part of a database from before there were rooms, or accounts."""
