"""Seeing what happens: this is its table of contents.

| file | what lives there |
|---|---|
| `observer` | `Observer`, who is told; `Call` and `Conversation`, of what |
| `events` | the queue of an observer: in order, outside of steps, bounded |
| `counts` | `CallCounts`: served calls in plain integers, for who only counts |
| `durations` | a histogram in plain integers |
| `seen` | what one session tells its observers |
| `logs` | the loggers `capnweb_sync.connection`, `.calls` and `.wire`, which are observers |
| `prometheus` | metrics for Prometheus; imported by its name only, and needs `prometheus_client` |

A session that nobody observes has none of this: whether somebody does is asked when it is made.
"""

from .logs import redact_wire
from .observer import Call, Conversation, Observer

__all__ = ["Call", "Conversation", "Observer", "redact_wire"]
