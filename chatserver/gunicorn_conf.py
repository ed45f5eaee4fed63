"""The configuration of gunicorn:

    gunicorn -c python:chatserver.gunicorn_conf "chatserver:create_app()"

Everything is set by the same `CHAT_…` variables that `python -m chatserver` reads, plus
`CHAT_WORKERS`. What is given to gunicorn on its command line wins.
"""

import math
import os
import ssl
import sys
from collections.abc import Callable
from typing import Any

import gevent
from gunicorn.errors import AppImportError
from gunicorn.systemd import sd_notify

from chatserver.addresses import authority, resolve
from chatserver.certificate import HTTP_1_1, ShownCertificate, make_context
from chatserver.errors import SettingError, StartError
from chatserver.gc_tuning import settle_collector
from chatserver.logs import LEVEL_SIGNAL, bound_logs, level_switch
from chatserver.logs.gunicorn import GunicornLogger
from chatserver.observe.files import VARIABLE, Directory, open_directory
from chatserver.observe.start import tell_start
from chatserver.observe.warnings import allow_connections, warn_of, warn_of_certificate
from chatserver.settings import USAGE_STATUS, from_environment
from chatserver.store import is_shared

try:
    _settings = from_environment()
    _workers = os.environ.get("CHAT_WORKERS") or "1"
    if not _workers.isdecimal() or int(_workers) < 1:
        raise SettingError(f"CHAT_WORKERS={_workers}: must be a whole number, 1 or more.")
    _, (_host, *_) = resolve(_settings.host, _settings.port)
    _tls = _settings.tls_files
    if _tls is not None:
        make_context(*_tls)
except StartError as error:
    sys.stderr.write(f"chatserver: {error}\n")
    sys.exit(USAGE_STATUS)

# The master would tell systemd that it is ready before any worker is.
_notify_socket = os.environ.pop("NOTIFY_SOCKET", None)

FIRST = 1
"""The number of the worker that warns for all."""

_metrics: list[Directory] = []
"""Where the figures of all workers are; once the master has begun."""

#: Where to listen: CHAT_HOST and CHAT_PORT, and CHAT_METRICS_PORT if there is one.
bind = [authority(_host, port) for port in _settings.ports]

#: With TLS, CHAT_TLS_CERTIFICATE and CHAT_TLS_KEY.
certfile, keyfile = _tls or (None, None)

#: gevent's worker, with the handler that does WebSocket.
worker_class = "capnweb_sync.server.worker.WebSocketWorker"

#: One per core is right, on a store that workers share; one worker otherwise.
workers = int(_workers)

#: Each worker opens the store for itself, after it was forked.
preload_app = False

#: Seconds that a worker has to answer what is under way and to close its connections with 1001,
#: when it is stopped or replaced. A fraction counts as a whole second.
graceful_timeout = max(1, math.ceil(_settings.drain_seconds))

#: Seconds without a sign of life after which a worker is replaced. More than the 30 for which a
#: new worker waits for the database of the one that it replaces.
timeout = 60

#: Connections at a time that are no WebSockets, whose number is CHAT_MAX_CONNECTIONS.
worker_connections = _settings.max_http_connections

#: Connections that may wait to be accepted: a crowd that comes back at once.
backlog = 4096

#: Where workers show that they live, in a file: in memory, which a container has whose file system
#: is read-only, and where no slow disk makes them look dead.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

#: gunicornc would speak to the master by a socket in the home folder, which a service has none of.
#: Signals do all that is needed.
control_socket_disable = True

loglevel = _settings.log_level.lower()

#: Writes its lines, and everybody's, in one form.
logger_class = GunicornLogger
GunicornLogger.form = _settings.log_format

#: A line for each request, to standard error.
accesslog = None if _settings.no_access_log else "-"


def _refuse_several_workers(server: Any) -> None:
    """Several workers on a store that one process owns would keep each other out."""
    if server.cfg.workers > 1 and not is_shared(_settings.store):
        server.log.error(
            "The store %s is for one process: start one worker (--workers 1), or use a store that"
            " workers share (CHAT_STORE=redis://host:port/0).",
            _settings.store,
        )
        sys.exit(USAGE_STATUS)


def _refuse_preloading(server: Any) -> None:
    """A store that the master has opened does nothing in workers forked from it."""
    if server.cfg.preload_app:
        server.log.error(
            "The chat cannot be preloaded: each worker opens the store for itself, after it was"
            " forked. Start without --preload (preload_app)."
        )
        sys.exit(USAGE_STATUS)


def ssl_context(config: Any, make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """In each worker, with TLS: `make` does what gunicorn's own settings say."""
    files = config.certfile, config.keyfile or config.certfile

    def make_checked() -> ssl.SSLContext:
        make_context(*files)
        context = make()
        context.set_alpn_protocols([HTTP_1_1])
        return context

    return ShownCertificate(files, make_checked).context


def on_starting(server: Any) -> None:
    """Before the first worker is started."""
    # Workers have the limit of the master.
    allow_connections(_settings.max_connections + _settings.max_http_connections)
    _refuse_preloading(server)
    _refuse_several_workers(server)
    if _tls is not None:
        warn_of_certificate(*_tls)
    _metrics.append(open_directory())
    _metrics[0].empty()
    # prometheus_client's way to tell workers where.
    os.environ[VARIABLE] = _metrics[0].path


def child_exit(server: Any, worker: Any) -> None:
    """In the master, when a worker has ended: keep what it has counted."""
    _metrics[0].bury(worker.pid)


def on_exit(server: Any) -> None:
    """When the master ends."""
    _metrics[0].remove()


def when_ready(server: Any) -> None:
    """Before the first worker is started, the sockets open."""
    addresses = [address_of(listener) for listener in server.LISTENERS]
    tell_start(_settings, addresses, server.cfg.workers)


def address_of(listener: Any) -> str:
    """Where one of gunicorn's sockets listens."""
    name = listener.sock.getsockname()
    return authority(*name[:2]) if isinstance(name, tuple) else str(name)


def on_reload(server: Any) -> None:
    """Before the workers are replaced after SIGHUP."""
    _refuse_several_workers(server)


def post_fork(server: Any, worker: Any) -> None:
    """In a new worker: hand over what gunicorn has no settings for. And if the application cannot
    start, say why in a line and end it all, instead of a traceback for each worker that is tried
    in vain."""
    worker.http_limits = _settings.http_limits
    load = worker.load_wsgi

    def load_or_say_why_not() -> None:
        try:
            load()
        except StartError as error:
            # What gunicorn takes as the end, and prints.
            raise AppImportError(f"chatserver: {error}") from None

    worker.load_wsgi = load_or_say_why_not


def post_worker_init(worker: Any) -> None:
    """When a worker is about to serve: its store is open, and the socket accepts."""
    bound_logs(_settings.limited)
    gevent.signal_handler(LEVEL_SIGNAL, level_switch())
    settle_collector()
    if worker.age == FIRST:
        warn_of(worker.wsgi.extensions["chatserver"].store)
    if _notify_socket is not None:
        os.environ["NOTIFY_SOCKET"] = _notify_socket
        sd_notify("READY=1", worker.log, unset_environment=True)


def worker_exit(server: Any, worker: Any) -> None:
    """When a worker is about to end, its connections closed: let go of the store."""
    service = getattr(worker.app.callable, "extensions", {}).get("chatserver")
    if service is not None:
        service.close()
