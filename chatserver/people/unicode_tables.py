"""What Unicode says of characters that Python's `unicodedata` does not: which are emoji, in which
scripts they are used, what they look like. Read from `unicode_tables.txt`, which
`scripts/make_unicode_tables.py` makes.
"""

from bisect import bisect_right
from collections.abc import Iterator
from importlib.resources import files
from typing import Final

Spans = list[tuple[int, int]]
"""First and last code points."""


def _sections() -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    text = files(__package__).joinpath("unicode_tables.txt").read_text("utf-8")
    for line in text.splitlines():
        if line.startswith("["):
            lines = sections[line.strip("[]")] = []
        elif line and not line.startswith("#"):
            lines.append(line)
    return sections


def _spans(text: str) -> Spans:
    spans = []
    for span in text.split():
        first, _, last = span.partition("-")
        spans.append((int(first, 16), int(last or first, 16)))
    return spans


def _named(lines: list[str]) -> Iterator[tuple[str, int, int]]:
    """A name with each of its spans."""
    for line in lines:
        name, _, spans = line.partition(":")
        for first, last in _spans(spans):
            yield name, first, last


_tables: Final = _sections()

EMOJI: Final[Spans] = _spans(_tables["emoji"][0])
"""Characters with the property Emoji."""

CONFUSABLES: Final[dict[int, str]] = {
    code: "".join(chr(int(part, 16)) for part in target.split())
    for target, first, last in _named(_tables["confusables"])
    for code in range(first, last + 1)
}
"""Code points and the characters that stand for all which look like them, for `str.translate`."""

_SCRIPTS: Final = sorted(
    (first, last, frozenset(names.split())) for names, first, last in _named(_tables["scripts"])
)
_SCRIPT_STARTS: Final = [first for first, _, _ in _SCRIPTS]


def scripts_of(character: str) -> frozenset[str] | None:
    """The scripts that `character` is used in, by their short names; None if in all."""
    code = ord(character)
    index = bisect_right(_SCRIPT_STARTS, code) - 1
    if index >= 0:
        _, last, scripts = _SCRIPTS[index]
        if code <= last:
            return scripts
    return None
