"""What the store is asked until it has answered: a name that it was not told to free would stay
held for ever."""

import logging
from collections.abc import Callable
from concurrent.futures import Future

from chatserver.errors import Unavailable

logger = logging.getLogger("chatserver")

Operation = Callable[[], "Future[None]"]


class Unanswered:
    """Operations that the store has not answered."""

    def __init__(self) -> None:
        self._operations: list[Operation] = []

    def ask(self, operation: Operation) -> None:
        """Ask the store, and again until it has answered; a claim that is lost already needs
        nothing."""

        def done(future: "Future[None]") -> None:
            if isinstance(future.exception(), Unavailable):
                self._operations.append(operation)

        try:
            operation().add_done_callback(done)
        except Exception:
            logger.exception("The store cannot be asked; trying again.")
            self._operations.append(operation)

    def ask_again(self) -> None:
        """The store has answered something."""
        operations, self._operations = self._operations, []
        for operation in operations:
            self.ask(operation)
