"""Records as lines of JSON: the file that carries a log from one store to another."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from msgspec import DecodeError, ValidationError
from msgspec.json import Decoder, Encoder

from chatserver.errors import StartError
from chatserver.store.contents import FORMAT, AnyRecord, Head, Record


class End(Record, frozen=True, tag="end"):
    """The last line: how many there are before it, without which a file is not whole."""

    lines: int


ENCODE: Final = Encoder().encode
DECODE: Final = Decoder(AnyRecord | End).decode


def write_lines(records: Iterable[AnyRecord], file: BinaryIO) -> int:
    """Write them to `file`; how many there are. Raises OSError."""
    lines = 0
    for record in records:
        file.write(ENCODE(record) + b"\n")
        lines += 1
    file.write(ENCODE(End(lines)) + b"\n")
    return lines


class FileContents:
    """What a file holds. See `contents.Contents`."""

    def __init__(self, path: str) -> None:
        self._path = path

    def damage(self) -> Iterator[str]:
        yield from ()

    def records(self) -> Iterator[AnyRecord]:
        """Raises StartError, OSError."""
        number = 0
        with open(self._path, "rb") as file:
            for number, line in enumerate(file, 1):
                record = self._decoded(line, number)
                if isinstance(record, End):
                    if record.lines == number - 1:
                        return
                    break
                yield record
        raise StartError(f"The file {self._path} is not whole: it ends after {number} lines.")

    def _decoded(self, line: bytes, number: int) -> AnyRecord | End:
        try:
            record: AnyRecord | End = DECODE(line)
        except (DecodeError, ValidationError) as error:
            raise StartError(f"{self._path}, line {number}: {error}.") from None
        if (number == 1) != isinstance(record, Head):
            raise StartError(f"The file {self._path} does not begin as an exported log does.")
        if isinstance(record, Head) and record.format > FORMAT:
            raise StartError(
                f"The file {self._path} is of format {record.format}; this version reads those up"
                f" to {FORMAT}."
            )
        return record
