"""Logging in to the application, and what it says of its users to the chat."""

from __future__ import annotations

import json

import jwt
import pytest
from flask.testing import FlaskClient

from chatserver.people.token_terms import AUDIENCE
from examples.flask_login.app import create_app

SECRET = "a secret of these tests, which is long enough"


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    people = {"Ada": {"password": "countess", "role": "moderator"}, "Zoë": {"password": "ünïcode"}}
    monkeypatch.setenv("PORTAL_PEOPLE", json.dumps(people))
    monkeypatch.setenv("PORTAL_SECRET_KEY", "of these tests")
    monkeypatch.setenv("PORTAL_CHAT", "https://chat.example/")
    monkeypatch.setenv("CHAT_SECRET", SECRET)
    return create_app().test_client()


def log_in(browser: FlaskClient, name: str, password: str) -> int:
    return browser.post("/login", data={"name": name, "password": password}).status_code


@pytest.mark.parametrize(
    ("name", "password", "role"), [("Ada", "countess", "moderator"), ("Zoë", "ünïcode", "member")]
)
def test_whoever_is_logged_in_is_handed_over_under_the_own_name(
    browser: FlaskClient, name: str, password: str, role: str
) -> None:
    assert log_in(browser, name, password) == 303
    assert f"Hello, {name}" in browser.get("/").text

    answer = browser.post("/chat")

    address, _, token = answer.headers["Location"].partition("#token=")
    assert address == "https://chat.example/"
    assert answer.headers["Cache-Control"] == "no-store"
    said = jwt.decode(token, SECRET, algorithms=["HS256"], audience=AUDIENCE)
    assert (said["sub"], said["role"]) == (name, role)


@pytest.mark.parametrize(
    ("name", "password"), [("Ada", "baron"), ("Ada", ""), ("Nobody", ""), ("Nobody", "countess")]
)
def test_nobody_comes_in_with_a_wrong_password(
    browser: FlaskClient, name: str, password: str
) -> None:
    assert log_in(browser, name, password) == 403
    assert "token" not in browser.post("/chat").headers["Location"]


def test_after_logging_out_there_is_no_way_in(browser: FlaskClient) -> None:
    log_in(browser, "Ada", "countess")
    browser.post("/logout")

    assert "token" not in browser.post("/chat").headers["Location"]
