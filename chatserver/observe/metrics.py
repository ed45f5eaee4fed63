"""`/metrics`: who may see it, what it shows, and the loop that keeps it fresh."""

from collections.abc import Mapping
from fcntl import LOCK_SH
from itertools import count
from time import perf_counter
from typing import Any, Final

import gevent
from prometheus_client.exposition import choose_encoder

from chatserver.loop import Loop
from chatserver.observe.figures import Worker
from chatserver.observe.files import Files, open_directory
from chatserver.observe.process import descriptor_samples
from chatserver.people.limits import ip_address
from chatserver.settings import Settings

LOOK_SECONDS: Final = 0.1
"""How often it is measured how late the loop is."""

LOOKS_A_WRITE: Final = 10
"""All figures are written once a second."""

ASK_SECONDS: Final = 3.0
"""How often it is asked what takes longer: what the store lives on, how many files are open."""

FORWARDED: Final = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP")
"""What says that a request was passed on, by somebody who may be asked by anybody."""

PATHS: Final = ("/metrics", "/healthz", "/readyz")
"""What there is on the port for metrics."""


class Metrics:
    """The figures of one process, and the page with those of all workers."""

    def __init__(self, worker: Worker) -> None:
        """Begin to measure. Raises StartError."""
        self._worker = worker
        self._directory = open_directory()
        self._files = Files(self._directory)
        self._looks = count(1)
        self._due = perf_counter()
        self._loops = [
            Loop("Writing the figures", self._look),
            Loop("Asking the store how it is", self._ask),
        ]

    def _look(self) -> None:
        self._due = perf_counter() + LOOK_SECONDS
        gevent.sleep(LOOK_SECONDS)
        self._worker.lag.note(max(0.0, perf_counter() - self._due))
        if next(self._looks) % LOOKS_A_WRITE == 0:
            self._files.write(self._worker.samples())

    def _ask(self) -> None:
        self._worker.condition.update(self._worker.store.condition())
        self._files.write(descriptor_samples())
        gevent.sleep(ASK_SECONDS)

    def page(self, accept: str) -> tuple[bytes, str]:
        """What Prometheus reads: of this worker as it is now, of the others as it was within the
        last second.

        Args:
            accept: the header of the request: there is an older form and a newer one.

        Returns:
            The text, and its content type.
        """
        self._files.write(self._worker.samples())
        encode, content_type = choose_encoder(accept)
        with self._directory.locked(LOCK_SH):
            return encode(self._directory.collect()), content_type

    def stop(self) -> None:
        """Leave behind what was counted. Idempotent."""
        loops, self._loops = self._loops, []
        for loop in loops:
            loop.kill()
        if loops:
            self._files.write(self._worker.samples())
            self._files.close()
            self._directory.remove()


def may_see(environ: Mapping[str, Any], settings: Settings) -> bool:
    """Whether the client of a request may see the figures."""
    if settings.metrics_port is not None:
        return on_metrics_port(environ, settings)
    if not settings.trust_proxies and any(name in environ for name in FORWARDED):
        return False
    hosts = (environ.get("REMOTE_ADDR", ""), own(environ).get("REMOTE_ADDR", ""))
    return all(is_near(host, settings) for host in hosts)


def is_near(host: str, settings: Settings) -> bool:
    """Whether it is this machine, or one of those that may see the figures."""
    address = ip_address(host)
    return address is not None and (
        address.is_loopback or any(address in network for network in settings.metrics_from)
    )


def on_metrics_port(environ: Mapping[str, Any], settings: Settings) -> bool:
    """Whether a request came on the port for metrics."""
    return str(own(environ).get("SERVER_PORT")) == str(settings.metrics_port)


def hidden(environ: Mapping[str, Any], settings: Settings) -> bool:
    """Whether a request asks the port for metrics for something else."""
    return (
        settings.metrics_port is not None
        and on_metrics_port(environ, settings)
        and environ.get("PATH_INFO") not in PATHS
    )


def own(environ: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the server itself says of a request, whatever a proxy does."""
    said: Mapping[str, Any] = environ.get("werkzeug.proxy_fix.orig", environ)
    return said
