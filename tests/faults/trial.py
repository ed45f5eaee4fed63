"""A crowd behind a proxy before a server, and the judgement over what became of what it said."""

from contextlib import ExitStack
from types import TracebackType
from typing import Any

from chatclient import ChatClient
from tests.faults.checker import Evidence, check, read_log
from tests.faults.deployment import Deployment
from tests.faults.record import Outcome, Record
from tests.faults.swarm import Swarm
from tests.faults.wire_order import WireOrder
from tests.proxy.link import Inspector
from tests.proxy.proxy import Proxy

PING_SECONDS = 1.0
"""How long the client may hear nothing before it asks, and then before it gives up: silence is
noticed within two seconds."""

READER = "reader of the log"
"""Who joins past the proxy to read the log."""


class Trial:
    """Members who talk through a proxy, on record.

    Attributes:
        deployment: the server.
        proxy: before it.
        record: what members said and heard.
        swarm: the members.
        messages: how many messages were judged, of each outcome.
        judged: the id of the last event that was judged.
    """

    def __init__(
        self,
        deployment: Deployment,
        size: int,
        *,
        seed: int,
        inspector: Inspector | None = None,
        **options: Any,
    ) -> None:
        """Let `size` members join; `options` are those of `Swarm` and of `ChatClient`."""
        options = {"ping_interval": PING_SECONDS, "ping_timeout": PING_SECONDS, **options}
        self.deployment = deployment
        self.record = Record()
        self.messages = dict.fromkeys(Outcome, 0)
        self._joining = True
        with ChatClient(deployment.url, READER) as reader:
            before = reader.history(1)
        self.judged = before[-1].id if before else 0
        self._wire = WireOrder(inspector)
        self._stack = ExitStack()
        with ExitStack() as stack:
            self.proxy = stack.enter_context(Proxy(deployment.address, self._wire))
            self.swarm = stack.enter_context(
                Swarm(self.proxy.url, size, self.record, seed=seed, **options)
            )
            self._stack = stack.pop_all()

    def findings(self) -> list[str]:
        """Let everybody finish, and judge all that happened since the last time.

        The server must be up, and the proxy well. Empty if all is as it must be.
        """
        self.swarm.stop_talking()
        with ChatClient(self.deployment.url, READER) as reader:
            log = read_log(reader, self.judged)
            # Joins and leaves may still be told: the judgement is up to here.
            last = log[-1].id if log else self.judged
            self.swarm.wait_for(last)
            evidence = Evidence(
                log, self.record, self.swarm.names, self.judged, joining=self._joining
            )
            found = [*check(evidence), *self._wire.findings]
            self._wire.findings.clear()
        for outcome in Outcome:
            self.messages[outcome] += self.record.count(outcome)
        self.record.forget(last)
        self.judged = last
        self._joining = False
        return found

    def __enter__(self) -> "Trial":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
