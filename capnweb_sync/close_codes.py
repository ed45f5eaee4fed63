"""Close codes of WebSockets: why a connection ended, for servers, clients and sessions alike."""

from enum import IntEnum
from typing import Final


class CloseCode(IntEnum):
    """Why a connection ended (RFC 6455, section 7.4.1, and IANA's registry of close codes)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    ABNORMAL = 1006
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015


_MEANINGS: dict[int, str] = {
    CloseCode.NORMAL: "the connection was closed",
    CloseCode.GOING_AWAY: "the other side is going away",
    CloseCode.PROTOCOL_ERROR: "the WebSocket protocol was violated",
    CloseCode.UNSUPPORTED_DATA: "this kind of message is not accepted",
    CloseCode.NO_STATUS: "the connection was closed without a code",
    CloseCode.ABNORMAL: "the connection was lost",
    CloseCode.INVALID_DATA: "a message was not what its type promises",
    CloseCode.POLICY_VIOLATION: "a policy was violated",
    CloseCode.MESSAGE_TOO_BIG: "a message was too big",
    CloseCode.MANDATORY_EXTENSION: "the client needs an extension that the server lacks",
    CloseCode.INTERNAL_ERROR: "the other side met with an error of its own",
    CloseCode.SERVICE_RESTART: "the service restarts",
    CloseCode.TRY_AGAIN_LATER: "the service is overloaded, or its client too slow",
    CloseCode.BAD_GATEWAY: "a gateway got a bad answer from the server behind it",
    CloseCode.TLS_HANDSHAKE: "the TLS handshake failed",
}

#: Codes that say what happened and never stand in a frame.
_LOCAL_CODES = frozenset((CloseCode.NO_STATUS, CloseCode.ABNORMAL, CloseCode.TLS_HANDSHAKE))
_FRAME_CODES = frozenset(CloseCode) - _LOCAL_CODES
#: Codes for libraries (3000 to 3999) and for private use (4000 to 4999).
_FREE_CODES = range(3000, 5000)

CLOSED_BY_US: Final = 3000
"""The code that the reference uses whenever it ends a session, and so do ours."""

TAKEN_OVER: Final = 4001
"""Of the codes for private use, what servers and clients of this package mean by it: another
connection has what this one had, so its client is not to come back by itself."""

ACCOUNT_CAME: Final = 4002
"""Likewise: the name belongs to somebody with an account, who has come."""

TOKEN_OVER: Final = 4003
"""Likewise: the token with which somebody came in is good no more."""

SENT_AWAY: Final = 4004
"""Likewise: whoever it was is not to come back by itself; the reason says why."""


def logged_reason(code: int | None, reason: str) -> str:
    """What a log may have of why a connection was closed: all of it, but of SENT_AWAY, whose reason
    is for whoever it was, only what the code says."""
    return "sent away" if code == SENT_AWAY else reason


def describe_close(code: int) -> str:
    """Say what a close code means (RFC 6455, section 7.4.1).

    Args:
        code: any code.

    Returns:
        Words without a full stop.
    """
    return _MEANINGS.get(code) or f"the connection was closed with code {code}"


LONGEST_REASON: Final = 123
"""Bytes of the reason in a close frame: what its code leaves of 125 (RFC 6455, section 5.5)."""


def cut_reason(reason: str) -> bytes:
    """A reason as it stands in a close frame: cut after the last character that fits into it."""
    return reason.encode(errors="replace")[:LONGEST_REASON].decode(errors="ignore").encode()


def may_be_sent(code: int) -> bool:
    """Whether a close frame may have this code (RFC 6455, section 7.4)."""
    return code in _FRAME_CODES or code in _FREE_CODES
