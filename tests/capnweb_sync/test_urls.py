"""URLs as people write them: what is right works, what is wrong is told in a sentence."""

import base64

import pytest

from capnweb_sync import batch, connect
from capnweb_sync.urls import merged, parse_url

CREDENTIALS = {"Authorization": "Basic " + base64.b64encode("älice:p@ss:wörd".encode()).decode()}


@pytest.mark.parametrize(
    ("url", "host", "port", "shown"),
    [
        ("ws://chat.example/rpc", "chat.example", 80, "ws://chat.example/rpc"),
        ("wss://chat.example", "chat.example", 443, "wss://chat.example"),
        ("WS://Chat.Example:8080/", "chat.example", 8080, "ws://chat.example:8080/"),
        ("ws://chat.example:/x?a=b/c", "chat.example", 80, "ws://chat.example/x?a=b/c"),
        ("ws://[::1]:8080/rpc/ws", "::1", 8080, "ws://[::1]:8080/rpc/ws"),
        ("ws://[::1]", "::1", 80, "ws://[::1]"),
        ("ws://[fe80::1%25eth0]:1/", "fe80::1%eth0", 1, "ws://[fe80::1]:1/"),
        ("ws://bücher.example/é?ü%20", "xn--bcher-kva.example", 80, None),
    ],
)
def test_what_is_right_is_taken_apart(url: str, host: str, port: int, shown: str | None) -> None:
    target = parse_url(url, "ws", "wss")

    assert (target.host, target.port, target.headers) == (host, port, {})
    assert target.secure == url.startswith("wss")
    assert target.url == (shown or f"ws://{host}/%C3%A9?%C3%BC%20")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ws://:secret@127.0.0.1:99999/", "a port is a number from 1 to 65535"),
        ("ws://x:secret@127.0.0.1:80a/", "a port is a number"),
        ("ws://x:secret@host:0/", "a port is a number"),
        ("ws://x:secret@::1/", "IPv6 address in brackets"),
        ("ws://x:secret@[::1/", "in brackets"),
        ("ws://x:secret@[what]/", "in brackets"),
        ("ws://x:secret@", "names no host"),
        ("ws:///x:secret@rpc/ws", "names no host"),
        ("ws://x:secret@a%0d%0aHost:b/", "port|names no host"),
        ("ws://x:secret@a%2fb/", "names no host"),
        ("ws://x:secret@a..b/", "its host cannot be a name"),
        (f"ws://x:secret@{'a' * 64}.example/", "its host cannot be a name"),
        ("ws://x:secret@host/a b", "a space or a control character"),
        ("ws://x:secret@host/a\nb", "a space or a control character"),
        ("ws://x:secret@host/#here", "fragment"),
        ("http://x:secret@host/", "starts with ws:// or wss://"),
        ("x:secret@host", "starts with ws:// or wss://"),
        ("", "starts with ws:// or wss://"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence_without_its_password(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        parse_url(url, "ws", "wss")

    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not isinstance(refused.value, UnicodeError)


def test_name_and_password_become_a_header_and_are_not_shown() -> None:
    target = parse_url("ws://älice:p%40ss%3Aw%C3%B6rd@host:1/x", "ws")

    assert target.headers == CREDENTIALS
    assert target.url == "ws://host:1/x"


def test_a_header_of_the_callers_wins_over_the_url() -> None:
    target = parse_url("ws://alice:secret@host/", "ws")

    assert merged(target, {"X": "1"}) == {**target.headers, "X": "1"}
    assert merged(target, {"authorization": "Bearer x"}) == {"authorization": "Bearer x"}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("X-A", "b\r\nX-Evil: 1", "The value of the header X-A has more than one line"),
        ("X-A", "b\nX-Evil: 1", "more than one line"),
        ("X-A\r\nX-Evil", "1", "A header can't be called 'X-A"),
        ("X A", "1", "A header can't be called 'X A'"),
        ("", "1", "A header can't be called ''"),
    ],
)
def test_a_header_is_one_line(name: str, value: str, sentence: str) -> None:
    for call in (connect, batch):
        with pytest.raises(ValueError, match=sentence) as raised:
            call(f"{'ws' if call is connect else 'http'}://[::1]:1/", headers={name: value})
        assert "Evil: 1" not in str(raised.value)
    if name == "X-A":
        with pytest.raises(ValueError, match="The value of the header Origin"):
            connect("ws://[::1]:1/", origin=value)
