"""Metrics of sessions for Prometheus.

    from capnweb_sync.observe.prometheus import PrometheusObserver
    service = serve(Api, observer=PrometheusObserver())

Method names are labels, and a label for each word that a peer makes up would fill the memory. So a
name becomes one when a call of it has succeeded, up to `MAX_METHODS`; until then it is `other`.
"""

from __future__ import annotations

from typing import Final

from ..errors import RpcError, SessionClosed
from .observer import Call, Conversation, Observer

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
except ImportError as error:
    raise ImportError(
        "Metrics for Prometheus need the package prometheus_client: pip install"
        " 'capnweb-chat[prometheus]'."
    ) from error

MAX_METHODS: Final = 500
"""Names of methods that become labels: more than fit into any graph."""

OTHER: Final = "other"
PROPERTY: Final = "(property)"

SECONDS: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
)
"""Bounds of the histogram: from a call that only computes to one that waits for people."""


class PrometheusObserver(Observer):
    """Counts what happens, in a registry of `prometheus_client`.

    | metric | labels |
    |---|---|
    | `capnweb_connections` | |
    | `capnweb_connections_closed_total` | `code` |
    | `capnweb_batches_total` | |
    | `capnweb_calls_total` | `direction`, `method`, `outcome` |
    | `capnweb_call_seconds` | `direction`, `method` |
    | `capnweb_events_missed_total` | |

    `direction` is `in` or `out`; `outcome` is `ok`, `error` for an exception that was not meant for
    the peer, `refused` for one that was. Looks at
    properties count as calls of the method `(property)`.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, prefix: str = "capnweb") -> None:
        """
        Args:
            registry: where the metrics are registered.
            prefix: what their names begin with.

        Raises:
            ValueError: the registry has metrics of these names already.
        """
        self._open = Gauge(f"{prefix}_connections", "Connections that are open.", registry=registry)
        self._closed = Counter(
            f"{prefix}_connections_closed",
            "Connections that have ended, by close code.",
            ["code"],
            registry=registry,
        )
        self._batches = Counter(f"{prefix}_batches", "HTTP batches.", registry=registry)
        self._calls = Counter(
            f"{prefix}_calls",
            "Calls that are done.",
            ["direction", "method", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            f"{prefix}_call_seconds",
            "How long calls took.",
            ["direction", "method"],
            buckets=SECONDS,
            registry=registry,
        )
        self._missed = Counter(
            f"{prefix}_events_missed", "Events that came too fast to be counted.", registry=registry
        )
        self._methods: set[str] = set()

    def connection_opens(self, conversation: Conversation) -> None:
        """A session begins."""
        (self._batches if conversation.batch else self._open).inc()

    def connection_closes(self, conversation: Conversation, error: SessionClosed) -> None:
        """A session is over."""
        if not conversation.batch:
            self._open.dec()
            code = "none" if error.close_code is None else str(int(error.close_code))
            self._closed.labels(code).inc()

    def call_ends(self, call: Call, seconds: float, error: BaseException | None) -> None:
        """A call is done."""
        direction = "out" if call.outgoing else "in"
        method = self._method(call, error)
        self._calls.labels(direction, method, outcome(error)).inc()
        self._seconds.labels(direction, method).observe(seconds)

    def missed(self, count: int) -> None:
        """Some were not told."""
        self._missed.inc(count)

    def _method(self, call: Call, error: BaseException | None) -> str:
        if call.reading:
            return PROPERTY
        method = call.method
        if method not in self._methods:
            if error is not None or len(self._methods) >= MAX_METHODS:
                return OTHER
            self._methods.add(method)
        return method


def outcome(error: BaseException | None) -> str:
    """What became of a call, in a word."""
    if error is None:
        return "ok"
    return "refused" if isinstance(error, RpcError) else "error"
