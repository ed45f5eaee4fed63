"""…"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.hooks import ErrorHook, PromiseHook
from ..core.local_hooks import PayloadHook
from ..core.payload import Payload
from ..errors import RpcTypeError
from ..streams.pipe import collected
from ..streams.streams import ReadableHook, ReadableStream, WritableStream
from ..values.fetch import Blob

if TYPE_CHECKING:
    from ..deferred import Deferred
    from .evaluator import Evaluator


def decode_writable(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> Any:
    """`["writable", id]`."""
    if len(value) < 2 or type(value[1]) is not int:
        raise evaluator.unknown(value)
    hook = evaluator.importer.import_stub(value[1])
    evaluator.payload.add_hook(hook)
    return WritableStream.of_hook(hook)


def decode_readable(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> Any:
    """`["readable", id]`."""
    if len(value) < 2 or type(value[1]) is not int:
        raise evaluator.unknown(value)
    stream = evaluator.importer.pipe_readable(value[1])
    evaluator.payload.add_hook(ReadableHook(stream))
    return stream


def decode_blob(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> Any:
    """`["blob", type, stream]`: a promise, since the bytes are still on their way."""
    if len(value) != 3 or not isinstance(value[1], str):
        raise evaluator.unknown(value)
    stream = evaluator.evaluate_part(value[2], container, key, depth + 1)
    if not isinstance(stream, ReadableStream) or stream.pipe is None:
        raise RpcTypeError("Blob content must be serialized as a ReadableStream.")
    stream.locked = True
    calls = evaluator.importer.calls
    # As the constructor of a Blob has it.
    kind = value[1].lower() if value[1].isascii() and value[1].isprintable() else ""
    promise = PromiseHook(calls)

    def arrived(data: Deferred[bytes]) -> None:
        stream.cancel()
        if data.error is not None:
            promise.resolve(ErrorHook(data.error))
        else:
            promise.resolve(PayloadHook(Payload(Blob(data.value or b"", kind), "owned")))

    collected(stream.pipe, calls).add_callback(arrived)
    return evaluator.add_promise(promise, container, key)
