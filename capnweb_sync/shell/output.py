"""Values as JSON that `jq` reads, one a line, and streams as what is in them."""

from __future__ import annotations

import base64
import json
import math
import re
import threading
from array import array
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime, timezone
from typing import IO, Any, Final

from capnweb_sync import (
    Blob,
    Headers,
    JSDate,
    ReadableStream,
    RemoteError,
    RpcStub,
    Undefined,
    WritableStream,
)

HARMFUL: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what sets the direction of writing
    "\u2028\u2029]"  # separators of lines and paragraphs
)
"""Characters that do something to a terminal. What a server has sent is not to move its cursor."""

END_SECONDS: Final = 1.0
"""How long the end waits for a line that nobody reads."""


def harmless(text: str) -> str:
    """`text` in one line, its harmful characters as JSON can write them: `\\u001b`."""
    return HARMFUL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def plain(value: Any) -> Any:
    """`value` in the types of JSON. What a shell can't hold says in angle brackets what it is."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return int(value)
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple() | array():
            return [plain(item) for item in value]
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode()
        case datetime():
            moment = value.astimezone(timezone.utc).isoformat(timespec="milliseconds")
            return moment.replace("+00:00", "Z")
        case JSDate():
            return value.ms
        case Undefined():
            return None
        case Blob():
            return {"type": value.type, "data": plain(value.data)}
        case Headers():
            return plain(value.pairs)
        case RemoteError():
            return {"name": value.name, "message": value.message, **plain(value.properties)}
        case ReadableStream() | WritableStream():
            return "<stream>"
        case RpcStub():
            return "<stub>"
    if is_dataclass(value):  # a request, a response
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return f"<{type(value).__name__}>"


def line(value: Any) -> bytes:
    """`value` as one line of JSON, UTF-8."""
    compact = (",", ":")
    value = plain(value)
    try:
        text = harmless(json.dumps(value, ensure_ascii=False, separators=compact)).encode()
    except UnicodeEncodeError:  # half of a pair of surrogates, which only an escape can say
        text = json.dumps(value, separators=compact).encode()
    return text + b"\n"


class Output:
    """Where results go; lines of several threads come out whole."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._over = False

    def write(self, data: bytes) -> None:
        """Write, and let whoever reads have it at once. Raises BrokenPipeError if nobody does."""
        with self._lock:
            if not self._over:
                self._file.write(data)
                self._file.flush()

    def end(self) -> None:
        """Write nothing more: a callback that is called while the interpreter ends would have the
        file in use, which the interpreter takes for a fatal error."""
        if self._lock.acquire(timeout=END_SECONDS):
            self._over = True
            self._lock.release()

    def show(self, value: Any) -> None:
        """Write `value` as a line of JSON."""
        self.write(line(value))

    def write_chunks(self, chunks: Iterator[Any]) -> None:
        """Write what a stream brings: bytes as they are, any other chunk as a line of JSON."""
        for chunk in chunks:
            self.write(bytes(chunk) if is_bytes(chunk) else line(chunk))


def is_bytes(value: Any) -> bool:
    """Whether `value` is bytes, to be written to a file as they are."""
    return isinstance(value, (bytes, bytearray, memoryview))
