"""Values of the application to expressions of the protocol (the reference's `Devaluator`).

What can be sent is what `registry.py` has a kind for; everything else is a TypeError that says so.
Capabilities go through an `Exporter`: the session, or one that refuses them.
"""

from __future__ import annotations

import math
import types
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ..core.hooks import Hook
from ..core.late import late
from ..core.payload import Payload
from ..core.stubs import RpcPromise, RpcStub
from ..core.targets import FUNCTION_TYPES, RpcTarget
from ..limits import DEFAULT_LIMITS
from ..streams.streams import ReadableStream, WritableStream
from ..values import digits, json_text
from ..values.javascript import MAX_SAFE_INTEGER
from .registry import ENCODERS, Encode, Exporter, encoder_of

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
            return self._list(value, depth)
        return self._special(value, depth)

    def _list(self, value: Sequence[Any], depth: int) -> list[Any]:
        encode, depth = self._encode, depth + 1
        literal = LITERAL if depth < MAX_DEPTH else ()
        return [[item if type(item) in literal else encode(item, depth) for item in value]]

    def _object(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        encode = self._encode
        literal = LITERAL if depth < MAX_DEPTH else ()
        result = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"The keys of an object are strings; {key!r} is not.")
            result[key] = item if type(item) in literal else encode(item, depth)
        return result

    def _special(self, value: Any, depth: int) -> Any:
        encode = ENCODERS.get(type(value)) or encoder_of(value)
        if encode is None:
            raise TypeError(not_sendable(value))
        return encode(self, value, depth)

    def _target(self, value: Any, depth: int) -> Any:
        hook = self._payload.hook_for_target(value)
        if self._exporter.calls is not None:
            hook.serve_on(self._exporter.calls)
        return self._export("export", hook)

    def _stub(self, stub: RpcStub, depth: int) -> Any:
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

    def encode_or_leave_out(self, value: Any, depth: int) -> tuple[Any] | None:
        """The expression for a part that may be missing; None if it can't be sent."""
        before = len(self._exports)
        try:
            return (self._encode(value, depth),)
        except Exception:
            tail = self._exports[before:]
            del self._exports[before:]
            self._exporter.unexport(tail)
            return None

    @property
    def send_stack_traces(self) -> bool:
        """Whether tracebacks travel with errors."""
        return self._exporter.send_stack_traces

    def decided(self, error: BaseException) -> BaseException:
        """What is sent for `error`, which stands in a value."""
        calls = self._exporter.calls
        return error if calls is None else calls.decided(error) or error


def _as_base(base: type) -> Encode:
    """Subclasses of plain types (enumerations, named tuples, ordered dicts) go as these."""
    return lambda encoder, value, depth: encoder.encode_part(base(value), depth)


ENCODERS.update(
    {
        RpcStub: Encoder._stub,
        RpcPromise: Encoder._stub,
        RpcTarget: Encoder._target,
        **dict.fromkeys(FUNCTION_TYPES, Encoder._target),
        dict: lambda encoder, value, depth: encoder._object(value, depth + 1),
        list: Encoder._list,
        tuple: Encoder._list,
        str: lambda encoder, value, depth: str.__str__(value),
        int: _as_base(int),
        float: _as_base(float),
    }
)
"""What is no kind of its own: capabilities, and subclasses of plain types."""


def check_sendable(value: Any) -> None:
    """Raise TypeError for what a peer can be given neither as a value nor by reference, without
    a look at what is in it."""
    if value is not None and encoder_of(value) is None:
        raise TypeError(not_sendable(value))


late.check_sendable = check_sendable


ASYNC: Final = (types.CoroutineType, types.AsyncGeneratorType)
"""What a function with `async` returns."""


def not_sendable(value: Any) -> str:
    """What to do about a value that can't be sent."""
    if isinstance(value, type) and issubclass(value, RpcTarget):
        return f"The class {value.__qualname__} can't be sent, but an object of it can."
    kind = value if isinstance(value, type) else type(value)
    if kind in ASYNC:
        return (
            f"A value of type {kind.__qualname__} can't be sent, and nothing here awaits it."
            " Methods and callbacks are plain functions: def, without async."
        )
    return (
        f"A value of type {kind.__qualname__} can't be sent. Send plain values, or"
        " derive its class from RpcTarget to pass it by reference."
    )


def serialize(value: Any) -> str:
    """Encode a value that holds no capability (`serialize` in the reference's `serialize.ts`).

    Args:
        value: anything that can be sent and is no stub, function or object by reference.

    Returns:
        The protocol's text for it, JSON.

    Raises:
        TypeError: it holds what can't be sent.
        ValueError: it is nested too deep, or contains itself.
    """
    return json_text.dumps(Encoder(NoExporter(), Payload(value, "params")).encode()).decode()
