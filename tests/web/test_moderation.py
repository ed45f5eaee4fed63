"""Moderators and accounts, which the server does not have yet: the page beside a stand-in."""

from __future__ import annotations

import sys

import pytest
from playwright.sync_api import expect

from tests.conftest import StartProcess
from tests.web.conftest import PHONE, OpenPage
from tests.web.test_accessibility import found_by_axe
from tests.web.test_rooms import act


@pytest.fixture
def address(start_process: StartProcess) -> str:
    """Where the stand-in is."""
    server = start_process(sys.executable, "-m", "tests.web.moderated_server", ready="^ready")
    return server.wait_for_line(r"^ready (?P<url>\S+)$")["url"]


def test_a_moderator_removes_what_others_said(address: str, open_page: OpenPage) -> None:
    mod = open_page(address).come_in("Mod")
    ben = open_page(address).come_in("Ben")
    ben.say("something rude")
    mod.message("something rude").wait_for()

    act(mod, "something rude", "Remove")

    expect(ben.page.get_by_text("This message was removed.")).to_be_visible()


def test_a_moderator_sends_somebody_out(address: str, open_page: OpenPage) -> None:
    mod = open_page(address).come_in("Mod")
    ben = open_page(address).come_in("Ben")
    ben.say("something rude")
    mod.page.get_by_role("navigation").get_by_role("button", name="Ben").click()

    mod.page.get_by_role("button", name="Send out").click()

    expect(ben.page.get_by_text("You are not in this room any more.")).to_be_visible()


def test_axe_finds_nothing_in_what_moderators_have(address: str, open_page: OpenPage) -> None:
    mod = open_page(address, viewport=PHONE).come_in("Mod")
    ben = open_page(address).come_in("Ben")
    ben.say("hello")
    mod.message("hello").hover()
    expect(mod.page.get_by_role("toolbar")).to_be_visible()
    assert found_by_axe(mod) == []

    mod.page.get_by_role("button", name="About this room").click()
    expect(mod.page.get_by_role("dialog")).to_be_visible()
    assert found_by_axe(mod) == []
    mod.page.keyboard.press("Escape")
    mod.page.get_by_role("button", name="Rooms and people").click()
    mod.page.get_by_role("navigation").get_by_role("button", name="Ben").click()
    expect(mod.page.get_by_role("button", name="Send out")).to_be_visible()
    assert found_by_axe(mod) == []


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
