"""The page when the server dies and when the network breaks: nothing is lost, nothing comes twice,
and it says what is the case at each moment."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from chatclient import ChatClient
from tests.conftest import StartServer
from tests.processes import ServerProcess, free_port
from tests.proxy.link import BLACK_HOLE, DOWN, HEALTHY, STALLED
from tests.proxy.proxy import Proxy
from tests.web.conftest import OpenPage


@pytest.fixture
def network(chat_server: ServerProcess) -> Iterator[Proxy]:
    """A network between the page and the server that can be broken."""
    with Proxy(chat_server.address) as proxy:
        yield proxy


def address(proxy: Proxy) -> str:
    """Where the page is, through the proxy."""
    return f"http://127.0.0.1:{proxy.address[1]}/"


def said(chat: ChatClient) -> list[str]:
    """The texts in the log."""
    return [event.text for event in chat.history(limit=500) if event.type == "chat"]


def test_a_killed_server_that_starts_again_loses_nothing(
    start_server: StartServer, open_page: OpenPage, tmp_path: Path
) -> None:
    where = ("--port", str(free_port()), "--store", f"sqlite:///{tmp_path}/chat.db")
    server = start_server(*where)
    ann = open_page(server.http_url).come_in("Ann")
    ben = open_page(server.http_url).come_in("Ben")
    ann.say("before")
    ben.wait_for_texts(["before"])

    server.signal(signal.SIGKILL)
    server.wait()

    expect(ann.status).to_have_text(re.compile(r"Offline\. Next try in \d+ s\.|Connecting"))
    ann.say("one")
    ann.say("two")
    expect(ann.unsent).to_contain_text(["Waiting for the connection", "Waiting for the connection"])
    ben.say("three")
    server = start_server(*where)
    for page in (ann, ben):
        page.come_back()
        expect(page.unsent).to_have_count(0)

    with ChatClient(server.url, "Witness") as witness:
        log = said(witness)
        assert sorted(log) == ["before", "one", "three", "two"]
        assert log.index("one") < log.index("two")
        ann.wait_for_texts(log)
        ben.wait_for_texts(log)
        assert [event.text for event in witness.history() if event.type == "leave"] == []


def test_a_network_that_breaks_again_and_again_while_somebody_writes(
    chat_server: ServerProcess, network: Proxy, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "Witness") as witness:
        ann = open_page(address(network)).come_in("Ann")
        texts = [f"message {number}" for number in range(20)]

        for number, text in enumerate(texts):
            ann.say(text)
            if number % 5 == 3:
                network.reset_all()

        ann.come_back()
        ann.wait_for_texts(texts)
        expect(ann.status).to_have_text("Online")
        assert said(witness) == texts


def test_what_is_being_typed_survives_the_network_and_the_server(
    start_server: StartServer, open_page: OpenPage, tmp_path: Path
) -> None:
    where = ("--port", str(free_port()), "--store", f"sqlite:///{tmp_path}/chat.db")
    server = start_server(*where)
    with Proxy(server.address) as network:
        ann = open_page(address(network)).come_in("Ann")
        ben = open_page(server.http_url).come_in("Ben")
        ann.field.press_sequentially("I was ")
        expect(ben.page.get_by_text("Ann is typing …")).to_be_visible()

        network.refusing = True
        network.reset_all()
        expect(ann.status).to_contain_text("Offline")
        ann.page.keyboard.type("just ")
        expect(ben.page.get_by_text("Ann is typing …")).to_be_hidden()
        network.refusing = False
        ann.come_back()
        ann.page.keyboard.type("about ")
        server.signal(signal.SIGKILL)
        server.wait()
        expect(ann.status).to_have_text(re.compile(r"Offline\. Next try in \d+ s\.|Connecting"))
        ann.page.keyboard.type("to say")
        start_server(*where)
        for page in (ann, ben):
            page.come_back()

        expect(ann.field).to_be_focused()
        expect(ann.field).to_have_value("I was just about to say")
        ann.page.keyboard.press("Enter")
        for page in (ann, ben):
            page.wait_for_texts(["I was just about to say"])


def test_a_message_whose_answer_was_lost_is_sent_again_and_stored_once(
    chat_server: ServerProcess, network: Proxy, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "Witness") as witness:
        ann = open_page(address(network)).come_in("Ann")
        network.impair(STALLED, DOWN)
        ann.say("once")
        assert next(witness.messages()).text == "once"
        expect(ann.unsent).to_contain_text("Sending")
        witness.send("meanwhile")

        network.impair(HEALTHY)
        network.reset_all()

        ann.come_back()
        ann.wait_for_texts(["once", "meanwhile"])
        assert said(witness) == ["once", "meanwhile"]


def test_a_message_is_stored_once_even_if_the_stay_ended_before_its_answer(
    start_server: StartServer, open_page: OpenPage
) -> None:
    server = start_server("--grace", "0.2")
    with Proxy(server.address) as network, ChatClient(server.url, "Witness") as witness:
        ann = open_page(address(network)).come_in("Ann")
        network.impair(STALLED, DOWN)
        ann.say("once")
        assert next(witness.messages()).text == "once"
        ann.say("not yet")
        network.refusing = True
        network.reset_all()
        assert next(event.text for event in witness.events() if event.type == "leave")

        network.impair(HEALTHY)
        network.refusing = False

        ann.come_back()
        ann.wait_for_texts(["once", "not yet"])
        assert said(witness) == ["once", "not yet"]


def test_a_network_that_says_nothing_any_more_is_noticed(
    chat_server: ServerProcess, network: Proxy, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "Witness") as witness:
        ann = open_page(address(network))
        ann.page.clock.install()
        ann.page.reload()
        ann.come_in("Ann")
        for link in network.links:
            link.impair(BLACK_HOLE)

        ann.say("into the void")
        expect(ann.unsent).to_contain_text("Sending")
        ann.page.clock.fast_forward(9_000)

        ann.page.clock.fast_forward(10_000)
        ann.wait_for_texts(["into the void"])
        assert said(witness) == ["into the void"]


def test_a_name_that_somebody_else_took_meanwhile_is_told_and_nothing_written_is_lost(
    start_server: StartServer, open_page: OpenPage
) -> None:
    server = start_server("--grace", "0.1")
    with Proxy(server.address) as network, ChatClient(server.url, "Witness") as witness:
        ann = open_page(address(network)).come_in("Ann")
        network.refusing = True
        network.reset_all()
        ann.say("Where was I?")
        assert next(event for event in witness.events() if event.type == "leave").user == "Ann"
        with ChatClient(server.url, "Ann"):
            network.refusing = False
            ann.come_back()
            expect(ann.page.get_by_role("alert")).to_contain_text(["Ann is somebody else now"])

            ann.come_in("Anna")

            expect(ann.unsent.get_by_role("alert")).to_contain_text("Not sent.")
            ann.page.get_by_role("button", name="Send again").click()
            ann.wait_for_texts(["Where was I?"])
            assert said(witness) == ["Where was I?"]


def test_what_was_not_sent_yet_survives_a_reload(
    chat_server: ServerProcess, network: Proxy, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "Witness") as witness:
        ann = open_page(address(network)).come_in("Ann")
        network.impair(STALLED, DOWN)
        ann.say("half sent")
        assert next(witness.messages()).text == "half sent"
        ann.say("not sent")
        network.impair(HEALTHY)
        network.reset_all()

        ann.page.reload()

        ann.wait_for_texts(["half sent", "not sent"])
        assert said(witness) == ["half sent", "not sent"]
