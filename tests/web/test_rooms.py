"""Rooms on the page: what a server offers that answers `about`."""

from __future__ import annotations

import re
import sys

import pytest
from playwright.sync_api import expect

from tests.conftest import StartProcess
from tests.web.chat_page import ChatPage
from tests.web.conftest import PHONE, OpenPage
from tests.web.test_accessibility import found_by_axe


@pytest.fixture
def address(start_process: StartProcess) -> str:
    """Where a chat with rooms is."""
    server = start_process(sys.executable, "-m", "tests.web.rooms_server", ready="^ready")
    return server.wait_for_line(r"^ready (?P<url>\S+)$")["url"]


def room(page: ChatPage, name: str) -> None:
    """Open a room that one is in."""
    page.page.get_by_role("navigation").get_by_role("button", name=name).click()
    expect(page.page.get_by_role("heading", level=1)).to_have_text(name)


def act(page: ChatPage, text: str, action: str) -> None:
    """Do something with a message."""
    message = page.message(text)
    message.hover()
    message.get_by_role("button", name=action).click()


def test_two_people_enter_a_room_and_see_what_is_unread(address: str, open_page: OpenPage) -> None:
    ann = open_page(address).come_in("Ann")
    ben = open_page(address).come_in("Ben")
    for page in (ann, ben):
        page.page.get_by_role("button", name="Find or open a room").click()
        page.page.get_by_label("Name of a room").fill("gardening")
        page.page.keyboard.press("Enter")
        expect(page.page.get_by_role("heading", level=1)).to_have_text("gardening")
    ann.say("The tomatoes are out!")
    expect(ben.message("The tomatoes are out!")).to_be_visible()
    room(ben, "Lobby")

    ann.say("@Ben come and see")

    unread = ben.page.get_by_role("navigation").get_by_label("1 unread")
    expect(unread).to_be_visible()
    expect(ben.page).to_have_title("(1) Lobby · Chat")
    room(ben, "gardening")
    expect(unread).to_be_hidden()
    expect(ben.page.locator("li.new")).to_be_visible()
    expect(ben.page).to_have_title("gardening · Chat")


def test_messages_are_edited_removed_answered_and_reacted_to(
    address: str, open_page: OpenPage
) -> None:
    ann = open_page(address).come_in("Ann")
    ben = open_page(address).come_in("Ben")
    ann.say("Helo")
    ben.message("Helo").wait_for()

    ann.field.press("ArrowUp")
    expect(ann.field).to_have_value("Helo")
    ann.field.fill("Hello")
    ann.field.press("Enter")
    expect(ben.message("Hello")).to_contain_text("edited")

    act(ben, "Hello", "Reply")
    ben.say("Hello yourself")
    expect(ann.message("Hello yourself").locator(".answered")).to_have_text("Ann Hello")
    ann.message("Hello yourself").locator(".answered").click()
    expect(ann.message("Hello").first).to_be_focused()

    act(ben, "Hello yourself", "Remove")
    expect(ann.page.get_by_text("This message was removed.")).to_be_visible()

    ann.say("Better?")
    act(ben, "Better?", "React with 👍")
    thumb = ann.message("Better?").get_by_role("button", name="👍, 1")
    expect(thumb).to_have_attribute("aria-pressed", "false")
    thumb.click()
    both = ben.message("Better?").get_by_role("button", name="👍, 2")
    expect(both).to_have_attribute("aria-pressed", "true")
    both.click()
    expect(ann.message("Better?").get_by_role("button", name="👍, 1")).to_be_visible()
    ben.page.reload()
    ben.be_inside()
    expect(ben.page.get_by_text("This message was removed.")).to_be_visible()
    expect(ben.message("Better?").get_by_role("button", name="👍, 1")).to_be_visible()


def test_a_private_room_is_entered_by_its_invitation(address: str, open_page: OpenPage) -> None:
    ann = open_page(address).come_in("Ann")
    ann.page.get_by_role("button", name="Find or open a room").click()
    ann.page.get_by_label("Title").fill("Surprise party")
    ann.page.get_by_role("button", name="Open", exact=True).click()
    expect(ann.page.get_by_role("heading", level=1)).to_have_text("Surprise party")
    ann.page.get_by_role("button", name="About this room").click()
    ann.page.get_by_role("button", name="Make an invitation").click()
    link = ann.page.get_by_label("Whoever has this link")
    expect(link).to_have_value(re.compile("#pass="))
    address_of_room = link.input_value()
    ann.page.keyboard.press("Escape")

    ben = open_page(address_of_room).come_in("Ben")

    expect(ben.page.get_by_role("heading", level=1)).to_have_text("Surprise party")
    assert "pass" not in ben.page.url
    ben.say("I know nothing")
    expect(ann.message("I know nothing")).to_be_visible()
    ann.page.get_by_role("navigation").get_by_role("button", name="Ben").click()
    ann.page.get_by_role("button", name="Send out").click()
    expect(ben.page.get_by_role("heading", level=1)).to_have_text("Lobby")
    expect(ben.page.get_by_role("navigation").get_by_text("Surprise party")).to_be_hidden()


