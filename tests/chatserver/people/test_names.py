"""What may be a name, a text: rules without a server."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.errors import BadRequest, TooLarge
from chatserver.people.lookalikes import looks_of, resemble
from chatserver.people.names import OPERATOR, check_name, check_room_name, clean_text, folded


@pytest.mark.parametrize(
    "name",
    [
        "Alice",
        "Ålice",
        "爱丽丝",
        "Echo bot",
        "😀",
        "x" * 32,
        "O'Neil-Smith #1",
        "नमस्ते",
        "I ❤\ufe0f you",
        "✈\ufe0e",
        "™\ufe0f",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
        "\U0001f44b\U0001f3fd",  # a hand of some colour
        "\U0001f3f3\ufe0f\u200d\U0001f308 rainbow",
        "1\ufe0f\u20e3",  # a keycap
        "\U0001f1e9\U0001f1ea",  # a flag
        "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f",  # of Wales
        "\U0001fae8",  # newer than the oldest Python that runs this
        "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",  # Persian
        "\u0d2a\u0d4d\u0d30\u0d35\u0d40\u0d23\u0d4d\u200d",  # Malayalam
    ],
)
def test_letters_and_pictures_make_a_name(name: str) -> None:
    assert check_name(name).shown == name


@pytest.mark.parametrize(
    ("typed", "shown"),
    [(" Alice", "Alice"), ("Alice\u3000", "Alice"), ("Al  ice", "Al ice"), ("Ａlice", "Alice")],
)
def test_a_name_is_shown_tidied_up(typed: str, shown: str) -> None:
    assert check_name(typed).shown == shown


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "visible"),
        ("   ", "visible"),
        ("x" * 33, "32 characters at most; this one has 33"),
        ("\ufdfa" * 2, "32 characters"),  # eighteen characters each after NFKC
        ("Al\x1b[31mice", "U\\+001B"),
        ("Alice\n", "U\\+000A"),
        ("Al\u200bice", "U\\+200B"),
        ("Al\u202eice", "U\\+202E"),
        ("Al\u2028ice", "U\\+2028"),
        ("Al\u00adice", "U\\+00AD"),
        ("\ufe0fAlice", "U\\+FE0F"),
        ("❤\ufe0f\ufe0f", "U\\+FE0F"),
        ("e\ufe0f\u0301", "U\\+FE0F"),
        ("a\u200db", "U\\+200D"),
        ("\U0001f468\u200d", "U\\+200D"),
        ("Alice\U000e0067\U000e007f", "U\\+E0067"),
        ("Al \ufe0eice", "U\\+FE0E"),
        ("Alice\ufe0d", "U\\+FE0D"),
        ("\u3164", "U\\+1160"),
        ("\u2800", "visible"),
        ("\ud83d", "U\\+D83D"),
        ("\ue000", "U\\+E000"),
        ("\u0301Alice", "combining"),
        ("System", "reserved"),
        ("SYSTEM", "reserved"),
        ("Ｓystem", "reserved"),
        ("Ѕystem", "reserved"),  # with a Cyrillic letter
        ("operator", "reserved"),
    ],
)
def test_a_name_that_breaks_a_rule_is_told_which(name: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        check_name(name)


@pytest.mark.parametrize(
    ("name", "lookalike"),
    [
        ("Alice", "ALICE"),
        ("Alice", "Ａlice"),
        ("Straße", "STRASSE"),
        ("é", "e\u0301"),
        ("ﬁ", "FI"),
        ("❤\ufe0f", "❤"),
        ("❤\ufe0f", "❤\ufe0e"),
    ],
)
def test_names_that_look_alike_are_one_name(name: str, lookalike: str) -> None:
    assert check_name(name).key == check_name(lookalike).key


@given(st.text(max_size=32))
def test_a_key_is_its_own_key_and_what_is_shown_is_shown_so(name: str) -> None:
    try:
        shown, key = check_name(name)
    except BadRequest:
        return
    assert folded(key) == key
    assert check_name(shown) == (shown, key)


def test_the_operators_name_is_spelled_just_so_and_rooms_may_be_called_like_it() -> None:
    assert check_name(OPERATOR, operator=True) == (OPERATOR, "operator")
    for name in ("operator", "System"):
        with pytest.raises(BadRequest, match="reserved"):
            check_name(name, operator=True)
    assert check_room_name("Operator") == "operator"
    with pytest.raises(BadRequest, match="reserved"):
        check_room_name("System")


def test_a_long_name_is_refused_before_it_is_looked_at() -> None:
    started = time.monotonic()
    with pytest.raises(BadRequest, match="has 120001"):
        check_name("e" + "\u0301\u0316" * 60_000)

    assert time.monotonic() - started < 0.1


def alike(name: str, other: str) -> bool:
    (shown, key), (other_shown, other_key) = check_name(name), check_name(other)
    return resemble(looks_of(shown, key), looks_of(other_shown, other_key))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Аlice", "Alice"),  # one letter is Cyrillic
        ("аlice", "ALICE"),  # whatever the case
        ("Нans", "Hans"),  # a capital that has no such small letter
        ("рау", "pay"),  # all of them are
        ("Аlice", "Alicе"),  # of two that mix scripts, neither is the right one
        ("Ꭺlice", "Alice"),  # Cherokee
        ("Αlice", "Alice"),  # Greek
        ("Scоpe 1", "Scope 1"),
    ],
)
def test_names_look_alike_across_scripts(name: str, other: str) -> None:
    assert alike(name, other)
    assert alike(other, name)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Bom", "Born"),
        ("Al1ce", "Alice"),
        ("AIice", "Alice"),
        ("Анна", "Anna"),
        ("力", "カ"),  # of one way of writing, Japanese
        ("100", "lOO"),
        ("😀", "😃"),
        ("Alice", "Alice"),
    ],
)
def test_within_one_script_names_are_different(name: str, other: str) -> None:
    assert not alike(name, other)


@given(st.text(st.characters(exclude_categories=())))
def test_any_string_is_a_name_or_is_refused(name: str) -> None:
    try:
        shown, key = check_name(name)
    except BadRequest:
        return
    assert shown
    assert key
    f"{shown}{key}".encode()


@pytest.mark.parametrize(
    "text", ["x", "x" * 4000, "😀" * 4000, "two\nlines", "\x1b[31mred", "\x00x"]
)
def test_a_text_is_taken_as_it_is(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u200b", "\u3164 \u2800"])
def test_a_blank_text_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="blank"):
        clean_text(text)


@pytest.mark.parametrize("text", ["x" * 4001, "😀" * 4001, "\ud83d\ude00" * 4001])
def test_a_text_too_long_is_refused_with_its_length(text: str) -> None:
    with pytest.raises(TooLarge, match=r"4001|8002"):
        clean_text(text)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("\ud83d", "\ufffd"),
        ("a\ude00b", "a\ufffdb"),
        ("\ud83dx", "\ufffdx"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d\ud83d\ude00", "\ufffd😀"),
    ],
)
def test_lone_surrogates_become_replacement_characters(text: str, clean: str) -> None:
    assert clean_text(text) == clean


@given(st.text(st.characters(exclude_categories=()), min_size=1))
def test_a_clean_text_can_be_stored(text: str) -> None:
    try:
        clean_text(text).encode()
    except BadRequest:
        return
