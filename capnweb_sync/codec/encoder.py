"""Values of the application to expressions of the protocol (the reference's `Devaluator`).

What can be sent is listed in `Encoder._special`; everything else is a TypeError that says so.
Capabilities go through an `Exporter`: the session, or one that refuses them.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterable
from dataclasses import is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from capnweb_sync.codec.data_kinds import DATA, as_plain
from capnweb_sync.codec.registry import Exporter

from ..core.payload import Payload
from ..core.stubs import RpcStub
from ..core.targets import FUNCTION_TYPES, RpcTarget, is_function
from ..errors import RemoteError, RpcError, error_message, is_group, js_name, redacted
from ..limits import DEFAULT_LIMITS
from ..streams.streams import is_source
from ..values import digits, json_text
from ..values.javascript import MAX_SAFE_INTEGER, BigInt, JSDate, Undefined, ms_from_date, undefined
from . import fetch_kinds

if TYPE_CHECKING:
    from ..core.hooks import Hook
    from ..streams.streams import ReadableStream, WritableStream

MAX_DEPTH = DEFAULT_LIMITS.max_depth
"""Levels of nesting that are sent, the same as the reference's default for what it accepts. It
also stops a value that contains itself."""


LITERAL: Final = frozenset({str, bool, type(None)})
"""Types of values that are their own expression, whatever they are."""


class NoExporter:
    """Refuses capabilities: for values outside of a session, and for errors that end a call, which
    nobody could dispose of."""

    calls = None

    def __init__(self, *, send_stack_traces: bool = False) -> None:
        self.send_stack_traces = send_stack_traces

    def export_stub(self, hook: Hook) -> int:
        hook.dispose()
        raise TypeError("Functions, stubs and objects by reference need a session to be sent in.")

    export_promise = export_stub

    def export_sink(self, stream: WritableStream) -> int:
        raise TypeError("A stream needs a session to be sent in.")

    def create_pipe(self, source: ReadableStream) -> int:
        raise TypeError("A stream needs a session to be sent in.")

    def import_id(self, hook: Hook) -> int | None:
        return None

    def unexport(self, ids: Iterable[int]) -> None:
        return None


class Encoder:
    """Encodes one payload."""

    __slots__ = ("_exporter", "_exports", "_payload")

    def __init__(self, exporter: Exporter, payload: Payload) -> None:
        self._exporter = exporter
        self._payload = payload
        self._exports: list[int] = []

    def encode(self) -> Any:
        """The expression for the payload's value.

        Raises TypeError or ValueError for what can't be sent; nothing stays exported then.
        """
        try:
            return self._encode(self._payload.value, 0)
        except BaseException:
            self._exporter.unexport(self._exports)
            raise

    def _encode(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str or kind is bool or value is None:
            if depth < MAX_DEPTH:
                return value
        elif kind is int:
            if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
                return value
            return ["bigint", digits.digits(value)]
        elif kind is float:
            if math.isfinite(value):
                return value
            return ["nan"] if value != value else ["inf"] if value > 0 else ["-inf"]
        if depth >= MAX_DEPTH:
            raise ValueError(
                f"The value is nested more than {MAX_DEPTH} levels deep. Does it contain itself?"
            )
        if kind is dict:
            return self._object(value, depth + 1)
        if kind is list or kind is tuple:
            encode = self._encode
            return [[encode(item, depth + 1) for item in value]]
        return self._special(value, depth)

    def _object(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        encode = self._encode
        result = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"The keys of an object are strings; {key!r} is not.")
            result[key] = encode(item, depth)
        return result

    def _special(self, value: Any, depth: int) -> Any:
        if isinstance(value, RpcStub):
            return self._stub(value)
        if isinstance(value, RpcTarget) or is_function(value):
            hook = self._payload.hook_for_target(value)
            if self._exporter.calls is not None:
                hook.serve_on(self._exporter.calls)
            return self._export("export", hook)
        if isinstance(value, datetime):
            return ["date", ms_from_date(value)]
        if value is undefined:
            return ["undefined"]
        if isinstance(value, BigInt):
            return ["bigint", digits.digits(value)]
        if isinstance(value, BaseException):
            return self._error(value, depth)
        if isinstance(value, JSDate):
            return ["date", value.ms]
        expression = fetch_kinds.encode(self, value, depth)
        if expression is fetch_kinds.NOT_ENCODED:
            return self._subclass(value, depth)
        return expression

    def _subclass(self, value: Any, depth: int) -> Any:
        """Subclasses of plain types (enumerations, named tuples, ordered dicts) go as these."""
        if isinstance(value, dict):
            return self._object(value, depth + 1)
        if isinstance(value, (list, tuple)):
            return [[self._encode(item, depth + 1) for item in value]]
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return self._encode(int(value), depth)
        if isinstance(value, float):
            return self._encode(float(value), depth)
        if is_dataclass(value) or isinstance(value, DATA):
            return self._encode(as_plain(value), depth)
        raise TypeError(not_sendable(value))

    def _stub(self, stub: RpcStub) -> Any:
        hook, path = stub._hook, stub._path
        import_id = self._exporter.import_id(hook)
        if import_id is not None:
            if path is None:
                return ["import", import_id]
            return ["pipeline", import_id, path] if path else ["pipeline", import_id]
        if path is None:
            return self._export("export", hook.dup())
        return self._export("promise", hook.get(path, hook.calls))

    def _export(self, kind: str, hook: Hook) -> Any:
        export = self._exporter.export_stub if kind == "export" else self._exporter.export_promise
        export_id = export(hook)
        self._exports.append(export_id)
        return [kind, export_id]

    def encode_part(self, value: Any, depth: int) -> Any:
        """The expression for a value within the one that is encoded."""
        return self._encode(value, depth)

    def export_sink(self, stream: WritableStream) -> Any:
        """The expression for a stream that the peer may write to."""
        export_id = self._exporter.export_sink(stream)
        self._exports.append(export_id)
        return ["writable", export_id]

    def pipe(self, source: ReadableStream) -> Any:
        """The expression for a stream that the peer reads, which starts now."""
        pipe_id = self._exporter.create_pipe(source)
        self._exports.append(pipe_id)
        return ["readable", pipe_id]

    def _error(self, error: BaseException, depth: int) -> Any:
        properties: dict[str, Any] = {}
        if isinstance(error, RpcError):
            properties.update(error.properties)
        if error.__cause__ is not None and "cause" not in properties:
            properties["cause"] = redacted(error.__cause__)
        if is_group(error):
            properties["errors"] = [redacted(inner) for inner in error.exceptions]  # type: ignore[attr-defined]
        encoded = {}
        for key, item in properties.items():
            if key in ("name", "message", "stack"):
                continue
            before = len(self._exports)
            try:
                encoded[key] = self._encode(item, depth + 1)
            except Exception:
                # The reference does the same: the error itself must arrive.
                tail = self._exports[before:]
                del self._exports[before:]
                self._exporter.unexport(tail)
        result: list[Any] = ["error", js_name(error), error_message(error)]
        stack = self._stack(error)
        if encoded:
            result += [stack, encoded]
        elif stack is not None:
            result.append(stack)
        return result

    def _stack(self, error: BaseException) -> str | None:
        if not self._exporter.send_stack_traces:
            return None
        if isinstance(error, RemoteError) and error.stack is not None:
            return error.stack
        return "".join(traceback.format_exception(error))


SENDABLE: Final = (
    RpcTarget,
    RpcStub,
    *FUNCTION_TYPES,
    dict,
    list,
    tuple,
    str,
    int,
    float,
    type(None),
    datetime,
    Undefined,
    JSDate,
    BaseException,
    *DATA,
    *fetch_kinds.KINDS,
)
"""What the encoder has a form for, open files apart."""


def check_sendable(value: Any) -> None:
    """Raise TypeError for what a peer can be given neither as a value nor by reference, without
    a look at what is in it."""
    sendable = isinstance(value, SENDABLE) or is_source(value) or is_dataclass(value)
    if not sendable or isinstance(value, type):
        raise TypeError(not_sendable(value))


def not_sendable(value: Any) -> str:
    """What to do about a value that can't be sent."""
    if isinstance(value, type) and issubclass(value, RpcTarget):
        return f"The class {value.__qualname__} can't be sent, but an object of it can."
    kind = value if isinstance(value, type) else type(value)
    return (
        f"A value of type {kind.__qualname__} can't be sent. Send plain values, or"
        " derive its class from RpcTarget to pass it by reference."
    )


def serialize(value: Any) -> str:
    """The protocol's text for `value`, which holds no capability (the reference's `serialize`).

    Raises TypeError or ValueError for what can't be sent.
    """
    return json_text.dumps(Encoder(NoExporter(), Payload(value, "params")).encode()).decode()
