"""Stays: who comes in by this process's connections, what they ask the store for, and their end.

The store decides; here it is carried out. A connection's end, however it comes, is turned into what
the membership table says: its names become free or wait. What the store could not be told is told
again until it is.
"""

import logging
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from itertools import count
from typing import Any, Final, TypeVar

import gevent

from capnweb_sync import Lookup, RpcStub
from capnweb_sync.close_codes import ACCOUNT_CAME, SENT_AWAY, TAKEN_OVER, TOKEN_OVER, CloseCode
from capnweb_sync.futures import complete, pass_on
from chatserver.errors import (
    Banned,
    ClaimLost,
    NameTaken,
    NotJoined,
    TooMany,
    Unauthorized,
    Unavailable,
)
from chatserver.futures import then, wait
from chatserver.logs import people_logger, tell
from chatserver.loop import Loop
from chatserver.options import JoinOptions
from chatserver.people.address_digests import AddressDigests
from chatserver.people.limits import Bucket, Rate, Table, allows, take
from chatserver.people.tokens import Identity, unauthorized
from chatserver.rooms.arrival import Arrival, Arriving, answer_to_send, arrival_of, welcome
from chatserver.rooms.feed import Feed
from chatserver.rooms.member import ClientState, Member, check_here, check_may_speak
from chatserver.rooms.token_ends import TokenEnds
from chatserver.rooms.unanswered import Unanswered
from chatserver.store.interface import MAX_TICK_SECONDS, Store
from chatserver.store.refusals import not_seated
from chatserver.store.seats import Seat
from chatserver.store.values import Account, Claim, Joined, Lost, Why

logger = logging.getLogger("chatserver")

NOT_JOINED: Final = "This connection has not joined with that name."

T = TypeVar("T")

NO_DIGESTS: Final = AddressDigests()

VERDICT_SECONDS: Final = 1.0
"""How long a refused append waits for the tail to tell who has the name now. A client that was
taken over must not come back by itself, so the two must not be mixed up."""

MIN_TICK_SECONDS: Final = 0.005
"""Pause between two ticks at least."""

TYPING: Final = Rate(1 / 3, 1)
"""How often it is told that one person is typing."""

ENDS: Final[dict[Why, tuple[int, str]]] = {
    "taken_over": (TAKEN_OVER, "has joined from elsewhere"),
    "account_came": (ACCOUNT_CAME, "is an account's name"),
    "revoked": (TOKEN_OVER, "has to show another token"),
    "sent_away": (SENT_AWAY, "was sent away"),
}
"""How a connection is closed whose claim was lost, and what is said of the name."""

REFUSED: Final = (NameTaken, Banned, Unauthorized, TooMany)
"""What a claim fails with that has changed nothing."""

WORKER_BYTES: Final = 8
"""Randomness of a worker's token: no two workers share one."""


