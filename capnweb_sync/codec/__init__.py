"""Values and expressions, to and from the wire.

registry       which kind of value travels in which form; the two protocols of a session
encoder        values of the application to expressions
evaluator      expressions of the peer to values, and the calls in them
…_kinds        the kinds: they register themselves
map_…          `.map()`: functions that travel to the data
"""

from . import (
    byte_kinds,
    data_kinds,
    error_kinds,
    fetch_kinds,
    map_recorder,
    plain_kinds,
    stream_kinds,
)

__all__ = [
    "byte_kinds",
    "data_kinds",
    "error_kinds",
    "fetch_kinds",
    "map_recorder",
    "plain_kinds",
    "stream_kinds",
]
