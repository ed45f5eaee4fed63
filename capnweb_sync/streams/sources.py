"""Where the chunks of a stream that is sent come from: an iterator, or a binary file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final

FILE_CHUNK: Final = 64 * 1024
"""Bytes that are read from a file at a time: a quarter of the first window."""


def chunks_of(source: Any) -> Iterator[Any]:
    """An iterator over the chunks of `source`, an iterable or a binary file."""
    if isinstance(source, (str, bytes, bytearray, memoryview, dict)):
        raise TypeError(f"A {type(source).__name__} is no source of chunks; pass an iterator.")
    if isinstance(source, io.TextIOBase):
        raise TypeError("A file must be opened in binary mode to be sent.")
    if is_file(source):
        return _file_chunks(source)
    return iter(source)


def _file_chunks(file: Any) -> Iterator[bytes]:
    with file:
        while chunk := file.read(FILE_CHUNK):
            yield chunk


def is_file(value: Any) -> bool:
    """Whether `value` is an open file."""
    return callable(getattr(value, "read", None)) and callable(getattr(value, "fileno", None))
