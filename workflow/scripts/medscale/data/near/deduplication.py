"""Rows that say again what an earlier row has said: the same question with the same answer, or nearly so."""

import os
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from medscale.data.near.boilerplate import Boilerplate, boilerplate_of
from medscale.data.near.kept_first import KeptFirst
from medscale.data.near.pairs import Candidates, signatures, similarities
from medscale.data.near.shingles import comparable, shingle_set, shingles
from medscale.data.near.text_store import DIGEST_BYTES, GrowingArray, TextStore, digest, first_occurrences

_BATCH = 4096
_SETS_IN_MEMORY = 20_000


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


class Fingerprints(NamedTuple):
    """What is kept of some rows to find duplicates among them; `fingerprints` makes it, in any process.

    Attributes
    ----------
    same : digests of question and answer as they are compared, uint8 of shape ``(rows, 16)``.
    equal : digests of question and answer as they are, likewise.
    signatures : uint8 of shape ``(rows, 256)``; None where only equal rows are looked for.
    texts : comparable question and answer of each row in turn, UTF-8; None likewise.
    """

    same: np.ndarray
    equal: np.ndarray
    signatures: np.ndarray | None
    texts: list[bytes] | None


def fingerprints(rows: Sequence[tuple[str, str]], near: bool) -> Fingerprints:
    """Return the fingerprints of rows, which are pairs of question and answer.

    Candidates come from one MinHash of question and answer together, their n-grams told apart. That loses nothing:
    where both similarities are at least t, so is that of the union, (i₁ + i₂) / (u₁ + u₂) ≥ t.

    Parameters
    ----------
    rows : questions and answers.
    near : whether near-duplicates are looked for, too.
    """
    equal = _digests(rows)
    if not near:
        return Fingerprints(equal, equal, None, None)
    texts = [comparable(text) for row in rows for text in row]
    same = _digests(zip(texts[::2], texts[1::2], strict=True))
    return Fingerprints(same, equal, _signatures(texts), [text.encode() for text in texts])


def _signatures(texts: Sequence[str]) -> np.ndarray:
    """Return a signature for each question and answer, which come in turn."""
    ngrams, offsets = shingles(texts)
    is_answer = np.repeat(np.arange(len(texts), dtype=np.uint64) & np.uint64(1), np.diff(offsets))
    return signatures(ngrams | (is_answer << np.uint64(63)), offsets[::2])