def test_two_people_have_a_conversation_of_their_own(address: str, open_page: OpenPage) -> None:
    ann = open_page(address).come_in("Ann")
    ben = open_page(address).come_in("Ben")
    ann.page.get_by_role("navigation").get_by_role("button", name="Ben").click()
    ann.page.get_by_role("button", name="Message", exact=True).click()
    expect(ann.page.get_by_role("heading", level=1)).to_have_text("Ben")
    ann.say("Just for you")

    with_ann = ben.page.get_by_role("navigation").get_by_role("button", name="Ann 1 unread")
    with_ann.click()

    expect(ben.message("Just for you")).to_be_visible()
    ben.field.press_sequentially("Th")
    expect(ann.page.get_by_text("Ben is typing …")).to_be_visible()
    ben.say("Thanks")
    ann.wait_for_texts(["Just for you", "Thanks"])
    expect(ann.page.get_by_text("Ben is typing …")).to_be_hidden()


def test_what_somebody_missed_in_any_room_is_there_afterwards(
    address: str, open_page: OpenPage
) -> None:
    ann = open_page(address).come_in("Ann")
    ben = open_page(address).come_in("Ben")
    for page in (ann, ben):
        page.page.get_by_role("button", name="Find or open a room").click()
        page.page.get_by_label("Name of a room").fill("gardening")
        page.page.keyboard.press("Enter")
        expect(page.page.get_by_role("heading", level=1)).to_have_text("gardening")
    ann.page.context.set_offline(True)
    ann.page.evaluate("dispatchEvent(new Event('offline'))")
    expect(ann.status).to_contain_text("Offline")
    ben.say("one")
    room(ben, "Lobby")
    ben.say("two")
    ben.wait_for_texts(["two"])

    ann.page.context.set_offline(False)
    ann.come_back()

    ann.wait_for_texts(["one"])
    room(ann, "Lobby")
    ann.wait_for_texts(["two"])


def test_a_moderator_removes_what_others_said(address: str, open_page: OpenPage) -> None:
    mod = open_page(address).come_in("Mod")
    ben = open_page(address).come_in("Ben")
    ben.say("something rude")
    mod.message("something rude").wait_for()

    act(mod, "something rude", "Remove")

    expect(ben.page.get_by_text("This message was removed.")).to_be_visible()


def test_axe_finds_nothing_in_rooms(address: str, open_page: OpenPage) -> None:
    mod = open_page(address, viewport=PHONE).come_in("Mod")
    ben = open_page(address).come_in("Ben")
    ben.say("hello")
    act(mod, "hello", "React with 👍")
    mod.message("hello").hover()
    act(mod, "hello", "Reply")
    mod.say("hello to you")
    mod.message("hello to you").hover()
    expect(mod.page.get_by_role("toolbar")).to_be_visible()
    assert found_by_axe(mod) == []

    mod.page.get_by_role("button", name="About this room").click()
    expect(mod.page.get_by_role("dialog")).to_be_visible()
    assert found_by_axe(mod) == []
    mod.page.keyboard.press("Escape")
    mod.page.get_by_role("button", name="Rooms and people").click()
    mod.page.get_by_role("button", name="Find or open a room").click()
    expect(mod.page.get_by_text("There are no other rooms yet.")).to_be_visible()
    assert found_by_axe(mod) == []
    mod.page.keyboard.press("Escape")
    mod.page.get_by_role("navigation").get_by_role("button", name="Ben").click()
    expect(mod.page.get_by_role("button", name="Send out")).to_be_visible()
    assert found_by_axe(mod) == []


def test_messages_are_reached_and_answered_with_the_keyboard(
    address: str, open_page: OpenPage
) -> None:
    ann = open_page(address).come_in("Ann")
    ann.say("first")
    ann.say("second")
    ann.wait_for_texts(["first", "second"])

    ann.page.keyboard.press("Shift+Tab")
    ann.page.keyboard.press("ArrowUp")
    expect(ann.message("second")).to_be_focused()
    ann.page.keyboard.press("ArrowUp")
    expect(ann.message("first")).to_be_focused()
    reply = ann.message("first").get_by_role("button", name="Reply")
    expect(reply).to_be_visible()
    for _ in range(7):
        ann.page.keyboard.press("Tab")
    expect(reply).to_be_focused()
    ann.page.keyboard.press("Enter")

    expect(ann.field).to_be_focused()
    expect(ann.page.get_by_text("Reply to Ann")).to_be_visible()
    ann.page.keyboard.press("Escape")
    expect(ann.page.get_by_text("Reply to Ann")).to_be_hidden()


def test_a_message_that_was_lost_on_its_way_is_asked_for(address: str, open_page: OpenPage) -> None:
    ann = open_page(address).come_in("Ann")
    ben = open_page(address).come_in("Ben")
    ben.say("before")
    ben.say("nobody is told of this")

    ben.say("after")

    ann.wait_for_texts(["before", "nobody is told of this", "after"])


def test_an_account_comes_by_its_link_and_stays_by_choice(
    address: str, open_page: OpenPage
) -> None:
    cara = open_page(f"{address}/#token=Cara")
    cara.be_inside()
    assert cara.page.url == f"{address}/"
    everything_kept = "JSON.stringify([{...localStorage}, {...sessionStorage}])"
    assert '"token' not in cara.page.evaluate(everything_kept)
    cara.page.reload()
    expect(cara.page.get_by_label("Your name")).to_be_visible()

    cara.page.goto("about:blank")
    cara.page.goto(f"{address}/#token=Cara")
    cara.page.get_by_label("Stay signed in").check()
    cara.page.reload()
    cara.be_inside()
    expect(cara.page.locator(".self .name")).to_have_text("Cara")
    cara.page.get_by_role("button", name="Leave the chat").click()
    expect(cara.page.get_by_label("Your name")).to_be_visible()
    assert "Cara" not in cara.page.evaluate(everything_kept)
