"""What observers are told, in which order, and what they can't do."""

from __future__ import annotations

import concurrent.futures
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from capnweb_sync import (
    Observer,
    RpcError,
    RpcPromise,
    RpcSession,
    RpcTarget,
    SessionClosed,
    batch,
    broadcast,
    serve,
)
from capnweb_sync.observe import Call, Conversation, events
from capnweb_sync.testing import pair
from tests.capnweb_sync.loopback import LineTransport, Loopback
from tests.processes import REPOSITORY


class Everything(Observer):
    """Notes all that it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def connection_opens(self, conversation: Conversation) -> None:
        self.told.append(("opens", conversation.peer))

    def connection_closes(self, conversation: Conversation, error: SessionClosed) -> None:
        counts = (conversation.calls_served, conversation.calls_made)
        self.told.append(("closes", error.close_code, error.reason, *counts))

    def call_begins(self, call: Call) -> None:
        self.told.append(("begins", call.method, "out" if call.outgoing else "in"))

    def call_ends(self, call: Call, seconds: float, error: BaseException | None) -> None:
        assert 0 <= seconds < 60
        self.told.append(("ends", call.method, None if error is None else repr(error)))

    def message_in(self, conversation: Conversation, message: str | bytes) -> None:
        text = message if isinstance(message, str) else message.decode()
        self.told.append(("<", text))

    def message_out(self, conversation: Conversation, message: bytes) -> None:
        self.told.append((">", message.decode()))

    def of(self, *kinds: str) -> list[tuple[Any, ...]]:
        """What was told of these kinds."""
        return [event for event in self.told if event[0] in kinds]


class Calls(Observer):
    """Notes calls alone."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, BaseException | None]] = []

    def call_ends(self, call: Call, seconds: float, error: BaseException | None) -> None:
        self.ended.append((call.method, error))


class Api(RpcTarget):
    def __init__(self) -> None:
        self.later: concurrent.futures.Future[int] = concurrent.futures.Future()

    def add(self, a: int, b: int) -> int:
        return a + b

    def fail(self) -> None:
        raise ValueError("the secret")

    def refuse(self) -> None:
        raise RpcError("No.", code="no")

    def wait(self) -> concurrent.futures.Future[int]:
        return self.later

    def call_back(self, function: Callable[[int], RpcPromise[int]]) -> RpcPromise[int]:
        return function(5)

    @property
    def motto(self) -> str:
        return "one round trip"


def test_a_served_call_is_told_from_its_message_to_its_answer() -> None:
    seen = Everything()
    both = Loopback(Api(), observer=seen)

    both.api.add(1, 2).result()
    both.pump()

    assert seen.told == [
        ("opens", "an unknown peer"),
        ("<", '["push",["pipeline",0,["add"],[1,2]]]'),
        ("begins", "add", "in"),
        ("<", '["pull",1]'),
        ("ends", "add", None),
        (">", '["resolve",1,3]'),
        ("<", '["release",1,1]'),
    ]


def test_a_call_of_this_side_is_told_from_its_message_to_its_answer() -> None:
    seen = Everything()
    both = Loopback(Api(), client_observer=seen)

    both.api.add(1, 2).result()
    both.pump()

    assert seen.told[1:] == [
        ("begins", "add", "out"),
        (">", '["push",["pipeline",0,["add"],[1,2]]]'),
        (">", '["pull",1]'),
        ("<", '["resolve",1,3]'),
        ("ends", "add", None),
        (">", '["release",1,1]'),
    ]


def test_observers_learn_what_a_call_raised_and_callers_what_the_peer_sent() -> None:
    served, made = Calls(), Calls()
    both = Loopback(Api(), observer=served, client_observer=made)

    both.api.fail().exception()
    both.api.refuse().exception()
    both.api.nothing().exception()
    both.pump()

    assert [(name, repr(error)) for name, error in served.ended[:2]] == [
        ("fail", "ValueError('the secret')"),
        ("refuse", "RpcError('No.')"),
    ]
    assert isinstance(served.ended[2][1], TypeError)
    assert [getattr(error, "code", None) for _, error in made.ended] == ["internal", "no", None]


def test_a_call_ends_when_its_future_is_done() -> None:
    seen, api = Calls(), Api()
    both = Loopback(api, observer=seen)
    promise = both.api.wait()
    both.pump()
    assert seen.ended == []

    api.later.set_exception(KeyError("gone"))
    promise.exception()
    both.pump()

    ((name, error),) = seen.ended
    assert (name, repr(error)) == ("wait", "KeyError('gone')")


