"""The bounds on what a peer can make this process do, each with the attack that it stops.

They stand together so that an operator can read them in one minute. The reference has the
first three (`DEFAULT_LIMITS` in its `serialize.ts`), with the same defaults.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one session accepts from its peer. Past a bound the peer gets a clear error."""

    max_message_size: int = 32 * 1024 * 1024
    """Bytes of one message. Stops: one message that fills the memory. Past it: abort."""

    max_depth: int = 256
    """Levels of nesting in a message. Stops: a stack overflow by `[[[[…`. Past it: abort."""

    max_bigint_digits: int = 16_384
    """Characters of a big integer. Stops: decimal conversion, whose cost grows faster than the
    length, as a way to burn the processor. Past it: abort."""

    max_memory: int = 128 * 1024 * 1024
    """Bytes that one session keeps for its peer, about as what they take in Python: entries of its
    tables, results until they are released, arguments of calls under way, what waits for promises,
    chunks of streams until they are read, frames that are not sent yet, messages that are not
    whole yet. Stops: pushing without ever releasing, introducing capabilities without end, naming
    a large result thousands of times in the arguments of calls, writing to streams that nobody
    reads. Past it: abort; a call that this side makes meanwhile, or what would go far past it,
    fails with the code `too_many`."""

    max_calls: int = 1_024
    """Served calls under way: started, waiting for their turn, or set aside for a promise; writes
    to streams are not among them, but maps that are set aside are. So are calls that the
    application makes of what the peer has passed, if they wait here: of a promise that never
    settles, or of a function of this side. Stops: queueing work faster than it can be done. Past it
    the call fails with the code `too_many` and reading goes on."""

    max_calls_per_message: int = 1_024
    """Calls that one message starts, those within its arguments and maps included, and those that
    had waited for one call. Stops: a message of some kilobytes that is a second of work in one
    piece. Past it the call fails with the code `too_many`."""

    max_map_steps: int = 10_000
    """What the maps in one message of the peer's execute, those of the maps inside included:
    instructions times items. An instruction counts once more for each two values and each 512
    characters in it, and for each eight values that it copies or brings into the result. A step
    takes some microseconds. Stops: map bombs, a short message that goes through a long list, or
    whose nested maps multiply. Past it the map is rejected with the code `too_many`."""

    max_map_steps_per_second: int = 20_000
    """What the maps of all messages execute in the long run, and at most at once. Stops: map bombs
    sent one after another. Past it the map is rejected with the code `too_many`."""


DEFAULT_LIMITS = Limits()
