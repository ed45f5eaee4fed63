"""Calls that outlive a connection.

They wait while the chat is offline, and are made again when their connection is lost under them.
A message carries a key, with which the server stores it once however often it arrives. The key is
of the membership: where that has ended meanwhile, a message that may have been stored is not sent
again.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from capnweb_sync import ReadableStream, RemoteError, RpcPromise, SessionClosed

from .errors import ChatError, RateLimited, Unavailable, chat_error
from .link import Link
from .membership import Membership, remaining

Call = Callable[[Membership], RpcPromise]
"""What is called, on whatever connection there is."""

RETRY_SECONDS: Final = 0.5
"""Pause before a call is made again that the server could not carry out just now."""

UNDECIDED: Final = object()
"""Stands for the answer that an attempt has not brought."""


class Calls:
    """Makes calls over a link."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def __call__(
        self,
        call: Call,
        timeout: float | None,
        *,
        stores: bool = False,
        patient: bool = False,
        once: bool = False,
    ) -> Any:
        """The answer to `call`, made again on each new connection, and when the server has room for
        it, until there is one.

        With `stores`, only as long as the membership is the one in which it was made first; with
        `once`, not if it may have been carried out. The timeout is the client's if None; it may be
        infinite. Raises ChatError.
        """
        deadline = time.monotonic() + (self._link.timeout if timeout is None else timeout)
        tried: Membership | None = None
        try:
            while True:
                membership = self._link.membership(deadline)
                if stores and tried is not None and not tried.goes_on_in(membership):
                    raise Unavailable("The membership in which it was said has ended.")
                try:
                    answer = self._attempt(call, membership, deadline)
                except RateLimited as refusal:
                    # It was not carried out: as if it had not been tried.
                    deadline += refusal.retry_after if patient else 0
                    self._link.slow_down(refusal, deadline)
                    continue
                if answer is not UNDECIDED:
                    return answer
                tried = tried or membership
                if once:
                    raise Unavailable("The connection was lost before the server has answered.")
        except ChatError as error:
            if tried is not None:
                error.may_have_been_stored = stores or once
            raise

    def _attempt(self, call: Call, membership: Membership, deadline: float) -> Any:
        """The answer to one attempt; UNDECIDED if there is none and another can be made."""
        try:
            with ExitStack() as stack:
                promise = stack.enter_context(call(membership))
                answer = promise.result(remaining(deadline))
                if isinstance(answer, ReadableStream):
                    stack.pop_all()  # It ends with the promise, and is to be read yet.
                return answer
        except SessionClosed:
            self._link.wait_until(lambda: not self._link.is_there(membership), deadline)
        except concurrent.futures.TimeoutError:
            raise Unavailable(
                "The server has not answered in time.", may_have_been_stored=True
            ) from None
        except RemoteError as remote:
            error = chat_error(remote)
            if not isinstance(error, Unavailable):
                raise error from remote
            self._link.pause(min(time.monotonic() + RETRY_SECONDS, deadline))
        return UNDECIDED
