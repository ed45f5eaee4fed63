"""What may be a name, a text: rules without a server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.errors import BadRequest, TooLarge
from chatserver.names import check_name, clean_text, name_key


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
    ],
)
def test_visible_characters_make_a_name(name: str) -> None:
    assert check_name(name) == name_key(name)


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
        ("Al \ufe0eice", "U\\+FE0E"),
        ("Alice\ufe0d", "U\\+FE0D"),
        ("\u3164", "U\\+1160"),
        ("\u2800", "U\\+2800"),
        ("\ud83d", "U\\+D83D"),
        ("\ue000", "U\\+E000"),
        (" Alice", "space"),
        ("Alice\u3000", "space"),
        ("Al  ice", "single spaces"),
        ("\u0301Alice", "combining"),
        ("System", "reserved"),
        ("SYSTEM", "reserved"),
        ("Ｓystem", "reserved"),
        ("System\ufe0f", "reserved"),
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
        ("é", "e\ufe0f\u0301"),
    ],
)
def test_names_that_look_alike_are_one_name(name: str, lookalike: str) -> None:
    assert check_name(name) == check_name(lookalike)


@given(st.text())
def test_a_key_is_its_own_key(name: str) -> None:
    assert name_key(name_key(name)) == name_key(name)


@given(st.text(st.characters(exclude_categories=())))
def test_any_string_is_a_name_or_is_refused(name: str) -> None:
    try:
        key = check_name(name)
    except BadRequest:
        return
    assert key
    key.encode()


@pytest.mark.parametrize(
    "text", ["x", "x" * 4000, "😀" * 4000, "two\nlines", "\x1b[31mred", "\x00x"]
)
def test_a_text_is_taken_as_it_is(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u200b", "\u3164 \u2800"])
def test_a_blank_text_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="blank"):
        clean_text(text)


@pytest.mark.parametrize("text", ["x" * 4001, "😀" * 4001])
def test_a_text_too_long_is_refused_with_its_length(text: str) -> None:
    with pytest.raises(TooLarge, match="4001"):
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
