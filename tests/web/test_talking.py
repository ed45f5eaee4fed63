"""Talking: the page beside other pages, the terminal client and a program."""

from __future__ import annotations

import re
import sys
import threading

from playwright.sync_api import expect

from chatclient import ChatClient
from tests.conftest import StartProcess, StartServer
from tests.processes import ServerProcess, wait_until
from tests.proxy.proxy import Proxy
from tests.web.chat_page import ChatPage
from tests.web.conftest import PHONE, OpenPage
from tests.web.test_accessibility import found_by_axe


def distance_to_end(page: ChatPage) -> float:
    distance: float = page.scroller.evaluate("(s) => s.scrollHeight - s.clientHeight - s.scrollTop")
    return distance


def test_two_pages_a_terminal_and_a_program_talk_in_one_order(
    chat_server: ServerProcess, open_page: OpenPage, start_process: StartProcess
) -> None:
    terminal = start_process(
        sys.executable, "-m", "chatclient", "--url", chat_server.url, "--username", "Tess",
        ready="^Type a message",
    )  # fmt: skip
    with ChatClient(chat_server.url, "Echo bot") as bot:

        def echo() -> None:
            for message in bot.messages():
                if message.text == "ping":
                    bot.send("pong")

        echoing = threading.Thread(target=echo)
        echoing.start()
        ann = open_page(chat_server.http_url).come_in("Ann")
        ben = open_page(chat_server.http_url, viewport=PHONE).come_in("Ben")

        ann.say("Hello from a page!")
        terminal.wait_for_line(r"^\[Ann\]: Hello from a page!$")
        terminal.send_line("Hello from a terminal!")
        expect(ben.message("Hello from a terminal!")).to_be_visible()
        ben.say("ping")
        expect(ann.message("pong")).to_be_visible()

        said = ["Hello from a page!", "Hello from a terminal!", "ping", "pong"]
        ann.wait_for_texts(said)
        ben.wait_for_texts(said)
        expect(ann.message("pong").locator(".who")).to_have_text("Echo bot")
        expect(ann.page.get_by_role("navigation").get_by_text("Tess")).to_be_visible()
    echoing.join()
    expect(ann.page.get_by_text("Echo bot left the chat")).to_be_visible()


def test_a_name_that_is_taken_is_told_where_it_is_typed(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "Ann"):
        page = open_page(chat_server.http_url)
        page.page.get_by_label("Your name").fill("ann")
        page.page.keyboard.press("Enter")

        expect(page.page.get_by_role("alert")).to_contain_text("Ann")
        name = page.page.get_by_label("Your name")
        expect(name).to_be_focused()
        expect(name).to_have_attribute("aria-invalid", "true")
        page.come_in("Anna")


def test_a_reload_keeps_the_name_the_draft_and_what_was_said(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "Bob") as bob:
        ann = open_page(chat_server.http_url).come_in("Ann")
        ann.say("Just a moment.")
        ann.wait_for_texts(["Just a moment."])
        ann.field.fill("I was going to sa")

        ann.page.reload()

        ann.be_inside()
        expect(ann.field).to_have_value("I was going to sa")
        ann.wait_for_texts(["Just a moment."])
        ann.say("Back again.")
        ann.wait_for_texts(["Just a moment.", "Back again."])
        assert [event.type for event in bob.history() if event.user == "Ann"] == [
            "join", "chat", "chat",
        ]  # fmt: skip


def test_leaving_is_at_once(chat_server: ServerProcess, open_page: OpenPage) -> None:
    with ChatClient(chat_server.url, "Bob") as bob:
        ann = open_page(chat_server.http_url).come_in("Ann")

        ann.page.get_by_role("button", name="Leave the chat").click()

        expect(ann.page.get_by_label("Your name")).to_be_focused()
        wait_until(lambda: bob.users() == ["Bob"])
        ann.page.reload()
        expect(ann.page.get_by_label("Your name")).to_be_visible()


