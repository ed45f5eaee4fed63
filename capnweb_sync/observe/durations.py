"""How long something took, again and again: a histogram in plain integers, cheap enough for what is
done thousands of times a second."""

from bisect import bisect_left
from typing import Final

BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds up to which each bucket goes; the last one has no bound."""


class Durations:
    """So many in each bucket, and all of them together.

    Attributes:
        counts: for each of `BOUNDS`, those that took no longer, and longer than the bound before;
            at the end the rest.
        seconds: the sum of all.
    """

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def note(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds
