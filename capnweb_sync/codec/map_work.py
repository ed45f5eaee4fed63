"""Applying a function that has travelled to the data with `.map()`, and what that may cost (the
reference's `map.ts`).

The instructions are evaluated for the value, or for each item of a list. Within them id 0 is the
input, positive ids are the results of earlier instructions, negative ones the captures. They may
refer to nothing else. `map_recorder.py` makes them.
"""

from __future__ import annotations

import time
from typing import Any, Final

from ..core.budgets import count_values
from ..core.hooks import Hook
from ..core.local_hooks import PayloadHook
from ..core.payload import Payload, copied
from ..core.served_calls import ServedCalls
from ..errors import RpcError
from ..limits import Limits
from ..streams.streams import ReadableStream
from ..values.javascript import undefined
from .evaluator import Evaluator, evaluate_hook

PARTS_PER_STEP: Final = 2
"""Values in an instruction that make it a step longer: a call has seven, a constant one."""

CHARACTERS_PER_STEP: Final = 512
"""Likewise for the characters of a text that is decoded; digits are the dearest."""

VALUES_PER_STEP: Final = 8
"""Values that are copied or sent in the time of a step, with room."""


class MapAllowance:
    """What the maps of one session may cost: so much in a second, and no more at once."""

    __slots__ = ("_left", "_rate", "_since")

    def __init__(self, limits: Limits) -> None:
        self._rate = limits.max_map_steps_per_second
        self._left: float = self._rate
        self._since = time.monotonic()

    def take(self, steps: int) -> None:
        """Pay for `steps`. Raises RpcError with the code `too_many`; nothing is paid then."""
        now = time.monotonic()
        self._left = min(self._rate, self._left + (now - self._since) * self._rate)
        self._since = now
        if steps > self._left:
            raise RpcError(
                f"The maps on this connection take more than {self._rate} steps in a second."
                " Wait a moment.",
                code="too_many",
            )
        self._left -= steps


class MapWork:
    """What the maps of one message may cost, shared with the maps inside; without an allowance
    what the application's own map may, which is as much as it likes."""

    __slots__ = ("_allowance", "_exceeded", "_steps_left", "calls", "limits")

    def __init__(
        self, calls: ServedCalls, limits: Limits, allowance: MapAllowance | None = None
    ) -> None:
        self.calls = calls
        self.limits = limits
        self._allowance = allowance
        self._exceeded = False
        self._steps_left = limits.max_map_steps

    def take(self, steps: int) -> None:
        """Pay for `steps` before making them. Raises RpcError with the code `too_many`; the maps
        around fail with it, too."""
        if self._allowance is None:
            return
        try:
            if steps > self._steps_left:
                raise RpcError(
                    f"The map takes more than {self.limits.max_map_steps} steps.", code="too_many"
                )
            self._allowance.take(steps)
        except RpcError:
            self._exceeded = True
            raise
        self._steps_left -= steps

    def check(self) -> None:
        """Raises RpcError with the code `too_many` if a map inside took too much."""
        if self._exceeded:
            raise RpcError("A map inside of the map takes too many steps.", code="too_many")

    def take_values(self, value: Any) -> None:
        """Pay for the values in `value`, which are copied or sent."""
        if self._allowance is not None:
            self.take(count_values(value, self._steps_left * VALUES_PER_STEP) // VALUES_PER_STEP)

    def take_instructions(self, steps: list[Any], items: int) -> None:
        """Pay for a mapper function that is applied to so many items."""
        if self._allowance is not None:
            self.take(items * sum(self._cost(step) for step in steps))

    def apply(
        self, value: Any, owner: Payload | None, captures: list[Hook], steps: list[Any]
    ) -> Hook:
        """Apply a recorded function to `value`: to each item of a list, to nothing for null and
        undefined, else to the value itself. Raises RpcError for what the function may not do."""
        try:
            if not steps:
                raise RpcError("Invalid empty mapper function.")
            if value is None or value is undefined:
                return PayloadHook(Payload(value, "owned"))
            self.take_instructions(steps, len(value) if isinstance(value, list) else 1)
            if owner is None or not owner.is_plain():
                self.take_values(value)
            if not isinstance(value, list):
                return self._kept(_apply(value, owner, captures, steps, self))
            result = Payload([], "owned")
            try:
                for item in value:
                    _append(result, _apply(item, owner, captures, steps, self))
            except BaseException:
                result.dispose()
                raise
            return self._kept(result)
        finally:
            for capture in captures:
                capture.dispose()

    def _kept(self, result: Payload) -> Hook:
        result.keep(self.calls.ledger)
        return PayloadHook(result)

    def _cost(self, instruction: Any) -> int:
        most = self._steps_left * PARTS_PER_STEP
        parts = count_values(instruction, most)
        if parts > most:
            return self._steps_left + 1
        return 1 + parts // PARTS_PER_STEP + characters(instruction) // CHARACTERS_PER_STEP


def characters(value: Any) -> int:
    """How many characters the texts in a JSON value have: bytes and big integers are texts, which
    are decoded for each item."""
    count, values = 0, [value]
    while values:
        value = values.pop()
        if type(value) is str:
            count += len(value)
        elif type(value) is list:
            values.extend(value)
        elif type(value) is dict:
            values.extend(value.values())
    return count


class MapApplication:
    """One run of a mapper function: an `Importer` whose ids are its variables and captures."""

    __slots__ = ("_captures", "_variables", "_work")

    def __init__(self, captures: list[Hook], value: Payload, work: MapWork) -> None:
        self._captures = captures
        self._variables: list[Hook] = [PayloadHook(value)]
        self._work = work

    @property
    def limits(self) -> Limits:
        """Those of the session."""
        return self._work.limits

    @property
    def calls(self) -> ServedCalls:
        """Those of the session."""
        return self._work.calls

    def run(self, steps: list[Any]) -> Payload:
        """The value of the last instruction."""
        try:
            # Decoding uses an expression up, hence the copies.
            for step in steps[:-1]:
                self._variables.append(evaluate_hook(self, json_copy(step)))
            result = Evaluator(self).evaluate(json_copy(steps[-1]))
            try:
                self._work.check()
                for _, _, promise in result.promises:
                    if isinstance(promise._hook, PayloadHook):
                        self._work.take_values(promise._hook.value)
            except RpcError:
                result.dispose()
                raise
            return result
        finally:
            for variable in self._variables:
                variable.dispose()

    def export_hook(self, export_id: int) -> Hook | None:
        """The variable or capture with that id."""
        if export_id < 0:
            index, among = -export_id - 1, self._captures
        else:
            index, among = export_id, self._variables
        return among[index] if index < len(among) else None

    def import_stub(self, import_id: int) -> Hook:
        """Not within a mapper function."""
        raise RpcError("A mapper function cannot refer to exports.")

    import_promise = import_stub

    def pipe_readable(self, export_id: int) -> ReadableStream:
        """Not within a mapper function."""
        raise RpcError("A mapper function cannot use pipe readables.")

    def map_work(self) -> MapWork:
        """What is left for all of it."""
        return self._work


def _apply(
    value: Any, owner: Payload | None, captures: list[Hook], steps: list[Any], work: MapWork
) -> Payload:
    part = owner.part(value) if owner is not None else copied(value, None)
    return MapApplication(captures, part, work).run(steps)


def _append(result: Payload, item: Payload) -> None:
    """Make `item` the next of the list that `result` holds."""
    for hook in item.hooks:
        result.add_hook(hook)
    for container, key, promise in item.promises:
        if container is item:
            container, key = result.value, len(result.value)
        result.add_promise(container, key, promise)
    result.value.append(item.value)


def json_copy(value: Any) -> Any:
    """A copy of a JSON value."""
    if type(value) is list:
        return [json_copy(item) for item in value]
    if type(value) is dict:
        return {key: json_copy(item) for key, item in value.items()}
    return value
