"""Who has which name: guests while they are there, accounts for good; and until when those wait who
have lost their connection."""

import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Final

from chatserver.people.lookalikes import Lookalikes
from chatserver.people.token_terms import Role
from chatserver.store.refusals import claim_lost, looks_like, taken, too_many, unauthorized
from chatserver.store.seats import MAX_PLACES
from chatserver.store.state.records import AccountRecord, Changes, Holding, Somebody
from chatserver.store.state.same import same
from chatserver.store.values import Account, Claim, Lost, account_identity, identity_of

SECRET_BYTES: Final = 16
"""Randomness of a stay's secret: as hard to guess as an AES-128 key."""

GUEST: Final = 0
"""The place of those who have none."""

ONE_GUEST: Final = (GUEST,)
"""Where nearly everyone is: one object for all of them."""


class Names:
    """The names that are not free, and the stays by them."""

    def __init__(
        self,
        holdings: Iterable[Holding],
        accounts: Iterable[AccountRecord] = (),
        erased: Iterable[tuple[str, int]] = (),
    ) -> None:
        """`holdings` in joining order; `erased` identities, and when their tokens were revoked."""
        self._holdings = {holding.slot: holding for holding in holdings}
        self._accounts = {account.key: account for account in accounts}
        self._erased = dict(erased)
        self._places: dict[str, tuple[int, ...]] = {}
        """Of each name that anybody is there by; a guest's is always the same tuple."""
        self._here: Counter[str] = Counter()
        """How many stays there are, by identity."""
        self._roles = {account.who.by: account.role for account in self._accounts.values()}
        self._lookalikes = Lookalikes()
        for account in self._accounts.values():
            self._lookalikes.add(account.key, account.name)
        for key, place in self._holdings:
            self._here[self._holdings[key, place].who.by] += 1
            self._add_place(key, place)
            if place == GUEST:
                self._lookalikes.add(key, self._holdings[key, place].who.name)
        # In the order in which they come to their ends.
        self._waiting = dict(
            sorted(
                (
                    (holding.slot, holding.until)
                    for holding in self._holdings.values()
                    if holding.until is not None
                ),
                key=itemgetter(1),
            )
        )
        numbers = [holding.number for holding in self._holdings.values()]
        self._last_number = max(numbers, default=0)

    # --- looking

    def __iter__(self) -> Iterator[Holding]:
        return iter(self._holdings.values())

    @property
    def accounts(self) -> Iterable[AccountRecord]:
        """All of them."""
        return self._accounts.values()

    def find(self, key: str) -> Somebody | None:
        """Whose name has this key."""
        account = self._accounts.get(key)
        if account is not None:
            return account.who
        holding = self._holdings.get((key, GUEST))
        return None if holding is None else holding.who

    def account(self, key: str) -> AccountRecord | None:
        """The account whose name has this key."""
        return self._accounts.get(key)

    def stays(self, key: str) -> list[Holding]:
        """Who is there by the name with this key: a guest, or an account in its places."""
        return [self._holdings[key, place] for place in sorted(self._places.get(key, ()))]

    def is_online(self, key: str) -> bool:
        """Whether anybody is."""
        return key in self._places

    @property
    def online(self) -> int:
        """How many people are."""
        return len(self._here)

    def is_here(self, by: str) -> bool:
        """Whether this identity is."""
        return by in self._here

    def role_of(self, by: str) -> Role:
        """The role of an account's identity, or anybody's."""
        return self._roles.get(by, "member")

    def held(self, claim: Claim) -> Holding:
        """The stay that this claim speaks for. Raises ClaimLost."""
        guest = self._holdings.get((claim.key, GUEST))
        if guest is not None and guest.holder == claim.holder:
            return guest
        for place in self._places.get(claim.key, ()):
            holding = self._holdings[claim.key, place]
            if holding.holder == claim.holder:
                return holding
        raise claim_lost()

    # --- coming

    def take(
        self,
        changes: Changes,
        steady: int,
        key: str,
        name: str,
        holder: str,
        secret: str | None,
        address: str,
    ) -> Holding:
        """A guest: free → held, or held or waiting → held with the secret. Raises NameTaken."""
        holding = self._holdings.get((key, GUEST))
        account = self._accounts.get(key)
        if account is not None:
            raise taken(account.name, None)
        if holding is None:
            lookalike = self._lookalikes.find(key, name)
            if lookalike is not None:
                other = self.find(lookalike)
                raise looks_like(name, name if other is None else other.name)
            self._lookalikes.add(key, name)
            return self._begin(changes, Somebody(key, name, ""), GUEST, holder, address)
        if secret is None or not same(secret, holding.secret):
            raise taken(holding.who.name, holding.until and holding.until - steady)
        return self._take_over(changes, holding, holder, address)

    def let_in(self, changes: Changes, key: str, name: str, account: Account) -> Somebody:
        """The account of this name, as its token has it; new if there is none yet. A guest of the
        name must be gone by now. Raises Unauthorized."""
        revoked = self.check_account(key, account)
        known = self._accounts.get(key)
        record = AccountRecord(key, name, account.subject, account.role, revoked)
        if record != known:
            if known is not None:
                self._lookalikes.remove(key, known.name)
            self._lookalikes.add(key, name)
            self.put_account(changes, record)
        by = record.who.by
        if self._erased.pop(by, None) is not None:
            changes.erased[by] = None
        return record.who

    def check_account(self, key: str, account: Account) -> int:
        """The second after which its tokens are signed. Raises Unauthorized if the name is
        another's, or the token revoked."""
        known = self._accounts.get(key)
        if known is None:
            mine, revoked = True, self._erased.get(account_identity(account.subject), 0)
        else:
            mine, revoked = same(known.subject, account.subject), known.revoked
        # The second itself is over only after its last moment.
        if not mine or account.issued < revoked + 1:
            raise unauthorized()
        return revoked

    def check_place(self, key: str, secret: str | None) -> None:
        """Whether the account of this name may have another place, or comes back to one. Raises
        TooMany."""
        places = [holding for holding in self.stays(key) if holding.place != GUEST]
        if len(places) < MAX_PLACES or any(one.until is not None for one in places):
            return
        if not any(secret is not None and same(secret, one.secret) for one in places):
            raise too_many(MAX_PLACES, "connections at a time")

    def take_place(
        self, changes: Changes, who: Somebody, holder: str, secret: str | None
    ) -> Holding:
        """A place of an account: the one with the secret, or another one, for which the one that
        has waited longest makes room if it must."""
        places = self.stays(who.key)
        for holding in places:
            if secret is not None and same(secret, holding.secret):
                return self._take_over(changes, replace(holding, who=who), holder, "")
        taken_numbers = self._places.get(who.key, ())
        if len(places) < MAX_PLACES:
            number = next(n for n in range(1, MAX_PLACES + 1) if n not in taken_numbers)
        else:
            waiting = [holding for holding in places if holding.until is not None]
            old = min(waiting, key=attrgetter("until"))
            number = old.place
            self.free(changes, old)
        return self._begin(changes, who, number, holder, "")

    # --- going

    def suspend(self, changes: Changes, holding: Holding, until: int) -> None:
        """Held → waiting."""
        self._put(changes, replace(holding, holder=None, until=until))

    def free(self, changes: Changes, holding: Holding) -> None:
        """Held or waiting → over."""
        key, place = slot = holding.slot
        del self._holdings[slot]
        self._waiting.pop(slot, None)
        others = tuple(other for other in self._places[key] if other != place)
        if others:
            self._places[key] = others
        else:
            del self._places[key]
        if place == GUEST:
            self._lookalikes.remove(key, holding.who.name)
        self._here[holding.who.by] -= 1
        if not self._here[holding.who.by]:
            del self._here[holding.who.by]
        changes.holdings[slot] = None

    def over(self, steady: int) -> Iterator[Holding]:
        """Those whose time is up, one by one, to be freed."""
        while self._waiting:
            slot, until = next(iter(self._waiting.items()))
            if until > steady:
                return
            yield self._holdings[slot]

    def due(self) -> Iterator[int]:
        """The moment at which the next one's time is up, if one waits."""
        return islice(self._waiting.values(), 1)

    def put_account(self, changes: Changes, account: AccountRecord) -> None:
        """Keep it as it is now."""
        self._accounts[account.key] = changes.accounts[account.key] = account
        self._roles[account.who.by] = account.role

    def forget(self, changes: Changes, account: AccountRecord) -> None:
        """Its name is free, and its tokens stay revoked. Nobody is there by it any more."""
        by = account.who.by
        del self._accounts[account.key], self._roles[by]
        if account.revoked:
            self._erased[by] = changes.erased[by] = account.revoked
        self._lookalikes.remove(account.key, account.name)
        changes.accounts[account.key] = None

    # --- what these consist of

    def _begin(
        self, changes: Changes, who: Somebody, place: int, holder: str, address: str
    ) -> Holding:
        self._last_number += 1
        secret = secrets.token_urlsafe(SECRET_BYTES)
        if place == GUEST:
            who = who._replace(by=identity_of(secret))
        holding = Holding(self._last_number, who, place, secret, holder, None, address)
        self._here[who.by] += 1
        self._put(changes, holding)
        return holding

    def _take_over(self, changes: Changes, holding: Holding, holder: str, address: str) -> Holding:
        if holding.holder is not None:
            changes.lost.append(Lost(holding.holder, "taken_over"))
        holding = replace(holding, holder=holder, until=None, address=address)
        self._put(changes, holding)
        return holding

    def _add_place(self, key: str, place: int) -> None:
        others = self._places.get(key)
        if others is None:
            self._places[key] = ONE_GUEST if place == GUEST else (place,)
        elif place not in others:
            self._places[key] = (*others, place)

    def _put(self, changes: Changes, holding: Holding) -> None:
        # A name that is taken over keeps its place in the joining order: dicts keep it.
        slot = holding.slot
        self._holdings[slot] = changes.holdings[slot] = holding
        self._add_place(*slot)
        self._waiting.pop(slot, None)
        if holding.until is not None:
            self._waiting[slot] = holding.until
