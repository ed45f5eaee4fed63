"""HTTP proxies that the environment names, and the tunnel through one (RFC 9110, section 9.3.6)."""

from __future__ import annotations

import http.client
import os
import socket
from typing import Final
from urllib.parse import urlsplit

from websocket._url import get_proxy_info

from ..urls import Target, parse_url, without_password

DEFAULT_PORT: Final = 80
"""Of a proxy whose URL says none, as curl and websocket-client have it."""


class ProxyError(OSError):
    """The proxy is not there, or does not let us through. `str(error)` is for a person."""


def proxy_for(target: Target) -> tuple[str, Target] | None:
    """The environment's variable and the proxy that it names for `target`; None if there is none.

    The variables are `https_proxy` for TLS, `http_proxy` otherwise, and `no_proxy`, which lists
    names and networks for which there is none.

    Raises:
        ProxyError: the variable names no HTTP proxy.
    """
    variable = "https_proxy" if target.secure else "http_proxy"
    value = os.environ.get(variable) or os.environ.get(variable.upper())
    # Asked with a proxy of its own, websocket-client tells what `no_proxy` makes of it.
    if not value or get_proxy_info(target.host, target.secure, "proxy", DEFAULT_PORT)[0] is None:
        return None
    try:
        return variable, parse_url(value if "://" in value else f"http://{value}", "http")
    except ValueError:
        raise ProxyError(
            f"the variable {variable} in the environment names no HTTP proxy:"
            f" {without_password(value)!r}"
        ) from None


def tunnel(sock: socket.socket, proxy: Target, target: Target) -> None:
    """Have the proxy at the other end of `sock` connect to `target`.

    Raises:
        ProxyError: it refuses.
        OSError: it does not answer.
    """
    authority = urlsplit(target.url).netloc
    if ":" not in authority.rpartition("]")[2]:
        authority += f":{target.port}"
    head = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    head += [f"Proxy-{name}: {value}" for name, value in proxy.headers.items()]
    sock.sendall("\r\n".join([*head, "", ""]).encode())
    try:
        # Nobody speaks in a tunnel before we do, so nothing that follows is read ahead.
        response = http.client.HTTPResponse(sock, method="CONNECT")
        response.begin()
    except http.client.HTTPException:
        raise ProxyError("it gives no answer that is HTTP's") from None
    if response.status // 100 != 2:
        raise ProxyError(f"it answered {response.status} {response.reason}".rstrip())
