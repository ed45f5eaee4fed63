"""Calls in plain integers: how many, what came of them, how long some took."""

from __future__ import annotations

import pytest

from capnweb_sync import RpcError, RpcTarget
from capnweb_sync.core.arguments import calls_by_method
from capnweb_sync.observe import counts
from capnweb_sync.observe.counts import OTHER, CallCounts
from capnweb_sync.observe.durations import BOUNDS, Durations
from tests.capnweb_sync.loopback import Loopback


class Counted(RpcTarget):
    """Counts the calls of its session."""

    def __init__(self) -> None:
        self._counts = CallCounts()

    def _on_session(self, session: object) -> None:
        session.calls.counts = self._counts  # type: ignore[attr-defined]

    def countedOnly(self, how: str) -> str:
        if how == "refuse":
            raise RpcError("no", code="forbidden")
        if how == "break":
            raise KeyError(how)
        return how


@pytest.fixture
def main() -> Counted:
    return Counted()


@pytest.fixture
def pair(main: Counted) -> Loopback:
    return Loopback(main)


def test_calls_are_counted_by_method_and_failures_by_what_came_of_them(
    pair: Loopback, main: Counted
) -> None:
    before = calls_by_method()["countedOnly"]
    for how in ("well", "refuse", "break", "refuse"):
        promise = pair.api.countedOnly(how)
        pair.pump()
        promise.exception()

    assert calls_by_method()["countedOnly"] - before == 4
    assert main._counts.failed == {
        ("countedOnly", "forbidden"): 2,
        ("countedOnly", "internal"): 1,
    }


def test_names_that_a_peer_makes_up_are_one(pair: Loopback, main: Counted) -> None:
    for name in ("aaa", "bbb", "ccc"):
        pair.api[name]().exception()

    assert main._counts.failed == {(OTHER, "error"): 3}


def test_outcomes_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "MAX_NAMES", 2)
    counted = CallCounts()

    for code in ("a", "b", "c", "d"):
        counted.fails("method", RpcError("no", code=code), None)

    assert counted.failed == {(OTHER, "a"): 1, (OTHER, "b"): 1, (OTHER, OTHER): 2}


def test_the_first_call_of_a_method_is_timed_and_then_one_in_32(
    pair: Loopback, main: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(64):
        pair.api.countedOnly("well").result()

    assert sum(main._counts.seconds["countedOnly"].counts) == 2


def test_a_duration_is_in_the_first_bucket_that_it_fits_into() -> None:
    durations = Durations()

    for seconds in (0.0, BOUNDS[0], BOUNDS[1], 1000.0):
        durations.note(seconds)

    assert durations.counts == [2, 1, *[0] * (len(BOUNDS) - 2), 1]
    assert durations.seconds == 1000.0 + BOUNDS[0] + BOUNDS[1]
