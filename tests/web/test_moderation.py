"""Accounts and moderators on the page."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from capnweb_sync import connect
from chatclient import ChatClient
from chatserver.tokens import issue
from tests.conftest import StartServer
from tests.processes import ServerProcess, wait_until
from tests.web.chat_page import ChatPage
from tests.web.conftest import PHONE, OpenPage
from tests.web.test_accessibility import found_by_axe
from tests.web.test_hostile import everywhere
from tests.web.test_rooms import act, enter, open_private, room

SECRET = "a secret of these tests, which is long enough"

EVERYTHING_KEPT = "JSON.stringify([{...localStorage}, {...sessionStorage}])"


@pytest.fixture
def server(start_server: StartServer) -> ServerProcess:
    """A server that knows accounts."""
    return start_server(env={"CHAT_SECRET": SECRET})


def invitation(server: ServerProcess, name: str, **claims: str) -> str:
    """The link by which somebody comes in."""
    return f"{server.http_url}/#token={issue(name, SECRET, **claims)}"  # type: ignore[arg-type]


def about(page: ChatPage, name: str) -> None:
    """Open somebody's card."""
    page.page.locator(".people").get_by_role("button", name=name).click()
    expect(page.page.get_by_role("dialog")).to_be_visible()


def test_a_moderator_removes_mutes_sends_out_bans_and_lifts(
    server: ServerProcess, open_page: OpenPage
) -> None:
    mod = open_page(invitation(server, "Mod", role="moderator"))
    mod.be_inside()
    ben = open_page(server.http_url).come_in("Ben")
    ben.say("something rude")
    mod.message("something rude").wait_for()

    act(mod, "something rude", "Remove")
    mod.page.get_by_label("Reason").fill("Be kind")
    assert found_by_axe(mod) == []
    mod.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(ben.page.get_by_text("This message was removed.")).to_be_visible()

    act_about(mod, ben)
    mod.page.get_by_label("Reason").fill("Cool down")
    mod.page.get_by_label("For how long").select_option("10 minutes")
    assert found_by_axe(mod) == []
    mod.page.get_by_role("button", name="Mute").click()
    expect(mod.page.get_by_role("dialog")).to_be_hidden()
    ben.say("I say no more")
    expect(ben.unsent.get_by_role("alert")).to_contain_text("Cool down")

    mod.page.get_by_role("button", name="About this room").click()
    listed = mod.page.get_by_role("region", name="Muted and banned here")
    expect(listed).to_contain_text("Ben is muted until")
    expect(listed).to_contain_text("by Mod: Cool down")
    assert found_by_axe(mod) == []
    listed.get_by_role("button", name="Lift what is against Ben").click()
    expect(listed).to_contain_text("Nobody.")
    mod.page.keyboard.press("Escape")
    ben.page.get_by_role("button", name="Send again").click()
    mod.message("I say no more").wait_for()

    about(mod, "Ben")
    mod.page.get_by_role("button", name="Send out").click()
    expect(ben.page.get_by_text("You are not in this room any more.")).to_be_visible()
    expect(mod.page.locator(".people").get_by_text("Ben")).to_be_hidden()
    ben.page.get_by_role("button", name="Come in again").click()
    ben.say("I am back")
    mod.message("I am back").wait_for()

    about(mod, "Ben")
    mod.page.get_by_role("button", name="Ban").click()
    again = ben.page.get_by_role("button", name="Come in again")
    again.click()
    expect(ben.page.get_by_role("alert")).to_contain_text("banned")
    ben.page.get_by_role("button", name="Put it away").click()
    expect(ben.page.get_by_role("heading", level=1)).to_have_text("You are in no room")
    assert found_by_axe(ben) == []
    enter(ben, "gardening")
    ben.page.reload()
    ben.be_inside()
    expect(ben.page.get_by_role("heading", level=1)).to_have_text("gardening")


def act_about(mod: ChatPage, ben: ChatPage) -> None:
    """Open the card of who has said something by what is said."""
    ben.say("what now?")
    act(mod, "what now?", "About Ben")


