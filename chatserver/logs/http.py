"""The access log of the server without gunicorn: a line for each request."""

from typing import Any

from capnweb_sync.server import WebSocketHandler
from chatserver.logs import access_logger, log_request, rounded


class AccessLogHandler(WebSocketHandler):
    """Serves as its parent does, and logs each request."""

    time_start: float
    time_finish: float
    status: Any
    response_length: int

    def log_request(self) -> None:
        """A request is over, or has become a WebSocket."""
        status = self.status or b""
        log_request(
            access_logger,
            self.environ or {"REMOTE_ADDR": self.client_address[0]},
            status.decode("latin-1") if isinstance(status, bytes) else status,
            bytes=self.response_length,
            seconds=rounded(self.time_finish - self.time_start),
        )
