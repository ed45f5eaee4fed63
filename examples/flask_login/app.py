"""The Flask application: `flask --app examples.flask_login.app run`.

Its settings come from the environment: PORTAL_SECRET_KEY, PORTAL_PEOPLE (by name, password and
role, in JSON), PORTAL_CHAT (where the chat is), and CHAT_SECRET, which the chat's server has, too.
"""

from __future__ import annotations

import hmac
import os
from typing import Any

import msgspec
from flask import Flask, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from chatserver.tokens import Role, issue

VISIT_DAYS = 0.5
"""For how long a token is good. Whoever stays longer comes back here for the next one."""


class Account(msgspec.Struct):
    """What is known of somebody. A real application has a database, with hashes of passwords."""

    password: str
    role: Role = "member"


class Settings(msgspec.Struct, rename="upper"):
    """What the environment has to say."""

    people: dict[str, Account]
    chat: str = "http://127.0.0.1:8080/"


def create_app() -> Flask:
    """Make it."""
    app = Flask(__name__)
    app.config.from_prefixed_env("PORTAL")
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"  # a form of another site comes without it
    settings = msgspec.convert(dict[str, Any](app.config), Settings)
    secret = os.environ["CHAT_SECRET"]

    @app.get("/")
    def home() -> str:  # pyright: ignore[reportUnusedFunction]
        return render_template("home.html", name=session.get("name"))

    @app.post("/login")
    def login() -> Response | tuple[str, int]:  # pyright: ignore[reportUnusedFunction]
        name, password = request.form["name"], request.form["password"]
        account = settings.people.get(name, Account(""))
        right = hmac.compare_digest(account.password.encode(), password.encode())
        if not right or not password:
            return render_template("home.html", name=None, wrong=True), 403
        session.clear()
        session["name"] = name
        return redirect(url_for("home"), 303)

    @app.post("/logout")
    def logout() -> Response:  # pyright: ignore[reportUnusedFunction]
        session.clear()
        return redirect(url_for("home"), 303)

    @app.post("/chat")
    def chat() -> Response:  # pyright: ignore[reportUnusedFunction]
        """Hand over whoever is logged in."""
        account = settings.people.get(session.get("name", ""))
        if account is None:
            return redirect(url_for("home"), 303)
        token = issue(session["name"], secret, days=VISIT_DAYS, role=account.role)
        # What stands behind # reaches no server and no log: the page alone reads it.
        answer = redirect(f"{settings.chat}#token={token}", 303)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    return app
