"""Where one left off: what was read on one device is unread on no other."""

from collections.abc import Iterator

import pytest

from chatclient import ChatClient
from chatclient.marks import Marks
from chatclient.places import Place
from tests.chatclient.typist import Typist
from tests.processes import Processes, ServerProcess, wait_until

SECRET = "a secret of the tests, 32 bytes long"


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """One that knows accounts, which are the same from any number of devices."""
    with Processes() as processes:
        server = ServerProcess("--store", "memory:", env={"CHAT_SECRET": SECRET})
        yield processes.add(server)


def unread(chat: ChatClient, room: str) -> int:
    """How many messages of a room somebody has not read."""
    return next(info.unread for info in chat.rooms() if info.name == room)


def test_what_is_shown_is_read_and_what_is_not_is_unread(server: ServerProcess) -> None:
    with ChatClient(server.url, "Bob") as bob, Typist() as ann:
        ann.start(server.url, "Ann")
        tea = bob.enter("tea")
        ann.types("/enter tea")
        ann.sees("* You are in tea.")
        bob.send("in the lobby, which nobody looks at")
        wait_until(lambda: ann.program.bottom() == "1 lobby 1")
        tea.send("one")
        ann.sees("[Bob]: one")
        wait_until(lambda: unread(ann.chat, "tea") == 0)
        assert unread(ann.chat, "lobby") == 1


def test_what_was_read_is_told_gathered_and_before_the_end() -> None:
    told: list[tuple[Place, int]] = []
    tea, lobby = Place("tea", "tea"), Place("lobby", "lobby")
    marks = Marks(lambda *read: told.append(read), lambda error: pytest.fail(str(error)))
    for message in range(1, 1_000):
        marks.read(tea, message)
    marks.start()
    wait_until(lambda: told == [(tea, 999)])
    marks.read(lobby, 1_000)
    marks.close(online=True)
    assert told == [(tea, 999), (lobby, 1_000)]
