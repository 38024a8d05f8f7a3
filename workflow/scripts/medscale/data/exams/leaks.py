"""Which questions of an exam the training rows know: what is asked, or what is asked with its right answer.

A question is contaminated where one training row has

* ``question``: the same question, nearly to the letter. The sets of character 3-grams of the exam's question and of the
  row's are similar (Jaccard), or nearly all of its longer n-grams stand in the row's question and answer.
* ``with_options``: the question together with its options, likewise: exams that were made into training rows.
* ``answered``: the question word for word, and beside it the text of a right option.

A question of fewer characters than an n-gram, such as 属于甲类传染病的是, is that of many exams and says little by
itself: it counts with its answer (``answered``) or with its options, but not alone. What says the same in other words
is not found. Training rows pass through in batches, so that memory does not grow with their number.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from medscale.data.near.leak_check import BATCH, WORST, Nearest, Thresholds
from medscale.data.near.leak_search import Containment, Similarity
from medscale.data.near.shingles import comparable
from medscale.data.questions import asked

LEAST_CHARACTERS = 4
"""A shorter question is looked for with its options only."""
LEAST_OF_ANSWER = 2
"""A shorter right option, such as 是, stands in many a row by chance, and counts for nothing beside a question."""
MANY = 2000
"""For an exam of more questions, batches of rows are smaller: what they share is counted at once, and fills memory."""
KINDS = ("question", "with_options", "answered")


def find_leaks(
    questions: Sequence[Mapping[str, Any]], rows: Iterable[Mapping[str, Any]], thresholds: Thresholds
) -> dict[str, Any]:
    """Compare every question of an exam with every training row and return the report.

    Parameters
    ----------
    questions : at least one, with id, question, options and answer.
    rows : with id, question and answer; read once.
    thresholds : what counts as near.
    """
    search = _Search(questions, thresholds)
    count = 0
    for batch in _batches(rows, max(128, BATCH * MANY // max(MANY, len(questions)))):
        count += len(batch)
        search.look(batch)
    found = {kind: np.flatnonzero(search.values[kind].values >= level) for kind, level in search.levels.items()}
    contaminated = sorted(set().union(*(numbers.tolist() for numbers in found.values())))
    ids = [questions[number]["id"] for number in contaminated]
    return {
        "schema_version": 1,
        "n": len(questions),
        "training_rows": count,
        "contaminated": len(ids),
        "share": round(len(ids) / len(questions), 6),
        "ids": ids,
        "by_kind": {kind: len(numbers) for kind, numbers in found.items()},
        "worst": search.worst(contaminated),
        "thresholds": thresholds._asdict() | {"least_characters": LEAST_CHARACTERS},
    }


class _Search:
    """What of each question is looked for, and where the most of it was found so far."""

    def __init__(self, questions: Sequence[Mapping[str, Any]], thresholds: Thresholds) -> None:
        self._questions, self._thresholds = questions, thresholds
        alone = [comparable(question["question"]) for question in questions]
        whole = [comparable("\n".join([question["question"], *question["options"].values()])) for question in questions]
        self._alone = alone
        self._answers = [
            [comparable(question["options"][letter]) for letter in question["answer"]] for question in questions
        ]
        texts = {"question": alone, "with_options": whole}
        self._says_enough = {kind: [len(text) >= thresholds.ngram for text in of] for kind, of in texts.items()}
        self._similar = {"question": Similarity(alone), "with_options": Similarity(whole)}
        self._contained = {
            "question": Containment(alone, thresholds.ngram, LEAST_CHARACTERS),
            "with_options": Containment(whole, thresholds.ngram, thresholds.ngram),
        }
        self.values = {kind: Nearest(len(questions)) for kind in KINDS}
        # Similarity and containment have thresholds of their own; both are noted as parts of theirs.
        self.levels = dict.fromkeys(KINDS, 1.0)

    def look(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Compare the questions with some training rows."""
        texts = [comparable(asked(row)) for row in rows]
        for kind, similarity in self._similar.items():
            values, numbers = similarity.nearest(texts)
            values = values / self._thresholds.similarity
            for number in np.flatnonzero(values > self.values[kind].values).tolist():
                if self._says_enough[kind][number]:
                    self.values[kind].note(number, float(values[number]), rows[numbers[number]])
        for row, text in zip(rows, texts, strict=True):
            both = text + comparable(row["answer"])
            for kind, containment in self._contained.items():
                for number, share in containment.shares(both):
                    share /= self._thresholds.containment
                    if self._says_enough[kind][number]:
                        self.values[kind].note(number, share, row)
                    if kind == "question" and share >= 1 and self._is_answered(number, both):
                        self.values["answered"].note(number, 1.0, row)

    def _is_answered(self, number: int, text: str) -> bool:
        """Tell whether a text has, beside the question, one that is right."""
        rest = text.replace(self._alone[number], "")
        return any(len(right) >= LEAST_OF_ANSWER and right in rest for right in self._answers[number])

    def worst(self, numbers: Iterable[int]) -> list[dict[str, Any]]:
        """Return those of the questions that are nearest to a row, with the row."""

        def kind_of(number: int) -> str:
            return max(KINDS, key=lambda kind: self.values[kind].values[number])

        order = sorted(numbers, key=lambda number: (-self.values[kind_of(number)].values[number], number))
        told = []
        for number in order[:WORST]:
            kind = kind_of(number)
            row = self.values[kind].rows[number]
            told.append(
                {
                    "id": self._questions[number]["id"],
                    "train_id": row["id"],
                    "kind": kind,
                    "question": self._questions[number]["question"],
                    "train_question": asked(row),
                }
            )
        return told


def _batches(rows: Iterable[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
