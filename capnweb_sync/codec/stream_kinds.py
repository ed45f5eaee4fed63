"""Streams, and blobs, which travel as a stream of their bytes."""

from __future__ import annotations

from typing import Any

from ..core.hooks import ErrorHook
from ..core.ledger import kept
from ..core.local_hooks import PayloadHook
from ..core.payload import Payload
from ..core.promise_hooks import PromiseHook
from ..deferred import Deferred
from ..errors import RpcTypeError
from ..streams.pipe import collected
from ..streams.sources import FILE_CHUNK
from ..streams.streams import ReadableHook, ReadableStream, WritableStream, is_source
from ..values.fetch import Blob
from .encoder import Encoder
from .evaluator import Evaluator, unknown
from .registry import encodes, encodes_if, evaluates


@encodes(WritableStream)
def encode_writable(encoder: Encoder, value: WritableStream, depth: int) -> Any:
    """`["writable", id]`."""
    return encoder.export_sink(value)


@encodes(ReadableStream)
@encodes_if(is_source)
def encode_source(encoder: Encoder, value: Any, depth: int) -> Any:
    """`["readable", id]`, for an iterator or an open file as well."""
    return encoder.pipe(value if isinstance(value, ReadableStream) else ReadableStream(value))


@encodes(Blob)
def encode_blob(encoder: Encoder, value: Blob, depth: int) -> Any:
    """`["blob", type, stream]`."""
    data = value.data
    chunks = (data[at : at + FILE_CHUNK] for at in range(0, len(data), FILE_CHUNK))
    return ["blob", value.type, encoder.pipe(ReadableStream(chunks))]


@evaluates("writable")
def evaluate_writable(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> Any:
    """`["writable", id]`."""
    if len(value) < 2 or type(value[1]) is not int:
        raise unknown(value)
    hook = evaluator.importer.import_stub(value[1])
    evaluator.payload.add_hook(hook)
    return WritableStream.of_hook(hook)


@evaluates("readable")
def evaluate_readable(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> Any:
    """`["readable", id]`."""
    if len(value) < 2 or type(value[1]) is not int:
        raise unknown(value)
    stream = evaluator.importer.pipe_readable(value[1])
    evaluator.payload.add_hook(ReadableHook(stream))
    return stream


@evaluates("blob")
def evaluate_blob(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> Any:
    """`["blob", type, stream]`: a promise, since the bytes are still on their way."""
    if len(value) != 3 or not isinstance(value[1], str):
        raise unknown(value)
    stream = evaluator.evaluate_part(value[2], container, key, depth + 1)
    if not isinstance(stream, ReadableStream) or stream.pipe is None:
        raise RpcTypeError("Blob content must be serialized as a ReadableStream.")
    stream.locked = True
    calls = evaluator.importer.calls
    # As the constructor of a Blob has it.
    kind = value[1].lower() if value[1].isascii() and value[1].isprintable() else ""
    promise = PromiseHook(calls)
    kept_kind = kept(kind, calls.ledger)

    def arrived(data: Deferred[bytes]) -> None:
        nonlocal kept_kind
        kept_kind = None
        stream.cancel()
        if data.error is not None:
            promise.resolve(ErrorHook(data.error))
        else:
            payload = Payload(Blob(data.value or b"", kind), "owned")
            payload.keep(calls.ledger)
            promise.resolve(PayloadHook(payload))

    collected(stream.pipe, calls).add_callback(arrived)
    return evaluator.add_promise(promise, container, key)
