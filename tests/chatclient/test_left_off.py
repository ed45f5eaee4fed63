"""Where one left off: what was read on one device is unread on no other."""

from collections.abc import Iterator

import pytest

from chatclient import ChatClient
from chatclient.marks import Marks
from chatclient.places import Place
from chatserver.tokens import issue
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


def test_a_line_says_where_one_left_off_and_what_is_shown_is_read(server: ServerProcess) -> None:
    ann = issue("Ann", SECRET)
    with ChatClient(server.url, token=ann) as phone, ChatClient(server.url, "Bob") as bob:
        phone.enter("lobby").send("good night")
        bob.send("one")
        bob.send("two")
        wait_until(lambda: unread(phone, "lobby") == 2)
        with Typist() as terminal:
            terminal.start(server.url, "", token=ann)
            terminal.sees("[Ann]: good night", "—— 2 new ——", "[Bob]: one", "[Bob]: two")
            wait_until(lambda: unread(phone, "lobby") == 0)
            tea = bob.enter("tea")
            terminal.types("/enter tea")
            terminal.sees("* You are in tea.")
            tea.send("three")
            terminal.sees("[Bob]: three")
            wait_until(lambda: unread(phone, "tea") == 0)
            bob.send("in the lobby, which nobody looks at")
            wait_until(lambda: terminal.program.bottom() == "1 lobby 1")
            assert unread(phone, "lobby") == 1


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
