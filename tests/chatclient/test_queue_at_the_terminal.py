"""What is typed while the server is away, and names that are taken; no screen."""

import threading
from collections.abc import Iterator

import pytest

from chatclient import ChatClient, ChatError, Unavailable
from chatclient.outgoing import MAX_QUEUED, Outgoing, Task
from tests.chatclient.typist import Typist
from tests.processes import Processes, ServerProcess, wait_until
from tests.proxy.proxy import Proxy


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """One server for all of this file; each test has names of its own."""
    with Processes() as processes:
        server = ServerProcess("--store", "memory:")
        processes.add(server)
        yield server


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[Proxy]:
    """The way to the server, which can be cut."""
    with Proxy(server.address) as proxy:
        yield proxy


def go_away(proxy: Proxy, typist: Typist) -> None:
    """The server is away, and it is told."""
    proxy.go_down()
    wait_until(lambda: any(line.startswith("Connection lost") for line in typist.lines))


def test_what_is_typed_meanwhile_waits_and_is_said_in_order_once(proxy: Proxy) -> None:
    with Typist() as ann:
        ann.start(proxy.url, "Ann 1")
        go_away(proxy, ann)
        ann.types("one", "two", "/users", "three")
        wait_until(lambda: ann.program.bottom() == "Not sent yet (4): one · two · /users · three")
        proxy.come_up()
        ann.sees("Back online", "[Ann 1]: three")
        said = [line for line in ann.lines if line.startswith("[")]
        assert said == ["[Ann 1]: one", "[Ann 1]: two", "[Ann 1]: three"]
        assert ann.program.bottom() == ""


def test_unsend_gives_back_the_last_line_that_waits(proxy: Proxy) -> None:
    with Typist() as ann:
        ann.start(proxy.url, "Ann 2")
        go_away(proxy, ann)
        ann.types("one", "two", "/unsend", "/help")
        ann.sees("The rest:")
        assert ann.given_back == ["two"]
        proxy.come_up()
        ann.sees("[Ann 2]: one")
        ann.types("/unsend")
        ann.sees("Nothing waits to be sent.")
        assert "[Ann 2]: two" not in ann.lines


def test_quit_asks_while_something_waits_and_says_what_was_not_said(proxy: Proxy) -> None:
    with Typist() as ann:
        ann.start(proxy.url, "Ann 3")
        go_away(proxy, ann)
        ann.types("important", "/quit")
        ann.sees("Not sent yet: 1. Leave without sending? (y/N)")
        wait_until(lambda: ann.program.prompt() == "Leave? (y/N) ")
        ann.types("n")
        wait_until(lambda: ann.program.prompt() == "> ")
        ann.types("/quit", "y")
        ann.sees("Not said: important")
    assert ann.status == 1


def test_quit_with_nothing_waiting_leaves_at_once(proxy: Proxy) -> None:
    with Typist() as ann:
        ann.start(proxy.url, "Ann 4")
        go_away(proxy, ann)
        ann.types("/quit")
        wait_until(lambda: ann.status is not None)
    assert ann.status == 0


def test_entering_a_room_can_be_taken_back_too(proxy: Proxy) -> None:
    with Typist() as ann:
        ann.start(proxy.url, "Ann 5")
        go_away(proxy, ann)
        ann.types("/enter garden5")
        wait_until(lambda: ann.program.prompt() == "garden5> ")
        ann.types("/unsend")
        wait_until(lambda: ann.program.prompt() == "> ")
        assert ann.given_back == ["/enter garden5"]
        proxy.come_up()


def test_a_name_that_is_taken_is_asked_for_again(server: ServerProcess) -> None:
    with ChatClient(server.url, "Bob 6"), Typist(names=["bob 6", "Ann 6"]) as ann:
        ann.start(server.url, None)
        ann.sees("The name Bob 6 is taken; choose another one.", "Joined chat as Ann 6")


def test_a_script_waits_for_a_name_that_is_taken(server: ServerProcess) -> None:
    bob = ChatClient(server.url, "Bob 7")
    with bob, Typist(width=None) as ann:
        threading.Timer(0.2, bob.close).start()
        ann.start(server.url, "Bob 7", wait=30)
        ann.sees("Joined chat as Bob 7")


# ---- The queue itself


def test_no_more_waits_than_is_bounded() -> None:
    queue = Outgoing(lambda task, error: None, lambda: None, lambda error: None)
    queue.online = False
    fits = [queue.add(Task(str(number), lambda: None)) for number in range(MAX_QUEUED + 1)]
    assert fits == [True] * MAX_QUEUED + [False]


def test_what_cannot_be_done_is_told_and_the_next_is_done() -> None:
    failed: list[tuple[str, ChatError]] = []
    done = []

    def fail() -> None:
        raise Unavailable("Not now.")

    queue = Outgoing(
        lambda task, error: failed.append((task.line, error)), lambda: None, lambda error: None
    )
    queue.add(Task("one", fail))
    queue.add(Task("two", lambda: done.append("two")))
    queue.start()
    assert queue.drain(10)
    queue.close()
    queue.join()
    assert [(line, str(error)) for line, error in failed] == [("one", "Not now.")]
    assert done == ["two"]


def test_what_nobody_foresaw_is_told_and_ends_the_queue() -> None:
    broken: list[Exception] = []
    queue = Outgoing(lambda task, error: None, lambda: None, broken.append)
    queue.add(Task("one", lambda: [][0]))
    queue.start()
    queue.join()
    assert [type(error) for error in broken] == [IndexError]
