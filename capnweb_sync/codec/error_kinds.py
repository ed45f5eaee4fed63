"""Exceptions as JavaScript errors, and back."""

from __future__ import annotations

import traceback
from typing import Any

from ..errors import (
    REMOTE_CLASSES,
    RemoteError,
    RpcError,
    error_message,
    is_group,
    js_name,
    redacted,
)
from .encoder import Encoder
from .evaluator import Evaluator, unknown
from .registry import encodes, evaluates


@encodes(BaseException)
def encode_error(encoder: Encoder, error: BaseException, depth: int) -> Any:
    """`["error", name, message, stack?, properties?]`. A property that can't be sent is left out,
    as the reference does: the error itself must arrive."""
    error = encoder.decided(error)
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
        expression = encoder.encode_or_leave_out(item, depth + 1)
        if expression is not None:
            encoded[key] = expression[0]
    result: list[Any] = ["error", js_name(error), error_message(error)]
    stack = stack_of(error) if encoder.send_stack_traces else None
    if encoded:
        result += [stack, encoded]
    elif stack is not None:
        result.append(stack)
    return result


def stack_of(error: BaseException) -> str:
    """The stack trace of `error`: the peer's own where it sent one."""
    if isinstance(error, RemoteError) and error.stack is not None:
        return error.stack
    return "".join(traceback.format_exception(error))


@evaluates("error")
def evaluate_error(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> RemoteError:
    """`["error", name, message, stack?, properties?]`."""
    if len(value) < 3 or not isinstance(value[1], str) or not isinstance(value[2], str):
        raise unknown(value)
    properties = value[4] if len(value) > 4 else {}
    if not isinstance(properties, dict):
        raise unknown(value)
    for name in ("name", "message", "stack"):
        properties.pop(name, None)
    for name, item in properties.items():
        properties[name] = evaluator.evaluate_part(item, properties, name, depth + 1)
    name = value[1] if value[1] in REMOTE_CLASSES else "Error"
    stack = value[3] if len(value) > 3 and isinstance(value[3], str) else None
    return REMOTE_CLASSES[name](value[2], name=name, properties=properties, stack=stack)
