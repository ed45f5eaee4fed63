"""Which kind of value travels in which form, and where the capabilities in values become ids.

A kind is a pair of functions: one from a value to its expression, one from the expression back.
Each kind's file registers its own, so the encoder and the evaluator know of none:

    @encodes(datetime)
    def encode_date(encoder, value, depth): …

    @evaluates("date")
    def evaluate_date(evaluator, expression, container, key, depth): …

The encoder looks for the class of a value, then for its bases, the nearest first, and then asks
what the value can do. The evaluator looks for the string that an array begins with (protocol page,
"Expressions").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeVar

from ..core.hooks import Hook, Mapper
from ..core.served_calls import ServedCalls
from ..limits import Limits
from ..streams.streams import ReadableStream, WritableStream

Encode = Callable[[Any, Any, int], Any]
"""`(encoder, value, depth) -> expression`. Raises TypeError or ValueError for what can't be
sent."""

Evaluate = Callable[[Any, "list[Any]", Any, Any, int], Any]
"""`(evaluator, expression, container, key, depth) -> value`, to stand at `key` of `container`. The
expression is a list that begins with the kind's name; it may be used up. Raises RpcError for one
that is against the protocol."""

E = TypeVar("E", bound=Encode)
V = TypeVar("V", bound=Evaluate)

ENCODERS: Final[dict[type, Encode]] = {}
"""By the class of the value."""

BY_ABILITY: Final[list[tuple[Callable[[Any], bool], Encode]]] = []
"""For values that are told by what they can do; the first that says yes."""

EVALUATORS: Final[dict[str, Evaluate]] = {}
"""By the string that the array begins with."""


def encodes(*classes: type) -> Callable[[E], E]:
    """Register the function for values of these classes, and of those derived from them."""

    def register(encode: E) -> E:
        ENCODERS.update(dict.fromkeys(classes, encode))
        return encode

    return register


def encodes_if(able: Callable[[Any], bool]) -> Callable[[E], E]:
    """Register the function for values of no registered class of which `able` is true."""

    def register(encode: E) -> E:
        BY_ABILITY.append((able, encode))
        return encode

    return register


def evaluates(*names: str) -> Callable[[V], V]:
    """Register the function for expressions that begin with one of these names."""

    def register(evaluate: V) -> V:
        EVALUATORS.update(dict.fromkeys(names, evaluate))
        return evaluate

    return register


def encoder_of(value: Any) -> Encode | None:
    """The function for a value whose very class is not registered; None if there is none."""
    for base in type(value).__mro__:
        encode = ENCODERS.get(base)
        if encode is not None:
            return encode
    return next((encode for able, encode in BY_ABILITY if able(value)), None)


class Importer(Protocol):
    """Where ids in an expression become capabilities."""

    @property
    def limits(self) -> Limits:
        """What is accepted."""
        ...

    @property
    def calls(self) -> ServedCalls:
        """Which served calls the calls in the expression belong to."""
        ...

    def import_stub(self, import_id: int) -> Hook:
        """A hook for something that the peer exports."""
        ...

    def import_promise(self, import_id: int) -> Hook:
        """A hook for a promise that the peer exports."""
        ...

    def export_hook(self, export_id: int) -> Hook | None:
        """What this side exports under the id; it stays the table's."""
        ...

    def pipe_readable(self, export_id: int) -> ReadableStream:
        """The reading end of a pipe that the peer has opened."""
        ...

    def map_work(self) -> Mapper:
        """The bound on the work of a map in the expression."""
        ...


class Exporter(Protocol):
    """Where capabilities in a value become ids."""

    send_stack_traces: bool

    @property
    def calls(self) -> ServedCalls | None:
        """The served calls of the session that exports."""
        ...

    def export_stub(self, hook: Hook) -> int:
        """Take `hook` over; its new export id, negative."""
        ...

    def export_promise(self, hook: Hook) -> int:
        """Take `hook` over as a promise and send its resolution when it is there."""
        ...

    def import_id(self, hook: Hook) -> int | None:
        """The id of `hook` if it stands for something of the very peer that is sent to."""
        ...

    def export_sink(self, stream: WritableStream) -> int:
        """The export id of a stream that the peer may write to."""
        ...

    def create_pipe(self, source: ReadableStream) -> int:
        """Send `source` through a pipe, from when the message has been sent; the id of the pipe.
        Raises RpcError if it has been sent already."""
        ...

    def unexport(self, ids: Iterable[int]) -> None:
        """Take back exports, and pipes, that were not sent."""
        ...
