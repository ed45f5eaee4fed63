"""The form of a line, the same for everything that is logged: time with zone, level, process,
logger, message, and then what it is about, as `key=value`.

    2026-11-27T09:30:00.125+01:00 INFO 4711 chatserver: Stopping connections=3 seconds=5.0

With `--log-format json` it is an object a line, with the same names. A traceback stands below its
line, indented, so that every line which begins at the margin is an event; in JSON it is a field.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

MAX_LINE: Final = 32 * 1024
"""Characters of a message, and of a traceback, whose end is kept: what waits to be written is
bounded by that."""

_NO_FIELDS: Final[Mapping[str, Any]] = {}


def tell(
    logger: logging.Logger,
    level: int,
    message: str,
    *,
    exc_info: BaseException | None = None,
    **fields: Any,
) -> None:
    """Log that something has happened.

    Args:
        logger: whose it is.
        level: of the standard library's logging.
        message: always the same words for the same thing.
        exc_info: an exception whose traceback is to be shown.
        fields: what it is about, by name; what is None is left out.
    """
    logger.log(level, message, exc_info=exc_info, extra={"fields": fields}, stacklevel=2)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a record is about, as `tell` was told."""
    fields: Mapping[str, Any] = getattr(record, "fields", _NO_FIELDS)
    return {name: value for name, value in fields.items() if value is not None}


def time_of(record: logging.LogRecord) -> str:
    """When it was logged: ISO 8601, in the zone of this machine."""
    moment = datetime.fromtimestamp(record.created).astimezone()
    return moment.isoformat(timespec="milliseconds")


def shown(text: str) -> str:
    """`text` without what would end a line, move a cursor or turn the writing around: clients
    choose names and more."""
    if text.isprintable():
        return text
    return "".join(
        part if part.isprintable() else part.encode("unicode_escape").decode() for part in text
    )


def shown_value(value: Any) -> str:
    """A value behind its `=`, in quotes where it would not be told from what follows."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        value = ",".join(map(str, value))
    text = shown(str(value))
    if text and not any(part in text for part in ' "='):
        return text
    return json.dumps(text, ensure_ascii=False)


class LineFormatter(logging.Formatter):
    """For people, and what they search with."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line = (
            f"{time_of(record)} {record.levelname} {record.process} {record.name}:"
            f" {shown(record.getMessage()[:MAX_LINE])}"
        )
        for name, value in fields_of(record).items():
            line += f" {name}={shown_value(value)}"
        if record.exc_info:
            traceback = self.formatException(record.exc_info)[-MAX_LINE:]
            line += "".join(f"\n  {shown(part)}" for part in traceback.splitlines())
        return line


class JsonFormatter(logging.Formatter):
    """For machines."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line = {
            "time": time_of(record),
            "level": record.levelname,
            "pid": record.process,
            "logger": record.name,
            "message": record.getMessage()[:MAX_LINE],
            **fields_of(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)[-MAX_LINE:]
        return json.dumps(line, default=str)


FORMATTERS: Final[dict[str, type[logging.Formatter]]] = {
    "text": LineFormatter,
    "json": JsonFormatter,
}
"""By what `--log-format` calls them."""
