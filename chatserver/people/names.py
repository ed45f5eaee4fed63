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

MAX_TITLE: Final = 64
"""Characters of the title of a private room: twice a name."""

MAX_TOPIC: Final = 300
"""Characters of a topic: a line or two."""

MAX_REASON: Final = 200
"""Characters of why somebody was muted, or sent away: what a notice has room for."""

MAX_EMOJI: Final = 32
"""Characters of an emoji: three times the longest that Unicode recommends."""

MAX_KEY: Final = 64
"""Characters of an idempotency key: four times what a random one needs."""

SYSTEM: Final = "System"
"""The name that nobody may have: it would pass for the chat itself."""

OPERATOR: Final = "Operator"
"""The name that only whoever has the secret has, while it administers (`chatserver.admin`): its
account is none that is kept."""

UNTYPED: Final = "+@*"
"""What names of rooms begin with that the server gives: private and direct ones, and the one of
announcements."""

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


FLAG_LETTER: Final = "[\U0001f1e6-\U0001f1ff]"


def _emoji_pattern(spans: Spans) -> "re.Pattern[str]":
    """Matches one emoji with all that makes it one picture (section 1.4.9)."""
    pictures = [chr(code) for first, last in spans for code in range(first, last + 1)]
    # The others, such as ™, are letters to PRECIS unless a style says that they are not.
    always = [c for c in pictures if not c.isascii() and unicodedata.normalize("NFKC", c) == c]
    seldom = [c for c in pictures if not c.isascii() and c not in always]
    # Two letters of a flag are a picture, one of them is none.
    always = [c for c in always if not re.match(FLAG_LETTER, c)]
    # Those without a style of their own may have a skin tone.
    style, tone, joiner = "[\ufe0e\ufe0f]", "[\U0001f3fb-\U0001f3ff]", "\u200d"
    element = f"(?:[{''.join(always)}](?:{style}|{tone})?|[{''.join(seldom)}]{style})"
    keycap = "[0-9#*]\ufe0f?\u20e3"
    tagged_flag = "\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"
    return re.compile(f"{keycap}|{FLAG_LETTER}{{2}}|{tagged_flag}|{element}(?:{joiner}{element})*")


EMOJI_SEQUENCE: Final = _emoji_pattern(EMOJI)


SEPARATING: Final = ("Cc", "Zl", "Zp")
"""Kinds of characters that end a line, or steer a terminal."""


class Name(NamedTuple):
    """A name that may be joined with: as others see it, and what it is compared by."""

    shown: str
    key: str


def check_name(name: str, *, operator: bool = False) -> Name:
    """`name` as it is shown and compared; `operator` is whether it may be the OPERATOR's.

    Raises BadRequest, with the rule that it breaks.
    """
    found, reserved = _looked_at(name)
    if reserved and not (operator and name == OPERATOR):
        raise BadRequest(f"The name {found.shown} is reserved.")
    return found


def _looked_at(name: str) -> tuple[Name, str]:
    # Before anything else: normalizing takes a time that grows with the square of the length.
    if len(name) > MAX_NAME:
        raise BadRequest(f"A name has {MAX_NAME} characters at most; this one has {len(name)}.")
    return _checked(name)


@lru_cache(maxsize=REMEMBERED_NAMES)
def _checked(name: str) -> tuple[Name, str]:
    """With the key of the reserved name that it is or looks like, or ""."""
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
    looks = looks_of(shown, key)
    alike = (other for other in RESERVED if key == other or resemble(looks, RESERVED[other]))
    return Name(shown, key), next(alike, "")


def check_room_name(name: str) -> str:
    """What a public room is called that somebody has typed: one word, without case.

    Raises BadRequest, with the rule that it breaks.
    """
    (shown, key), reserved = _looked_at(name)
    if reserved == SYSTEM_KEY:
        raise BadRequest(f"The name {shown} is reserved.")
    if " " in key:
        raise BadRequest("The name of a room is one word; write it without spaces.")
    if key[0] in UNTYPED:
        raise BadRequest(f"The name of a room does not begin with {key[0]}.")
    return key


def folded(shown: str) -> str:
    """What a name that is shown so is compared by. Raises BadRequest."""
    text = shown
    for _ in range(MAX_FOLDINGS):
        before, text = text, COMPARED.apply_five_rules(text.translate(STYLES))
        if text == before:
            return text
    raise BadRequest("This name cannot be told from others by any rule; choose another one.")


SYSTEM_KEY: Final = folded(SYSTEM)

OPERATOR_KEY: Final = folded(OPERATOR)

RESERVED: Final = {
    SYSTEM_KEY: looks_of(SYSTEM, SYSTEM_KEY),
    OPERATOR_KEY: looks_of(OPERATOR, OPERATOR_KEY),
}
"""How the names look that people cannot have, by their keys."""


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
    text = _mended(text, MAX_TEXT, "A message")
    if not any(map(visible, text)):
        raise BadRequest("A message needs some text; this one is blank.")
    return text


def clean_title(title: str) -> str:
    """The title of a private room as everyone sees it, one line.

    Raises BadRequest if it is blank, TooLarge if it is longer than MAX_TITLE code points.
    """
    title = _line(title, MAX_TITLE, "A title")
    if not any(map(visible, title)):
        raise BadRequest("A title needs some text; this one is blank.")
    return title


def clean_topic(topic: str) -> str:
    """The topic of a room, one line; "" for none. Raises TooLarge beyond MAX_TOPIC code points."""
    return _line(topic, MAX_TOPIC, "A topic")


def clean_reason(reason: str) -> str:
    """Why something is done to somebody, one line; "" for nothing. Raises TooLarge beyond
    MAX_REASON code points."""
    return _line(reason, MAX_REASON, "A reason")


def check_emoji(emoji: str) -> str:
    """What somebody reacts with: one picture. Raises BadRequest for anything else."""
    if len(emoji) > MAX_EMOJI or not EMOJI_SEQUENCE.fullmatch(emoji):
        raise BadRequest("A reaction is one emoji.")
    return emoji


def mended(text: str) -> str:
    """`text` with lone surrogates replaced by U+FFFD, and the halves of a pair joined, should they
    have arrived as two escapes."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _mended(text: str, most: int, what: str) -> str:
    # Two escapes at most make one character: what is longer still need not be looked at.
    if len(text) <= 2 * most:
        text = mended(text)
    if len(text) > most:
        raise TooLarge(f"{what} has {most} characters at most; this one has {len(text)}.")
    return text


def _line(text: str, most: int, what: str) -> str:
    """`text` with a space for whatever separates words, controls and ends of lines included."""
    whole = _mended(text, most, what)
    return " ".join(
        "".join(" " if unicodedata.category(c) in SEPARATING else c for c in whole).split()
    )


def visible(character: str) -> bool:
    """Whether `character` shows something."""
    return not (
        unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp")
        or UNICODE.default_ignorable(ord(character))
        or character == BLANK_PATTERN
    )
