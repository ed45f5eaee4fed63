"""What the state asks of its engine, since it keeps none of it in memory: messages that were
stored, and keys that were used. What is asked to be changed is a part of the batch under way, as
`Changes` are, and everything that was said before in that batch is known."""

from collections.abc import Collection
from typing import Final, Protocol

from chatserver.store.events import Event, Reactions
from chatserver.store.state.records import StoredMessage, Trace, UsedKey

MAX_ERASED: Final = 100
"""Messages, and reactions, that one step erases."""


class Archive(Protocol):
    """The engine's side."""

    def add(self, event: Event, room: int | None) -> None:
        """An entry of the log, after all others; of the room with this number, if of any."""

    def used_key(self, digest: bytes) -> UsedKey | None:
        """The key with this digest, if it was used and is not forgotten."""

    def message(self, message: int) -> StoredMessage | None:
        """The chat message with this id, if it is still there."""

    def traces_of(self, by: str, cursor: str) -> tuple[list[Trace], str]:
        """A part of what an identity has said and was not removed, and of its reactions to what
        others have: MAX_ERASED at most; and where to go on, "" at the end, once these are gone.
        `cursor` is where to begin; "" is at the beginning."""

    def number_at(self, room: int, event: int) -> int:
        """How many messages were said in the room up to this id; 0 if that is not known any
        more."""

    def edit(self, message: int, text: str, time_ms: int) -> None:
        """The message reads so from now on."""

    def erase(self, message: int) -> None:
        """The message is removed: its text and that of its edits are not kept anywhere, nor that
        it was edited."""

    def has_reacted(self, message: int, emoji: str, by: str) -> bool:
        """Whether this reaction of this identity is there."""

    def react(self, message: int, emoji: str, by: str, name: str, on: bool) -> None:
        """Add the reaction, or take it away."""

    def kinds(self, message: int) -> Collection[str]:
        """The kinds of reactions to a message, at a cost that does not depend on how many there
        are of each."""

    def reactions(self, message: int) -> Reactions:
        """The reactions as they stand, in the order in which their kinds came."""
