"""The page for everyone: what axe-core finds, and what one can do without a mouse."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import expect

from chatclient import ChatClient
from tests.processes import ServerProcess
from tests.proxy.proxy import Proxy
from tests.web.chat_page import ChatPage
from tests.web.conftest import AXE, PHONE, OpenPage

Scheme = Literal["light", "dark"]

SCHEMES: list[Scheme] = ["light", "dark"]

RUN_AXE = """
async () => {
    const {violations} = await axe.run(document, {resultTypes: ["violations"]});
    return violations.flatMap(({id, nodes}) => nodes.map((node) =>
        `${id}: ${node.html.slice(0, 160)} ${node.any.map(({message}) => message).join(" ")}`));
}
"""


def found_by_axe(page: ChatPage) -> list[str]:
    """What axe-core finds wrong, in both schemes."""
    page.page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = []
    for scheme in SCHEMES:
        page.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += [f"{scheme}: {problem}" for problem in page.page.evaluate(RUN_AXE)]
    return found


def test_axe_finds_nothing_where_one_comes_in(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "Ann"):
        page = open_page(chat_server.http_url)
        expect(page.status).to_have_text("Online")
        assert found_by_axe(page) == []

        page.page.get_by_label("Your name").fill("Ann")
        page.page.keyboard.press("Enter")
        expect(page.page.get_by_role("alert")).to_be_visible()

        assert found_by_axe(page) == []


@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "phone"])
def test_axe_finds_nothing_in_the_chat(
    chat_server: ServerProcess, open_page: OpenPage, narrow: bool
) -> None:
    with Proxy(chat_server.address) as network, ChatClient(chat_server.url, "Bob") as bob:
        url = f"http://127.0.0.1:{network.address[1]}/"
        page = open_page(url, viewport=PHONE) if narrow else open_page(url)
        page.come_in("Ann")
        for number in range(20):
            bob.send(f"{number} `code` @Ann https://example.org/{number}")
        bob.send("```\nfor ever\n```")
        page.say("@Bob yes https://example.org/")
        page.say("\u200b")
        expect(page.unsent.get_by_role("alert")).to_be_visible()
        page.scroller.evaluate("(scroller) => scroller.scrollTo(0, 0)")
        expect(page.page.get_by_role("button", name="To the newest message")).to_be_visible()
        bob.send("below")
        expect(page.page.get_by_role("button", name="1 new message")).to_be_visible()
        assert found_by_axe(page) == []

        page.field.fill("@B")
        page.field.press_sequentially("o")
        expect(page.page.get_by_role("listbox")).to_be_visible()
        assert found_by_axe(page) == []
        page.page.keyboard.press("Escape")

        if narrow:
            page.page.get_by_role("button", name="Rooms and people").click()
            expect(page.page.get_by_role("button", name="Close the list")).to_be_focused()
            assert found_by_axe(page) == []
        page.page.get_by_role("navigation").get_by_role("button", name="Bob").click()
        expect(page.page.get_by_role("dialog")).to_be_visible()
        assert found_by_axe(page) == []
        page.page.keyboard.press("Escape")
        if narrow:
            page.page.keyboard.press("Escape")

        network.refusing = True
        network.reset_all()
        page.say("later")
        expect(page.status).to_contain_text("Offline")
        assert found_by_axe(page) == []


def test_axe_finds_nothing_where_the_chat_went_on_elsewhere(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    first = open_page(chat_server.http_url).come_in("Ann")
    second = open_page(chat_server.http_url, beside=first)
    here = second.page.get_by_role("button", name="Go on here as Ann")
    expect(here).to_be_visible()
    assert found_by_axe(second) == []

    here.click()

    expect(first.page.get_by_role("alert")).to_be_visible()
    assert found_by_axe(first) == []


def test_a_first_visit_with_the_keyboard_alone(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "Bob") as bob:
        for number in range(100):
            bob.send(f"line {number}")
        page = open_page(chat_server.http_url)
        keyboard = page.page.keyboard
        expect(page.page.get_by_label("Your name")).to_be_focused()
        keyboard.type("Ann")
        keyboard.press("Enter")
        expect(page.field).to_be_focused()
        keyboard.type("Hello")
        keyboard.press("Shift+Enter")
        keyboard.type("everyone")
        keyboard.press("Enter")
        expect(page.message("Hello\neveryone")).to_be_visible()
        expect(page.field).to_be_focused()

        # Back through the page: the messages scroll by keys, and the end is a key away.
        keyboard.press("Shift+Tab")
        expect(page.scroller).to_be_focused()
        keyboard.press("Home")
        down = page.page.get_by_role("button", name="To the newest message")
        expect(down).to_be_visible()
        keyboard.press("Tab")
        expect(down).to_be_focused()
        keyboard.press("Enter")
        expect(page.message("Hello\neveryone")).to_be_in_viewport()

        # A person's card gives the focus back to where it was opened.
        person = page.page.get_by_role("navigation").get_by_role("button", name="Bob")
        person.focus()
        keyboard.press("Enter")
        expect(page.page.get_by_role("dialog")).to_be_visible()
        keyboard.press("Escape")
        expect(person).to_be_focused()
        keyboard.press("Enter")
        expect(page.page.get_by_role("button", name="Close", exact=True)).to_be_focused()
        keyboard.press("Tab")
        mention = page.page.get_by_role("button", name="Mention", exact=True)
        expect(mention).to_be_focused()
        keyboard.press("Enter")
        expect(page.field).to_be_focused()
        expect(page.field).to_have_value("@Bob ")

        page.page.get_by_role("button", name="Leave the chat").focus()
        keyboard.press("Enter")
        expect(page.page.get_by_label("Your name")).to_be_focused()


def test_the_list_of_a_phone_opens_and_closes_with_the_keyboard(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    page = open_page(chat_server.http_url, viewport=PHONE).come_in("Ann")
    menu = page.page.get_by_role("button", name="Rooms and people")
    menu.focus()

    page.page.keyboard.press("Enter")

    expect(page.page.get_by_role("button", name="Close the list")).to_be_focused()
    page.page.keyboard.press("Escape")
    expect(menu).to_be_focused()
    expect(page.page.get_by_role("button", name="Close the list")).to_be_hidden()


def test_messages_of_others_are_read_out_and_a_crowd_is_counted(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "Bob") as bob:
        page = open_page(chat_server.http_url).come_in("Ann")
        live = page.page.get_by_role("log")
        bob.send("Hello Ann")
        expect(live).to_have_text("Bob: Hello Ann")

        for number in range(20):
            bob.send(f"{number}")

        expect(live).to_contain_text("new messages in Lobby")
