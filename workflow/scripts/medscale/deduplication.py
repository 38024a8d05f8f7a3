"""Rows that say again what an earlier row has said: the same question with the same answer, or nearly so."""

import hashlib
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from medscale.near_duplicates import Candidates, similarities
from medscale.shingles import comparable, shingle_set, shingles


@dataclass(frozen=True)
class Twin:
    """The kept row that makes another one a duplicate.

    Attributes
    ----------
    row : its number.
    equal : whether the texts are the same, character for character.
    question, answer : Jaccard similarity of the questions and of the answers, 0 to 1.
    """

    row: int
    equal: bool
    question: float
    answer: float


class Duplicates:
    """Finds rows whose question **and** answer are near those of an earlier row.

    The same question with another answer is no duplicate: two doctors' answers to one question are both worth
    learning from. (Such rows must not be divided between train and test; the split sees to that.)

    Of near-duplicates the first is kept. A row is dropped only for a row that is kept: in a chain A ~ B ~ C where A
    and C are not alike, B goes and C stays. So no two kept rows are near-duplicates, and cleaning again drops none.

    Candidates come from one MinHash of question and answer together, their n-grams told apart. That loses nothing:
    where both similarities are at least t, so is that of the union, (i₁ + i₂) / (u₁ + u₂) ≥ t.

    Parameters
    ----------
    threshold : Jaccard similarity of character 3-grams in (0, 1] from which both texts count as near; None finds
        equal rows only.
    """

    def __init__(self, threshold: float | None) -> None:
        self._threshold = threshold
        self._candidates = None if threshold is None else Candidates(threshold)
        self._first: dict[bytes, int] = {}
        self._same: dict[int, int] = {}
        self._numbers = array("q")
        self.compared = 0

    def add(self, rows: Iterable[tuple[int, str, str]]) -> None:
        """Add rows as (number, question, answer), in the order of their numbers."""
        texts: list[str] = []
        for number, question, answer in rows:
            if self._threshold is not None:
                question, answer = comparable(question), comparable(answer)
            digest = hashlib.blake2b(f"{len(question)} {question}{answer}".encode(), digest_size=16).digest()
            first = self._first.setdefault(digest, number)
            if first != number:
                self._same[number] = first
            elif self._candidates is not None:
                texts += [question, answer]
                self._numbers.append(number)
        if texts:
            ngrams, offsets = shingles(texts)
            is_answer = np.repeat(np.arange(len(texts), dtype=np.uint64) & np.uint64(1), np.diff(offsets))
            self._candidates.add(ngrams | (is_answer << np.uint64(63)), offsets[::2])

    def find(self, text_of: Callable[[str, int], str]) -> dict[int, Twin]:
        """Return the rows to drop, each with its twin.

        Parameters
        ----------
        text_of : returns the text of a row, called with "question" or "answer" and the row's number.
        """
        twins: dict[int, Twin] = {}
        for earlier, later, question, answer in self._near_pairs(text_of):
            if later not in twins and earlier not in twins:
                twins[later] = Twin(earlier, False, question, answer)
        for later, first in self._same.items():
            equal = all(text_of(field, later) == text_of(field, first) for field in ("question", "answer"))
            twins[later] = twins.get(first, Twin(first, equal, 1.0, 1.0))
        return twins

    def _near_pairs(self, text_of: Callable[[str, int], str]) -> list[tuple[int, int, float, float]]:
        """Return all near-duplicate pairs in the order of the later row, then of the earlier one."""
        if self._candidates is None or not self._numbers:
            return []
        numbers = np.frombuffer(self._numbers, dtype=np.int64)
        near = []
        for pairs in self._candidates.pairs():
            self.compared += len(pairs)
            pairs = numbers[pairs]
            for field in ("question", "answer"):
                found = similarities(pairs, lambda row, field=field: shingle_set(comparable(text_of(field, row))))
                keep = found >= self._threshold
                pairs = pairs[keep]
                if field == "question":
                    question = found[keep]
            near += zip(*pairs.T.tolist(), question[keep].tolist(), found[keep].tolist(), strict=True)
        return sorted(near, key=lambda pair: (pair[1], pair[0]))
