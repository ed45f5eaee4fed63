"""A client goes on after a time without threads, without descriptors, or with a bug of its own."""

import errno
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from capnweb_sync.client import reconnect
from capnweb_sync.runtimes import threads
from chatclient import ChatClient
from chatclient.membership import Membership
from tests.chatclient.test_client import Watch
from tests.conftest import StartProcess
from tests.processes import DEADLINE, Processes, ServerProcess, wait_until
from tests.proxy.proxy import Proxy


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with Processes() as processes:
        yield processes.add(ServerProcess("--grace", "60"))


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[Proxy]:
    with Proxy(server.address) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients come back, and idle threads end, in a fraction of the time; all of them, also where
    Python has some kept."""
    monkeypatch.setattr(reconnect, "FIRST_DELAY", 0.1)
    monkeypatch.setattr(threads, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(threads.thread_runtime(), "_kept", 0)


class Shortage:
    """While it lasts, something of ours fails."""

    def __init__(self) -> None:
        self.lasts = False
        self.met = threading.Event()

    def patch(
        self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: Exception
    ) -> None:
        """Have `owner.name` raise `error` while the shortage lasts."""
        works: Callable[..., Any] = getattr(owner, name)

        def may_fail(*args: Any, **options: Any) -> Any:
            if self.lasts:
                self.met.set()
                raise error
            return works(*args, **options)

        monkeypatch.setattr(owner, name, may_fail)


@pytest.fixture
def shortage() -> Shortage:
    return Shortage()


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch, shortage: Shortage) -> Shortage:
    shortage.patch(monkeypatch, threading.Thread, "start", RuntimeError("can't start new thread"))
    return shortage


def only_readers() -> bool:
    """Whether no thread of ours is there but those that read."""
    ours = [t.name for t in threading.enumerate() if t.name.startswith("capnweb_sync")]
    return set(ours) == {"capnweb_sync connection"}


def test_what_came_while_there_was_no_thread_is_heard_when_there_is_one(
    server: ServerProcess, no_threads: Shortage, caplog: pytest.LogCaptureFixture
) -> None:
    with ChatClient(server.url, "Listener") as listener, ChatClient(server.url, "Speaker") as chat:
        wait_until(only_readers)
        no_threads.lasts = True
        chat.send("one")
        assert no_threads.met.wait(DEADLINE)
        wait_until(lambda: "Calls wait for a thread" in caplog.text)
        no_threads.lasts = False
        assert next(listener.messages()).text == "one"  # which nothing else had to bring
        chat.send("two")
        assert next(listener.messages()).text == "two"


def test_a_connection_that_is_lost_while_there_is_no_thread_comes_back(
    proxy: Proxy, no_threads: Shortage
) -> None:
    watch = Watch()
    with ChatClient(proxy.url, "Lost without threads", on_status=watch) as chat:
        wait_until(only_readers)
        no_threads.lasts = True
        proxy.cut_all()
        wait_until(lambda: len(watch.states) > 1)  # an attempt has failed for want of a thread
        no_threads.lasts = False
        assert chat.send("back")


@pytest.mark.parametrize(
    "error", [OSError(errno.EMFILE, "Too many open files"), ValueError("a bug")]
)
@pytest.mark.parametrize(("owner", "name"), [(socket, "socketpair"), (Membership, "begin")])
def test_nothing_that_fails_once_ends_coming_back(
    proxy: Proxy,
    shortage: Shortage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: Any,
    name: str,
    error: Exception,
) -> None:
    caplog.set_level(logging.CRITICAL, "chatclient")
    with ChatClient(proxy.url, f"Lost by {name} {type(error).__name__}") as chat:
        shortage.patch(monkeypatch, owner, name, error)
        shortage.lasts = True
        proxy.cut_all()
        assert shortage.met.wait(DEADLINE)
        shortage.lasts = False
        assert chat.send("back")


BOT = """
import sys, threading
from capnweb_sync.client import reconnect
from capnweb_sync.runtimes import threads
from chatclient import ChatClient

def no_more(thread):
    raise RuntimeError("can't create new thread at interpreter shutdown")

def answer():
    threading.main_thread().join()
    threading.Thread.start = no_more
    print("The main thread is over.", flush=True)
    for message in chat.messages():
        if message.user != "Bot":
            chat.send(f"heard {message.text}")

# As on Python 3.12.0 to 3.12.2, whichever one this is.
threads.thread_runtime()._kept = threads.KEPT_THREADS
threads.IDLE_SECONDS = 0.01
reconnect.FIRST_DELAY = 0.1
chat = ChatClient(sys.argv[1], "Bot", on_status=lambda status: print(status, flush=True))
threading.Thread(target=answer).start()
"""


def test_a_bot_goes_on_where_no_thread_can_be_started_after_the_main_one(
    server: ServerProcess, proxy: Proxy, start_process: StartProcess
) -> None:
    bot = start_process(sys.executable, "-c", BOT, proxy.url, ready="The main thread is over")
    with ChatClient(server.url, "Asker") as asker:
        heard = (message.text for message in asker.messages() if message.user == "Bot")
        for connection in range(3):
            asker.send(f"question {connection}")
            assert next(heard) == f"heard question {connection}"
            lines = len(bot.lines)
            proxy.cut_all()
            bot.wait_for_line("Back online", after=lines)
