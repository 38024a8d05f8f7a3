"""The passes over a model in which exams and general texts are computed, by the sizes of their rows alone. No torch."""

from collections.abc import Iterable
from typing import NamedTuple

from medscale.plan.arithmetic import Step


class Extent(NamedTuple):
    """The size of a row: tokens that the model sees, and positions that go through the language-model head."""

    length: int
    depth: int


class ExamPass(NamedTuple):
    """A forward pass: its rows, tokens of the longest, and positions of each that go through the head."""

    rows: int
    width: int
    depth: int

    @property
    def step(self) -> Step:
        """Its size as `arithmetic.TimeModel` takes it: positions that go through the head, and tokens with padding."""
        return Step(self.rows * self.depth, self.rows * self.width)


class AskedSet(NamedTuple):
    """An exam, or the general texts.

    Attributes:
        name: that of the exam, or `examination.RETENTION`.
        count: questions or texts.
        rows: how many rows a model is given for them.
        passes: in which they are computed.
        source: where count and lengths are from, in words.
    """

    name: str
    count: int
    rows: int
    passes: list[ExamPass]
    source: str


class Examinations(NamedTuple):
    """What each model is asked besides the test questions; and by name why something is not counted."""

    sets: list[AskedSet]
    unknown: dict[str, str]

    @property
    def passes(self) -> list[ExamPass]:
        """The passes of all sets."""
        return [each for asked_set in self.sets for each in asked_set.passes]


NOTHING = Examinations([], {})


def passes_of(rows: Iterable[Extent]) -> list[ExamPass]:
    """Return the passes in which `continuations.loglikelihoods` computes rows of these sizes."""
    from medscale.evaluate.continuations import in_turn, next_batch  # torch

    waiting, found = in_turn(rows), []
    while waiting:
        batch = next_batch(waiting)
        found.append(ExamPass(len(batch), batch[0].length, max(row.depth for row in batch)))
        waiting = waiting[len(batch) :]
    return found
