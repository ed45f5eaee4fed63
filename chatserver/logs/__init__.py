"""What the server logs, and how: this is its table of contents.

| file | what lives there |
|---|---|
| `form` | one line an event, for people and for programs |
| `writing` | to standard error, which nobody has to read for the server to go on |
| `http` | the access log of `python -m chatserver` |
| `gunicorn` | gunicorn's own lines and its access log, in the same form |
| `secrets` | what no log may have |

What clients make the server say goes to the loggers `chatserver` and `capnweb_sync`, on which the
same line stands ten times a minute at most. What happens once for each connection or person has a
logger of its own below the first, and is bounded by the rates of those; so are requests, of which
one address has `REQUEST_LINES` a minute.
"""

import logging
import signal
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import gevent

from capnweb_sync.floods import WINDOW, FloodFilter
from capnweb_sync.observe import redact_wire
from chatserver.logs.form import FORMATTERS, fields_of, tell
from chatserver.logs.secrets import without_secrets
from chatserver.logs.writing import StandardError
from chatserver.loop import Loop

__all__ = [
    "FORMATTERS",
    "LEVEL_SIGNAL",
    "UNBOUNDED",
    "access_logger",
    "bound_logs",
    "connections_logger",
    "level_switch",
    "lines",
    "log_request",
    "people_logger",
    "rounded",
    "set_up_logs",
    "tell",
]

LOGGERS: Final = ("chatserver", "capnweb_sync")
"""All that write what clients do, and that may be flooded."""

lines: Final = Counter(warning=0, error=0, critical=0)
"""How many lines this process has logged, by level. What has not happened yet is 0, not missing:
the step to 1 could not be seen otherwise."""


class LineCounter(logging.Handler):
    """Counts what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """One more."""
        lines[record.levelname.lower()] += 1


SAID_BETTER: Final = "capnweb_sync.connection"
"""The library's logger of which each line would stand beside one of ours that says more."""

WITH_TEXTS: Final = "capnweb_sync.wire"
"""The library's logger of whole messages, and so of what people say: it is silent here, at
whichever level, unless somebody sets its own."""

access_logger: Final = logging.getLogger("chatserver.access")
ACCESS_LOGS: Final = (access_logger.name, "gunicorn.access")
connections_logger: Final = logging.getLogger("chatserver.connections")
people_logger: Final = logging.getLogger("chatserver.people")
UNBOUNDED: Final = (access_logger, connections_logger, people_logger)
"""Those with a line for each request, connection and person."""


def set_up_logs(level: str, form: str) -> None:
    """Have everything that this process logs from `level` on written to standard error.

    Args:
        level: of the standard library's logging.
        form: one of `FORMATTERS`.
    """
    handler = StandardError()
    handler.setFormatter(FORMATTERS[form]())
    logging.basicConfig(level=level, handlers=[handler])


def log_request(logger: logging.Logger, environ: dict[str, Any], status: str, **more: Any) -> None:
    """The line of the access log for a request. Of its address only the path is told: what stands
    behind it may be a secret.

    Args:
        logger: where the access log is.
        environ: the request.
        status: of the answer, which may have its phrase behind it.
        more: further fields.
    """
    tell(
        logger,
        logging.INFO,
        "Request",
        method=environ.get("REQUEST_METHOD", "-"),
        path=environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "-"),
        status=int(status[:3]) if status[:3].isdigit() else status,
        address=environ.get("REMOTE_ADDR", "-"),
        **more,
    )


def rounded(duration: float | timedelta) -> float:
    """Seconds, to the millisecond."""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    return round(seconds, 3)


def level_switch() -> Callable[[], None]:
    """What has this process log from DEBUG on, and, called again, as it did before; while it runs,
    for an operator who wants to see more for a while."""
    root = logging.getLogger()
    usual = root.level
    other = logging.INFO if usual == logging.DEBUG else logging.DEBUG

    def switch() -> None:
        root.setLevel(other if root.level == usual else usual)
        name = logging.getLevelName(root.level)
        logger = logging.getLogger("chatserver")
        tell(logger, logging.WARNING, "The level was changed", log_level=name)

    return switch


LEVEL_SIGNAL: Final = signal.SIGURG
"""Has a server call its `level_switch`. gunicorn's master does nothing on it, so it can be sent to
everything that a service runs; on SIGUSR1 it opens log files anew, on SIGUSR2 it starts itself
again."""


REQUEST_LINES: Final = 600
"""Lines a minute that the access log has for one address: ten requests a second all the time, where
a page is loaded with ten and asks for nothing more."""


def bound_logs(limited: Callable[[str], str | None]) -> None:
    """Let the same line be written ten times a minute at most, those of requests `REQUEST_LINES`
    times for each address, and no secret, in this process from now on; and count those that are.

    Args:
        limited: who has an address, None for whom no limits are.
    """
    redact_wire(without_secrets)
    logging.getLogger(WITH_TEXTS).setLevel(logging.INFO)
    logging.getLogger().addHandler(LineCounter())
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        logging.getLogger(SAID_BETTER).setLevel(logging.WARNING)
    floods = FloodFilter()
    for name in LOGGERS:
        logging.getLogger(name).addFilter(floods)

    def requested_by(record: logging.LogRecord) -> str | None:
        return limited(str(fields_of(record).get("address", "")))

    requests = FloodFilter(most=REQUEST_LINES, source=requested_by)
    for name in ACCESS_LOGS:
        logging.getLogger(name).addFilter(requests)

    def flush() -> None:
        gevent.sleep(WINDOW)
        floods.flush()
        requests.flush()

    Loop("Telling what was left out of the log", flush)
