"""Expressions of the protocol to values for the application (the reference's `Evaluator`).

Everything in here comes from a peer and is checked. A message that is against the protocol raises
RpcError; the session then ends, as the reference ends it.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from . import numbers, wire
from .errors import REMOTE_CLASSES, RpcError, RpcTypeError
from .hooks import ErrorHook, Hook, PayloadHook, attempt
from .limits import DEFAULT_LIMITS, Limits
from .payload import Payload
from .stubs import RpcPromise, RpcStub
from .values import BigInt, JSDate, date_from_ms, undefined

if TYPE_CHECKING:
    from .calls import ServedCalls

SHOWN: Final = 200
"""Characters of an offending expression that an error quotes: enough to find it."""


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


class Decoder:
    """Evaluates one expression; what it finds belongs to its payload."""

    __slots__ = ("_importer", "_max_depth", "_payload")

    def __init__(self, importer: Importer) -> None:
        self._importer = importer
        self._max_depth = importer.limits.max_depth
        self._payload = Payload(None, "owned")

    def evaluate(self, expression: Any, depth: int = 0) -> Payload:
        """The payload for `expression`, a JSON value, which is used up.

        Raises RpcError if it is against the protocol; nothing is left over then.
        """
        payload = self._payload
        try:
            payload.value = self._evaluate(expression, payload, "value", depth)
        except BaseException:
            payload.dispose()
            raise
        return payload

    def evaluate_hook(self, expression: Any) -> Hook:
        """A hook for `expression`: what a push adds to the export table. A call at its root gives
        its own hook, without a payload around it."""
        if type(expression) is list and expression and expression[0] == "pipeline":
            return self._reference(expression, 0)
        return PayloadHook(self.evaluate(expression))

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
            special = SPECIAL.get(value[0]) if value and type(value[0]) is str else None
            if special is None:
                raise unknown(value)
            return special(self, value, container, key, depth)
        if kind is dict:
            for name, item in value.items():
                if type(item) not in LITERAL or depth + 1 >= self._max_depth:
                    value[name] = self._evaluate(item, value, name, depth + 1)
        return value

    def _bigint(self, value: list[Any], container: Any, key: Any, depth: int) -> Any:
        if len(value) < 2 or not isinstance(value[1], str):
            raise unknown(value)
        limit = self._importer.limits.max_bigint_digits
        if len(value[1]) > limit:
            raise RpcTypeError(f"Deserialized bigint exceeds maximum length of {limit} digits.")
        return BigInt(numbers.number(value[1]))

    def _date(self, value: list[Any], container: Any, key: Any, depth: int) -> Any:
        if len(value) < 2 or isinstance(value[1], bool):
            raise unknown(value)
        if value[1] is None:
            return JSDate(None)
        if not isinstance(value[1], (int, float)):
            raise unknown(value)
        return date_from_ms(value[1])

    def _bytes(self, value: list[Any], container: Any, key: Any, depth: int) -> Any:
        if len(value) < 2 or not isinstance(value[1], str):
            raise unknown(value)
        text = value[1]
        try:
            return b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            raise RpcTypeError("The bytes are not in base64.") from None

    def _error(self, value: list[Any], container: Any, key: Any, depth: int) -> Any:
        if len(value) < 3 or not isinstance(value[1], str) or not isinstance(value[2], str):
            raise unknown(value)
        properties = value[4] if len(value) > 4 else {}
        if not isinstance(properties, dict):
            raise unknown(value)
        for name in ("name", "message", "stack"):
            properties.pop(name, None)
        for name, item in properties.items():
            properties[name] = self._evaluate(item, properties, name, depth + 1)
        name = value[1] if value[1] in REMOTE_CLASSES else "Error"
        stack = value[3] if len(value) > 3 and isinstance(value[3], str) else None
        return REMOTE_CLASSES[name](value[2], name=name, properties=properties, stack=stack)

    def _undefined(self, value: list[Any], container: Any, key: Any, depth: int) -> Any:
        if len(value) != 1:
            raise unknown(value)
        return undefined

    def _infinity(self, value: list[Any], container: Any, key: Any, depth: int) -> float:
        return float("inf")

    def _minus_infinity(self, value: list[Any], container: Any, key: Any, depth: int) -> float:
        return float("-inf")

    def _nan(self, value: list[Any], container: Any, key: Any, depth: int) -> float:
        return float("nan")

    def _export(self, value: list[Any], container: Any, key: Any, depth: int) -> Any:
        if len(value) < 2 or not is_id(value[1]):
            raise unknown(value)
        if value[0] == "promise":
            hook = self._importer.import_promise(value[1])
            return self._add_promise(hook, container, key)
        return self._add_stub(self._importer.import_stub(value[1]))

    def _import(self, value: list[Any], container: Any, key: Any, depth: int) -> Any:
        hook = self._reference(value, depth)
        if value[0] == "pipeline":
            return self._add_promise(hook, container, key)
        return self._add_stub(hook)

    def _add_promise(self, hook: Hook, container: Any, key: Any) -> RpcPromise:
        promise = RpcPromise._of(hook, ())
        self._payload.promises.append((container, key, promise))
        return promise

    def _add_stub(self, hook: Hook) -> RpcStub:
        self._payload.hooks.append(hook)
        return RpcStub._of(hook)

    def _reference(self, value: list[Any], depth: int) -> Hook:
        """The hook for `["import" | "pipeline", id, path?, arguments?]`; calls are started."""
        size = len(value)
        if not 2 <= size <= 4 or not is_id(value[1]):
            raise unknown(value)
        hook = self._importer.export_hook(value[1])
        if hook is None:
            raise RpcError(f"no such entry on exports table: {value[1]}")
        if size == 2:
            return attempt(hook.get, ()) if value[0] == "pipeline" else attempt(hook.dup)
        path = value[2]
        if not is_path(path):
            raise unknown(value)
        if size == 3:
            return attempt(hook.get, path)
        if not isinstance(value[3], list):
            raise unknown(value)
        args = Decoder(self._importer).evaluate([value[3]], depth)
        calls = self._importer.calls
        try:
            calls.begin()
        except RpcError as error:
            args.dispose()
            return ErrorHook(error)
        args.on_dispose = calls.end
        return attempt(hook.call, path, args, calls)


LITERAL: Final = frozenset({str, int, float, bool, type(None)})
"""JSON types that stand for themselves."""

Special = Callable[[Decoder, list[Any], Any, Any, int], Any]

SPECIAL: Final[dict[str, Special]] = {
    "bigint": Decoder._bigint,
    "date": Decoder._date,
    "bytes": Decoder._bytes,
    "error": Decoder._error,
    "undefined": Decoder._undefined,
    "inf": Decoder._infinity,
    "-inf": Decoder._minus_infinity,
    "nan": Decoder._nan,
    "import": Decoder._import,
    "pipeline": Decoder._import,
    "export": Decoder._export,
    "promise": Decoder._export,
}
"""What an array that begins with a string stands for (protocol page, "Expressions")."""


def is_id(value: Any) -> bool:
    """Whether `value` is a whole number, as table ids and counts are."""
    return type(value) is int


def is_path(value: Any) -> bool:
    """Whether `value` is a list of property names."""
    return type(value) is list and all(type(part) in (str, int, float) for part in value)


def unknown(value: Any) -> RpcTypeError:
    """The error for an expression that the protocol does not know."""
    return RpcTypeError(
        f"unknown special value: {wire.dumps(value)[:SHOWN].decode(errors='ignore')}"
    )


def deserialize(text: str | bytes) -> Any:
    """The value of the protocol's text `text`, which holds no capability (the reference's
    `deserialize`). Raises ValueError if it is not JSON, RpcError if it is against the protocol."""
    payload = Decoder(NoImporter()).evaluate(wire.loads(text))
    payload.dispose()
    return payload.value
