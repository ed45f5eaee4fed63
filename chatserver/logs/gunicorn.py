"""gunicorn's own lines, its access log, and under gunicorn everything else in the form of this
server's."""

import logging
from datetime import timedelta
from typing import Any

from gunicorn.glogging import Logger

from chatserver.logs import FORMATTERS, log_request, rounded
from chatserver.logs.writing import StandardError


class GunicornLogger(Logger):
    """What `logger_class` names in `chatserver.gunicorn_conf`.

    gunicorn's `--log-level` is everybody's, and where its `--error-logfile` goes, everything goes.

    Attributes:
        form: one of `FORMATTERS`; to be set before gunicorn makes one of these.
    """

    form = "text"

    def setup(self, cfg: Any) -> None:
        """Set everything up as gunicorn is configured; again after each reload."""
        self._formatter = FORMATTERS[self.form]()
        super().setup(cfg)
        root = logging.getLogger()
        root.setLevel(self.loglevel)
        root.handlers[:] = self.error_log.handlers

    def _set_handler(self, log: logging.Logger, output: Any, fmt: Any, stream: Any = None) -> None:
        """Have `log` written to the file `output`, or to standard error."""
        set_handler: Any = super()._set_handler  # type: ignore[misc]  # not in the stubs
        set_handler(log, None if output == "-" else output, self._formatter)
        if output == "-":
            handler: Any = StandardError()
            handler.setFormatter(self._formatter)
            handler._gunicorn = True
            log.addHandler(handler)

    def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
        """The line of the access log for a request."""
        if self.access_log.handlers:
            log_request(
                self.access_log,
                environ or {},
                resp.status or "",
                bytes=resp.sent,
                seconds=rounded(request_time),
            )
