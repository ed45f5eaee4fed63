"""Pictures of the page for the documentation: `python -m tests.web.screenshots FOLDER`, which
scripts/take_screenshots.sh runs."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from chatclient import ChatClient
from chatserver.tokens import issue
from tests.processes import Processes, ServerProcess
from tests.web.chat_page import ChatPage
from tests.web.conftest import OPTIONS, PHONE, WIDE, Viewport
from tests.web.test_rooms import enter, open_private
from tests.web.test_rooms import room as in_room

CODE = """\
It is all of a bot, no event loop:
```python
with ChatClient(url, "Echo bot") as chat:
    for message in chat.messages():
        if message.text == "ping":
            chat.send("pong")
```"""

ANN = "Ann"
SECRET = "a secret of these pictures, which is long enough"

TALK = [
    ("Ben", "Good morning! Has anybody tried the new server yet?"),
    ("Ben", "https://github.com/cloudflare/capnweb is what it speaks"),
    (ANN, "Yes, all weekend. I pulled the plug twice 🔌 and not a single message was gone."),
    ("Zoë 🌻", "And my script talks to it now. @Ann you wanted to see it:"),
    ("Zoë 🌻", CODE),
    (ANN, "That is lovely. May I put it into the docs?"),
    ("Echo bot", "pong"),
]


def take(browser: Browser, server: ServerProcess, folder: Path) -> None:
    """Take all of them."""
    entry = opened(browser, server, WIDE)
    expect(entry.status).to_have_text("Online")
    save(entry, folder / "page-entry.png")

    ann = opened(browser, server, WIDE, f"#token={issue(ANN, SECRET, role='moderator')}")
    ann.be_inside()
    ann.page.get_by_label("Stay signed in").check()
    ann.field.focus()
    with contextlib.ExitStack() as stack:
        others = {
            name: stack.enter_context(ChatClient(server.url, name))
            for name in dict.fromkeys(name for name, _ in TALK)
            if name != ANN
        }
        expect(ann.page.locator(".people li")).to_have_count(len(others) + 1)
        ben, zoe = others["Ben"].enter("lobby"), others["Zoë 🌻"].enter("lobby")
        for name, text in TALK:
            if name == ANN:
                ann.say(text)
            else:
                others[name].send(text)
            expect(ann.page.locator(".message:not(.unsent)").last).to_contain_text(text[:20])
        messages = zoe.history()
        for room in (ben, zoe):
            room.react(messages[2].id, "🎉")
        ben.react(messages[4].id, "❤️")
        ben.send("It has a mind of its own 😄", reply_to=messages[-1].id)
        for name in ("gardening", "music"):
            enter(ann, name)
        others["Ben"].enter("gardening").send("The tomatoes are out, @Ann!")
        invitation = open_private(ann, "Surprise party")
        others["Ben"].accept(invitation.partition("#pass=")[2])
        others["Zoë 🌻"].enter("music").send("Who plays on Friday?")
        others["Zoë 🌻"].direct(ANN).send("Psst. Ben has his birthday.")
        expect(ann.page.get_by_role("navigation").get_by_label("1 unread")).to_have_count(3)
        in_room(ann, "Lobby")
        expect(ann.page.locator(".reactions")).to_have_count(2)
        ann.field.fill("See you at one?")
        save(ann, folder / "page.png")
        ann.page.emulate_media(color_scheme="dark")
        save(ann, folder / "page-dark.png")
        ann.page.emulate_media(color_scheme="light")
        ann.page.locator(".people").get_by_role("button", name="Echo bot").click()
        ann.page.get_by_label("Reason").fill("Too many pongs")
        save(ann, folder / "page-moderator.png")
        ann.page.keyboard.press("Escape")
        ann.page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
        save(ann, folder / "page-phone.png")
        ann.page.get_by_role("button", name="Rooms and people").click()
        save(ann, folder / "page-rooms.png")
        ann.page.keyboard.press("Escape")
        ann.page.context.set_offline(True)
        ann.page.evaluate("dispatchEvent(new Event('offline'))")
        ann.field.press("Enter")
        expect(ann.status).to_contain_text("Offline")
        ann.page.emulate_media(color_scheme="dark")
        save(ann, folder / "page-offline.png")


def opened(
    browser: Browser, server: ServerProcess, viewport: Viewport, invitation: str = ""
) -> ChatPage:
    """The page in a window of this size."""
    size = {"width": viewport["width"], "height": viewport["height"]}
    context = browser.new_context(viewport=size, locale="en-GB", reduced_motion="reduce")  # type: ignore[arg-type]
    return ChatPage(context, f"{server.http_url}/{invitation}")


def save(page: ChatPage, file: Path) -> None:
    """Take one, with the pointer where it changes nothing."""
    page.page.mouse.move(0, 0)
    page.page.screenshot(path=file)
    print(f"{file}  {file.stat().st_size // 1024} KiB")


def main(folder: Path) -> None:
    """Start a server and a browser, and take all of them."""
    with Processes() as processes, sync_playwright() as playwright:
        server = processes.add(ServerProcess(env={"CHAT_SECRET": SECRET}))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        take(browser, server, folder)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
