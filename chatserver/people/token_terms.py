"""What tokens and the settings about them have in common. It imports no library, since the settings
are read before gevent has patched what libraries use.
"""

from typing import Final, Literal

Role = Literal["member", "moderator", "admin"]

Guests = Literal["yes", "no", "read"]
"""Whether who has no token may come in: `read` for looking at public rooms and saying nothing."""

OpenRooms = Literal["everyone", "accounts", "moderators"]
"""Who may make rooms."""

AUDIENCE: Final = "chat"
"""Whom tokens are for unless the operator says otherwise."""

MIN_SECRET_BYTES: Final = 32
"""Of a secret: as many as the digest has (RFC 7518, section 3.2)."""
