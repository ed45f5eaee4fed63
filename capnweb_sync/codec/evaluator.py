"""Expressions of the protocol to values for the application (the reference's `Evaluator`).

Everything in here comes from a peer and is checked. A message that is against the protocol raises
RpcError; the session then ends, as the reference ends it.
"""

from __future__ import annotations

import math
from typing import Any, Final

from ..core.hooks import Hook, Mapper, attempt, call_hook, failed
from ..core.ledger import UNWEIGHED, size_of
from ..core.local_hooks import PayloadHook
from ..core.payload import Payload
from ..core.served_calls import ServedCalls
from ..core.stubs import RpcPromise, RpcStub
from ..errors import SHOWN, RpcError, RpcTypeError
from ..limits import DEFAULT_LIMITS
from ..streams.streams import ReadableStream
from ..values import json_text
from ..values.javascript import MAX_SAFE_INTEGER
from .registry import EVALUATORS, Importer

ORDINARY_PATH: Final = 8
"""Names in a path that what a call counts with covers."""


class NoImporter:
    """Knows no capabilities: for values outside of a session."""

    limits = DEFAULT_LIMITS

    @property
    def calls(self) -> ServedCalls:
        raise RpcError("A call needs a session.")

    def import_stub(self, import_id: int) -> Hook:
        raise RpcError("Functions, stubs and objects by reference need a session to arrive in.")

    import_promise = import_stub

    def export_hook(self, export_id: int) -> Hook | None:
        return None

    def pipe_readable(self, export_id: int) -> ReadableStream:
        raise RpcError("A stream needs a session to arrive in.")

    def map_work(self) -> Mapper:
        raise RpcError("A map needs a session.")


class Evaluator:
    """Evaluates one expression; what it finds belongs to its payload."""

    __slots__ = ("_max_depth", "importer", "payload")

    def __init__(self, importer: Importer) -> None:
        self.importer = importer
        self._max_depth = importer.limits.max_depth
        self.payload = Payload(None, "owned")

    def evaluate(self, expression: Any, depth: int = 0) -> Payload:
        """The payload for `expression`, a JSON value, which is used up.

        Raises RpcError if it is against the protocol; nothing is left over then.
        """
        payload = self.payload
        try:
            payload.value = self._evaluate(expression, payload, "value", depth)
        except BaseException:
            payload.dispose()
            raise
        return payload

    def _evaluate(self, value: Any, container: Any, key: Any, depth: int) -> Any:
        if depth >= self._max_depth:
            raise RpcTypeError(
                f"Deserialization exceeded maximum allowed message depth of {self._max_depth}."
            )
        kind = type(value)
        if kind is list:
            if len(value) == 1 and type(value[0]) is list:
                items = value[0]
                for index, item in enumerate(items):
                    if type(item) not in LITERAL or depth + 1 >= self._max_depth:
                        items[index] = self._evaluate(item, items, index, depth + 1)
                return items
            evaluate = EVALUATORS.get(value[0]) if value and type(value[0]) is str else None
            if evaluate is None:
                raise unknown(value)
            return evaluate(self, value, container, key, depth)
        if kind is dict:
            for name, item in value.items():
                if type(item) not in LITERAL or depth + 1 >= self._max_depth:
                    value[name] = self._evaluate(item, value, name, depth + 1)
        elif kind is int and not is_safe(value):
            return js_number(value)
        return value

    def _export(self, value: list[Any], container: Any, key: Any, depth: int) -> Any:
        if len(value) < 2 or not is_id(value[1]):
            raise unknown(value)
        if value[0] == "promise":
            hook = self.importer.import_promise(value[1])
            return self.add_promise(hook, container, key)
        return self._add_stub(self.importer.import_stub(value[1]))

    def _import(self, value: list[Any], container: Any, key: Any, depth: int) -> Any:
        hook = reference(self.importer, value, depth)
        if value[0] == "pipeline":
            return self.add_promise(hook, container, key)
        return self._add_stub(hook)

    def evaluate_part(self, expression: Any, container: Any, key: Any, depth: int) -> Any:
        """The value of an expression within the one that is evaluated, to stand at `key` of
        `container`."""
        return self._evaluate(expression, container, key, depth)

    def add_promise(self, hook: Hook, container: Any, key: Any) -> RpcPromise:
        """A promise that stands at `key` of `container` until its value takes the place."""
        promise = RpcPromise._of(hook, ())
        self.payload.add_promise(container, key, promise)
        return promise

    def _add_stub(self, hook: Hook) -> RpcStub:
        self.payload.add_hook(hook)
        return RpcStub._of(hook)

    def _remap(self, value: list[Any], container: Any, key: Any, depth: int) -> Any:
        return self.add_promise(self.evaluate_map(value), container, key)

    def evaluate_map(self, value: list[Any]) -> Hook:
        """The hook for `["remap", id, path, captures, instructions]`."""
        if (
            len(value) != 5
            or not is_id(value[1])
            or not is_path(value[2])
            or not isinstance(value[3], list)
            or not isinstance(value[4], list)
        ):
            raise unknown(value)
        hook = exported(self.importer, value[1])
        captures: list[Hook] = []
        try:
            captures.extend(self._capture(capture) for capture in value[3])
        except RpcError:
            for captured in captures:
                captured.dispose()
            raise
        return attempt(hook.map, value[2], captures, value[4], self.importer.map_work())

    def _capture(self, capture: Any) -> Hook:
        if not isinstance(capture, list) or len(capture) != 2 or not is_id(capture[1]):
            raise RpcTypeError(f"unknown map capture: {quoted(capture)}")
        if capture[0] == "export":
            return self.importer.import_stub(capture[1])
        if capture[0] == "import":
            return attempt(exported(self.importer, capture[1]).dup)
        raise RpcTypeError(f"unknown map capture: {quoted(capture)}")