def test_looking_at_a_property_is_told_as_reading() -> None:
    kinds: list[tuple[tuple[str | int, ...], bool, bool]] = []

    class Reads(Observer):
        def call_begins(self, call: Call) -> None:
            kinds.append((call.path, call.reading, call.outgoing))

    both = Loopback(Api(), observer=Reads(), client_observer=Reads())

    both.api.motto.result()
    both.pump()

    assert sorted(kinds) == [(("motto",), True, False), (("motto",), True, True)]


def test_a_map_is_a_call_of_the_one_who_asks_for_it() -> None:
    seen = Everything()
    both = Loopback(Api(), client_observer=seen)

    both.api.motto.map(lambda motto: both.api.add(1, 2)).result()
    both.pump()

    assert seen.of("begins", "ends") == [
        ("begins", "motto.map", "out"),
        ("ends", "motto.map", None),
    ]


def test_a_callback_is_a_call_of_a_function() -> None:
    seen = Everything()
    both = Loopback(Api(), client_observer=seen)

    assert both.api.call_back(lambda n: n + 1).result() == 6
    both.pump()

    assert seen.of("begins") == [("begins", "call_back", "out"), ("begins", "()", "in")]


def test_a_result_that_nobody_wants_is_no_failure_and_one_that_was_given_up_is() -> None:
    seen, api = Calls(), Api()
    both = Loopback(api, client_observer=seen)

    both.api.add(1, 2).dispose()
    promise = both.api.wait()
    assert not promise.done()
    promise.dispose()
    both.pump()

    (first, error), (second, given_up) = seen.ended
    assert (first, error, second) == ("add", None, "wait")
    assert isinstance(given_up, RpcError)
    assert given_up.code == "disposed"


def test_a_call_that_is_under_way_at_the_end_fails_when_the_end_has_been_told() -> None:
    seen = Everything()
    both = Loopback(Api(), client_observer=seen)
    promise = both.api.wait()
    assert not promise.done()

    both.disconnect(1006, "The cable.")
    both.pump()

    assert [event[0] for event in seen.told[-2:]] == ["closes", "ends"]
    assert seen.of("closes") == [("closes", 1006, "The cable.", 0, 1)]


def test_each_recipient_of_a_broadcast_is_told_and_all_its_releases() -> None:
    seen = [Everything(), Everything()]
    first = Loopback(Api(), client_observer=seen[0], transport=LineTransport)
    second = Loopback(Api(), client_observer=seen[1], beside=first, transport=LineTransport)

    assert broadcast([first.api, second.api], "add", 1, 2) == 2
    first.pump()

    for one in seen:
        assert one.of(">") == [
            (">", '["push",["pipeline",0,["add"],[1,2]]]'),
            (">", '["release",1,1]'),
        ]


def test_a_broadcast_is_packed_once_for_all_whose_observers_have_no_use_for_messages() -> None:
    first = Loopback(Api(), client_observer=Calls(), transport=LineTransport)
    second = Loopback(Api(), transport=LineTransport, beside=first)

    broadcast([first.api, second.api], "add", 1, 2)

    assert first.client_transport.pieces[0] is second.client_transport.pieces[0]


def test_observers_are_told_outside_of_steps_one_thing_after_another() -> None:
    depth: list[bool] = []

    class Asks(Observer):
        def message_out(self, conversation: Conversation, message: bytes) -> None:
            depth.append(both.runtime.step.is_mine())
            if len(depth) == 1:
                assert both.api.add(1, 1).result() == 2

    both = Loopback(Api(), client_observer=Asks())

    both.api.add(1, 2).result()
    both.pump()

    assert depth == [False] * 6


def test_an_observer_that_raises_disturbs_nothing_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Observer):
        def call_ends(self, call: Call, seconds: float, error: BaseException | None) -> None:
            raise ZeroDivisionError

    seen = Calls()
    both = Loopback(Api(), observer=[Broken(), seen])

    assert [both.api.add(n, 1).result() for n in range(3)] == [1, 2, 3]
    both.pump()

    assert len(seen.ended) == 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "Broken.call_ends" in caplog.text


