"""Rooms on the page: public ones, private ones, conversations, and what one does to messages."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import WebSocketRoute, expect

from chatclient import ChatClient
from tests.conftest import StartServer
from tests.processes import ServerProcess
from tests.proxy.proxy import Proxy
from tests.web.chat_page import ChatPage
from tests.web.conftest import PHONE, OpenPage
from tests.web.test_accessibility import found_by_axe


@pytest.fixture
def address(chat_server: ServerProcess) -> str:
    """Where the page is."""
    return chat_server.http_url


def room(page: ChatPage, name: str) -> None:
    """Open a room that one is in."""
    page.page.get_by_role("navigation").get_by_role("button", name=name).click()
    expect(page.page.get_by_role("heading", level=1)).to_have_text(name)


def enter(page: ChatPage, name: str) -> None:
    """Find a public room."""
    page.page.get_by_role("button", name="Find or open a room").click()
    page.page.get_by_label("Name of a room").fill(name)
    page.page.keyboard.press("Enter")
    expect(page.page.get_by_role("heading", level=1)).to_have_text(name)


def open_private(page: ChatPage, title: str) -> str:
    """Open a private room; what lets others into it."""
    page.page.get_by_role("button", name="Find or open a room").click()
    page.page.get_by_label("Title").fill(title)
    page.page.get_by_role("button", name="Open", exact=True).click()
    expect(page.page.get_by_role("heading", level=1)).to_have_text(title)
    page.page.get_by_role("button", name="About this room").click()
    page.page.get_by_role("button", name="Make an invitation").click()
    link = page.page.get_by_label("Whoever has this link")
    expect(link).to_have_value(re.compile("#pass="))
    address = link.input_value()
    page.page.keyboard.press("Escape")
    return address


def act(page: ChatPage, text: str, action: str) -> None:
    """Do something with a message."""
    message = page.message(text)
    message.hover()
    message.get_by_role("button", name=action).click()


def test_two_people_enter_a_room_and_see_what_is_unread(address: str, open_page: OpenPage) -> None:
    ann = open_page(address).come_in("Ann")
    ben = open_page(address).come_in("Ben")
    for page in (ann, ben):
        enter(page, "gardening")
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
        enter(page, "gardening")
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


def test_a_private_room_is_entered_by_its_invitation_until_its_owner_closes_it(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    ann = open_page(chat_server.http_url).come_in("Ann")
    invitation = open_private(ann, "Surprise party")
    ben = open_page(invitation).come_in("Ben")
    expect(ben.page.get_by_role("heading", level=1)).to_have_text("Surprise party")
    assert "pass" not in ben.page.url
    with ChatClient(chat_server.url, "Bot") as bot:
        bot.accept(invitation.partition("#pass=")[2]).send("I bring the music")
        ben.say("I know nothing")
        ann.wait_for_texts(["I bring the music", "I know nothing"])

        ann.page.get_by_role("button", name="About this room").click()
        ann.page.get_by_label("Topic").fill("Friday at eight")
        ann.page.get_by_role("button", name="Change the topic").click()
        ann.page.keyboard.press("Escape")
        expect(ben.page.locator(".what")).to_contain_text("Friday at eight · 3 people here")

        ben.field.fill("May I bring")
        ann.page.get_by_role("button", name="About this room").click()
        ann.page.get_by_role("button", name="Close this room").click()

    expect(ann.page.get_by_role("heading", level=1)).to_have_text("Lobby")
    expect(ben.page.get_by_text("You are not in this room any more.")).to_be_visible()
    expect(ben.page.get_by_text("Ann closed the room")).to_be_visible()
    ben.wait_for_texts(["I bring the music", "I know nothing"])
    ben.page.get_by_role("button", name="Put it away").click()
    expect(ben.page.get_by_role("heading", level=1)).to_have_text("Lobby")
    expect(ben.page.get_by_role("navigation").get_by_text("Surprise party")).to_be_hidden()


def test_a_room_is_left_and_entered_again(address: str, open_page: OpenPage) -> None:
    ann = open_page(address).come_in("Ann")
    ben = open_page(address).come_in("Ben")
    for page in (ann, ben):
        enter(page, "gardening")
    ben.say("one")
    ann.wait_for_texts(["one"])

    ann.page.get_by_role("button", name="About this room").click()
    ann.page.get_by_role("button", name="Leave this room").click()
    expect(ann.page.get_by_role("heading", level=1)).to_have_text("Lobby")
    expect(ben.page.get_by_text("Ann left gardening")).to_be_visible()
    ben.say("two")
    ben.wait_for_texts(["one", "two"])

    ann.page.get_by_role("button", name="Find or open a room").click()
    ann.page.get_by_role("dialog").get_by_role("listitem").get_by_role("button").click()
    ann.wait_for_texts(["one", "two"])
    ben.say("three")
    ann.wait_for_texts(["one", "two", "three"])


def test_what_is_unread_is_known_after_a_reload(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    ann = open_page(chat_server.http_url).come_in("Ann")
    enter(ann, "gardening")
    with ChatClient(chat_server.url, "Bob") as bob:
        garden = bob.enter("gardening")
        garden.send("seen")
        ann.wait_for_texts(["seen"])
        room(ann, "Lobby")
        garden.send("not seen")
        garden.send("nor this")
        unread = ann.page.get_by_role("navigation").get_by_label("2 unread")
        expect(unread).to_be_visible()

        ann.page.reload()

        expect(unread).to_be_visible()
        room(ann, "gardening")
        ann.wait_for_texts(["seen", "not seen", "nor this"])
        mark = ann.page.locator("li.new")
        assert "not seen" in mark.evaluate("(line) => line.nextElementSibling.textContent")
        expect(unread).to_be_hidden()
        ann.page.reload()
        ann.be_inside()
        expect(ann.page).to_have_title("gardening · Chat")


def test_somebody_whose_stay_ended_goes_where_everybody_may_and_keeps_what_was_not_sent(
    start_server: StartServer, open_page: OpenPage
) -> None:
    server = start_server("--grace", "0.2")
    with Proxy(server.address) as network, ChatClient(server.url, "Bob") as bob:
        garden = bob.enter("gardening")
        ann = open_page(f"http://127.0.0.1:{network.address[1]}/").come_in("Ann")
        invitation = open_private(ann, "Just us")
        bob.accept(invitation.partition("#pass=")[2])
        enter(ann, "gardening")
        network.refusing = True
        network.reset_all()
        ann.say("The beans!")
        room(ann, "Just us")
        ann.say("A secret")
        assert any(event.type == "leave" and event.user == "Ann" for event in bob.events())
        garden.send("meanwhile")

        network.refusing = False
        ann.come_back()

        expect(ann.unsent.get_by_role("alert")).to_have_text("Not sent. The room is over.")
        expect(ann.page.get_by_text("You are not in this room any more.")).to_be_visible()
        room(ann, "gardening")
        ann.wait_for_texts(["meanwhile", "The beans!"])
        assert [event.text for event in garden.history()] == ["meanwhile", "The beans!"]


def test_a_message_that_was_lost_on_its_way_is_asked_for(address: str, open_page: OpenPage) -> None:
    def lead_astray(socket: WebSocketRoute) -> None:
        """Let one event reach the page as that of a room that it does not know."""
        server = socket.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            text = str(message)
            socket.send(text.replace('"lobby"', '"nowhere"') if '"lost"' in text else text)

        server.on_message(pass_on)

    ann = open_page("about:blank")
    ann.page.route_web_socket("**/rpc/ws", lead_astray)
    ann.page.goto(address)
    ann.come_in("Ann")
    ben = open_page(address).come_in("Ben")
    ben.say("before")
    ann.wait_for_texts(["before"])
    ben.say("lost")
    ben.wait_for_texts(["before", "lost"])

    ben.say("after")

    ann.wait_for_texts(["before", "lost", "after"])


def test_axe_finds_nothing_in_rooms(address: str, open_page: OpenPage) -> None:
    ann = open_page(address, viewport=PHONE).come_in("Ann")
    ben = open_page(address).come_in("Ben")
    ben.say("hello")
    act(ann, "hello", "React with 👍")
    act(ann, "hello", "Reply")
    ann.say("hello to you")
    ann.message("hello to you").hover()
    expect(ann.page.get_by_role("toolbar")).to_be_visible()
    assert found_by_axe(ann) == []

    ann.page.get_by_role("button", name="Rooms and people").click()
    ann.page.get_by_role("button", name="Find or open a room").click()
    expect(ann.page.get_by_text("There are no other rooms yet.")).to_be_visible()
    assert found_by_axe(ann) == []
    ann.page.get_by_label("Title").fill("Us")
    ann.page.get_by_role("button", name="Open", exact=True).click()
    expect(ann.page.get_by_role("heading", level=1)).to_have_text("Us")
    ann.page.get_by_role("button", name="About this room").click()
    expect(ann.page.get_by_label("Topic")).to_be_visible()
    ann.page.get_by_role("button", name="Make an invitation").click()
    expect(ann.page.get_by_label("Whoever has this link")).to_be_visible()
    assert found_by_axe(ann) == []