LITERAL: Final = frozenset({str, float, bool, type(None)})
"""JSON types that stand for themselves. Whole numbers do so only while JavaScript holds them."""

EVALUATORS.update(
    {
        "import": Evaluator._import,
        "pipeline": Evaluator._import,
        "remap": Evaluator._remap,
        "export": Evaluator._export,
        "promise": Evaluator._export,
    }
)
"""What is no kind of value: references."""


def evaluate_hook(importer: Importer, expression: Any) -> Hook:
    """A hook for `expression`: what a push adds to the export table. A call at its root gives its
    own hook, without a payload around it. Raises like `Evaluator.evaluate`."""
    if type(expression) is list and expression:
        if expression[0] == "pipeline":
            return reference(importer, expression, 0)
        if expression[0] == "remap":
            return Evaluator(importer).evaluate_map(expression)
    payload = Evaluator(importer).evaluate(expression)
    payload.keep(importer.calls.ledger)
    return PayloadHook(payload, importer.calls)


def exported(importer: Importer, export_id: int) -> Hook:
    """What this side exports under the id. Raises RpcError if there is nothing."""
    hook = importer.export_hook(export_id)
    if hook is None:
        raise RpcError(f"no such entry on exports table: {export_id}")
    return hook


def reference(importer: Importer, value: list[Any], depth: int) -> Hook:
    """The hook for `["import" | "pipeline", id, path?, arguments?]`; calls are started."""
    size = len(value)
    if not 2 <= size <= 4 or not is_id(value[1]):
        raise unknown(value)
    hook = exported(importer, value[1])
    calls = importer.calls
    if size == 2:
        return attempt(hook.get, (), calls) if value[0] == "pipeline" else attempt(hook.dup)
    path = value[2]
    if not is_path(path):
        raise unknown(value)
    if size == 3:
        return attempt(hook.get, path, calls)
    if not isinstance(value[3], list):
        raise unknown(value)
    args = arguments(importer, value[3], depth)
    try:
        calls.begin()
    except RpcError as error:
        args.dispose()
        return failed(error)
    args.on_dispose = calls.end_with
    args.received_size = calls.received_size
    if args.received_size > UNWEIGHED:
        args.keep(calls.ledger)
        if len(path) > ORDINARY_PATH:
            args.weight = size_of(path, calls.ledger.room)
            calls.ledger.hold(args.weight)
    return attempt(call_hook, hook, path, args, calls)


def arguments(importer: Importer, items: list[Any], depth: int) -> Payload:
    """The payload for the arguments of a call. Most are values that need no evaluation."""
    for item in items:
        kind = type(item)
        if kind not in LITERAL and not (kind is int and is_safe(item)):
            return Evaluator(importer).evaluate([items], depth)
    return Payload(items, "owned")


def is_safe(value: int) -> bool:
    """Whether a JavaScript number holds `value` exactly."""
    return -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER


def is_id(value: Any) -> bool:
    """Whether `value` is a whole number, as table ids and counts are."""
    return type(value) is int


def is_path(value: Any) -> bool:
    """Whether `value` is a list of property names."""
    return type(value) is list and all(type(part) in (str, int, float) for part in value)


def js_number(value: int) -> float:
    """A JSON number as JavaScript reads it: a double, infinite past its range."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def unknown(value: Any) -> RpcTypeError:
    """The error for an expression that the protocol does not know."""
    return RpcTypeError(f"unknown special value: {quoted(value)}")


def quoted(value: Any) -> str:
    """The beginning of `value` as JSON, for an error."""
    return json_text.dumps(value)[:SHOWN].decode(errors="ignore")


def deserialize(text: str | bytes) -> Any:
    """Decode a value that holds no capability (`deserialize` in the reference's `serialize.ts`).

    Args:
        text: the protocol's text, JSON.

    Returns:
        The value.

    Raises:
        ValueError: it is not JSON.
        RpcError: it is against the protocol, or holds a capability.
    """
    payload = Evaluator(NoImporter()).evaluate(json_text.loads(text))
    payload.dispose()
    return payload.value