def test_an_observer_that_is_too_slow_is_told_what_it_missed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Slow(Calls):
        def missed(self, count: int) -> None:
            self.ended.append((f"missed {count}", None))

    monkeypatch.setattr(events, "MAX_WAITING", 2 * events.EVENT_COST)
    seen = Slow()
    both = Loopback(Api(), client_observer=seen)

    # Nothing is pumped meanwhile, as when an observer blocks.
    for _ in range(5):
        both.api.add(1, 2).dispose()
    both.pump()
    both.api.add(1, 2).dispose()
    both.pump()

    assert [name for name, _ in seen.ended] == ["add", "add", "missed 3", "add"]
    assert "not told of 3 events" in caplog.text


def test_what_no_observer_defines_is_not_computed() -> None:
    both = Loopback(Api(), observer=Observer())

    both.api.add(1, 2).result()

    assert both.server.pack is both.server_transport.pack
    assert both.server.calls.seen is None


def test_a_session_that_nobody_sees_has_nothing_of_it() -> None:
    both = Loopback(Api())

    assert both.server.calls.seen is None
    assert both.server.pack is both.server_transport.pack


def test_a_session_whose_main_object_fails_to_begin_is_told_to_be_over() -> None:
    class Failing(RpcTarget):
        def _on_session(self, session: Any) -> None:
            raise ZeroDivisionError

    seen = Everything()
    runtime = Loopback().runtime

    with pytest.raises(ZeroDivisionError):
        RpcSession(LineTransport(), Failing(), runtime=runtime, observer=seen)
    runtime.pump()

    assert [event[0] for event in seen.told] == ["opens", "closes"]


def test_what_is_no_observer_is_refused() -> None:
    with pytest.raises(TypeError, match=r"observer= takes Observers, not <built-in"):
        Loopback(Api(), observer=[print])  # type: ignore[list-item]


def test_closing_a_session_waits_until_its_end_is_told() -> None:
    seen = Everything()

    with pair(Api, observer=seen) as both:
        both.main.add(1, 2).result()

    assert seen.told[0] == ("opens", "pair://this-process")
    assert seen.of("begins", "ends", "closes") == [
        ("begins", "add", "out"),
        ("ends", "add", None),
        ("closes", 1000, "", 0, 1),
    ]


def test_a_batch_that_waits_is_not_sent_because_another_session_with_its_observer_ends() -> None:
    seen = Everything()
    waiting = batch("http://127.0.0.1:9/", observer=seen)
    waiting.main.add(1, 2)

    with pair(Api, observer=seen) as both:
        both.main.add(1, 2).result()

    assert "not sent" in repr(waiting)


def test_settling_waits_for_observers_whatever_they_have_seen_before() -> None:
    seen = Calls()

    for _ in range(3):
        with pair(serve(Api, observer=seen)) as both:
            both.main.add(1, 2).result()
            both.settle()
            assert seen.ended.pop() == ("add", None)


def test_an_observer_that_blocks_holds_nobody_up_but_the_end_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("capnweb_sync.observe.seen.Seen.flush.__defaults__", (0.01,))
    released = threading.Event()

    class Stuck(Observer):
        def call_begins(self, call: Call) -> None:
            released.wait(60)

    with pair(serve(Api, observer=Stuck()), observer=Stuck()) as both:
        assert both.main.add(1, 2).result(60) == 3
    released.set()


def test_log_levels_decide_when_a_session_is_made_whether_it_is_seen() -> None:
    logging.getLogger("capnweb_sync.calls").setLevel(logging.DEBUG)
    try:
        seen = Loopback(Api())
    finally:
        logging.getLogger("capnweb_sync.calls").setLevel(logging.NOTSET)
    unseen = Loopback(Api(), beside=seen)

    assert seen.server.calls.seen is not None
    assert unseen.server.calls.seen is None


FORKING = """
import os, sys, time
from tests.capnweb_sync.observe.test_observer import Api, Calls
from capnweb_sync.testing import pair

class Slow(Calls):
    def call_ends(self, call, seconds, error):
        time.sleep(0.01)
        super().call_ends(call, seconds, error)

seen = Slow()
with pair(Api, observer=seen) as both:
    for _ in range(20):
        both.main.add(1, 2).result()
    process = os.fork()
    if process == 0:
        seen.ended.clear()
        with pair(Api, observer=seen) as another:
            another.main.add(1, 2).result()
        os._exit(seen.ended != [("add", None)])
assert len(seen.ended) == 20, seen.ended
assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_tells_of_its_own_sessions_and_not_what_is_left_of_its_parents() -> None:
    finished = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING],  # Python warns of it
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (finished.stderr, finished.returncode) == ("", 0)
