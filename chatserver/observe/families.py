"""What is measured, by name: the families of figures that `/metrics` shows.

`kind` is also the name of the file that holds a family's figures, as prometheus_client's
multiprocess mode has them: a gauge's says how those of several workers are put together. Those
of `gauge_liveall` stand there for each worker by itself, with its process as `pid`.
"""

from typing import Final, NamedTuple


class Family(NamedTuple):
    """Figures of one name, one for each combination of labels."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


CONNECTIONS: Final = Family("chat_connections", "gauge_livesum", "Open WebSockets.")
OPENED: Final = Family("chat_connections_opened", "counter", "WebSockets that were opened.")
CLOSES: Final = Family(
    "chat_closes", "counter", "WebSockets that have ended, by close code.", ("code",)
)
PEOPLE: Final = Family("chat_people", "gauge_livesum", "Names that are held by connections.")
ROOMS: Final = Family("chat_rooms", "gauge_livemax", "Rooms in which somebody is.")
MESSAGES: Final = Family("chat_messages", "counter", "Messages that people have sent.")
DELIVERIES: Final = Family("chat_deliveries", "counter", "Events told to members.")
BYTES: Final = Family("chat_websocket_bytes", "counter", "Bytes on WebSockets.", ("direction",))
REFUSALS: Final = Family(
    "chat_refusals", "counter", "Requests and calls that were refused, by reason.", ("reason",)
)
CALLS: Final = Family("chat_calls", "counter", "Calls of methods.", ("method",))
FAILED_CALLS: Final = Family(
    "chat_failed_calls", "counter", "Those that failed, by what came of it.", ("method", "outcome")
)
CALL_SECONDS: Final = Family(
    "chat_call_seconds",
    "histogram",
    "How long calls took that went well; of plain ones one in 32 is timed.",
    ("method",),
)
LOG_LINES: Final = Family("chat_log_lines", "counter", "Lines of the log.", ("level",))

COMMIT_SECONDS: Final = Family(
    "chat_store_commit_seconds", "histogram", "How long the store took for a commit."
)
OPERATIONS: Final = Family("chat_store_operations", "counter", "Operations that were committed.")
STORE_AVAILABLE: Final = Family(
    "chat_store_available", "gauge_livemin", "1 if the latest attempt to write went well."
)
BEHIND: Final = Family(
    "chat_feed_behind_events", "gauge_livemax", "Events in the log that members were not told yet."
)
DISK_FREE: Final = Family(
    "chat_store_disk_free_bytes", "gauge_livemin", "Free bytes where the database is."
)
REDIS_MEMORY: Final = Family("chat_redis_memory_bytes", "gauge_livemax", "Memory that Redis uses.")
REDIS_MEMORY_LIMIT: Final = Family(
    "chat_redis_memory_limit_bytes", "gauge_livemax", "Redis's maxmemory; 0 if there is none."
)
REDIS_SAVES: Final = Family(
    "chat_redis_saves", "gauge_livemin", "1 if Redis's latest write to its disk went well."
)

LAG_SECONDS: Final = Family(
    "chat_loop_lag_seconds", "histogram", "How late the loop was for a timer, ten times a second."
)
OUTBOX: Final = Family("chat_outbox_bytes", "gauge_livesum", "Bytes that wait to be sent.")
OUTBOX_LARGEST: Final = Family(
    "chat_outbox_largest_bytes", "gauge_livemax", "Bytes that wait for the slowest reader."
)

READY: Final = Family("chat_worker_ready", "gauge_liveall", "1 if people may be sent there.")
WORKER_CONNECTIONS: Final = Family(
    "chat_worker_connections", "gauge_liveall", "Open WebSockets of a worker."
)
CONNECTIONS_LIMIT: Final = Family(
    "chat_worker_connections_limit", "gauge_liveall", "How many it may have."
)
MEMORY_HELD: Final = Family(
    "chat_worker_memory_held_bytes", "gauge_liveall", "What it keeps for its clients."
)
MEMORY_LIMIT: Final = Family(
    "chat_worker_memory_limit_bytes", "gauge_liveall", "How much that may be."
)
RESIDENT: Final = Family("chat_worker_resident_bytes", "gauge_liveall", "Its memory.")
CPU_SECONDS: Final = Family("chat_worker_cpu_seconds", "gauge_liveall", "Its processor time.")
THREADS: Final = Family("chat_worker_threads", "gauge_liveall", "Its threads.")
OPEN_FILES: Final = Family("chat_worker_open_files", "gauge_liveall", "Its open files.")
FILES_LIMIT: Final = Family(
    "chat_worker_open_files_limit", "gauge_liveall", "How many it may have."
)
STARTED: Final = Family(
    "chat_worker_start_time_seconds", "gauge_liveall", "When it began, in seconds since 1970."
)
