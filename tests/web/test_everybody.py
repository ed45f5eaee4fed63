"""Two pages, a terminal and a program in one chat: whatever one of them does, the others see."""

from __future__ import annotations

import re
import sys

from playwright.sync_api import expect

from chatclient import ChatClient
from chatserver.tokens import issue
from tests.conftest import StartProcess, StartServer
from tests.processes import wait_until
from tests.web.conftest import PHONE, OpenPage
from tests.web.test_rooms import act, enter, open_private, room

SECRET = "a secret of these tests, which is long enough"


def test_what_anybody_does_is_seen_by_pages_a_terminal_and_a_program(
    start_server: StartServer, open_page: OpenPage, start_process: StartProcess
) -> None:
    server = start_server(env={"CHAT_SECRET": SECRET})
    terminal = start_process(
        *(sys.executable, "-m", "chatclient", "--url", server.url, "--username", "Tess"),
        ready="^Type a message",
    )
    ann = open_page(f"{server.http_url}/#token={issue('Ann', SECRET, role='moderator')}")
    ann.be_inside()
    ben = open_page(server.http_url, viewport=PHONE).come_in("Ben")
    with ChatClient(server.url, "Bot") as bot:
        # Talk.
        ann.say("from a page")
        terminal.wait_for_line(r"^\[Ann\]: from a page$")
        terminal.send_line("from a terminal")
        ben.message("from a terminal").wait_for()
        said = bot.send("from a program").id
        for page in (ann, ben):
            page.wait_for_texts(["from a page", "from a terminal", "from a program"])
        terminal.wait_for_line(r"^\[Bot\]: from a program$")
        lobby = bot.enter("lobby")

        # Edit, remove, react, answer: each by one kind, seen by the others.
        lobby.edit(said, "from the program")
        for page in (ann, ben):
            expect(page.message("from the program")).to_contain_text("edited")
        terminal.send_line(f"/react #{said} 🎉")
        thanked = ann.message("from the program").get_by_role("button", name="🎉, 1")
        expect(thanked).to_be_visible()
        act(ben, "from the program", "React with 👍")
        wait_until(lambda: set(lobby.history()[-1].reactions) == {"🎉", "👍"})
        act(ann, "from the program", "Reply")
        ann.say("thank you")
        expect(ben.message("thank you").locator(".answered")).to_have_text("Bot from the program")
        assert lobby.history()[-1].reply_to == said
        terminal.wait_for_line(r"^\[Ann\].*thank you$")
        act(ann, "thank you", "Remove")
        expect(ben.page.get_by_text("This message was removed.")).to_be_visible()
        wait_until(lambda: lobby.history()[-1].removed)

        # Typing, presence, what is read.
        ben.field.press_sequentially("Hm")
        expect(ann.page.get_by_text("Ben is typing …")).to_be_visible()
        lobby.typing()
        expect(ann.page.get_by_text("are typing …")).to_be_visible()
        assert {one.name for one in lobby.people()} == {"Ann", "Ben", "Bot", "Tess"}
        expect(ann.page.locator(".people li")).to_have_count(4)

        # Enter a public room; what is unread there.
        terminal.send_line("/enter gardening")
        terminal.wait_for_line(r"You are in gardening")
        enter(ann, "gardening")
        room(ann, "Lobby")
        garden = bot.enter("gardening")
        garden.send("The tomatoes are out, @Ann!")
        expect(ann.page.get_by_role("button", name="gardening 1 unread")).to_be_visible()
        room(ann, "gardening")
        ann.wait_for_texts(["The tomatoes are out, @Ann!"])
        terminal.wait_for_line(r"The tomatoes are out")

        # Open a private room, invite, and have a conversation of two.
        link = open_private(ann, "Surprise")
        secret = link.partition("#pass=")[2]
        terminal.send_line(f"/accept {secret}")
        terminal.wait_for_line(r"You are in \+?Surprise")
        bot.accept(secret)
        bot.direct("Ben").send(f"Come along: {link}")
        ben.page.get_by_role("button", name="Rooms and people").click()
        ben.page.get_by_role("button", name="Bot 1 unread").click()
        ben.page.get_by_role("button", name=link).click()
        expect(ben.page.get_by_role("heading", level=1)).to_have_text("Surprise")
        expect(ann.page.locator(".people li")).to_have_count(4)
        ben.say("Here I am")
        terminal.wait_for_line(r"\[Ben\]: Here I am")
        ann.message("Here I am").wait_for()
        terminal.send_line("/msg Ann psst")
        ann.page.get_by_role("button", name="Tess 1 unread").click()
        ann.message("psst").wait_for()

        # Moderate.
        terminal.send_line("/room lobby")
        room(ann, "Lobby")
        ann.page.locator(".people").get_by_role("button", name="Bot").click()
        ann.page.get_by_label("Reason").fill("Too loud")
        ann.page.get_by_role("button", name="Mute").click()
        terminal.wait_for_line(r"Ann muted Bot.*Too loud")
        ben.page.get_by_role("button", name="Rooms and people").click()
        room(ben, "Lobby")
        expect(ben.page.get_by_text(re.compile("Ann muted Bot.*Too loud"))).to_be_visible()
        ann.page.locator(".people").get_by_role("button", name="Bot").click()
        ann.page.get_by_role("button", name="Send out").click()
        expect(ben.page.locator(".what")).to_contain_text("3 people here")
    terminal.send_line("/quit")
    for page in (ann, ben):
        expect(page.page.get_by_text("Tess left the chat")).to_be_visible()
