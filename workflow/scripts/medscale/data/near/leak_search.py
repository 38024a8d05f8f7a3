"""Three searches for training questions that a test question is near to, a batch of training questions at a time.

`Similarity` and `Containment` are exact: they count what every test question shares with every training question.
`MinHash` finds similar questions in another way and shares no code with the exact count but the n-grams themselves.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from rensa import RMinHash
from scipy.sparse import csr_matrix

from medscale.data.near.pairs import PERMUTATIONS, bands_for, similarities
from medscale.data.near.shingles import shingle_set, shingles

_SEED = 77
# A pair at the threshold is overlooked with this probability by the look at whole signatures (Hoeffding).
_MISS = 1e-6
_FACTORS = np.uint64(0x9E3779B97F4A7C15) ** np.arange(1, 2 * PERMUTATIONS, 2, dtype=np.uint64)


class Similarity:
    """Exact Jaccard similarities of the test questions with any number of training questions.

    Parameters
    ----------
    texts : test questions, at least one, as `shingles.comparable` returns them.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        sets = [shingle_set(text) for text in texts]
        self._sizes = np.array([len(members) for members in sets])
        self._ngrams, places = np.unique(np.concatenate(sets), return_inverse=True)
        owners = np.repeat(np.arange(len(sets)), self._sizes)
        self._holds = _ones(owners, places, (len(sets), len(self._ngrams)))

    def nearest(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return each test question's highest similarity with one of ``texts``, and the number of the first such text.

        A test question that shares no n-gram with any of them has the similarity 0 and the number 0.
        """
        rows, ngrams = _distinct_ngrams(texts)
        sizes = np.bincount(rows)  # every text has an n-gram
        places = np.minimum(np.searchsorted(self._ngrams, ngrams), len(self._ngrams) - 1)
        known = self._ngrams[places] == ngrams
        # One product of sparse matrices counts the n-grams that each test question shares with each text.
        shared = self._holds @ _ones(places[known], rows[known], (len(self._ngrams), len(texts)))
        values, numbers = np.zeros(len(self._sizes)), np.zeros(len(self._sizes), np.int64)
        for test in np.flatnonzero(np.diff(shared.indptr)):
            part = slice(shared.indptr[test], shared.indptr[test + 1])
            common, others = shared.data[part], shared.indices[part]
            jaccard = common / (self._sizes[test] + sizes[others] - common)
            values[test] = jaccard.max()
            numbers[test] = others[jaccard == values[test]].min()
        return values, numbers


def _ones(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> csr_matrix:
    return csr_matrix((np.ones(len(rows), np.int32), (rows, columns)), shape)


def _distinct_ngrams(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct n-grams of each text, and the number of the text that each is from."""
    flat, offsets = shingles(texts)
    rows = np.repeat(np.arange(len(texts)), np.diff(offsets))
    order = np.lexsort((flat, rows))
    flat, rows = flat[order], rows[order]
    new = np.ones(len(flat), bool)
    new[1:] = (flat[1:] != flat[:-1]) | (rows[1:] != rows[:-1])
    return rows[new], flat[new]


class Containment:
    """The share of a test question's character n-grams that stand in one training question, exactly.

    A question shorter than an n-gram is one by itself: it is found where it stands word for word.

    Parameters
    ----------
    texts : test questions, as `shingles.comparable` returns them.
    length : characters of an n-gram.
    least : questions with fewer characters are not looked for, and empty ones never; their containment is 0.
    """

    def __init__(self, texts: Sequence[str], length: int, least: int) -> None:
        self._length = length
        self._sizes: dict[int, int] = {}
        self._owners: dict[str, list[int]] = {}
        self._short: dict[int, dict[str, list[int]]] = {}
        for number, text in enumerate(texts):
            if len(text) < max(1, least):
                continue
            ngrams = set(_slices(text, min(length, len(text))))
            self._sizes[number] = len(ngrams)
            owners = self._owners if len(text) >= length else self._short.setdefault(len(text), {})
            for ngram in ngrams:
                owners.setdefault(ngram, []).append(number)
        self._known = frozenset(self._owners)
        self.judged = len(self._sizes)

    def shares(self, text: str) -> Iterator[tuple[int, float]]:
        """Yield the number of each test question that shares an n-gram with ``text``, and its containment in it."""
        counts: Counter[int] = Counter()
        for ngram in self._known.intersection(_slices(text, self._length)):
            counts.update(self._owners[ngram])
        for length, owners in self._short.items():
            for ngram in owners.keys() & _slices(text, length):
                counts.update(owners[ngram])
        for number, count in counts.items():
            yield number, count / self._sizes[number]


def _slices(text: str, length: int) -> list[str]:
    return [text[start : start + length] for start in range(len(text) - length + 1)]


class MinHash:
    """Test questions that are similar to a training question, by MinHash and banding, each pair then verified.

    Parameters
    ----------
    texts : test questions, at least one, as `shingles.comparable` returns them.
    threshold : Jaccard similarity in (0, 1].
    """

    def __init__(self, texts: Sequence[str], threshold: float) -> None:
        self._texts, self._threshold = texts, threshold
        self.rows, self.bands = bands_for(threshold)
        margin = math.sqrt(-math.log(_MISS) / (2 * PERMUTATIONS))
        self._least_agreement = math.ceil((threshold - margin) * PERMUTATIONS)
        self._signatures = _signatures(texts)
        keys = self._keys(self._signatures)
        self._order = np.argsort(keys, axis=0, kind="stable")
        self._sorted = np.take_along_axis(keys, self._order, axis=0)

    def near(self, texts: Sequence[str]) -> np.ndarray:
        """Return the pairs of a test question and one of ``texts`` that reach the threshold, int64 of shape (n, 2)."""
        signatures = _signatures(texts)
        candidates = [np.empty((0, 2), np.int64)]
        for band, keys in enumerate(self._keys(signatures).T):
            starts = np.searchsorted(self._sorted[:, band], keys, "left")
            repeats = np.searchsorted(self._sorted[:, band], keys, "right") - starts
            ends = np.cumsum(repeats)
            places = np.arange(ends[-1]) - np.repeat(ends - repeats - starts, repeats)
            pairs = np.stack([self._order[places, band], np.repeat(np.arange(len(texts)), repeats)], axis=1)
            agreement = np.count_nonzero(self._signatures[pairs[:, 0]] == signatures[pairs[:, 1]], axis=1)
            candidates.append(pairs[agreement >= self._least_agreement])
        pairs = np.unique(np.concatenate(candidates), axis=0)
        count = len(self._texts)
        exact = similarities(
            pairs + np.array([0, count]),
            lambda number: shingle_set(self._texts[number] if number < count else texts[number - count]),
        )
        return pairs[exact >= self._threshold]

    def _keys(self, signatures: np.ndarray) -> np.ndarray:
        """Return one integer for each band of each signature; bands that agree have the same one."""
        keys = signatures[:, : self.rows * self.bands].reshape(len(signatures), self.bands, self.rows)
        return (keys * _FACTORS[: self.rows]).sum(axis=2, dtype=np.uint64)


def _signatures(texts: Sequence[str]) -> np.ndarray:
    """Return eight bits of each of the values of each text's MinHash, uint8 of shape ``(len(texts), PERMUTATIONS)``."""
    flat, offsets = shingles(texts)
    places = offsets.astype(np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(_spread(flat), places, PERMUTATIONS, _SEED)
    values = np.fromiter(itertools.chain.from_iterable(matrix.to_rows()), np.uint64, len(texts) * PERMUTATIONS)
    return (_spread(values) >> np.uint64(56)).astype(np.uint8).reshape(-1, PERMUTATIONS)


def _spread(values: np.ndarray) -> np.ndarray:
    """Spread integers over 64 bits by the finaliser of MurmurHash3."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))
