"""What one message of a peer may make us copy or bring into arguments, counted in values."""

from __future__ import annotations

from collections import deque
from typing import Any, Final


def count_values(value: Any, most: int) -> int:
    """How many values `value` consists of; counted no further than a little past `most`."""
    count, values = 1, deque([value])
    while values and count <= most:
        value = values.popleft()
        if isinstance(value, (dict, list, tuple)):
            count += len(value)
            values.extend(value.values() if isinstance(value, dict) else value)
    return count


MAX_COPIED_VALUES: Final = 16_384
"""Values that may be copied for one message, or for what waited for one call. A peer can name a
result with stubs in it many times in a short message, and each time is a copy with duplicates of
them; at some tens of microseconds for a promise that is well below a second."""
