"""The Flask application: `flask --app examples.jobs.app run`.

Its settings come from the environment: JOBS_FOLDER, JOBS_SECRET_KEY, JOBS_PEOPLE (names and
passwords, in JSON) and JOBS_TOKEN, which workers have.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Any

import msgspec
from flask import Flask, Request, abort, request, session

from capnweb_sync import Refused, serve

from .desk import Bench, Desk
from .jobs import Jobs


class Settings(msgspec.Struct, rename="upper"):
    """What the environment has to say."""

    folder: str
    people: dict[str, str]
    token: str


def create_app() -> Flask:
    """Make it."""
    app = Flask(__name__)
    app.config.from_prefixed_env("JOBS")
    settings = msgspec.convert(dict[str, Any](app.config), Settings)
    jobs = Jobs(Path(settings.folder))

    @app.post("/login")
    def login() -> str:  # pyright: ignore[reportUnusedFunction]
        name, password = request.form["name"], request.form["password"]
        if not hmac.compare_digest(settings.people.get(name, ""), password) or not password:
            abort(403)
        session["user"] = name
        return f"Welcome, {name}!"

    def desk_of(asked: Request) -> Desk:
        if "user" not in session:
            raise Refused(401, "Log in first.")
        return Desk(jobs, session["user"])

    def bench_of(asked: Request) -> Bench:
        expected = f"Bearer {settings.token}"
        if not hmac.compare_digest(asked.headers.get("Authorization", ""), expected):
            raise Refused(401, "Workers have a token.")
        return Bench(jobs)

    app.register_blueprint(serve(for_request=desk_of).blueprint("/rpc"))
    app.register_blueprint(serve(for_request=bench_of).blueprint("/work", "work"))
    return app
