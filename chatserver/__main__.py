"""`python -m chatserver`: one process, with gevent's own server; and what is done with its data."""

# Before anything else is imported: everything that blocks has to block its greenlet alone.
from gevent import monkey

monkey.patch_all()

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Final

import gevent
from flask import Flask
from gevent.event import Event
from gunicorn.systemd import sd_notify

from capnweb_sync.server import HttpConnections, HttpServer, WebSocketHandler
from chatserver.addresses import authority, resolve
from chatserver.admin.command_line import run_admin_command
from chatserver.app import create_app
from chatserver.certificate import ShownCertificate, make_context
from chatserver.data import COMMANDS, run_data_command
from chatserver.errors import SettingError, StartError
from chatserver.gc_tuning import settle_collector
from chatserver.invite import run_invite_command
from chatserver.logs import LEVEL_SIGNAL, bound_logs, level_switch, set_up_logs, tell
from chatserver.logs.http import AccessLogHandler
from chatserver.observe.start import tell_start
from chatserver.observe.warnings import allow_connections, warn_of, warn_of_certificate
from chatserver.output import complain, write_output
from chatserver.routes import RPC_PATH
from chatserver.service import service_of
from chatserver.settings import USAGE_STATUS, Settings, from_environment, parse_arguments

BANNER: Final = """\
💬 Chat Server running on {url}

Methods:
  - join(username, callback) → Welcome message
  - sendMessage(username, text) → Broadcasts to all
  - listUsers() → List of connected users
  - leave(username) → Goodbye message

Run client: python -m chatclient{option}
Press Ctrl+C to stop

In a browser: {page}
"""

BACKLOG: Final = 4096
"""Connections that may wait to be accepted: a crowd that comes back at once. The kernel cuts it to
what it allows."""

SHARE_FOR_CONNECTIONS: Final = 0.8
"""The part of the time for stopping in which connections end; the rest is the store's."""

logger = logging.getLogger("chatserver")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until SIGINT or SIGTERM, or a command of `data`. The exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments and arguments[0] in COMMANDS:
            return run_data_command(arguments)
        if arguments[:1] == ["invite"]:
            return run_invite_command(arguments)
        if arguments[:1] == ["admin"]:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            return run_admin_command(arguments)
        if arguments[:1] == ["serve"]:
            arguments = arguments[1:]
        settings = parse_arguments(arguments, from_environment())
        set_up_logs(settings.log_level, settings.log_format)
        serve(settings)
    except StartError as error:
        complain(f"chatserver: {error}\n")
        return USAGE_STATUS if isinstance(error, SettingError) else 1
    return 0


def serve(settings: Settings) -> None:
    """Listen, tell so, and come to an end in order. Raises StartError."""
    # Until it serves there is nothing to end in order, and no traceback to show.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    certificate = shown_certificate(settings)
    listeners = [listen(settings.host, port) for port in settings.ports]
    allow_connections(settings.max_connections + settings.max_http_connections)
    bound_logs(settings.limited)
    app = create_app(settings.as_config())
    warn_of(service_of(app).store)
    if settings.tls_files is not None:
        warn_of_certificate(*settings.tls_files)
    connections = HttpConnections(settings.http_limits)
    tls = {} if certificate is None else {"ssl_context": certificate.context}
    servers = [
        HttpServer(
            listener,
            app,
            http_connections=connections,
            handler_class=WebSocketHandler if settings.no_access_log else AccessLogHandler,
            log=None,
            error_log=logger,
            **tls,
        )
        for listener in listeners
    ]
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, stop.set)
    # Ignored by who was started with nohup, and without effect where there is no terminal.
    may_lose_terminal = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and has_terminal()

    def hang_up() -> None:
        if may_lose_terminal and not has_terminal():
            stop.set()
        elif certificate is not None:
            certificate.look()

    gevent.signal_handler(signal.SIGHUP, hang_up)
    gevent.signal_handler(LEVEL_SIGNAL, level_switch())
    for server in servers:
        server.start()
    addresses = [authority(*listener.getsockname()[:2]) for listener in listeners]
    tell_start(settings, addresses, workers=1)
    settle_collector()
    sd_notify("READY=1", logger)  # type: ignore[arg-type]  # any logger will do
    gevent.spawn(announce, addresses[0], secure=certificate is not None)
    stop.wait()
    sd_notify("STOPPING=1", logger)  # type: ignore[arg-type]
    shut_down(servers, app, settings.drain_seconds)


def shown_certificate(settings: Settings) -> ShownCertificate | None:
    """What TLS is to be done with, if it is. Raises StartError."""
    files = settings.tls_files
    return None if files is None else ShownCertificate(files, lambda: make_context(*files))


def has_terminal() -> bool:
    """Whether a terminal controls this process: one that is closed tells so by SIGHUP, and is no
    one's any more."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts at this address. Raises StartError."""
    family, address = resolve(host, port)
    try:
        listener = socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise StartError(
            f"Cannot listen on {host} port {port} ({error.strerror}); choose others with --host and"
            " --port, or stop what listens there."
        ) from None
    listener.setblocking(False)
    return listener


def announce(here: str, *, secure: bool) -> None:
    """Say that connections are accepted. That nobody can hear it is no reason not to serve."""
    s = "s" if secure else ""
    url = f"ws{s}://{here}{RPC_PATH}"
    # The client would try its own default, which has no TLS.
    option = f" --url {url}" if secure else ""
    banner = BANNER.format(url=url, option=option, page=f"http{s}://{here}/")
    failure = write_output(banner)
    if failure is not None:
        logger.warning("Standard output cannot be written to: %s.", failure.strerror)


def shut_down(servers: Sequence[HttpServer], app: Flask, seconds: float) -> None:
    """Accept nothing more, answer what is under way, tell everyone, store everything: in `seconds`,
    whatever happens."""
    deadline = time.monotonic() + seconds
    service = service_of(app)
    tell(logger, logging.INFO, "Stopping", connections=len(service.connections), seconds=seconds)
    for server in servers:
        server.close()
    service.connections.drain(seconds * SHARE_FOR_CONNECTIONS)
    gevent.with_timeout(max(0.0, deadline - time.monotonic()), service.close, timeout_value=None)


if __name__ == "__main__":
    sys.exit(main())