class Duplicates:
    """Finds rows whose question **and** answer are near those of an earlier row.

    The same question with another answer is no duplicate: two doctors' answers to one question are both worth
    learning from. (Such rows must not be divided between train and test; the split sees to that.)

    Of near-duplicates the first is kept. A row is dropped only for a row that is kept: in a chain A ~ B ~ C where A
    and C are not alike, B goes and C stays. So no two kept rows are near-duplicates, and cleaning again drops none.

    Memory holds 312 bytes a row: a signature, two digests, a number, two places in the file that has the texts.

    Parameters
    ----------
    threshold : Jaccard similarity of character 3-grams in (0, 1] from which both texts count as near; None finds
        equal rows only.
    folder : where the file with the texts is.

    Attributes
    ----------
    boilerplate : after `find`, what was left out of the questions, see `boilerplate`.
    compared : how many pairs were compared by their exact similarity.
    looked_at : how many pairs of signatures were compared.
    exhaustive : whether each pair of rows that agree in a band was looked at. Where it is False, thousands of rows are
        of one template, and near-duplicates may have stayed among those; the split still puts them into one part.
    """

    def __init__(self, threshold: float | None, folder: str | os.PathLike) -> None:
        self._threshold = threshold
        self._candidates = None if threshold is None else Candidates(threshold)
        self._folder = folder
        self._texts = TextStore(folder)
        self.boilerplate = Boilerplate()
        self._same = GrowingArray((DIGEST_BYTES,), np.uint8)
        self._equal = GrowingArray((DIGEST_BYTES,), np.uint8)
        self._numbers = array("q")
        self._sets = [lru_cache(_SETS_IN_MEMORY)(partial(self._set, field)) for field in (0, 1)]
        self.compared = self.looked_at = 0
        self.exhaustive = True

    def _set(self, field: int, row: int) -> np.ndarray:
        return shingle_set(self._texts[2 * row + field])

    def add(self, numbers: Sequence[int], rows: Fingerprints) -> None:
        """Add rows by their numbers, in rising order, and their fingerprints."""
        self._numbers.extend(numbers)
        self._same.extend(rows.same)
        self._equal.extend(rows.equal)
        if self._candidates is not None:
            self._candidates.add_signatures(rows.signatures)
            self._texts.extend_bytes(rows.texts)

    def find(self) -> dict[int, Twin]:
        """Return the rows to drop, each with its twin. Nothing can be added after it."""
        if self._candidates is not None:
            self._leave_boilerplate_out()
        numbers = np.frombuffer(self._numbers, dtype=np.int64)
        first = first_occurrences(self._same.rows)
        again = np.flatnonzero(first != np.arange(len(first)))
        twins: dict[int, Twin] = {}
        for later, (earlier, question, answer) in self._near(np.flatnonzero(first == np.arange(len(first)))).items():
            twins[int(numbers[later])] = Twin(int(numbers[earlier]), False, question, answer)
        equal = (self._equal.rows[again] == self._equal.rows[first[again]]).all(axis=1)
        for later, earlier, is_equal in zip(
            numbers[again].tolist(), numbers[first[again]].tolist(), equal.tolist(), strict=True
        ):
            twins[later] = twins.get(earlier, Twin(earlier, is_equal, 1.0, 1.0))
        return twins

    def _leave_boilerplate_out(self) -> None:
        """Find what stands in many questions, and where there is such, take the fingerprints anew without it."""
        starts = range(0, len(self._numbers), _BATCH)
        of_batch = lambda start: self._texts[2 * start : 2 * (start + _BATCH)]  # noqa: E731
        self.boilerplate = boilerplate_of(of_batch(start)[::2] for start in starts)
        if not self.boilerplate:
            return
        texts, self._texts = self._texts, TextStore(self._folder)
        self._same = GrowingArray((DIGEST_BYTES,), np.uint8)
        self._candidates.clear()
        for start in starts:
            batch = texts[2 * start : 2 * (start + _BATCH)]
            batch[::2] = map(self.boilerplate.rest, batch[::2])
            self._same.extend(_digests(zip(batch[::2], batch[1::2], strict=True)))
            self._candidates.add_signatures(_signatures(batch))
            self._texts.extend(batch)

    def _near(self, distinct: np.ndarray) -> dict[int, tuple[int, float, float]]:
        """Return of these rows those that are near an earlier one that is kept, and one such of each."""
        if self._candidates is None:
            return {}
        self._candidates.keep(distinct)
        verified = lambda pairs: self._verified(distinct[pairs])  # noqa: E731
        found = KeptFirst(len(distinct), verified).run(self._candidates, lambda: self._of_field(distinct))
        self.looked_at += self._candidates.looked_at
        self.exhaustive = not self._candidates.cut
        return {int(distinct[later]): (int(distinct[earlier]), *both) for later, (earlier, *both) in found.items()}

    def _of_field(self, distinct: np.ndarray) -> Candidates:
        """Take for candidates those of the questions alone or of the answers alone, whichever are less crowded.

        Near-duplicates are near in both, so either has all of them. Where thousands of different questions have the
        answer of one template, say, each row is a candidate with each by both together, and none by its question.
        """
        self.looked_at += self._candidates.looked_at
        self._candidates.clear()
        found = self._signatures_of(distinct, 0)
        if crowding := found.crowding():
            answers = self._signatures_of(distinct, 1)
            if answers.crowding() < crowding:
                found = answers
        self._candidates = found
        return found

    def _signatures_of(self, distinct: np.ndarray, field: int) -> Candidates:
        found = Candidates(self._threshold)
        for start in range(0, len(distinct), _BATCH):
            rows = distinct[start : start + _BATCH].tolist()
            found.add(*shingles([self._texts[2 * row + field] for row in rows]))
        return found

    def _verified(self, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which of the pairs of rows are near, and the similarities of question and answer of those."""
        self.compared += len(pairs)
        near = np.arange(len(pairs))
        for field in (0, 1):
            found = similarities(pairs[near], self._sets[field])
            keep = found >= self._threshold
            near = near[keep]
            if field == 0:
                question = found[keep]
        return near, question[keep], found[keep]


def _digests(rows: Iterable[tuple[str, str]]) -> np.ndarray:
    flat = b"".join(digest(f"{len(question)} {question}{answer}") for question, answer in rows)
    return np.frombuffer(flat, np.uint8).reshape(-1, DIGEST_BYTES)
