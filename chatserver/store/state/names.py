"""Who has which name, and until when those wait who have lost their connection."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from operator import itemgetter
from typing import Final

from chatserver.people.lookalikes import Lookalikes
from chatserver.store.refusals import claim_lost, looks_like, taken
from chatserver.store.state.records import Changes, Holding
from chatserver.store.state.same import same
from chatserver.store.values import Claim

SECRET_BYTES: Final = 16
"""Randomness of a membership's secret: as hard to guess as an AES-128 key."""


class Names:
    """The names that are not free."""

    def __init__(self, holdings: Iterable[Holding]) -> None:
        """`holdings` in joining order."""
        self._holdings = {holding.key: holding for holding in holdings}
        self._lookalikes = Lookalikes()
        for holding in self._holdings.values():
            self._lookalikes.add(holding.key, holding.name)
        # In the order in which they come to their ends.
        self._waiting = dict(
            sorted(
                (
                    (holding.key, holding.until)
                    for holding in self._holdings.values()
                    if holding.until is not None
                ),
                key=itemgetter(1),
            )
        )
        numbers = [holding.number for holding in self._holdings.values()]
        self._last_number = max(numbers, default=0)

    def __iter__(self) -> Iterator[Holding]:
        return iter(self._holdings.values())

    def find(self, key: str) -> Holding | None:
        """Who has the name with this key."""
        return self._holdings.get(key)

    def held(self, claim: Claim) -> Holding:
        """The name that this claim speaks for. Raises ClaimLost."""
        holding = self._holdings.get(claim.key)
        if holding is None or holding.holder != claim.holder:
            raise claim_lost()
        return holding

    def take(
        self,
        changes: Changes,
        steady: int,
        key: str,
        name: str,
        holder: str,
        secret: str | None,
    ) -> Holding:
        """Free → held, or held or waiting → held with the secret. Raises NameTaken."""
        holding = self._holdings.get(key)
        if holding is None:
            lookalike = self._lookalikes.find(key, name)
            if lookalike is not None:
                raise looks_like(name, self._holdings[lookalike].name)
            self._last_number += 1
            fresh = secrets.token_urlsafe(SECRET_BYTES)
            holding = Holding(self._last_number, key, name, fresh, holder)
            self._lookalikes.add(key, name)
        elif secret is not None and same(secret, holding.secret):
            if holding.holder is not None:
                changes.lost.append(holding.holder)
            holding = replace(holding, holder=holder, until=None)
        else:
            raise taken(holding.name, holding.until and holding.until - steady)
        self._put(changes, holding)
        return holding

    def suspend(self, changes: Changes, holding: Holding, until: int) -> None:
        """Held → waiting."""
        self._put(changes, replace(holding, holder=None, until=until))

    def free(self, changes: Changes, holding: Holding) -> None:
        """Held or waiting → free."""
        del self._holdings[holding.key]
        self._lookalikes.remove(holding.key, holding.name)
        self._waiting.pop(holding.key, None)
        changes.holdings[holding.key] = None

    def over(self, steady: int) -> Iterator[Holding]:
        """Those whose time is up, one by one, to be freed."""
        while self._waiting:
            key, until = next(iter(self._waiting.items()))
            if until > steady:
                return
            yield self._holdings[key]

    def due(self) -> Iterator[int]:
        """The moment at which the next one's time is up, if one waits."""
        return islice(self._waiting.values(), 1)

    def _put(self, changes: Changes, holding: Holding) -> None:
        # A name that is taken over keeps its place in the joining order: dicts keep it.
        self._holdings[holding.key] = changes.holdings[holding.key] = holding
        self._waiting.pop(holding.key, None)
        if holding.until is not None:
            self._waiting[holding.key] = holding.until
