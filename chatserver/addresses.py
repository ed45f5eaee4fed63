"""Addresses to listen on, as people write them."""

import ipaddress
import socket
from typing import Any

from chatserver.errors import StartError


def host(value: str) -> str:
    """A name, or an address with or without brackets; returned without. Raises ValueError with what
    is wrong."""
    bare = value.strip()
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1]
        if ":" not in bare:
            raise ValueError("must have an IPv6 address in its brackets")
    if not bare:
        raise ValueError("must not be empty")
    try:
        if ":" in bare:
            ipaddress.IPv6Address(bare)
        elif any(character in "/@[] \t\r\n\x00" for character in bare):
            raise ValueError
        else:
            bare.encode("idna")
    except ValueError:
        raise ValueError(
            "must be a name or an address alone, like localhost, 0.0.0.0 or ::1 (the port is set"
            " for itself)"
        ) from None
    return bare


def resolve(host: str, port: int) -> tuple[int, Any]:
    """The family and the address, for a socket that is to listen. Raises StartError."""
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise StartError(
            f"Cannot listen on {host}: it is no address of this machine ({error.strerror}); choose"
            " another with --host or CHAT_HOST."
        ) from None
    return family, address


def authority(host: str, port: int) -> str:
    """Both in one, as in a URL: `127.0.0.1:8080`, `[::1]:8080`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
