"""How many bytes of a stream may be under way.

The window follows the product of bandwidth and round trip, as in the reference (`FlowController`
in its `streams.ts`, after TCP BBR): fast growth at first, then by a quarter above what has been
measured, slow decay while the window is the bottleneck.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

INITIAL_WINDOW: Final = 256 * 1024
MIN_WINDOW: Final = 64 * 1024
MAX_WINDOW: Final = 1024 * 1024 * 1024
"""Bytes; the reference's, so that both ends of a conversation behave alike."""

STARTUP_GROWTH: Final = 2.0
STEADY_GROWTH: Final = 1.25
DECAY: Final = 0.9
STARTUP_ROUNDS: Final = 3
"""Rounds without growth after which the start-up phase is over."""


class Sent(NamedTuple):
    """What was true when a chunk was sent."""

    time: float
    size: int
    delivered: int
    delivered_time: float
    window: float
    window_full: bool


class FlowController:
    """The window of one stream that is written. `now` gives seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.window: float = INITIAL_WINDOW
        self.in_flight = 0
        self._startup = True
        self._delivered = 0
        self._delivered_time = 0.0
        self._first_ack: tuple[float, int] | None = None
        self._min_round_trip = math.inf
        self._rounds_without_growth = 0
        self._last_round_window = 0.0
        self._round_start = 0.0

    @property
    def open(self) -> bool:
        """Whether more may be sent."""
        return self.in_flight < self.window

    def on_send(self, size: int) -> Sent:
        """`size` bytes are on their way; give the result back with the acknowledgement."""
        self.in_flight += size
        return Sent(
            self._now(), size, self._delivered, self._delivered_time, self.window, not self.open
        )

    def on_error(self, sent: Sent) -> None:
        """The chunk failed."""
        self.in_flight -= sent.size

    def on_ack(self, sent: Sent) -> None:
        """The chunk has been taken."""
        now = self._now()
        self._delivered += sent.size
        self._delivered_time = now
        self.in_flight -= sent.size
        self._min_round_trip = min(self._min_round_trip, now - sent.time)
        if self._first_ack is None:
            self._first_ack = (now, self._delivered)
            return
        base_time, base_delivered = (
            (sent.delivered_time, sent.delivered) if sent.delivered_time else self._first_ack
        )
        growth = STARTUP_GROWTH if self._startup else STEADY_GROWTH
        interval = now - base_time
        product = math.inf
        if interval > 0:
            bandwidth = (self._delivered - base_delivered) / interval
            product = bandwidth * self._min_round_trip * growth
        window = min(product, sent.window * growth)
        window = max(window, sent.window * DECAY if sent.window_full else self.window)
        self.window = max(min(window, MAX_WINDOW), MIN_WINDOW)
        if self._startup and sent.time >= self._round_start:
            self._end_round(now)

    def _end_round(self, now: float) -> None:
        if self.window > self._last_round_window * STEADY_GROWTH:
            self._rounds_without_growth = 0
        else:
            self._rounds_without_growth += 1
            self._startup = self._rounds_without_growth < STARTUP_ROUNDS
        self._round_start = now
        self._last_round_window = self.window