def test_who_may_not_moderate_sees_nothing_of_it_and_owners_moderate_their_rooms(
    server: ServerProcess, open_page: OpenPage
) -> None:
    ann = open_page(server.http_url).come_in("Ann")
    ben = open_page(server.http_url).come_in("Ben")
    ben.say("hello")
    about(ann, "Ben")
    expect(ann.page.get_by_role("button", name="Mute")).to_be_hidden()
    ann.page.keyboard.press("Escape")

    link = open_private(ann, "Ours")
    ann.page.get_by_role("button", name="Leave the chat").wait_for()
    ben.page.evaluate("(link) => (location.href = link)", link)
    expect(ben.page.get_by_role("heading", level=1)).to_have_text("Ours")
    ben.say("hello here")
    about(ann, "Ben")
    ann.page.get_by_role("button", name="Mute").click()
    ben.say("and now?")
    expect(ben.unsent.get_by_role("alert")).to_contain_text("muted")


def test_whom_one_blocks_is_known_after_a_reload(
    server: ServerProcess, open_page: OpenPage
) -> None:
    ann = open_page(server.http_url).come_in("Ann")
    open_page(server.http_url).come_in("Ben")
    block = ann.page.get_by_role("button", name="Block", exact=True)
    unblock = ann.page.get_by_role("button", name="Do not block any more")
    about(ann, "Ben")
    block.click()
    expect(ann.page.get_by_role("dialog")).to_be_hidden()

    ann.page.reload()
    ann.be_inside()

    about(ann, "Ben")
    unblock.click()
    expect(ann.page.get_by_role("dialog")).to_be_hidden()
    about(ann, "Ben")
    expect(block).to_be_visible()


def test_an_account_comes_by_its_link_stays_by_choice_and_is_one_in_two_tabs(
    server: ServerProcess, open_page: OpenPage
) -> None:
    cara = open_page(invitation(server, "Cara"))
    cara.be_inside()
    assert cara.page.url == f"{server.http_url}/"
    assert '"token' not in cara.page.evaluate(EVERYTHING_KEPT)
    cara.page.reload()
    expect(cara.page.get_by_label("Your name")).to_be_visible()

    cara.page.evaluate("(link) => (location.href = link)", invitation(server, "Cara"))
    cara.be_inside()
    cara.page.get_by_label("Stay signed in").check()
    cara.page.reload()
    cara.be_inside()
    expect(cara.page.locator(".self .name")).to_have_text("Cara")
    second = open_page(server.http_url, beside=cara)
    second.be_inside()
    second.say("from the second tab")
    cara.say("from the first")
    for tab in (cara, second):
        expect(tab.message("from the first")).to_be_visible()
        expect(tab.message("from the second tab")).to_have_class("message mine head")
        expect(tab.page.locator(".people li")).to_have_count(1)

    # The next token, opened in another tab, is that of all of them.
    following = issue("Cara", SECRET, days=60)
    third = open_page(f"{server.http_url}/#token={following}", beside=cara)
    third.be_inside()
    wait_until(lambda: following in cara.page.evaluate(EVERYTHING_KEPT))

    cara.page.get_by_role("button", name="Leave the chat").click()
    expect(cara.page.get_by_label("Your name")).to_be_visible()
    assert "Cara" not in cara.page.evaluate(EVERYTHING_KEPT)
    second.say("still here")
    second.wait_for_texts(["from the second tab", "from the first", "still here"])


def test_a_guest_whose_name_an_account_has_is_told_and_keeps_what_was_written(
    server: ServerProcess, open_page: OpenPage
) -> None:
    guest = open_page(server.http_url).come_in("Cara")
    guest.field.fill("I was about to say")

    cara = open_page(invitation(server, "Cara"))
    cara.be_inside()

    told = guest.page.get_by_role("alert")
    expect(told).to_contain_text("Cara is the name of somebody with an account")
    assert found_by_axe(guest) == []
    guest.come_in("Caro")
    expect(guest.field).to_have_value("I was about to say")
    guest.page.keyboard.press("Enter")
    cara.message("I was about to say").wait_for()


