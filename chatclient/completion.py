"""What Tab completes: commands, what they take, and the names of people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

MAX_NAMES: Final = 10_000
"""Names that are known for completion; of more, any are forgotten. Who is in a room without being
in the lobby is never heard to go offline."""


def remember(names: set[str], more: Iterable[str]) -> None:
    """Know these names, too."""
    names.update(more)
    while len(names) > MAX_NAMES:
        names.pop()


class Words(Completer):
    """Completes commands at the start of a line, what a command takes behind it, and names
    everywhere, also behind an `@`."""

    def __init__(
        self,
        commands: Callable[[], Iterable[str]],
        names: Iterable[str],
        behind: Callable[[str], Iterable[str] | None] = lambda command: None,
    ) -> None:
        """`commands` and `names` are asked each time; `behind` says what may stand behind a
        command, None for names."""
        self._commands = commands
        self._names = names
        self._behind = behind

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """The words that begin as the one before the cursor."""
        before = document.text_before_cursor
        earlier, space, begun = before.rpartition(" ")
        words: Iterable[str] | None = self._names
        if before.startswith("/") and not space:
            words = self._commands()
        elif before.startswith("/") and " " not in earlier:
            words = self._behind(earlier)
        if words is None or begun.startswith("@"):
            words = self._names
            begun = begun.removeprefix("@")
        if begun or (space and words is not self._names):
            for word in sorted(words, key=str.casefold):
                if word.casefold().startswith(begun.casefold()):
                    yield Completion(word, start_position=-len(begun))
