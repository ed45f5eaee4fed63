"""From the login page of an application that has users into the chat."""

from __future__ import annotations

import json
import sys

from playwright.sync_api import expect

from tests.conftest import StartProcess, StartServer
from tests.processes import free_port
from tests.web.conftest import OpenPage

SECRET = "a secret of these tests, which is long enough"


def test_a_user_of_an_application_logs_in_there_and_is_in_the_chat(
    start_server: StartServer, start_process: StartProcess, open_page: OpenPage
) -> None:
    server = start_server("--guests", "no", env={"CHAT_SECRET": SECRET})
    where = f"http://127.0.0.1:{free_port()}"
    start_process(
        *("sh", "-c", 'exec "$@" 2>&1', "sh", sys.executable, "-m", "flask"),
        *("--app", "examples.flask_login.app", "run", "--port", where.rpartition(":")[2]),
        env={
            "CHAT_SECRET": SECRET,
            "PORTAL_SECRET_KEY": "of these tests",
            "PORTAL_PEOPLE": json.dumps({"Ada": {"password": "countess"}}),
            "PORTAL_CHAT": f"{server.http_url}/",
        },
        ready=where,
    )
    ada = open_page(where)

    ada.page.get_by_label("Name").fill("Ada")
    ada.page.get_by_label("Password").fill("countess")
    ada.page.keyboard.press("Enter")
    ada.page.get_by_role("button", name="Go to the chat").click()

    ada.be_inside()
    expect(ada.page.locator(".self .name")).to_have_text("Ada")
    assert ada.page.url == f"{server.http_url}/"
    ada.say("Hello!")
    ada.wait_for_texts(["Hello!"])
