"""Coming in: from who wants to, by the store, to a member that hears what it is to hear."""

import logging
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from itertools import count
from typing import Final, TypeVar

from capnweb_sync import RpcStub
from capnweb_sync.close_codes import CloseCode
from capnweb_sync.futures import complete
from chatserver.errors import Banned, NameTaken, TooMany, Unauthorized
from chatserver.options import JoinOptions
from chatserver.people.address_digests import AddressDigests
from chatserver.rooms.arrival import Arrival, Arriving, arrival_of
from chatserver.rooms.member import ClientState, Member
from chatserver.rooms.present import Present, tell_of
from chatserver.store.interface import Store
from chatserver.store.values import Account, Claim, Joined

logger = logging.getLogger("chatserver")

T = TypeVar("T")

REFUSED: Final = (NameTaken, Banned, Unauthorized, TooMany)
"""What a claim fails with that has changed nothing."""

WORKER_BYTES: Final = 8
"""Randomness of a worker's token: no two workers share one."""


class Coming:
    """Lets people into a process."""

    def __init__(self, store: Store, present: Present, addresses: AddressDigests) -> None:
        self._store = store
        self._present = present
        self._addresses = addresses
        worker = secrets.token_hex(WORKER_BYTES)
        self._holders = (f"{worker}.{number}" for number in count(1))

    def come_in(
        self,
        client: ClientState,
        who: Arriving,
        listener: tuple[RpcStub | None, RpcStub | None],
        options: JoinOptions,
        answer_of: Callable[[Arrival], T],
        *,
        full: bool,
    ) -> "Future[T]":
        """Come in as `who` says, see `Stays.join` and `Stays.log_in`; `listener` is the callback,
        and what of it is called with each event."""
        answer: Future[T] = Future()
        holder, key = next(self._holders), who.key
        callback, sink = listener
        before = None if who.identity is None else client.joining.get(key)
        try:
            decided = client.begin_joining(key)
        except BaseException:
            if callback is not None:
                callback.dispose()
            raise

        def claim() -> None:
            try:
                secret = self._secret_of(client, who, options.resume)
                asked = self._claim(client, who, holder, secret, lobby=not full)
            except Exception as error:
                complete(answer, None, error)
                if callback is not None:
                    callback.dispose()
                client.end_joining(key, decided)
            else:
                asked.add_done_callback(claimed)
                self._present.claiming(holder, asked)

        def claimed(future: "Future[Joined]") -> None:
            try:
                error = future.exception()
                if error is None:
                    joined = future.result()
                    heard = None if client.deaf else sink
                    member = Member(client, joined.claim, joined.name, callback, heard, full)
                    member.identity, member.quiet = who.identity, who.quiet
                    self._welcome(member, joined, options, answer_of, answer)
                    back = joined.claim.secret == options.resume
                    tell_of(member, "Came back" if back else "Joined" if not full else "Logged in")
                else:
                    if not isinstance(error, REFUSED):
                        # Should it be stored, nobody speaks for the name. Who came with a secret
                        # is waited for.
                        end = self._store.suspend if options.resume else self._store.release
                        self._present.unanswered.ask(partial(end, Claim(key, holder, "")))
                    answer.set_exception(error)
                    if callback is not None:
                        callback.dispose()
            except Exception as error:
                logger.exception("The join of %s has failed.", who.name)
                complete(answer, None, error)
            finally:
                # Whatever happened: what waits for this join waits no longer.
                client.end_joining(key, decided)

        if before is None:
            claim()
        else:
            # One connection has one place of an account: the one that it is about to get.
            before.add_done_callback(lambda _: claim())
        return answer

    def _claim(
        self, client: ClientState, who: Arriving, holder: str, secret: str | None, *, lobby: bool
    ) -> "Future[Joined]":
        identity = who.identity
        if identity is None:
            address = self.digest_of(client.host)
            return self._store.claim(who.key, who.name, holder, secret, lobby, address=address)
        account = Account(identity.subject, identity.role, identity.issued)
        return self._store.claim(who.key, who.name, holder, secret, lobby, account=account)

    def _secret_of(self, client: ClientState, who: Arriving, resume: str | None) -> str | None:
        """Which place is taken over: of an account that is here, this one."""
        here = client.members.get(who.key)
        if who.identity is None or here is None or here.identity is None:
            return resume
        return here.claim.secret

    def digest_of(self, host: str) -> str:
        """What the store is told of an address; "": nothing."""
        return self._addresses.of(host, self._store.epoch)

    def _welcome(
        self,
        member: Member,
        joined: Joined,
        options: JoinOptions,
        answer_of: Callable[[Arrival], T],
        answer: "Future[T]",
    ) -> None:
        """The store has given the name to `member`: let it in, and answer."""
        client = member.client
        try:
            arrival = arrival_of(member, joined, options, self._store.epoch)
            self._present.enter(member)
            answer.set_result(answer_of(arrival))
            if not client.over and (member.full or not client.deaf):
                self._present.feed.add(member, arrival.spans, arrival.after, joined.last_id)
        except BaseException:
            # Half in, it would hold the name and hear nothing.
            member.send_away(CloseCode.SERVICE_RESTART, f"{member.name} has to join again.")
            self._present.part(member)
            raise
