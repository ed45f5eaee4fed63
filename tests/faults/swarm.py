"""A crowd of members who all talk, each through the blocking library with threads of its own."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

from chatclient import ChatClient, ChatError
from tests.faults.record import Record
from tests.processes import DEADLINE, wait_until

JOIN_SECONDS = 10.0
"""How long the client waits for connecting and for each join. Members join before faults begin."""

MAX_TEXT = 200
"""Characters of filling in a message: some frames are short, some take two bytes of length."""


class SwarmMember:
    """One name: a thread that receives, and while the swarm talks a thread that sends."""

    def __init__(self, name: str, url: str, record: Record, seed: str, **options: Any) -> None:
        self.name = name
        self._record = record
        self._random = random.Random(seed)
        self._said = 0
        self.chat = ChatClient(url, name, **options)
        self._receiver = threading.Thread(target=self._receive, name=f"{name} receives")
        self._receiver.start()

    def _receive(self) -> None:
        try:
            for event in self.chat.events():
                self._record.received(self.name, event)
        except ChatError as error:
            self._record.lost(self.name, error)

    def talk(self, stop: threading.Event, pause: float, timeout: float) -> None:
        """Send until `stop` is set, waiting up to `pause` seconds before each message."""
        while not stop.wait(self._random.uniform(0, pause)) and not self.chat.closed:
            self._said += 1
            filling = "x" * self._random.randrange(MAX_TEXT)
            self.say(f"{self.name} {self._said} {filling}", timeout)

    def say(self, text: str, timeout: float) -> None:
        """Send one message."""
        saying = self._record.saying(self.name, text)
        try:
            receipt = self.chat.send(text, timeout)
        except ChatError as error:
            self._record.failed(saying, error)
        else:
            self._record.answered(saying, receipt)

    def close(self) -> None:
        """Leave the chat."""
        self.chat.close()
        self._receiver.join(DEADLINE)


class Swarm:
    """Members `member 0`, `member 1` … who join when it is made, and leave at the end of `with`."""

    def __init__(
        self,
        url: str,
        size: int,
        record: Record,
        *,
        seed: int,
        pause: float = 0.1,
        send_timeout: float = 60.0,
        **options: Any,
    ) -> None:
        """Let everybody join.

        Args:
            url: of the server, or of the proxy before it.
            size: how many members.
            record: where everything is written down.
            seed: what members say and when depends on it alone.
            pause: seconds that a member waits before each message at most.
            send_timeout: seconds that a message may take.
            options: of `ChatClient`.
        """
        self._pause = pause
        self._send_timeout = send_timeout
        self._record = record
        self._stop = threading.Event()
        self._talkers: list[threading.Thread] = []
        options = {"timeout": JOIN_SECONDS, **options}
        names = [f"member {number}" for number in range(size)]
        with ThreadPoolExecutor(size) as pool:
            self.members = list(
                pool.map(
                    lambda name: SwarmMember(name, url, record, f"{seed} {name}", **options), names
                )
            )
        # Joins are told a moment later, many by one event.
        wait_until(
            lambda: self.names <= record.names_told(), message="the joins of all members are told"
        )

    @property
    def names(self) -> frozenset[str]:
        """Of all members."""
        return frozenset(member.name for member in self.members)

    def start_talking(self) -> None:
        """Let everybody send until `stop_talking`."""
        self._stop.clear()
        self._talkers = [
            threading.Thread(
                target=member.talk,
                args=(self._stop, self._pause, self._send_timeout),
                name=f"{member.name} talks",
            )
            for member in self.members
        ]
        for talker in self._talkers:
            talker.start()

    def stop_talking(self) -> None:
        """Let nobody say more, and wait for the answers."""
        self._stop.set()
        for talker in self._talkers:
            talker.join(self._send_timeout + DEADLINE)
            assert not talker.is_alive(), f"{talker.name} hangs beyond its timeout"
        self._talkers = []

    def wait_for(self, event_id: int, timeout: float = DEADLINE) -> None:
        """Wait until everybody who is not lost has received this event, or for `timeout` seconds:
        who then has not is for the checker to say."""

        def all_have() -> bool:
            return all(
                self._record.last_id(member.name) >= event_id or member.chat.closed
                for member in self.members
            )

        try:
            wait_until(all_have, timeout)
        except AssertionError:
            pass  # The checker says it with evidence.

    def close(self) -> None:
        """Let everybody leave, at once: a message still under way fails."""
        self._stop.set()
        with ThreadPoolExecutor(len(self.members)) as pool:
            list(pool.map(lambda member: member.close(), self.members))
        self.stop_talking()

    def __enter__(self) -> "Swarm":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
