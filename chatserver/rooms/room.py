"""The room: joins, messages and leaves of this process's connections, on one store.

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
from typing import Any, Final

import gevent

from capnweb_sync import RpcStub
from capnweb_sync.close_codes import TAKEN_OVER, CloseCode
from capnweb_sync.futures import complete, pass_on
from chatserver.errors import ClaimLost, NameTaken, NotJoined, Unavailable
from chatserver.futures import then, wait
from chatserver.logs import people_logger, tell
from chatserver.loop import Loop
from chatserver.options import JoinOptions
from chatserver.people.limits import take
from chatserver.rooms.feed import Feed
from chatserver.rooms.member import ClientState, Member
from chatserver.store.events import date
from chatserver.store.interface import MAX_TICK_SECONDS, Claim, Joined, Receipt, Store

logger = logging.getLogger("chatserver")

NOT_JOINED: Final = "This connection has not joined with that name."

VERDICT_SECONDS: Final = 1.0
"""How long a refused append waits for the tail to tell who has the name now. A client that was
taken over must not come back by itself, so the two must not be mixed up."""

MIN_TICK_SECONDS: Final = 0.005
"""Pause between two ticks at least."""

WORKER_BYTES: Final = 8
"""Randomness of a worker's token: no two workers share one."""


class Room:
    """The chat in this process.

    Attributes:
        messages: how many its members have sent.
        feed: what they are told.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.messages = 0
        self.feed = Feed(store, self._lost, self._reset)
        self._members: dict[str, Member] = {}
        """By holder."""
        worker = secrets.token_hex(WORKER_BYTES)
        self._holders = (f"{worker}.{number}" for number in count(1))
        self._loops: list[Loop] = []
        self._unanswered: list[Callable[[], Future[None]]] = []
        """What the store is to be asked again as soon as it answers."""

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

    # --- what a connection's main object asks for

    def join(
        self,
        client: ClientState,
        key: str,
        name: str,
        callback: RpcStub,
        sink: RpcStub,
        options: JoinOptions,
    ) -> "Future[dict[str, Any]]":
        """Join with `name`, whose key is `key`. `callback` is the room's from now on, see `Member`.

        Fails with NameTaken, TooMany, Unavailable.
        """
        answer: Future[dict[str, Any]] = Future()
        holder = next(self._holders)
        try:
            decided = client.begin_joining(key)
            try:
                claim = self._store.claim(key, name, holder, options.resume)
            except BaseException:
                client.end_joining(key, decided)
                raise
        except BaseException:
            callback.dispose()
            raise

        def claimed(future: "Future[Joined]") -> None:
            try:
                error = future.exception()
                if error is None:
                    joined = future.result()
                    member = Member(client, joined.claim, joined.name, callback, sink)
                    self._welcome(member, joined, options, answer)
                    back = joined.claim.secret == options.resume
                    tell_of(member, "Came back" if back else "Joined")
                else:
                    if not isinstance(error, NameTaken):
                        # Should it be stored, nobody speaks for the name. Who came with a secret
                        # is waited for.
                        end = self._store.suspend if options.resume else self._store.release
                        self._insist(partial(end, Claim(key, holder, "")))
                    answer.set_exception(error)
                    callback.dispose()
            except Exception as error:
                logger.exception("The join of %s has failed.", name)
                complete(answer, None, error)
            finally:
                # Whatever happened: what waits for this join waits no longer.
                client.end_joining(key, decided)

        claim.add_done_callback(claimed)
        return answer

    def send(self, client: ClientState, key: str, text: str, sent_key: str | None) -> "Future[Any]":
        """Say `text`; waits for a join under way.

        Fails with NotJoined, RateLimited, BadRequest, Unavailable."""

        def append(member: Member) -> "Future[Any]":
            take(client.allowance.messages_of(member.claim.secret))
            self.messages += 1
            receipt = self._store.append(member.claim, text, sent_key)
            receipt.add_done_callback(partial(self._close_if_lost, member))
            return then(receipt, answer_to_send)

        return self._with_member(client, key, append)

    def leave(self, client: ClientState, key: str) -> "Future[Any]":
        """Free the name; waits for a join under way. Fails with NotJoined, Unavailable."""

        def release(member: Member) -> "Future[Any]":
            future = self._store.release(member.claim)
            del client.members[key]
            future.add_done_callback(partial(self._left, member))
            return then(future, lambda _: {"message": f"Goodbye, {member.name}!"})

        return self._with_member(client, key, release)

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

    def _welcome(
        self,
        member: Member,
        joined: Joined,
        options: JoinOptions,
        answer: "Future[dict[str, Any]]",
    ) -> None:
        """The store has given the name to `member`: let it in, and answer."""
        client = member.client
        try:
            after, recovered = self._starting_point(joined, options)
            self._enter(member)
            answer.set_result(welcome(joined, self._store.epoch, recovered))
            if not client.over and not client.deaf:
                self.feed.add(member, after)
        except BaseException:
            # Half in, it would hold the name and hear nothing.
            member.send_away(CloseCode.SERVICE_RESTART, f"{member.name} has to join again.")
            self._part(member)
            raise

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
        """The membership is over on this side: nothing more is delivered. Idempotent."""
        self._members.pop(member.claim.holder, None)
        if member.client.members.get(member.claim.key) is member:
            del member.client.members[member.claim.key]
        self.feed.remove(member)
        try:
            member.callback.dispose()
        except Exception:
            # There is more to end than this.
            logger.exception("The callback of %s cannot be given up.", member.name)

    def _part(self, member: Member) -> None:
        """The member's connection is closed: its name becomes free, or waits."""
        end = (
            self._store.release
            if member.client.connection.closed_on_purpose
            else self._store.suspend
        )
        self._forget(member)
        self._insist(partial(end, member.claim))

    def _left(self, member: Member, released: "Future[None]") -> None:
        if not isinstance(released.exception(), Unavailable):
            self._forget(member)
            tell_of(member, "Left")
        elif member.client.over:
            self._part(member)
        else:
            # The caller may try again.
            member.client.members.setdefault(member.claim.key, member)

    def _insist(self, operation: Callable[[], "Future[None]"]) -> None:
        """Ask the store until it has answered; a claim that is lost already needs nothing."""

        def done(future: "Future[None]") -> None:
            if isinstance(future.exception(), Unavailable):
                self._unanswered.append(operation)

        try:
            operation().add_done_callback(done)
        except Exception:
            logger.exception("The store cannot be asked; trying again.")
            self._unanswered.append(operation)

    # --- what the log and the store tell

    def _lost(self, holder: str) -> None:
        """Another connection, perhaps of another worker, has taken the name over."""
        member = self._members.get(holder)
        if member is not None:
            self._dismiss(member, TAKEN_OVER, f"{member.name} has joined from elsewhere.")

    def _close_if_lost(self, member: Member, future: "Future[Any]") -> None:
        """The store does not know the claim any more. If another connection has it now, the tail is
        about to say so; if it lapsed while this worker was cut off, the client is to join again."""
        if isinstance(future.exception(), ClaimLost):
            gevent.spawn_later(VERDICT_SECONDS, self._close_lapsed, member.claim.holder)

    def _close_lapsed(self, holder: str) -> None:
        member = self._members.get(holder)
        if member is not None:
            self._dismiss(member, CloseCode.SERVICE_RESTART, f"{member.name} has to join again.")

    def _dismiss(self, member: Member, code: int, reason: str) -> None:
        """The membership is over, and its client is told so with the end of the connection."""
        self._forget(member)
        member.send_away(code, reason)

    def _reset(self) -> None:
        for member in list(self._members.values()):
            member.send_away(CloseCode.SERVICE_RESTART, "The log began anew; join again.")

    def _starting_point(self, joined: Joined, options: JoinOptions) -> tuple[int, bool]:
        """The id above which a new member's events begin, and whether nothing is missing before."""
        since = options.since
        if since is None:
            return joined.last_id, True
        if options.epoch not in (None, self._store.epoch) or since > joined.last_id:
            # Of another log, or of one that has lost its end: those ids say nothing here.
            return joined.last_id, False
        oldest = joined.first_id - 1
        return max(since, oldest), since >= oldest

    def _pass_time(self) -> None:
        """Let time take effect once, and wait until it is to do so again."""
        try:
            seconds = wait(self._store.tick())
        except Unavailable:
            seconds = MAX_TICK_SECONDS
        else:
            operations, self._unanswered = self._unanswered, []
            for operation in operations:
                self._insist(operation)
        gevent.sleep(max(MIN_TICK_SECONDS, seconds))


def tell_of(member: Member, what: str) -> None:
    """Log what becomes of a person."""
    tell(people_logger, logging.INFO, what, person=member.name, connection=member.client.number)


def welcome(joined: Joined, epoch: str, recovered: bool) -> dict[str, Any]:
    """The answer to a join."""
    return {
        "message": f"Welcome to the chat, {joined.name}!",
        "username": joined.name,
        "userCount": joined.online,
        "users": joined.users,
        "lastId": joined.last_id,
        "epoch": epoch,
        "resume": joined.claim.secret,
        "recovered": recovered,
    }


def answer_to_send(receipt: Receipt) -> dict[str, Any]:
    """The answer to a message."""
    return {"id": receipt.id, "time": date(receipt.time_ms)}
