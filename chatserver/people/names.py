"""The rules for what people type: names and texts. Pure functions.

A name is shown and compared as the profile Nickname of PRECIS has it (RFC 8266): spaces are tidied,
characters that look like spaces, controls or nothing are refused, joiners stand where Persian and
Malayalam need them. Beyond it, pictures are names, too: emoji and their sequences (Unicode
Technical Standard 51), which are made with characters that PRECIS refuses.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

from precis_i18n import get_profile

from chatserver.errors import BadRequest, TooLarge
from chatserver.people.lookalikes import UNICODE, looks_of, resemble, skeleton
from chatserver.people.unicode_tables import EMOJI, Spans

MAX_NAME: Final = 32
"""Characters (code points) of a name, as typed and as shown: what fits in front of a message."""

MAX_TEXT: Final = 4_000
"""Characters (code points) of a message: two pages, and at most 16 kB on the wire."""

MAX_KEY: Final = 64
"""Characters of an idempotency key: four times what a random one needs."""

RESERVED: Final = "System"
"""The name that nobody may have: it would pass for the chat itself."""

REMEMBERED_NAMES: Final = 256
"""Names whose check is not made again: it costs more than storing a message. Those who have joined
are found without it, by `ClientState.key_of`."""

SHOWN: Final = get_profile("NicknameCasePreserved")
COMPARED: Final = get_profile("NicknameCaseMapped:CaseFold")

MAX_FOLDINGS: Final = 4
"""How often folding and normalizing may change a name until it is what it is compared by; the
profile itself asks for three at most (RFC 8266, section 2.4)."""

PLACEHOLDER: Final = "\u2603"
"""Stands for each emoji while PRECIS looks at what is around it: a picture that no rule changes."""

STYLES: Final = dict.fromkeys((0xFE0E, 0xFE0F))
"""Variation selectors 15 and 16: show the character before as text, or as an emoji. Names that
differ in nothing else are one name."""

BLANK_PATTERN: Final = "\u2800"
"""Braille without a dot: a symbol to Unicode, and nothing to see."""


def _emoji_pattern(spans: Spans) -> "re.Pattern[str]":
    """Matches one emoji with all that makes it one picture (section 1.4.9)."""
    pictures = [chr(code) for first, last in spans for code in range(first, last + 1)]
    # The others, such as ™, are letters to PRECIS unless a style says that they are not.
    always = [c for c in pictures if not c.isascii() and unicodedata.normalize("NFKC", c) == c]
    seldom = [c for c in pictures if not c.isascii() and c not in always]
    # Those without a style of their own may have a skin tone.
    style, tone, joiner = "[\ufe0e\ufe0f]", "[\U0001f3fb-\U0001f3ff]", "\u200d"
    element = f"(?:[{''.join(always)}](?:{style}|{tone})?|[{''.join(seldom)}]{style})"
    keycap = "[0-9#*]\ufe0f?\u20e3"
    tagged_flag = "\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"
    return re.compile(f"{keycap}|{tagged_flag}|{element}(?:{joiner}{element})*")


EMOJI_SEQUENCE: Final = _emoji_pattern(EMOJI)


class Name(NamedTuple):
    """A name that may be joined with: as others see it, and what it is compared by."""

    shown: str
    key: str


def check_name(name: str) -> Name:
    """`name` as it is shown and compared.

    Raises BadRequest, with the rule that it breaks.
    """
    # Before anything else: normalizing takes a time that grows with the square of the length.
    if len(name) > MAX_NAME:
        raise BadRequest(f"A name has {MAX_NAME} characters at most; this one has {len(name)}.")
    return _checked(name)


@lru_cache(maxsize=REMEMBERED_NAMES)
def _checked(name: str) -> Name:
    emoji = iter(EMOJI_SEQUENCE.findall(name))
    try:
        plain = SHOWN.enforce(EMOJI_SEQUENCE.sub(PLACEHOLDER, name))
    except UnicodeEncodeError as error:
        raise BadRequest(_rule_broken(error)) from None
    shown = re.sub(PLACEHOLDER, lambda _: next(emoji), plain)
    if len(shown) > MAX_NAME:
        raise BadRequest(
            f"A name has {MAX_NAME} characters at most; this one has {len(shown)}, spelled out."
        )
    if not skeleton(shown).replace(BLANK_PATTERN, "").strip():
        raise BadRequest("A name needs at least one visible character.")
    if unicodedata.category(shown[0]).startswith("M"):
        raise BadRequest("A name does not begin with a combining mark.")
    key = folded(shown)
    if key == folded(RESERVED) or resemble(looks_of(shown, key), RESERVED_LOOKS):
        raise BadRequest(f"The name {shown} is reserved.")
    return Name(shown, key)


def folded(shown: str) -> str:
    """What a name that is shown so is compared by. Raises BadRequest."""
    text = shown
    for _ in range(MAX_FOLDINGS):
        before, text = text, COMPARED.apply_five_rules(text.translate(STYLES))
        if text == before:
            return text
    raise BadRequest("This name cannot be told from others by any rule; choose another one.")


RESERVED_LOOKS: Final = looks_of(RESERVED, folded(RESERVED))


def _rule_broken(error: UnicodeEncodeError) -> str:
    """The sentence for what PRECIS has refused."""
    if error.reason.endswith("empty"):
        return "A name needs at least one visible character."
    if error.reason.endswith("not_idempotent"):
        return "This name cannot be told from others by any rule; choose another one."
    character = error.object[error.start]
    return (
        "A name consists of letters, digits, signs and emoji, with single spaces between them;"
        f" U+{ord(character):04X} cannot be where it is."
    )


def clean_text(text: str) -> str:
    """`text` with lone surrogates replaced by U+FFFD.

    Raises BadRequest if it is blank, TooLarge if it is longer than MAX_TEXT code points.
    """
    # Two escapes at most make one character: what is longer still need not be looked at.
    if not text.isascii() and len(text) <= 2 * MAX_TEXT:
        # Joins the halves of a pair, too, should they arrive as two escapes.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if len(text) > MAX_TEXT:
        raise TooLarge(f"A message has {MAX_TEXT} characters at most; this one has {len(text)}.")
    if not any(map(visible, text)):
        raise BadRequest("A message needs some text; this one is blank.")
    return text


def visible(character: str) -> bool:
    """Whether `character` shows something."""
    return not (
        unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp")
        or UNICODE.default_ignorable(ord(character))
        or character == BLANK_PATTERN
    )
