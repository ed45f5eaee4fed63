"""What the chat keeps of an address, which says where somebody comes from to nobody."""

import hashlib
from typing import Final

from chatserver.people.limits import Network, ip_address, subscriber

DIGEST_BYTES: Final = 16
"""Length of a digest: no two addresses share one."""


class AddressDigests:
    """Keyed digests of addresses, of IPv6's of the /64: with the operator's secret, the same ones
    for as long as that is the same, on all workers."""

    def __init__(self, unlimited: tuple[Network, ...] = (), secret: str | None = None) -> None:
        """`unlimited` have none."""
        self._unlimited = unlimited
        self._key = None if secret is None else _key(secret)

    def of(self, host: str, epoch: str) -> str:
        """What stands for the address `host`; "" for who is free of limits, and for what is none.
        `epoch` names the log, and is the key where there is no secret."""
        address = ip_address(host)
        who = None if address is None else subscriber(address, self._unlimited)
        if who is None:
            return ""
        key = _key(epoch) if self._key is None else self._key
        return hashlib.blake2b(
            who, digest_size=DIGEST_BYTES, key=key, person=b"address"
        ).hexdigest()


def _key(secret: str) -> bytes:
    """A key of any secret, as long as it may be."""
    return hashlib.blake2b(secret.encode()).digest()