def test_a_second_tab_of_a_guest_asks_before_it_takes_over(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    first = open_page(chat_server.http_url).come_in("Ann")
    first.say("From the first tab.")
    second = open_page(chat_server.http_url, beside=first)

    expect(second.page.get_by_text("You are in here as Ann in another tab.")).to_be_visible()
    first.say("Still here.")
    first.wait_for_texts(["From the first tab.", "Still here."])
    second.page.get_by_role("button", name="Go on here as Ann").click()

    second.wait_for_texts(["From the first tab.", "Still here."])
    expect(first.page.get_by_role("alert")).to_contain_text("goes on in another tab")
    first.page.bring_to_front()
    first.page.get_by_role("button", name="Go on here instead").click()
    first.be_inside()
    first.say("Back in the first.")
    first.wait_for_texts(["From the first tab.", "Still here.", "Back in the first."])
    expect(second.page.get_by_role("alert")).to_contain_text("goes on in another tab")


def test_a_duplicated_tab_does_not_take_the_name_without_asking(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    first = open_page(chat_server.http_url).come_in("Ann")
    first.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    kept = first.page.evaluate("JSON.stringify(sessionStorage)")
    first.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    expect(first.status).to_have_text("Online")
    second = open_page(chat_server.http_url, beside=first)
    second.page.evaluate("(kept) => Object.assign(sessionStorage, JSON.parse(kept))", kept)

    second.page.reload()

    expect(second.page.get_by_role("button", name="Go on here as Ann")).to_be_visible()
    expect(first.field).to_be_visible()


def test_what_arrives_out_of_sight_is_counted_and_marked(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "Bob") as bob:
        for number in range(40):
            bob.send(f"before {number}")
        ann = open_page(chat_server.http_url).come_in("Ann")
        expect(ann.message("before 39")).to_be_in_viewport()
        ann.scroller.evaluate("(scroller) => scroller.scrollTo(0, 0)")
        down = ann.page.get_by_role("button", name="newest message")
        expect(down).to_be_visible()
        top = ann.page.get_by_text("before 0", exact=True)
        expect(top).to_be_in_viewport()

        bob.send("@Ann look!")
        bob.send("after")

        two = ann.page.get_by_role("button", name="2 new messages")
        expect(two).to_be_visible()
        expect(ann.page).to_have_title("(2) Lobby · Chat")
        expect(ann.page.locator("link[rel=icon]")).to_have_attribute("href", re.compile("^blob:"))
        expect(top).to_be_in_viewport()
        two.click()
        expect(ann.message("after")).to_be_in_viewport()
        expect(ann.page).to_have_title("Lobby · Chat")
        mark = ann.page.locator("li.new")
        expect(mark).to_have_text("New")
        assert "@Ann look!" in mark.evaluate("(line) => line.nextElementSibling.textContent")
        expect(ann.page.locator(".mention.me")).to_have_text("@Ann")


def test_older_messages_come_without_a_jump(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "Bob") as bob:
        for number in range(250):
            bob.send(f"message {number}")
        ann = open_page(chat_server.http_url).come_in("Ann")
        expect(ann.message("message 249")).to_be_in_viewport()
        seen = ann.page.get_by_text("message 200", exact=True)
        seen.scroll_into_view_if_needed()
        place = seen.bounding_box()

        expect(ann.message("message 160")).to_be_attached()

        now = seen.bounding_box()
        assert place is not None
        assert now is not None
        assert abs(now["y"] - place["y"]) < 2
        while not ann.page.get_by_text("This is where it begins.").is_visible():
            ann.scroller.evaluate("(scroller) => scroller.scrollBy(0, -500)")
        assert ann.texts()[:2] == ["message 0", "message 1"]


def test_older_messages_come_once_there_is_a_connection_again(
    start_server: StartServer, open_page: OpenPage
) -> None:
    # Reads are few, so that one is refused, too.
    few = ("--unlimited-addresses", "", "--message-rate", "off", "--history-rate", "2:3")
    server = start_server(*few)
    with Proxy(server.address) as network, ChatClient(server.url, "Bob") as bob:
        for number in range(350):
            bob.send(f"message {number}")
        ann = open_page(f"http://127.0.0.1:{network.address[1]}/").come_in("Ann")
        expect(ann.message("message 349")).to_be_in_viewport()
        network.refusing = True
        network.reset_all()
        expect(ann.status).to_contain_text("Offline")
        ann.scroller.evaluate("(scroller) => scroller.scrollTo(0, 0)")

        network.refusing = False
        ann.come_back()

        expect(ann.message("message 260")).to_be_attached()
        while not ann.page.get_by_text("This is where it begins.").is_visible():
            ann.scroller.evaluate("(scroller) => scroller.scrollTo(0, 0)")
        assert ann.texts()[:2] == ["message 0", "message 1"]


def test_what_looks_like_a_command_is_not_said_by_mistake(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    ann = open_page(chat_server.http_url).come_in("Ann")

    ann.say("/quit")

    asked = ann.page.get_by_role("alert")
    expect(asked).to_contain_text("/quit looks like a command, so it was not sent.")
    expect(ann.field).to_have_value("/quit")
    assert found_by_axe(ann) == []
    ann.field.fill("/quit is how I leave")
    expect(asked).to_be_hidden()
    ann.page.keyboard.press("Enter")
    asked.get_by_role("button", name="Say it anyway").click()
    ann.say("//help")
    ann.say(" /users")
    ann.say("/etc/hosts has it")
    ann.say("// a comment")
    ann.say("/me waves")
    ann.wait_for_texts(
        [
            "/quit is how I leave",
            "/help",
            "/users",
            "/etc/hosts has it",
            "// a comment",
            "Ann waves",
        ]
    )
    expect(ann.field).to_be_focused()


def test_names_are_completed_with_the_keyboard(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "Barbara"), ChatClient(chat_server.url, "Bob"):
        ann = open_page(chat_server.http_url).come_in("Ann")
        ann.field.press_sequentially("Hello @b")
        names = ann.page.get_by_role("listbox", name="People to mention")
        expect(names.get_by_role("option")).to_have_text(["Barbara", "Bob"])

        ann.page.keyboard.press("ArrowDown")
        ann.page.keyboard.press("Enter")
        ann.page.keyboard.type("!")

        expect(ann.field).to_have_value("Hello @Bob !")
        ann.page.keyboard.press("Enter")
        expect(ann.page.locator("strong.mention")).to_have_text("@Bob")


def test_a_message_that_the_server_refuses_is_kept_with_the_reason(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    ann = open_page(chat_server.http_url).come_in("Ann")

    ann.say("\u200b")

    expect(ann.unsent.get_by_role("alert")).to_contain_text("Not sent. A message needs some text")
    ann.say("but this")
    expect(ann.message("but this")).to_be_visible()
    ann.page.get_by_role("button", name="Discard").click()
    ann.wait_for_texts(["but this"])
    expect(ann.field).to_be_focused()


def test_a_message_that_is_too_long_is_told_before_it_is_sent(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    ann = open_page(chat_server.http_url).come_in("Ann")

    ann.say("🌻" * 4_001)

    expect(ann.page.get_by_text("4,001 of 4,000 characters: too long to send.")).to_be_visible()
    ann.say("🌻" * 4_000)
    ann.wait_for_texts(["🌻" * 4_000])


def test_an_invitation_leaves_the_address_bar(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    page = open_page(f"{chat_server.http_url}/#token=secret")

    expect(page.page.get_by_text("This token is not good here")).to_be_visible()
    assert page.page.url == f"{chat_server.http_url}/"
    assert "secret" not in page.page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}])"
    )
