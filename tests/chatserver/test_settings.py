"""Settings come from the command line, the environment and the table's defaults, in this order."""

import sys
from typing import Any

import pytest

from chatserver.errors import SettingError
from chatserver.settings import Settings, from_config, from_environment, parse_arguments
from chatserver.store.interface import Policy


def test_everything_has_a_default() -> None:
    settings = parse_arguments([], Settings())

    assert settings == Settings()
    assert (settings.host, settings.port, settings.grace) == ("127.0.0.1", 8080, 15.0)
    assert settings.store == "sqlite:///chat.db"


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_PORT", "1111")
    monkeypatch.setenv("CHAT_GRACE", "0.5")

    settings = parse_arguments(["--port", "2222"], from_environment())

    assert (settings.port, settings.grace) == (2222, 0.5)


@pytest.mark.parametrize(
    "value", ["https://a.example,http://b.example", '["https://a.example", "http://b.example"]']
)
def test_the_environment_can_list_several_origins(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("CHAT_ALLOW_ORIGIN", value)

    assert from_environment().allow_origin == ("https://a.example", "http://b.example")


def test_an_option_that_is_given_again_adds_to_the_first() -> None:
    arguments = ["--allow-origin", "https://a.example", "--allow-origin", "*"]

    assert parse_arguments(arguments, Settings()).allow_origin == ("https://a.example", "*")


def test_a_variable_that_is_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_KEEP_DAYS", "")

    assert from_environment().keep_days is None


def test_settings_survive_the_way_through_flask() -> None:
    settings = Settings(port=1, allow_origin=("*",), keep_messages=7, ping_timeout=2.5)

    assert from_config(settings.as_config()) == settings


def test_the_store_is_told_grace_and_retention() -> None:
    assert Settings(grace=2, keep_days=3, keep_messages=4).policy == Policy(2, 3, 4)


@pytest.mark.parametrize(
    "config",
    [
        {"KEEP_MESSAGES": 0},
        {"PORT": "x"},
        {"PORT": 70_000},
        {"GRACE": "nan"},
        {"MAX_CONNECTIONS": 0},
        {"PORT": [1]},
        {"HOST": "127.0.0.1:8080"},
        {"HOST": "http://127.0.0.1"},
        {"HOST": "[127.0.0.1]"},
        {"HOST": "[::1"},
        {"HOST": "[::1]:8080"},
        {"HOST": "::1::"},
        {"HOST": "two words"},
        {"HOST": "a..b"},
    ],
)
def test_what_does_not_fit_names_its_variable(config: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=f"CHAT_{next(iter(config))}"):
        from_config(config)


@pytest.mark.parametrize("value", ["192.0.2.0/24,::1", "192.0.2.7/24, ::1/128"])
def test_the_environment_can_list_unlimited_addresses(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("CHAT_UNLIMITED_ADDRESSES", value)

    assert [str(network) for network in from_environment().unlimited_addresses] == [
        "192.0.2.0/24",
        "::1/128",
    ]


def test_nobody_is_free_of_limits_if_the_list_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().unlimited_addresses
    assert parse_arguments(["--unlimited-addresses", ""], Settings()).unlimited_addresses == ()

    monkeypatch.setenv("CHAT_UNLIMITED_ADDRESSES", "")
    settings = from_environment()

    assert settings.unlimited_addresses == ()
    assert from_config(settings.as_config()) == settings


def test_a_rate_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_MESSAGE_RATE", "2:20")
    monkeypatch.setenv("CHAT_CALL_RATE", "off")

    settings = from_environment()

    assert (str(settings.message_rate), str(settings.call_rate)) == ("2:20", "off")
    assert from_config(settings.as_config()) == settings


@pytest.mark.parametrize(
    ("written", "host"),
    [("::1", "::1"), ("[::1]", "::1"), ("localhost", "localhost"), (" 0.0.0.0 ", "0.0.0.0")],
)
def test_an_address_may_stand_in_brackets(
    monkeypatch: pytest.MonkeyPatch, written: str, host: str
) -> None:
    monkeypatch.setenv("CHAT_HOST", written)

    assert from_environment().host == host
    assert parse_arguments(["--host", written], Settings()).host == host


def test_the_help_shows_no_password(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    monkeypatch.setenv("CHAT_STORE", "redis://:secret@redis.example/0")

    with pytest.raises(SystemExit):
        parse_arguments(["--help"], from_environment())

    shown = capfd.readouterr().out
    assert "redis://redis.example/0" in shown
    assert "secret" not in shown


def test_connections_are_bounded_by_address_unless_it_is_a_proxys() -> None:
    of_anyone, behind_proxy = Settings().http_limits, Settings(trust_proxies=1).http_limits

    assert of_anyone.client_of("2001:db8::1") == of_anyone.client_of("2001:db8::2")
    assert of_anyone.client_of("192.0.2.1") != of_anyone.client_of("192.0.2.2")
    assert of_anyone.client_of("127.0.0.1") is None
    assert of_anyone.client_of("") is None
    assert behind_proxy.client_of("192.0.2.1") is None
