"""Rooms in the library, against a real server."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from capnweb_sync.client import reconnect
from chatclient import ChatClient, ChatError, Event, Forbidden, NoSuchRoom, NotJoined, Room, Status
from tests.conftest import StartProcess, StartServer
from tests.processes import DEADLINE, Processes, ServerProcess, wait_until
from tests.proxy.proxy import Proxy

GRACE = "60"

Chat = Callable[..., ChatClient]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with Processes() as processes:
        yield processes.add(ServerProcess("--grace", GRACE, "--unlimited-addresses", "127.0.0.1"))


@pytest.fixture(autouse=True)
def quick_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "FIRST_DELAY", reconnect.FIRST_DELAY / 10)


@pytest.fixture
def chat(server: ServerProcess) -> Iterator[Chat]:
    """A chat under this name, closed when the test is over."""
    opened: list[ChatClient] = []

    def open_it(name: str, url: str = server.url, **options: object) -> ChatClient:
        opened.append(ChatClient(url, name, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield open_it
    for client in opened:
        client.close()


class Heard:
    """What a chat hears, gathered by a thread."""

    def __init__(self, chat: ChatClient) -> None:
        self.events: list[Event] = []
        self._chat = chat
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for event in self._chat.events():
            self.events.append(event)

    def texts(self, room: Room, kind: str = "chat") -> list[str]:
        return [e.text for e in list(self.events) if (e.room, e.type) == (room.name, kind)]


def test_a_public_room_is_heard_from_entering_to_leaving(chat: Chat) -> None:
    ann, bob = chat("Ann"), chat("Bob")
    heard = Heard(bob)
    tea = ann.enter("tea")
    tea.send("before")
    room = bob.enter("tea")
    tea.send("hello")
    wait_until(lambda: heard.texts(room) == ["hello"])

    assert [one.name for one in room.people()] == ["Ann", "Bob"]
    assert [event.text for event in room.history()] == ["before", "hello"]
    room.leave()
    tea.send("unheard")
    ann.send("in the lobby")
    wait_until(lambda: "in the lobby" in [event.text for event in heard.events])
    assert heard.texts(room) == ["hello"]
    with pytest.raises(NotJoined):
        room.send("not any more")


def test_messages_can_be_mended_and_history_shows_them_as_they_stand(chat: Chat) -> None:
    cid, dan = chat("Cid"), chat("Dan")
    heard = Heard(dan)
    room, other = cid.enter("mending"), dan.enter("mending")
    first = room.send("helo").id
    second = other.send("hi", reply_to=first).id
    third = room.send("oops").id

    room.edit(first, "hello")
    other.react(first, "👍")
    room.remove(third)
    with pytest.raises(Forbidden):
        room.edit(second, "mine")

    one, two, three = room.history()
    assert (one.text, one.edited is not None) == ("hello", True)
    assert (one.reactions["👍"].count, one.reactions["👍"].users) == (1, ("Dan",))
    assert (two.reply_to, two.user) == (first, "Dan")
    assert (three.text, three.removed) == ("", True)
    wait_until(lambda: {e.type for e in heard.events} >= {"edit", "remove", "react"})
    told = {event.type: event for event in heard.events}
    assert told["edit"].target == told["react"].target == first
    assert told["remove"].target == third


def test_a_private_room_is_entered_by_a_pass_alone(chat: Chat) -> None:
    eve, fay, gus = chat("Eve"), chat("Fay"), chat("Gus")
    room = eve.open("Surprise", "for Gus")
    room.send("before")
    with pytest.raises(NoSuchRoom):
        fay.enter(room.name)
    given = room.create_pass(uses=1)

    other = fay.accept(given)

    with pytest.raises(NoSuchRoom):
        gus.accept(given)
    assert other.name == room.name
    info = other.info()
    assert (info.kind, info.title, info.topic, info.people) == ("private", "Surprise", "for Gus", 2)
    assert other.history() == []
    assert [one.name for one in gus.rooms() if one.name == room.name] == []
    with pytest.raises(Forbidden):
        other.create_pass()
    room.hand_on("Fay")
    other.close()
    with pytest.raises(NotJoined):
        room.send("into nothing")


def test_a_conversation_of_two_is_one_whoever_asks(chat: Chat) -> None:
    hal, ida = chat("Hal"), chat("Ida")
    heard = Heard(ida)
    first = hal.direct("Ida")
    first.send("psst")
    wait_until(lambda: heard.texts(first) == ["psst"])
    second = ida.direct("Hal")

    assert first.name == second.name
    assert (second.info().other, second.info().title) == ("Hal", "Hal")
    ida.block("Jim")
    assert ida.blocked() == ["jim"]
    with pytest.raises(NoSuchRoom):
        chat("Jim").direct("Ida")
    assert ida.blocked() == ["Jim"]
    ida.block("Jim", False)
    assert ida.blocked() == []


def test_what_is_unread_is_counted(chat: Chat) -> None:
    kim, lea = chat("Kim"), chat("Lea")
    room, other = kim.enter("reading"), lea.enter("reading")
    ids = [other.send(str(number)).id for number in range(3)]

    assert room.info().unread == 3
    room.read(ids[1])
    assert room.info().unread == 1
    room.typing()


def test_coming_back_restores_all_rooms_without_a_gap(chat: Chat, server: ServerProcess) -> None:
    with Proxy(server.address) as proxy:
        status: list[Status] = []
        max_ = chat("Max", proxy.url, on_status=status.append)
        nan = chat("Nan")
        heard = Heard(max_)
        rooms = [max_.enter("garden"), max_.open("Two"), max_.direct("Nan")]
        others = [
            nan.enter("garden"),
            nan.accept(rooms[1].create_pass()),
            nan.enter(rooms[2].name),
        ]
        proxy.cut_all()
        for number in range(3):
            for room in others:
                room.send(str(number))
        wait_until(lambda: any(one.online for one in status))

        wait_until(lambda: all(heard.texts(room) == ["0", "1", "2"] for room in rooms))
        assert rooms[1].send("back").id


def test_a_slow_reader_misses_nothing_in_any_room(chat: Chat) -> None:
    oli, pam = chat("Oli", max_waiting=5), chat("Pam")
    rooms = [pam.enter("left"), pam.enter("right")]
    for room in rooms:
        oli.enter(room.name)
    for number in range(20):
        for room in rooms:
            room.send(str(number))
    last = pam.send("now").id
    wait_until(lambda: oli._inbox.seen >= last)

    heard = Heard(oli)

    numbers = [str(number) for number in range(20)]
    wait_until(lambda: all(heard.texts(room) == numbers for room in rooms))


def test_a_stay_that_has_ended_comes_back_to_its_public_rooms(
    chat: Chat, start_server: StartServer
) -> None:
    first = start_server()
    with Proxy(first.address) as proxy:
        client = chat("Quin", proxy.url, timeout=DEADLINE)
        heard = Heard(client)
        client.enter("kitchen")
        first.kill()
        second = start_server()
        proxy.target = second.address
        with ChatClient(second.url, "Rob") as rob:
            room = rob.enter("kitchen")
            wait_until(lambda: "Quin" in [one.name for one in room.people()])
            room.send("still here?")
            wait_until(lambda: heard.texts(room) == ["still here?"])


def test_a_server_without_rooms_says_so(start_process: StartProcess) -> None:
    server = start_process(sys.executable, "-m", "tests.chatclient.other_servers", ready="ready ")
    with ChatClient(server.lines[0].partition(" ")[2], "Alice") as alice:
        with pytest.raises(ChatError, match="no rooms"):
            alice.enter("tea")
        with pytest.raises(ChatError, match="no rooms"):
            alice.rooms()