class Stays:
    """Those who are here, in this process.

    Attributes:
        feed: tells them what the log says.
        messages: how many were sent here.
    """

    def __init__(self, store: Store, addresses: AddressDigests = NO_DIGESTS) -> None:
        """`addresses` says what the store is told of where guests come from."""
        self._store = store
        self._addresses = addresses
        self.messages = 0
        self.feed = Feed(store, self._lost, self._reset)
        self._members: dict[str, Member] = {}
        """By holder."""
        worker = secrets.token_hex(WORKER_BYTES)
        self._holders = (f"{worker}.{number}" for number in count(1))
        self._loops: list[Loop] = []
        self._typing = Table(lambda: Bucket(TYPING))
        self._unanswered = Unanswered()
        self._token_ends = TokenEnds()

    @property
    def running(self) -> bool:
        """Whether it was started, and what it lives by goes well."""
        return bool(self._loops) and all(loop.healthy for loop in self._loops)

    @property
    def people(self) -> int:
        """How many names are held by connections of this process."""
        return len(self._members)

    def start(self) -> None:
        """Begin to follow the log and to let time take effect."""
        self._loops = [
            Loop("Telling members what the log says", self.feed.follow),
            Loop("Letting time take effect", self._pass_time),
        ]

    def stop(self) -> None:
        """End what `start` began, and close the store: all that was told to it is stored."""
        loops, self._loops = self._loops, []
        for loop in loops:
            loop.kill()
        self._store.close()

    # --- coming in

    def join(
        self,
        client: ClientState,
        who: Arriving,
        callback: RpcStub,
        sink: RpcStub,
        options: JoinOptions,
    ) -> "Future[dict[str, Any]]":
        """Come into the lobby. `callback` is ours from now on, see `Member`; it hears what
        callbacks of before know.

        Fails with NameTaken, Banned, Unauthorized, TooMany, Unavailable.
        """
        return self._come_in(client, who, (callback, sink), options, welcome, full=False)

    def log_in(
        self,
        client: ClientState,
        who: Arriving,
        callback: RpcStub | None,
        sink: RpcStub | None,
        options: JoinOptions,
        answer: Callable[[Arrival], T],
    ) -> "Future[T]":
        """Come in, into no room; `callback`, None for who hears nothing, hears all of the rooms in
        which the person is.

        Fails with NameTaken, Banned, Unauthorized, TooMany, Unavailable.
        """
        return self._come_in(client, who, (callback, sink), options, answer, full=True)

    def _come_in(
        self,
        client: ClientState,
        who: Arriving,
        listener: tuple[RpcStub | None, RpcStub | None],
        options: JoinOptions,
        answer_of: Callable[[Arrival], T],
        *,
        full: bool,
    ) -> "Future[T]":
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
                        self._unanswered.ask(partial(end, Claim(key, holder, "")))
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
            self._enter(member)
            answer.set_result(answer_of(arrival))
            if not client.over and (member.full or not client.deaf):
                self.feed.add(member, arrival.spans, arrival.after, joined.last_id)
        except BaseException:
            # Half in, it would hold the name and hear nothing.
            member.send_away(CloseCode.SERVICE_RESTART, f"{member.name} has to join again.")
            self._part(member)
            raise

    # --- what they ask for

    def send(self, client: ClientState, key: str, text: str, sent_key: str | None) -> "Future[Any]":
        """Say `text` in the lobby; waits for a join under way.

        Fails with NotJoined, RateLimited, BadRequest, Unavailable."""

        def append(member: Member) -> "Future[Any]":
            self.messages += 1
            return then(
                self.ask(member, lambda store: store.append(member.claim, text, sent_key)),
                answer_to_send,
            )

        return self._with_member(client, key, append)

    def leave(self, client: ClientState, key: str) -> "Future[Any]":
        """Free the name; waits for a join under way. Fails with NotJoined, Unavailable."""
        return self._with_member(client, key, self.log_out)

    def log_out(self, member: Member) -> "Future[Any]":
        """Free the name. Fails with NotJoined, Unavailable."""
        check_here(member)
        future = self._store.release(member.claim)
        member.client.members.pop(member.claim.key, None)
        future.add_done_callback(partial(self._left, member))
        return then(future, lambda _: {"message": f"Goodbye, {member.name}!"})

    def ask(
        self,
        member: Member,
        operation: Callable[[Store], "Future[T]"],
        *,
        counts: bool = True,
        speaks: bool = True,
    ) -> "Future[T]":
        """What `operation` asks of the store for `member`; `counts` is whether it counts as a
        message, as all does that others hear of, `speaks` whether it is more than looking.

        Fails with NotJoined, Forbidden, RateLimited, and with what the operation fails with.
        """
        check_here(member)
        if speaks:
            check_may_speak(member)
        if counts:
            take(member.client.allowance.messages_of(member.claim.by))
        answered = operation(self._store)
        answered.add_done_callback(partial(self._close_if_lost, member))
        return answered

    def seat(
        self, member: Member, operation: Callable[[Store], "Future[Seat]"], *, speaks: bool = True
    ) -> "Future[Seat]":
        """The seat that `operation` gets from the store, once this process has told all up to it:
        what comes above it, the member hears.

        Fails as `ask` does.
        """
        answer: Future[Seat] = Future()

        def seated(future: "Future[Seat]") -> None:
            error = future.exception()
            if error is not None:
                complete(answer, None, error)
            else:
                seat = future.result()
                self.feed.when_told(seat.number, lambda: complete(answer, seat))

        self.ask(member, operation, speaks=speaks).add_done_callback(seated)
        return answer

    def read(
        self, member: Member, read: Callable[[Store], T], *, counts: bool = True
    ) -> "Lookup[T]":
        """What `read`, which may block its greenlet, gives in its turn; `counts` is whether it
        counts as history, as all does of which there is more than one.

        Fails with NotJoined, RateLimited, and with what `read` raises.
        """
        check_here(member)
        if counts:
            take(member.client.allowance.history)
        return member.client.history.ask(partial(read, self._store))

    def whisper(self, member: Member, seat: Seat) -> "Future[None] | None":
        """Tell those in a room that `member` is typing, unless it has said so of any room just now.

        Raises NotJoined, Forbidden; fails with them, too, and with Unavailable.
        """
        check_here(member)
        check_may_speak(member)
        if not member.has(seat):
            raise not_seated()
        if allows(self._typing.of(member.claim.by)):
            return self.ask(member, lambda store: store.typing(member.claim, seat), counts=False)
        return None

    def renew(self, member: Member, following: Identity) -> "Future[None]":
        """Go on with the next token of the same account, for the same rooms; what it says counts
        from when that is stored.

        Fails with NotJoined, Unauthorized, Unavailable.
        """
        present = member.identity
        if present is None or (following.subject, following.rooms) != (
            present.subject,
            present.rooms,
        ):
            raise unauthorized()

        def renewed(_: None) -> None:
            member.identity = following

        asked = self.ask(
            member,
            lambda store: store.renew(member.claim, following.issued, following.role),
            counts=False,
        )
        return then(asked, renewed)

    def closed(self, client: ClientState) -> None:
        """The connection is closed."""
        client.over = True
        for member in list(client.members.values()):
            self._part(member)

    # --- members

    def _with_member(
        self, client: ClientState, key: str, action: Callable[[Member], "Future[Any]"]
    ) -> "Future[Any]":
        """`action` on who has joined with this name, once no join of it is under way."""
        deciding = client.joining.get(key)
        if deciding is not None:
            answer: Future[Any] = Future()

            def go_on(_: "Future[None]") -> None:
                try:
                    pass_on(self._with_member(client, key, action), answer)
                except Exception as error:
                    complete(answer, None, error)

            deciding.add_done_callback(go_on)
            return answer
        member = client.members.get(key)
        if member is None:
            raise NotJoined(NOT_JOINED)
        return action(member)

    def _enter(self, member: Member) -> None:
        client, key = member.client, member.claim.key
        old = client.members.get(key)
        if old is not None:
            # Taken over from the same connection, which lives on.
            self._forget(old)
        self._members[member.claim.holder] = client.members[key] = member
        if client.over:
            self._part(member)

    def _forget(self, member: Member) -> None:
        """The stay is over on this side: nothing more is delivered. Idempotent."""
        self._members.pop(member.claim.holder, None)
        if member.client.members.get(member.claim.key) is member:
            del member.client.members[member.claim.key]
        self.feed.remove(member)
        if member.callback is None:
            return
        try:
            member.callback.dispose()
        except Exception:
            # There is more to end than this.
            logger.exception("The callback of %s cannot be given up.", member.name)

    def _part(self, member: Member) -> None:
        """The member's connection is closed: its name becomes free, or waits."""
        on_purpose = member.client.connection.closed_on_purpose
        end = self._store.release if on_purpose else self._store.suspend
        self._forget(member)
        self._unanswered.ask(partial(end, member.claim))

    def _left(self, member: Member, released: "Future[None]") -> None:
        if not isinstance(released.exception(), Unavailable):
            self._forget(member)
            tell_of(member, "Left")
        elif member.client.over:
            self._part(member)
        else:
            # The caller may try again.
            member.client.members.setdefault(member.claim.key, member)

    # --- what the log and the store tell

    def _lost(self, lost: Lost) -> None:
        """A member has lost its claim: another connection, perhaps of another worker, has taken it
        over, or it was decided so."""
        member = self._members.get(lost.holder)
        deciding = member and member.client.joining.get(member.claim.key)
        if deciding:
            # It may be its own connection that goes on, with an answer that the tail has overtaken.
            deciding.add_done_callback(lambda _: self._lost(lost))
        else:
            code, why = ENDS[lost.why]
            self._dismiss(lost.holder, code, why, lost.text)

    def _close_if_lost(self, member: Member, future: "Future[Any]") -> None:
        """The store does not know the claim any more. If another connection has it now, the tail is
        about to say so; if it lapsed while this worker was cut off, the client is to join again."""
        if isinstance(future.exception(), ClaimLost):
            what = (member.claim.holder, CloseCode.SERVICE_RESTART, "has to join again")
            gevent.spawn_later(VERDICT_SECONDS, self._dismiss, *what)

    def _dismiss(self, holder: str, code: int, why: str, text: str = "") -> None:
        """The membership ends, if it is here, and its client is told so by its connection's end;
        with `text`, if there is one, instead of what is said of the name."""
        member = self._members.get(holder)
        if member is not None:
            self._forget(member)
            member.send_away(code, f"{text}." if text else f"{member.name} {why}.")

    def _reset(self) -> None:
        for member in list(self._members.values()):
            member.send_away(CloseCode.SERVICE_RESTART, "The log began anew; join again.")

    def _pass_time(self) -> None:
        """Let time take effect once, and wait until it is to do so again."""
        try:
            seconds = wait(self._store.tick())
        except Unavailable:
            seconds = MAX_TICK_SECONDS
        else:
            self._unanswered.ask_again()
        for member in self._token_ends.over(self._members.values()):
            self._unanswered.ask(partial(self._store.release, member.claim))
            self._dismiss(member.claim.holder, TOKEN_OVER, "has to show the next token")
        gevent.sleep(max(MIN_TICK_SECONDS, seconds))


def tell_of(member: Member, what: str) -> None:
    """Log what becomes of a person."""
    tell(people_logger, logging.INFO, what, person=member.name, connection=member.client.number)


def tell_use(member: Member, what: str, **fields: Any) -> None:
    """Log what somebody does to others, or looks at: `fields` say to whom, and where."""
    tell(people_logger, logging.INFO, what, by=member.name, **fields)
