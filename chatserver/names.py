"""The rules for what people type: names, texts and keys. Pure functions.

A name is shown as it was typed at joining and compared by its key (NFKC and case folding,
Unicode Standard Annex 15 and section 3.13), so that names which look alike are one name.
"""

import unicodedata
from itertools import pairwise
from typing import Final

from chatserver.errors import BadRequest, TooLarge

MAX_NAME: Final = 32
"""Characters (code points after NFKC) of a name: what fits in front of a message."""

MAX_TEXT: Final = 4_000
"""Characters (code points) of a message: two pages, and at most 16 kB on the wire."""

MAX_KEY: Final = 64
"""Characters of an idempotency key: four times what a random one needs."""

RESERVED_KEY: Final = "system"
"""The key of the name that nobody may have: it would pass for the chat itself."""

INVISIBLE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""General categories without a picture of their own: controls, format characters (those that
reverse the direction of a line among them), lone surrogates, unassigned and private characters,
separators of lines and paragraphs."""

INVISIBLE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
) | {chr(code) for span in ((0xFE00, 0xFE10), (0xE0100, 0xE01F0)) for code in range(*span)}
"""Characters of other categories that show nothing all the same: what Unicode's property
Default_Ignorable_Code_Point adds to the categories above, and the blank Braille pattern."""


STYLES: Final = frozenset("\ufe0e\ufe0f")
"""Variation selectors 15 and 16 (Unicode Technical Standard 51): show the character before as text,
or as an emoji. Phones type ❤️ so. Names that differ in nothing else are one name."""

WITHOUT_STYLES: Final = dict.fromkeys(map(ord, STYLES))


def visible(character: str) -> bool:
    """Whether `character` shows something, were it only a space."""
    return (
        character not in INVISIBLE and unicodedata.category(character) not in INVISIBLE_CATEGORIES
    )


def name_key(name: str) -> str:
    """What `name` is compared by: two names are the same name if their keys are equal."""
    folded = unicodedata.normalize("NFKC", name).translate(WITHOUT_STYLES).casefold()
    return unicodedata.normalize("NFKC", folded)


def check_name(name: str) -> str:
    """The key of `name`, if it may be joined with.

    Raises BadRequest, with the rule that it breaks.
    """
    shown = unicodedata.normalize("NFKC", name)
    if not shown.strip():
        raise BadRequest("A name needs at least one visible character.")
    if len(shown) > MAX_NAME:
        raise BadRequest(f"A name has {MAX_NAME} characters at most; this one has {len(shown)}.")
    for before, character in pairwise(f" {shown}"):
        styled = character in STYLES and visible(before) and not before.isspace()
        if not visible(character) and not styled:
            raise BadRequest(
                f"A name consists of visible characters; U+{ord(character):04X} is not one."
            )
    if " ".join(shown.split()) != shown:
        raise BadRequest("A name has no space at its ends, and single spaces between its words.")
    if unicodedata.category(shown[0]).startswith("M"):
        raise BadRequest("A name does not begin with a combining mark.")
    key = name_key(name)
    if key == RESERVED_KEY:
        raise BadRequest(f"The name {name} is reserved.")
    return key


def clean_text(text: str) -> str:
    """`text` with lone surrogates replaced by U+FFFD.

    Raises BadRequest if it is blank, TooLarge if it is longer than MAX_TEXT code points.
    """
    if not text.isascii():
        # Joins the halves of a pair, too, should they arrive as two escapes.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if len(text) > MAX_TEXT:
        raise TooLarge(f"A message has {MAX_TEXT} characters at most; this one has {len(text)}.")
    if not any(visible(character) and not character.isspace() for character in text):
        raise BadRequest("A message needs some text; this one is blank.")
    return text