def test_who_is_sent_away_is_told_why_and_a_token_that_is_over_can_be_followed_by_the_next(
    server: ServerProcess, open_page: OpenPage
) -> None:
    cara = open_page(invitation(server, "Cara"))
    cara.be_inside()
    ben = open_page(server.http_url).come_in("Ben")
    with connect(server.url) as session:
        token = issue("Root", SECRET, role="admin")
        admin = session.main.login(None, {"token": token}).administer()
        admin.announce("<b>We restart</b> at noon").result()
        for page in (cara, ben):
            heard = page.page.get_by_role("alert")
            expect(heard).to_contain_text("<b>We restart</b> at noon")
            assert everywhere(page) == []
        assert found_by_axe(ben) == []
        ben.page.get_by_role("button", name="I have read it").click()
        expect(heard).to_be_hidden()
        ben.say("Thank you")

        admin.disconnect("Ben", "Enough for today").result()
        expect(ben.page.get_by_role("alert")).to_contain_text("Enough for today")
        assert found_by_axe(ben) == []
        ben.page.get_by_role("button", name="Back to the start").click()
        ben.come_in("Ben")

        wait_a_second = issue("Cara", SECRET)
        admin.revoke("Cara").result()
        expect(cara.page.get_by_role("heading", name="Your sign-in is over")).to_be_visible()
        assert found_by_axe(cara) == []
        # A token of a later second than that of the revocation.
        wait_until(lambda: issue("Cara", SECRET) != wait_a_second)
        cara.page.evaluate("(link) => (location.href = link)", invitation(server, "Cara"))
        cara.be_inside()
        cara.message("Thank you").wait_for()


def test_somebody_who_is_away_is_written_to_and_has_it_later(
    start_server: StartServer, open_page: OpenPage
) -> None:
    server = start_server("--grace", "0.5", env={"CHAT_SECRET": SECRET})
    cara = open_page(invitation(server, "Cara"), viewport=PHONE)
    cara.be_inside()
    dora = open_page(invitation(server, "Dora"))
    dora.be_inside()
    about(dora, "Cara")
    dora.page.get_by_role("button", name="Message", exact=True).click()
    expect(dora.page.locator(".what")).to_contain_text("Here now")

    cara.page.goto("about:blank")
    room(dora, "Lobby")
    dora.page.get_by_role("button", name="Find or open a room").click()
    dora.page.get_by_label("Their name").fill("cara")
    dora.page.keyboard.press("Enter")
    expect(dora.page.locator(".what")).to_contain_text("Away")
    dora.say("Call me")

    cara.page.goto(invitation(server, "Cara"))
    cara.be_inside()
    cara.page.get_by_role("button", name="Rooms and people").click()
    cara.page.get_by_role("button", name="Dora 1 unread").click()
    cara.message("Call me").wait_for()
    expect(dora.page.locator(".what")).to_contain_text("Here now")


def test_a_token_for_certain_rooms_comes_into_those(
    server: ServerProcess, open_page: OpenPage
) -> None:
    with ChatClient(server.url, "Bob") as bob:
        bob.enter("gardening").send("The tomatoes are out!")
        token = issue("Cara", SECRET, rooms=["gardening"])
        cara = open_page(f"{server.http_url}/#token={token}")
        cara.be_inside()
        expect(cara.page.get_by_role("heading", level=1)).to_have_text("gardening")
        cara.say("Lovely")
        cara.wait_for_texts(["The tomatoes are out!", "Lovely"])


def test_without_guests_the_page_asks_for_no_name(
    start_server: StartServer, open_page: OpenPage
) -> None:
    server = start_server("--guests", "no", env={"CHAT_SECRET": SECRET})
    page = open_page(server.http_url)
    expect(page.page.get_by_text("This chat is for those who were invited")).to_be_visible()
    expect(page.page.get_by_label("Your name")).to_be_hidden()
    assert found_by_axe(page) == []

    page.page.evaluate("(link) => (location.href = link)", invitation(server, "Cara"))
    page.be_inside()
