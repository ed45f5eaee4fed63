"""Answers that are lost on their way: the message was stored, and its sender is not told."""

import json
from collections import Counter, defaultdict

from tests.proxy.link import DOWN, Direction, Link

CALLS = ('["push"', '["stream"')
"""How messages begin that take the next number, with which they are answered."""

ANSWERS = ('["resolve"', '["reject"')


class LostAnswers:
    """An inspector for a proxy: of each `sendMessage`, known by its key, all answers are lost until
    that of its `tries`th try, and so is their connection: TCP does not lose a message and go on.

    Attributes:
        lost: how many answers.
        tries: by key, how often a message came.
    """

    def __init__(self, until: int) -> None:
        """`until`: the try whose answer is passed on; the first is 1."""
        self._until = until
        self._calls: Counter[Link] = Counter()
        self._sent: defaultdict[Link, dict[int, str]] = defaultdict(dict)
        self.lost = 0
        self.tries: Counter[str] = Counter()

    def __call__(self, link: Link, direction: Direction, text: str) -> bool:
        """Whether this message is passed on."""
        if direction is DOWN:
            return not text.startswith(ANSWERS) or self._pass_answer(link, json.loads(text)[1])
        if text.startswith(CALLS):
            self._calls[link] += 1
            if '["sendMessage"]' in text:
                key: str = json.loads(text)[1][3][2]["key"]
                self._sent[link][self._calls[link]] = key
                self.tries[key] += 1
        return True

    def _pass_answer(self, link: Link, number: int) -> bool:
        key = self._sent[link].pop(number, None)
        if key is None or self.tries[key] >= self._until:
            return True
        self.lost += 1
        link.cut()
        return False
