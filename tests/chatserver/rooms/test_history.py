"""Reading the log for one connection: one read at a time, and none that nobody waits for."""

from concurrent.futures import Future
from typing import Any

import gevent
from gevent.event import Event as Signal

from capnweb_sync import Lookup, RpcSession, RpcTarget
from chatserver.errors import Unavailable
from chatserver.rooms.history import HistoryReads
from chatserver.store.events import Event
from tests.capnweb_sync.loopback import LoopbackRuntime, LoopbackTransport
from tests.chatserver.greenlets import eventually


class Log:
    """Reads that wait until a test lets them go on."""

    def __init__(self) -> None:
        self.begun = 0
        self.under_way = 0
        self.most = 0
        self.go_on = Signal()

    def read(self) -> list[Event]:
        self.begun += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.go_on.wait()
        self.under_way -= 1
        return []


def test_reads_of_one_connection_are_made_one_after_another() -> None:
    log, reads = Log(), HistoryReads()
    asked = [reads.ask(log.read) for _ in range(10)]
    eventually(lambda: log.begun == 1)
    gevent.sleep(0)
    assert log.begun == 1

    log.go_on.set()

    eventually(lambda: all(answer.done() for answer in asked))
    assert (log.begun, log.most) == (10, 1)


def test_one_that_was_given_up_before_its_turn_is_not_begun() -> None:
    log, reads = Log(), HistoryReads()
    first, given_up, last = (reads.ask(log.read) for _ in range(3))
    eventually(lambda: log.begun == 1)

    given_up.cancel()
    log.go_on.set()

    eventually(last.done)
    assert log.begun == 2
    assert first.result() == last.result() == []


def test_one_that_fails_fails_alone() -> None:
    def fail() -> list[Event]:
        raise Unavailable("not now")

    log, reads = Log(), HistoryReads()
    log.go_on.set()
    failed, fine = reads.ask(fail), reads.ask(log.read)

    eventually(fine.done)
    assert isinstance(failed.exception(), Unavailable)


class Shelf(RpcTarget):
    """Has lookups, and calls with an effect."""

    def __init__(self) -> None:
        self.lookups: list[Lookup[Any]] = []
        self.effects: list[Future[Any]] = []

    def look(self) -> Lookup[Any]:
        self.lookups.append(Lookup())
        return self.lookups[-1]

    def change(self) -> Future[Any]:
        self.effects.append(Future())
        return self.effects[-1]


def said(*messages: str, pumped: bool = True) -> Shelf:
    """What becomes of a shelf to which a peer says this."""
    shelf, runtime = Shelf(), LoopbackRuntime()
    session = RpcSession(LoopbackTransport(), shelf, runtime=runtime)
    for message in messages:
        session.receive(message)
        if pumped:
            runtime.pump()
    runtime.pump()
    return shelf


LOOK = '["push",["pipeline",0,["look"],[]]]'
RELEASE = '["release",1,1]'


def test_a_lookup_whose_result_is_given_up_is_cancelled() -> None:
    assert said(LOOK, RELEASE).lookups[0].cancelled()
    assert said(LOOK, '["pull",1]', RELEASE).lookups[0].cancelled()


def test_one_that_is_given_up_before_its_call_has_begun_is_cancelled_at_once() -> None:
    assert said(LOOK, RELEASE, pumped=False).lookups[0].cancelled()


def test_one_whose_result_is_still_wanted_is_not() -> None:
    assert not said(LOOK).lookups[0].cancelled()
    assert not said(LOOK, '["pull",1]').lookups[0].cancelled()
    assert not said(LOOK, '["push",["pipeline",1]]', RELEASE).lookups[0].cancelled()


def test_a_call_with_an_effect_goes_on_whoever_waits_for_it() -> None:
    change = '["push",["pipeline",0,["change"],[]]]'
    assert not said(change, RELEASE).effects[0].cancelled()
