"""Names that look like others without being theirs: `Аlice`, with a Cyrillic А, beside `Alice`.

By Unicode Technical Standard 39: two names look alike if they have the same skeleton, which is what
remains when each character is replaced by one that stands for all which look like it; and they are
told apart all the same if there is a script in which both can be written, for who reads it knows
its letters (`Bom` and `Born`, `l` and `1`).
"""

import unicodedata
from functools import lru_cache
from sys import intern
from typing import Final, NamedTuple

from precis_i18n.unicode import UnicodeData

from chatserver.people.unicode_tables import CONFUSABLES, scripts_of

UNICODE: Final = UnicodeData()

WRITTEN_TOGETHER: Final = {
    "Hani": {"Hanb", "Jpan", "Kore"},
    "Hira": {"Jpan"},
    "Kana": {"Jpan"},
    "Hang": {"Kore"},
    "Bopo": {"Hanb"},
}
"""Scripts, and the ways of writing that mix them with others (section 5.1, augmented scripts)."""


class Looks(NamedTuple):
    """What decides whether a name looks like another one.

    `skeletons` has one as the name is shown and one without case; empty if it has no letters, which
    then looks like no other. `scripts` are those in which the whole name can be written, separated
    by spaces; none if it mixes some.
    """

    skeletons: tuple[str, ...]
    scripts: str


NONE: Final = Looks((), "")


@lru_cache(maxsize=64)  # a name is looked at some times when it is taken, and seldom after that
def looks_of(name: str, key: str) -> Looks:
    """How `name` looks, which is compared by `key`."""
    scripts: frozenset[str] | None = None
    for character in name:
        of = scripts_of(character)
        if of is not None:
            augmented = of.union(*(WRITTEN_TOGETHER.get(script, ()) for script in of))
            scripts = augmented if scripts is None else scripts & augmented
    if scripts is None:
        return NONE
    skeletons = {skeleton(key), skeleton(name).casefold()}
    # Of scripts there are few: everybody's "Latin" is one string.
    return Looks(tuple(sorted(skeletons)), intern(" ".join(sorted(scripts))))


def skeleton(text: str) -> str:
    """What all that looks like `text` has in common (section 4)."""
    decomposed = unicodedata.normalize("NFD", text)
    shown = "".join(c for c in decomposed if not UNICODE.default_ignorable(ord(c)))
    return unicodedata.normalize("NFD", shown.translate(CONFUSABLES))


def share_script(scripts: str, others: str) -> bool:
    """Whether there is one among both."""
    return not set(scripts.split()).isdisjoint(others.split())


def resemble(one: Looks, other: Looks) -> bool:
    """Whether one of two names could be taken for the other."""
    return not set(one.skeletons).isdisjoint(other.skeletons) and not share_script(
        one.scripts, other.scripts
    )


class Lookalikes:
    """The names that are taken, to be found by how they look. Finding one costs the same however
    many there are."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[str, str] | dict[str, dict[str, None]]] = {}
        """By skeleton: the scripts and the key of a name, or, where there are several, their keys
        in their order, by scripts. Nearly all are alone, and two dicts would be 370 bytes."""

    def add(self, key: str, name: str) -> None:
        """A name is taken."""
        looks = looks_of(name, key)
        for part in looks.skeletons:
            taken = self._keys.get(part)
            if taken is None:
                self._keys[part] = looks.scripts, key
                continue
            if isinstance(taken, tuple):
                taken = self._keys[part] = {taken[0]: {taken[1]: None}}
            taken.setdefault(looks.scripts, {})[key] = None

    def remove(self, key: str, name: str) -> None:
        """It is free again."""
        looks = looks_of(name, key)
        for part in looks.skeletons:
            by_scripts = self._keys[part]
            if isinstance(by_scripts, tuple):
                del self._keys[part]
                continue
            del by_scripts[looks.scripts][key]
            if not by_scripts[looks.scripts]:
                del by_scripts[looks.scripts]
            if not by_scripts:
                del self._keys[part]

    def find(self, key: str, name: str) -> str | None:
        """The key of one that `name` could be taken for."""
        looks = looks_of(name, key)
        for part in looks.skeletons:
            taken = self._keys.get(part, {})
            by_scripts = {taken[0]: {taken[1]: None}} if isinstance(taken, tuple) else taken
            for scripts, keys in by_scripts.items():
                if not share_script(looks.scripts, scripts):
                    return next(iter(keys))
        return None
