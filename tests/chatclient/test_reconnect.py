"""When a client comes back, and when it stays away."""

import pytest

from capnweb_sync import ConnectError, RemoteError, SessionClosed
from capnweb_sync.client.opening import ConnectTimeout, HandshakeError
from chatclient.reconnect import MAX_DELAY, Backoff, Status, comes_back, stays_away


def longest(backoff: Backoff, attempts: int) -> list[float]:
    """About the longest delay of each attempt, by trying often enough."""
    delays: list[float] = [0.0] * attempts
    for _ in range(300):
        again = Backoff()
        again._attempt = backoff._attempt
        for attempt in range(attempts):
            delays[attempt] = max(delays[attempt], again.next_delay())
    return delays


def test_delays_double_up_to_a_cap() -> None:
    for delay, bound in zip(longest(Backoff(), 6), [1, 2, 4, 8, 10, 10], strict=True):
        assert 0.9 * bound < delay <= bound


def test_the_server_s_wish_is_waited_for_once() -> None:
    backoff = Backoff()
    backoff.asked_to_wait(20)

    assert 20 <= backoff.next_delay() <= 21
    assert backoff.next_delay() <= 2


def test_delays_are_jittered_down_to_nothing() -> None:
    backoff = tried(5)
    delays = [backoff.next_delay() for _ in range(300)]
    assert min(delays) < MAX_DELAY / 10


def test_a_connection_that_lasted_begins_the_series_anew() -> None:
    backoff = tried(5)
    backoff.connection_lost(1006, lasted=60)
    assert 0.9 < longest(backoff, 1)[0] <= 1


def test_a_connection_that_did_not_last_begins_it_in_the_middle() -> None:
    backoff = tried(5)
    backoff.connection_lost(1006, lasted=0.1)
    assert 3 < longest(backoff, 1)[0] <= 4


def tried(times: int) -> Backoff:
    backoff = Backoff()
    for _ in range(times):
        backoff.next_delay()
    return backoff


@pytest.mark.parametrize("code", [1001, 1012])
def test_a_crowd_that_is_sent_away_together_comes_back_spread_out(code: int) -> None:
    backoff = Backoff()
    backoff.connection_lost(code, lasted=60)
    assert 3 < longest(backoff, 1)[0] <= 4


@pytest.mark.parametrize("code", [4001, 4002, 4003, 4004, 1008])
def test_some_close_codes_mean_stay_away(code: int) -> None:
    assert stays_away(SessionClosed("", close_code=code))


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1009, 1011, 1012, 1013, 3000])
def test_other_close_codes_do_not(code: int | None) -> None:
    assert not stays_away(SessionClosed("", close_code=code))


@pytest.mark.parametrize(
    "error",
    [
        ConnectError("ws://x", "Connection refused."),
        ConnectTimeout("ws://x", "no answer"),
        HandshakeError("ws://x", 503, "full"),
        HandshakeError("ws://x", 502, ""),
        HandshakeError("ws://x", 429, ""),
        SessionClosed("", close_code=1006),
        TimeoutError(),
        RemoteError("", properties={"code": "unavailable"}),
        RemoteError("", properties={"code": "rate_limited"}),
        RemoteError("", properties={"code": "internal"}),
    ],
    ids=str,
)
def test_what_may_pass_is_worth_another_attempt(error: Exception) -> None:
    assert comes_back(error)


@pytest.mark.parametrize(
    "error",
    [
        HandshakeError("ws://x", 403, "foreign origin"),
        HandshakeError("ws://x", 404, ""),
        SessionClosed("", close_code=4001),
        RemoteError("", properties={"code": "username_taken"}),
        RemoteError("", properties={"code": "unauthorized"}),
        RemoteError("", properties={"code": "bad_request"}),
        RemoteError("", properties={"code": "forbidden"}),
    ],
    ids=str,
)
def test_what_will_not_change_is_not(error: Exception) -> None:
    assert not comes_back(error)


@pytest.mark.parametrize(("delay", "seconds"), [(0.0, 1), (0.3, 1), (1.5, 2), (29.9, 30)])
def test_the_line_for_a_person_says_when(delay: float, seconds: int) -> None:
    line = f"Connection lost; trying again in {seconds} s …"
    assert str(Status(online=False, retry_in=delay)) == line
    assert str(Status(online=True)) == "Back online"
