"""What our client can do and the reference's cannot: the same against either server."""

from typing import Any

import pytest

from capnweb_sync import ClientSession, RpcStub, connect
from tests.interop.scenario_api import ClientMain, Counter
from tests.processes import wait_until


@pytest.fixture(params=["our_server", "reference_server"])
def session(request: pytest.FixtureRequest) -> Any:
    """A session with one of the two servers, whose tables must be as before after the test."""
    with connect(request.getfixturevalue(request.param), ClientMain()) as session:

        def sizes() -> list[dict[str, int]]:
            return [session.stats(), session.main.stats().result()]

        before = sizes()
        yield session
        wait_until(lambda: sizes() == before, message="the tables are as they were")


def test_an_item_of_a_list_is_reached_by_its_index(session: ClientSession) -> None:
    """The reference's client turns every index into a string, which no list has."""
    with session.main.makeParts() as parts:
        assert parts.functions[0](10).result() == 11


def test_an_object_comes_back_to_its_owner_as_a_whole_result(session: ClientSession) -> None:
    """The reference's client fails to deliver its own object unless it stands inside another."""
    counter = Counter(1)
    with session.main.giveBack(counter) as given, given["it"].result() as same:
        assert same.increment(2).result() == 3
    assert counter.value == 3


def test_a_map_captures_an_object_of_the_server(session: ClientSession) -> None:
    """The reference's client never releases what it captures so."""
    with session.main.makeCounter(0).result() as counter, session.main.numbers(3) as numbers:
        assert numbers.map(lambda n: counter.increment(n)).result() == [1, 3, 6]


def test_a_captured_object_can_be_used_before_it_is_there(session: ClientSession) -> None:
    with session.main.makeCounter(0) as counter, session.main.numbers(3) as numbers:
        assert numbers.map(lambda n: counter.increment(n)).result() == [1, 3, 6]


def test_a_stub_of_the_main_object_stays_usable_when_its_duplicate_is_gone(
    session: ClientSession,
) -> None:
    duplicate: RpcStub = session.main.dup()
    duplicate.dispose()

    assert session.main.add(1, 2).result() == 3
