"""Which question is answered when: what prediction does and what the forecast counts. No torch."""

from collections.abc import Sequence

JOIN = 1 / 8
"""Questions join when this share of the places is free: each time costs a pass over the model."""


class AnswerQueue:
    """Questions that wait for a place among those that are being answered, longest prompt first.

    Questions that are answered together share a cache of keys and values as wide as the longest of them can get. The
    cache of ``batch_size`` of the longest is the most there is: of shorter questions, more are answered at once.

    Attributes:
        waiting: the questions that have not begun, by their place in ``prompts``.
    """

    def __init__(self, prompts: Sequence[int], max_new_tokens: int, batch_size: int):
        """Let every question wait.

        Args:
            prompts: tokens of each question's prompt.
            max_new_tokens: tokens of the longest answer.
            batch_size: how many of the longest questions may be answered at once.
        """
        self.waiting = sorted(range(len(prompts)), key=lambda i: -prompts[i])
        self._longest = [length + max_new_tokens for length in prompts]
        self._budget = batch_size * max(self._longest, default=0)

    def join(self, running: Sequence[int]) -> list[int]:
        """Return the questions that begin now beside the running ones; they wait no longer."""
        if not self.waiting:
            return []
        widest = max(self._longest[i] for i in [*running, self.waiting[0]])
        places = max(1, self._budget // widest)
        free = places - len(running)
        if running and free < max(1, JOIN * places):
            return []
        starting, self.waiting = self.waiting[:free], self.waiting[free:]
        return starting

    def halve(self, running: Sequence[int]) -> None:
        """Let the running questions wait again, and half as many be answered at once.

        Raises:
            ValueError: only one is running.
        """
        if len(running) < 2:
            raise ValueError("one question is the fewest")
        self._budget = len(running) // 2 * max(self._longest[i] for i in running)
        self.waiting = sorted([*running, *self.waiting], key=lambda i: -self._longest[i])
