"""The figures of one worker, as they are now."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from capnweb_sync.core.arguments import calls_by_method
from capnweb_sync.observe.durations import Durations
from capnweb_sync.server import Connections
from chatserver.logs import lines
from chatserver.observe import families
from chatserver.observe.calls import ChatCalls
from chatserver.observe.families import Family
from chatserver.observe.files import Sample
from chatserver.observe.process import process_samples
from chatserver.observe.visits import Visits
from chatserver.rooms.stays import Stays
from chatserver.store.interface import Store

CONDITIONS: Final[Mapping[str, Family]] = {
    "disk_free_bytes": families.DISK_FREE,
    "redis_memory_bytes": families.REDIS_MEMORY,
    "redis_memory_limit_bytes": families.REDIS_MEMORY_LIMIT,
    "redis_saves": families.REDIS_SAVES,
}
"""By what a store calls them."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What is looked at in one process.

    Attributes:
        connections: its WebSockets.
        stays: those who are here.
        store: its log.
        visits: its connections, counted.
        calls: its calls, counted.
        ready: whether people may be sent to it.
        lag: how late the loop is for a timer.
        condition: what the store said last of itself.
    """

    connections: Connections
    stays: Stays
    store: Store
    visits: Visits
    calls: ChatCalls
    ready: Callable[[], bool]
    lag: Durations = field(default_factory=Durations)
    condition: dict[str, float] = field(default_factory=dict)

    def samples(self) -> Iterator[Sample]:
        """Everything but what takes long to ask."""
        yield from self._connection_samples()
        yield from self._chat_samples()
        yield from process_samples()

    def _connection_samples(self) -> Iterator[Sample]:
        connections = self.connections
        waiting, most_waiting = connections.waiting()
        yield families.CONNECTIONS, (), len(connections)
        yield families.WORKER_CONNECTIONS, (), len(connections)
        yield families.CONNECTIONS_LIMIT, (), connections.max_connections
        yield families.READY, (), self.ready()
        yield families.OPENED, (), self.visits.opened
        for code, times in self.visits.closed.items():
            yield families.CLOSES, (str(int(code)),), times
        yield families.BYTES, ("in",), connections.received_bytes
        yield families.BYTES, ("out",), connections.sent_bytes
        yield families.OUTBOX, (), waiting
        yield families.OUTBOX_LARGEST, (), most_waiting
        if connections.memory is not None:
            yield families.MEMORY_HELD, (), connections.memory.held
            yield families.MEMORY_LIMIT, (), connections.memory.most
        yield families.LAG_SECONDS, (), self.lag

    def _chat_samples(self) -> Iterator[Sample]:
        stays, store, calls = self.stays, self.store, self.calls
        yield families.PEOPLE, (), stays.people
        yield families.ROOMS, (), stays.feed.rooms
        yield families.MESSAGES, (), stays.messages
        yield families.DELIVERIES, (), stays.feed.deliveries
        yield families.BEHIND, (), max(0, store.last_id - stays.feed.position)
        yield families.STORE_AVAILABLE, (), store.available
        yield families.COMMIT_SECONDS, (), store.commits
        yield families.OPERATIONS, (), store.commits.operations
        for method, times in calls_by_method().items():
            yield families.CALLS, (method,), times
        for (method, outcome), times in calls.failed.items():
            yield families.FAILED_CALLS, (method, outcome), times
        for method, seconds in calls.seconds.items():
            yield families.CALL_SECONDS, (method,), seconds
        for reason, times in calls.all_refusals().items():
            yield families.REFUSALS, (reason,), times
        for level, times in lines.items():
            yield families.LOG_LINES, (level,), times
        for name, value in self.condition.items():
            yield CONDITIONS[name], (), value
