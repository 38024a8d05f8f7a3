"""The check after the split, on the files that were written: is a test question near to any training question?

Two questions are near when their sets of character 3-grams are similar (Jaccard), or when nearly all longer n-grams of
the test question stand in one training question, which finds a short question inside a long one. Of a dialogue, a
question is compared together with those before it; those that are the same alone, with their answers, are counted.
Training questions pass through in batches, so that memory does not grow with their number.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from medscale.data.near.beginnings import pair_of
from medscale.data.near.boilerplate import Boilerplate
from medscale.data.near.leak_search import Containment, MinHash, Similarity
from medscale.data.near.pairs import PERMUTATIONS
from medscale.data.near.shingles import comparable
from medscale.data.questions import asked

BATCH = 4096
LEAST_CHARACTERS = 8
"""A shorter question is not looked for in others: 感冒吃什么药 stands in many a question that asks something else."""
WORST = 20
"""How many of the nearest pairs the report names."""
HISTOGRAM_BINS = 20
QUANTILES = (0.5, 0.9, 0.99, 1.0)


class Thresholds(NamedTuple):
    """From what on a test question counts as near: Jaccard similarity; characters of an n-gram; share of n-grams."""

    similarity: float = 0.6
    ngram: int = 13
    containment: float = 0.8


class Nearest:
    """For each test question the highest value so far, and the training question it was with.

    Attributes
    ----------
    values : float64 of shape ``(size,)``, 0 where nothing was shared.
    rows : the training row of each, None where nothing was shared.
    """

    def __init__(self, size: int) -> None:
        self.values = np.zeros(size)
        self.rows: list[dict[str, Any] | None] = [None] * size

    def note(self, number: int, value: float, row: dict[str, Any]) -> None:
        """Note a training row for one test question; of equally near ones the first stays."""
        if value > self.values[number]:
            self.values[number], self.rows[number] = value, row


def check(
    test: Sequence[dict[str, Any]],
    training: Iterable[dict[str, Any]],
    thresholds: Thresholds,
    boilerplate: Sequence[str] = (),
) -> dict[str, Any]:
    """Compare every test question with every training question and return the report.

    Parameters
    ----------
    test : at least one row with id, question and answer.
    training : rows with id, question and answer; read once.
    thresholds : what counts as near.
    boilerplate : texts that the split left out of all questions, see `boilerplate`.
    """
    rest = Boilerplate(boilerplate).rest
    texts = [rest(comparable(asked(row))) for row in test]
    similarity, minhash = Similarity(texts), MinHash(texts, thresholds.similarity)
    containment = Containment(texts, thresholds.ngram, LEAST_CHARACTERS)
    similar, contained = Nearest(len(test)), Nearest(len(test))
    found_by_minhash: set[int] = set()
    answers, learned = {row["answer"] for row in test}, set()
    pairs, seen = [pair_of(row["question"], row["answer"]) for row in test], set()
    count = 0
    for rows in _batches(training):
        count += len(rows)
        learned.update(answers.intersection(row["answer"] for row in rows))
        seen.update(pair_of(row["question"], row["answer"]) for row in rows if row["answer"] in answers)
        others = [rest(comparable(asked(row))) for row in rows]
        values, numbers = similarity.nearest(others)
        for test_number in np.flatnonzero(values > similar.values).tolist():
            similar.note(test_number, float(values[test_number]), rows[numbers[test_number]])
        for row, other in zip(rows, others, strict=True):
            for test_number, share in containment.shares(other):
                contained.note(test_number, share, row)
        found_by_minhash.update(minhash.near(others)[:, 0].tolist())

    near = _named(test, similar, thresholds.similarity, "similarity")
    inside = _named(test, contained, thresholds.containment, "containment")
    known = sum(pair is not None and pair in seen for pair in pairs)  # by now stock phrases alone, see the split
    return {
        "schema_version": 1,
        "test_questions": len(test),
        "training_questions": count,
        "similarity_threshold": thresholds.similarity,
        "ngram": thresholds.ngram,
        "containment_threshold": thresholds.containment,
        "near": near,
        "contained": inside | {"judged": containment.judged, "least_characters": LEAST_CHARACTERS},
        "minhash": {
            "permutations": PERMUTATIONS,
            "bands": minhash.bands,
            "rows": minhash.rows,
            "count": len(found_by_minhash),
        },
        "nearest_similarity": _distribution(similar.values),
        "equal_answers": _share(sum(row["answer"] in learned for row in test), len(test)),
        "equal_pairs": _share(known, len(test)),
        "passed": not near["count"] and not inside["count"] and not found_by_minhash,
    }


def _batches(rows: Iterable[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _named(test: Sequence[dict[str, Any]], nearest: Nearest, threshold: float, name: str) -> dict[str, Any]:
    """Return how many test questions reach the threshold, and the nearest of them with their training questions."""
    reached = np.flatnonzero(nearest.values >= threshold)
    order = sorted(reached.tolist(), key=lambda number: (-nearest.values[number], number))
    worst = [
        {
            "test_id": test[number]["id"],
            "train_id": nearest.rows[number]["id"],
            "test_question": asked(test[number]),
            "train_question": asked(nearest.rows[number]),
            name: round(float(nearest.values[number]), 4),
        }
        for number in order[:WORST]
    ]
    return _share(len(reached), len(test)) | {"worst": worst}


def _share(count: int, total: int) -> dict[str, Any]:
    return {"count": count, "share": round(count / total, 6)}


def _distribution(values: np.ndarray) -> dict[str, Any]:
    counts, edges = np.histogram(values, HISTOGRAM_BINS, (0.0, 1.0))
    quantiles = np.quantile(values, QUANTILES)
    return {
        "quantiles": {str(part): round(float(value), 4) for part, value in zip(QUANTILES, quantiles, strict=True)},
        "histogram": {"edges": [round(float(edge), 4) for edge in edges], "counts": counts.tolist()},
    }
