"""The library, against a real server, through a proxy that fails when told to."""

import functools
import gc
import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from capnweb_sync import ClientSession, connect
from capnweb_sync.client import reconnect
from capnweb_sync.runtimes import threads
from chatclient import (
    BadRequest,
    ChatClient,
    ChatClosed,
    ChatError,
    ConnectionLost,
    Event,
    RateLimited,
    Receipt,
    Status,
    TakenOver,
    TooLarge,
    Unavailable,
    Unreachable,
    UsernameTaken,
    link,
)
from tests.conftest import StartProcess, StartServer
from tests.processes import DEADLINE, Processes, ServerProcess, free_port, wait_until
from tests.proxy.link import UP, Direction, Link
from tests.proxy.proxy import Proxy

#: Seconds that the server of most tests waits for a lost client: longer than any test.
GRACE = "60"

#: Seconds after which clients of these tests give up, where giving up is the test.
SHORT = 0.4


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """One server for all tests that leave it as it is; each uses names of its own."""
    with Processes() as processes:
        yield processes.add(ServerProcess("--grace", GRACE))


@pytest.fixture(autouse=True)
def quick_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients come back in a tenth of the time."""
    monkeypatch.setattr(reconnect, "FIRST_DELAY", reconnect.FIRST_DELAY / 10)


@pytest.fixture(autouse=True)
def no_threads_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle threads end, also with a Python where some are kept."""
    monkeypatch.setattr(threads.thread_runtime(), "_kept", 0)


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[Proxy]:
    with Proxy(server.address) as proxy:
        yield proxy


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Makes names that no other test uses."""
    number = abs(hash(request.node.nodeid)) % 10**9
    return lambda name: f"{name} {number}"


Name = Callable[[str], str]


def follow(chat: ChatClient) -> list[Event]:
    """The events of a chat as they come, collected by a thread of their own."""
    collected: list[Event] = []

    note = collected.append

    def collect() -> None:
        try:
            for event in chat.events():
                note(event)
        except ChatError:
            pass  # How it ended is not what such a test is about.

    threading.Thread(target=collect, daemon=True).start()
    return collected


def texts(events: list[Event], user: str | None = None) -> list[str]:
    """What was said, in order."""
    return [e.text for e in events if e.type == "chat" and user in (None, e.user)]


def run_together(*functions: Callable[[], object]) -> None:
    """Run each in a thread of its own, and wait for all."""
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)


class Watch:
    """Notes the states that a client tells."""

    def __init__(self) -> None:
        self.states: list[Status] = []

    def __call__(self, status: Status) -> None:
        self.states.append(status)

    def wait_for_loss(self) -> None:
        wait_until(lambda: any(not status.online for status in self.states))

    def wait_for_return(self, times: int = 1) -> None:
        wait_until(lambda: sum(status.online for status in self.states) >= times)


# ---- A chat


def test_joining_and_leaving_is_what_with_does(server: ServerProcess, name: Name) -> None:
    with ChatClient(server.url, name("Alice")) as alice:
        assert alice.username == name("Alice")
        assert name("Alice") in alice.users()
        with ChatClient(server.url, name("Bob")):
            assert name("Bob") in alice.users()
            assert alice.user_count >= 2
        wait_until(lambda: name("Bob") not in alice.users())


def test_a_message_comes_to_everyone_once_its_author_included(
    server: ServerProcess, name: Name
) -> None:
    with (
        ChatClient(server.url, name("Alice")) as alice,
        ChatClient(server.url, name("Bob")) as bob,
    ):
        receipt = bob.send("Hello everyone!")
        assert isinstance(receipt, Receipt)
        for chat in (alice, bob):
            message = next(chat.messages())
            assert (message.id, message.time) == receipt
            assert (message.user, message.text) == (name("Bob"), "Hello everyone!")


def test_events_tell_joins_and_leaves_too(server: ServerProcess, name: Name) -> None:
    with ChatClient(server.url, name("Alice")) as alice:
        events = follow(alice)
        bob = ChatClient(server.url, name("Bob"))

        def told() -> list[str]:
            return [event.type for event in events if name("Bob") in event.users]

        # Who leaves before anyone was told of the join is not told of at all.
        wait_until(lambda: told() == ["join"])
        bob.leave()
        wait_until(lambda: told() == ["join", "leave"])


def test_everyone_sees_the_same_order(server: ServerProcess, name: Name) -> None:
    chats = [ChatClient(server.url, name(f"user{number}")) for number in range(5)]
    collected = [follow(chat) for chat in chats]

    def speak(chat: ChatClient) -> None:
        for number in range(20):
            chat.send(f"{number}")

    run_together(*[functools.partial(speak, chat) for chat in chats])
    for events in collected:
        wait_until(lambda events=events: len(texts(events)) == 100)  # type: ignore[misc]
        ids = [event.id for event in events]
        assert ids == sorted(set(ids))
        for chat in chats:
            assert texts(events, chat.username) == [f"{n}" for n in range(20)]
    for chat in chats:
        chat.close()


def test_messages_end_when_the_chat_is_closed(server: ServerProcess, name: Name) -> None:
    chat = ChatClient(server.url, name("Alice"))
    threading.Timer(0.1, chat.close).start()
    assert list(chat.messages()) == []
    assert chat.closed


def test_leaving_says_goodbye_and_frees_the_name(server: ServerProcess, name: Name) -> None:
    chat = ChatClient(server.url, name("Alice"))
    assert chat.leave() == f"Goodbye, {name('Alice')}!"
    assert chat.closed
    ChatClient(server.url, name("Alice")).close()


def test_nothing_can_be_done_with_a_closed_chat(server: ServerProcess, name: Name) -> None:
    chat = ChatClient(server.url, name("Alice"))
    chat.close()
    chat.close()
    with pytest.raises(ChatClosed) as raised:
        chat.send("hello?")
    assert not raised.value.may_have_been_stored


def test_history_can_be_read_and_comes_first_if_wanted(chat_server: ServerProcess) -> None:
    with ChatClient(chat_server.url, "Alice") as alice:
        wait_until(
            lambda: alice.newest(1)
        )  # Her own coming, after which nothing happens by itself.
        ids = [alice.send(f"{number}").id for number in range(8)]
        assert [event.id for event in alice.history(3)] == ids[-3:]
        assert [event.id for event in alice.history(2, before=ids[3])] == ids[1:3]
        assert [event.id for event in alice.history(2, after=ids[3])] == ids[4:6]
        assert [event.id for event in alice.newest(5)] == ids[-5:]
        with ChatClient(chat_server.url, "Bob", history=3) as bob:
            alice.send("live")
            messages = bob.messages()
            assert [next(messages).text for _ in range(4)] == ["5", "6", "7", "live"]


def test_more_history_than_one_answer_holds_is_asked_for_in_pages(
    server: ServerProcess, name: Name
) -> None:
    with ChatClient(server.url, name("Alice")) as alice:

        def speak() -> None:
            for _ in range(75):
                alice.send("x")

        run_together(*[speak] * 8)
        events = alice.newest(600)
        assert len({event.id for event in events}) == 600
        assert events == sorted(events, key=lambda event: event.id)


def test_a_slow_reader_misses_nothing(server: ServerProcess, name: Name) -> None:
    with (
        ChatClient(server.url, name("Alice")) as alice,
        ChatClient(server.url, name("Bob"), max_waiting=5) as bob,
    ):
        for number in range(60):
            alice.send(f"{number}")
        messages = bob.messages()
        assert [next(messages).text for _ in range(60)] == [f"{n}" for n in range(60)]
        assert len(bob._inbox._events) <= 500
        alice.send("live again")
        assert next(messages).text == "live again"


# ---- Errors


def test_a_name_that_is_taken_is_an_error(server: ServerProcess, name: Name) -> None:
    with ChatClient(server.url, name("Alice")):
        with pytest.raises(UsernameTaken) as raised:
            ChatClient(server.url, name("ALICE"))
        assert raised.value.code == "username_taken"


@pytest.mark.parametrize("username", ["", "x" * 33, "a\x1b[31m", "System"])
def test_a_name_that_the_chat_does_not_accept_is_an_error(
    server: ServerProcess, username: str
) -> None:
    with pytest.raises(BadRequest):
        ChatClient(server.url, username)


def test_a_text_that_the_chat_does_not_accept_is_an_error_and_was_not_stored(
    server: ServerProcess, name: Name
) -> None:
    with ChatClient(server.url, name("Alice")) as alice:
        for text, error in (("x" * 4_001, TooLarge), (" \n", BadRequest)):
            with pytest.raises(error) as raised:
                alice.send(text)
            assert not raised.value.may_have_been_stored
        assert alice.send("x" * 4_000)


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="Connection refused"):
        ChatClient(f"ws://127.0.0.1:{free_port()}/rpc/ws", "Alice")


def test_a_refusal_has_its_status(server: ServerProcess) -> None:
    with pytest.raises(Unreachable) as raised:
        ChatClient(server.url + "/elsewhere", "Alice")
    assert raised.value.status == 404


def test_options_of_the_connection_are_passed_on(server: ServerProcess) -> None:
    with pytest.raises(Unreachable) as raised:
        ChatClient(server.url, "Alice", origin="https://evil.example")
    assert raised.value.status == 403


def test_a_join_that_is_not_answered_is_given_up(proxy: Proxy, name: Name) -> None:
    proxy.mute = True
    with pytest.raises(Unreachable):
        ChatClient(proxy.url, name("Alice"), timeout=SHORT)


# ---- Coming back


def test_a_cut_connection_comes_back_and_nobody_else_notices(
    server: ServerProcess, proxy: Proxy, name: Name
) -> None:
    watch = Watch()
    with (
        ChatClient(proxy.url, name("Alice"), on_status=watch) as alice,
        ChatClient(server.url, name("Bob")) as bob,
    ):
        wait_until(lambda: any(name("Bob") in event.users for event in bob.newest(5)))
        since = bob.newest(1)[0].id
        proxy.cut_all()
        watch.wait_for_return()
        assert [status.online for status in watch.states] == [False, True]
        assert name("Alice") in bob.users()
        alice.send("here again")
        events = bob.history(after=since)
        assert texts(events) == ["here again"]
        assert not any(name("Alice") in event.users for event in events)


def test_what_was_missed_is_made_up_for_once_and_in_order(
    server: ServerProcess, proxy: Proxy, name: Name
) -> None:
    watch = Watch()
    with (
        ChatClient(proxy.url, name("Alice"), on_status=watch) as alice,
        ChatClient(server.url, name("Bob")) as bob,
    ):
        events = follow(alice)
        for round_ in range(3):
            for number in range(5):
                bob.send(f"{round_} online {number}")
            proxy.go_down()
            for number in range(5):
                bob.send(f"{round_} offline {number}")
            proxy.come_up()
            watch.wait_for_return(round_ + 1)
        wait_until(lambda: len(texts(events)) == 30)
        assert texts(events) == [
            f"{round_} {where} {number}"
            for round_ in range(3)
            for where in ("online", "offline")
            for number in range(5)
        ]


def test_messages_under_way_when_the_connection_is_cut_are_stored_once(
    proxy: Proxy, name: Name
) -> None:
    watch = Watch()
    with ChatClient(proxy.url, name("Alice"), on_status=watch, timeout=DEADLINE) as alice:
        events = follow(alice)

        def send(sender: int) -> None:
            for number in range(40):
                alice.send(f"{sender}.{number}")

        senders = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
        for thread in senders:
            thread.start()
        for times in range(1, 4):
            wait_until(lambda times=times: len(texts(events)) >= times * 30)  # type: ignore[misc]
            proxy.cut_all()
            watch.wait_for_return(times)
        for thread in senders:
            thread.join(DEADLINE)
        wait_until(lambda: len(texts(events)) >= 160)
        for sender in range(4):
            said = [text for text in texts(events) if text.startswith(f"{sender}.")]
            assert said == [f"{sender}.{number}" for number in range(40)]


def test_a_message_whose_answer_is_lost_is_stored_once(
    server: ServerProcess, proxy: Proxy, name: Name
) -> None:
    watch = Watch()
    with ChatClient(proxy.url, name("Alice"), on_status=watch, timeout=DEADLINE) as alice:
        proxy.mute = True
        sending = threading.Thread(target=alice.send, args=("hello?",))
        sending.start()
        with ChatClient(server.url, name("Bob")) as bob:
            wait_until(lambda: texts(bob.newest(20), name("Alice")) == ["hello?"])
            proxy.mute = False
            proxy.cut_all()
            watch.wait_for_return()
            sending.join(DEADLINE)
            assert texts(bob.newest(20), name("Alice")) == ["hello?"]


def test_sending_waits_for_an_outage_to_end(proxy: Proxy, name: Name) -> None:
    watch = Watch()
    with ChatClient(proxy.url, name("Alice"), on_status=watch) as alice:
        proxy.go_down()
        watch.wait_for_loss()
        receipts: list[Receipt] = []
        sending = threading.Thread(target=lambda: receipts.append(alice.send("patience")))
        sending.start()
        proxy.come_up()
        sending.join(DEADLINE)
        assert receipts[0].id in [event.id for event in alice.newest(20)]


def test_a_message_that_was_never_sent_is_known_not_to_be_stored(proxy: Proxy, name: Name) -> None:
    watch = Watch()
    with ChatClient(proxy.url, name("Alice"), on_status=watch) as alice:
        proxy.go_down()
        watch.wait_for_loss()
        wait_until(lambda: alice._link._membership is None)
        with pytest.raises(Unavailable) as raised:
            alice.send("into the void", timeout=SHORT)
        assert not raised.value.may_have_been_stored


def test_a_message_without_an_answer_may_have_been_stored(proxy: Proxy, name: Name) -> None:
    with ChatClient(proxy.url, name("Alice")) as alice:
        proxy.mute = True
        with pytest.raises(Unavailable) as raised:
            alice.send("into the fog", timeout=SHORT)
        assert raised.value.may_have_been_stored


def test_a_black_hole_is_noticed_and_left(proxy: Proxy, name: Name) -> None:
    watch = Watch()
    options: dict[str, Any] = {"ping_interval": SHORT, "ping_timeout": SHORT}
    with ChatClient(proxy.url, name("Alice"), on_status=watch, **options) as alice:
        proxy.mute = proxy.deaf = True
        watch.wait_for_loss()
        proxy.mute = proxy.deaf = False
        watch.wait_for_return()
        assert alice.send("out of the hole")


def test_coming_back_without_an_answer_does_not_give_the_name_up(
    server: ServerProcess, proxy: Proxy, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "REJOIN_SECONDS", SHORT)
    watch = Watch()
    with (
        ChatClient(proxy.url, name("Alice"), on_status=watch, timeout=SHORT) as alice,
        ChatClient(server.url, name("Bob")) as bob,
    ):
        wait_until(lambda: any(name("Bob") in event.users for event in bob.newest(5)))
        since = bob.newest(1)[0].id
        proxy.inspector = lambda link, direction, text: direction is UP
        proxy.cut_all()
        wait_until(lambda: len(watch.states) >= 3)
        proxy.inspector = None
        watch.wait_for_return()
        alice.send("nothing happened")
        assert not any(name("Alice") in event.users for event in bob.history(after=since))


def test_while_it_is_offline_it_can_be_closed_at_once(proxy: Proxy, name: Name) -> None:
    watch = Watch()
    alice = ChatClient(proxy.url, name("Alice"), on_status=watch)
    proxy.go_down()
    watch.wait_for_loss()
    before = time.monotonic()
    alice.close()
    assert time.monotonic() - before < 1
    attempts = len(proxy.accepted)
    wait_until(lambda: not threads_of("chatclient"))
    assert len(proxy.accepted) <= attempts + 1


def test_a_message_that_waits_while_the_chat_is_closed_says_so(proxy: Proxy, name: Name) -> None:
    watch = Watch()
    alice = ChatClient(proxy.url, name("Alice"), on_status=watch)
    proxy.go_down()
    watch.wait_for_loss()
    threading.Timer(0.1, alice.close).start()
    with pytest.raises(ChatClosed):
        alice.send("too late")


def test_what_watches_the_status_may_fail(
    proxy: Proxy, name: Name, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(status: Status) -> None:
        raise RuntimeError("no lamp here")

    with ChatClient(proxy.url, name("Alice"), on_status=fail) as alice:
        proxy.cut_all()
        assert alice.send("still here")
    assert "no lamp here" in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


# ---- Staying away


def test_without_reconnect_a_lost_connection_is_the_end(proxy: Proxy, name: Name) -> None:
    chat = ChatClient(proxy.url, name("Alice"), reconnect=False)
    proxy.cut_all()
    with pytest.raises(ConnectionLost) as raised:
        list(chat.events())
    assert raised.value.close_code == 1006
    with pytest.raises(ConnectionLost):
        chat.users()
    assert chat.closed


def test_a_name_that_is_taken_over_is_not_fought_for(
    server: ServerProcess, proxy: Proxy, name: Name
) -> None:
    chat = ChatClient(proxy.url, name("Alice"))
    assert chat._link._membership is not None
    assert chat._link._membership.log is not None
    secret = chat._link._membership.log.resume
    with connect(server.url) as session:
        session.main.join(
            name("Alice"), {"onMessage": lambda event: None}, {"resume": secret}
        ).result(DEADLINE)
        with pytest.raises(TakenOver) as raised:
            list(chat.events())
        assert raised.value.close_code == 4001
        assert len(proxy.accepted) == 1


def test_what_an_attempt_of_ones_own_that_came_late_took_over_is_taken_back_once(
    server: ServerProcess, proxy: Proxy, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "REJOIN_SECONDS", SHORT)
    watch = Watch()
    chat = ChatClient(proxy.url, name("Alice"), on_status=watch, timeout=SHORT)

    def join_late() -> ClientSession:
        assert chat._link._membership is not None
        assert chat._link._membership.log is not None
        session = connect(server.url)
        secret = chat._link._membership.log.resume
        session.main.join(name("Alice"), lambda event: None, {"resume": secret}).result(DEADLINE)
        return session

    proxy.inspector = lambda link, direction, text: direction is UP  # answers are lost
    proxy.cut_all()
    wait_until(lambda: len(watch.states) >= 3)
    proxy.inspector = None
    watch.wait_for_return()
    with join_late():
        watch.wait_for_return(2)
        assert chat.send("still me", timeout=DEADLINE)
    with join_late(), pytest.raises(TakenOver):
        list(chat.events())


def test_a_name_that_somebody_else_took_meanwhile_is_the_end(
    start_server: StartServer, name: Name
) -> None:
    server = start_server("--grace", "0")
    with Proxy(server.address) as proxy:
        watch = Watch()
        chat = ChatClient(proxy.url, name("Alice"), on_status=watch)
        proxy.go_down()
        watch.wait_for_loss()
        with ChatClient(server.url, name("Bob")) as bob:
            wait_until(lambda: name("Alice") not in bob.users())
            with ChatClient(server.url, name("Alice")):
                proxy.come_up()
                with pytest.raises(UsernameTaken):
                    list(chat.events())


def test_who_is_cut_off_again_while_coming_into_the_rooms_anew_comes_into_them_all_the_same(
    start_server: StartServer, name: Name
) -> None:
    server = start_server("--grace", "0")
    cuts: list[Link] = []
    watch = Watch()

    def cut_once(link: Link, direction: Direction, text: str) -> bool:
        if direction is UP and '["enter"]' in text and watch.states and not cuts:
            cuts.append(link)
            link.cut()
        return True

    with (
        Proxy(server.address, cut_once) as proxy,
        ChatClient(server.url, name("Bob")) as bob,
        ChatClient(proxy.url, name("Alice"), on_status=watch, timeout=DEADLINE) as alice,
    ):
        events = follow(alice)
        proxy.go_down()
        watch.wait_for_loss()
        wait_until(lambda: name("Alice") not in bob.users())
        proxy.come_up()

        def is_heard() -> bool:
            bob.send("Can you hear me?")
            return bool(texts(events))

        wait_until(is_heard)

    assert len(cuts) == 1


# ---- A server that starts again


def test_a_chat_goes_on_when_the_server_has_lost_its_memory(
    start_server: StartServer, name: Name
) -> None:
    first = start_server()
    with Proxy(first.address) as proxy:
        watch = Watch()
        with ChatClient(proxy.url, name("Alice"), on_status=watch, timeout=DEADLINE) as alice:
            events = follow(alice)
            for number in range(20):
                alice.send(f"before {number}")
            wait_until(lambda: len(texts(events)) == 20)
            first.kill()
            second = start_server()
            proxy.target = second.address
            alice.send("after")
            watch.wait_for_return()
            wait_until(lambda: texts(events)[20:] == ["after"])


def test_what_may_have_been_stored_in_a_membership_that_ended_is_not_said_twice(
    start_server: StartServer, name: Name
) -> None:
    server = start_server("--grace", "0")
    with (
        Proxy(server.address) as proxy,
        ChatClient(proxy.url, name("Alice"), timeout=DEADLINE) as alice,
        ChatClient(server.url, name("Bob")) as bob,
    ):

        def lose_the_membership() -> None:
            wait_until(lambda: texts(bob.newest(20)) == ["perhaps"])
            proxy.go_down()
            wait_until(lambda: name("Alice") not in bob.users())
            proxy.mute = False
            proxy.come_up()

        proxy.mute = True
        losing = threading.Thread(target=lose_the_membership)
        losing.start()
        with pytest.raises(Unavailable) as raised:
            alice.send("perhaps")
        assert raised.value.may_have_been_stored
        assert texts(bob.newest(20)) == ["perhaps"]
        losing.join()


def test_a_server_that_drains_is_come_back_to(start_server: StartServer, name: Name) -> None:
    first = start_server()
    with Proxy(first.address) as proxy:
        watch = Watch()
        with ChatClient(proxy.url, name("Alice"), on_status=watch, timeout=DEADLINE) as alice:
            assert first.terminate() == 0
            proxy.target = start_server().address
            assert alice.send("back")


# ---- Leftovers


def threads_of(*packages: str) -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(packages)]


def test_no_thread_is_left_after_closing(proxy: Proxy, name: Name) -> None:
    watch = Watch()
    with ChatClient(proxy.url, name("Alice"), on_status=watch) as alice:
        proxy.cut_all()
        watch.wait_for_return()
        alice.send("hello")
    wait_until(lambda: not threads_of("chatclient", "capnweb_sync"))


def test_a_chat_that_is_dropped_is_told_and_gives_its_name_up(proxy: Proxy, name: Name) -> None:
    with ChatClient(proxy.url, name("Bob")) as bob:
        alice = ChatClient(proxy.url, name("Alice"))
        alice.send("hello")
        with pytest.warns(ResourceWarning, match="^unclosed <ChatClient 'Alice"):
            del alice
        wait_until(lambda: name("Alice") not in bob.users())
    wait_until(lambda: not threads_of("chatclient", "capnweb_sync"))


def test_a_chat_that_has_come_back_can_be_dropped(proxy: Proxy, name: Name) -> None:
    watch = Watch()
    alice = ChatClient(proxy.url, name("Alice"), on_status=watch)
    proxy.cut_all()
    watch.wait_for_return()
    wait_until(lambda: not threads_of("chatclient"))
    with pytest.warns(ResourceWarning, match="^unclosed <ChatClient 'Alice"):
        del alice
    wait_until(lambda: not threads_of("chatclient", "capnweb_sync"))


def test_a_chat_that_is_dropped_while_it_is_offline_does_not_come_back(
    proxy: Proxy, name: Name
) -> None:
    watch = Watch()
    alice = ChatClient(proxy.url, name("Alice"), on_status=watch)
    proxy.go_down()
    watch.wait_for_loss()
    with pytest.warns(ResourceWarning, match="^unclosed <ChatClient 'Alice"):  # noqa: PT031
        del alice
        # An attempt that is being made keeps the chat until it has failed, and its failure may keep
        # it until the cyclic collector comes.
        wait_until(lambda: gc.collect() >= 0 and not threads_of("chatclient", "capnweb_sync"))


def test_an_iterator_keeps_its_chat(proxy: Proxy, name: Name) -> None:
    messages = ChatClient(proxy.url, name("Alice")).messages()
    with ChatClient(proxy.url, name("Bob")) as bob:
        bob.send("hello")
        assert next(messages).text == "hello"
    with pytest.warns(ResourceWarning, match="^unclosed <ChatClient 'Alice"):
        del messages
    wait_until(lambda: not threads_of("chatclient", "capnweb_sync"))


def test_a_chat_that_never_was_or_is_closed_is_dropped_in_silence(proxy: Proxy, name: Name) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BadRequest):
            ChatClient(proxy.url, "")
        with pytest.raises(ValueError, match="WebSocket"):
            ChatClient("nonsense", name("Alice"))
        ChatClient(proxy.url, name("Alice")).close()
        ChatClient(proxy.url, name("Alice")).leave()
        gc.collect()


def test_it_is_the_same_in_a_process_that_gevent_has_patched(
    start_process: StartProcess,
) -> None:
    chosen = "(with or order or slow or missed or way or hole or offline or left) and not patched"
    process = start_process(sys.executable, "-m", "tests.patched", __file__, "-k", chosen)
    assert process.wait(60) == 0, process.output


# ---- A server that limits


@pytest.fixture
def limited(start_server: StartServer) -> ServerProcess:
    """A server on which little may be done."""
    return start_server(
        *("--unlimited-addresses", ""),
        *("--message-rate", "5:2", "--history-rate", "0.01:1", "--join-rate", "5:1"),
        *("--address-join-rate", "5:1"),
    )


def test_what_is_one_too_many_is_done_when_there_is_room(limited: ServerProcess) -> None:
    watch = Watch()
    with ChatClient(limited.url, "Alice", on_status=watch) as chat:
        events = follow(chat)

        sent = [chat.send(f"message {number}") for number in range(5)]

        wait_until(lambda: len(texts(events)) == 5)
        assert texts(events) == [f"message {number}" for number in range(5)]
        assert len({receipt.id for receipt in sent}) == 5
        asked = [status for status in watch.states if status.retry_in is not None]
        assert asked
        assert all(status.online for status in asked)
        assert "Too fast for the server; trying again in 1 s" in str(asked[0])


def test_joining_too_often_is_waited_for(limited: ServerProcess) -> None:
    with ChatClient(limited.url, "Alice"), ChatClient(limited.url, "Bob") as bob:
        assert bob.users() == ["Alice", "Bob"]


def test_what_has_no_room_within_the_timeout_fails_at_once(limited: ServerProcess) -> None:
    with ChatClient(limited.url, "Alice") as chat:
        chat.history()
        began = time.monotonic()

        with pytest.raises(RateLimited) as refused:
            chat.history(timeout=10)

        assert 10 < refused.value.retry_after <= 100
        assert not refused.value.may_have_been_stored
        assert time.monotonic() - began < 5


def test_a_patient_sender_waits_beyond_its_timeout(limited: ServerProcess) -> None:
    with ChatClient(limited.url, "Alice") as chat:
        chat.send("one")
        chat.send("two")
        with pytest.raises(RateLimited):
            chat.send("three", timeout=0.1)

        assert chat.send("three", timeout=0.1, patient=True).id
