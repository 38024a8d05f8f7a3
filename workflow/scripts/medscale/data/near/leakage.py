"""The proof that a split is clean: an exact search for near-duplicate questions on two sides of it.

It shares nothing with the search that made the families but the definition of similarity: no MinHash and no chance.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from medscale.data.near.pairs import similarities
from medscale.data.near.shingles import shingle_set, shingles

_BATCH = 4096
# So many of its rarest n-grams a text must share at least to be looked at. More make the list of n-grams longer, and
# the pairs that are looked at fewer.
_SHARED = 4
# Rarity is judged by so many texts; it decides how long the search takes, never what it finds.
_SAMPLE = 50_000
# A table of yes and no, one byte each, that most n-grams of most texts are turned away by.
_TABLE_BITS = 21
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Leakage:
    """What the search found.

    Attributes
    ----------
    pairs : int64 of shape ``(n, 2)``, near-duplicate questions that lie in different parts.
    compared : how many pairs were compared by their exact similarity; all others cannot reach the threshold.
    """

    pairs: np.ndarray
    compared: int


def crossing_pairs(texts: Sequence[str], parts: np.ndarray, held_out: np.ndarray, threshold: float) -> Leakage:
    """Find every pair of texts in different parts, one of them held out, that are near-duplicates.

    Where J(x, y) ≥ t, y holds at least ⌈t·|x|⌉ of the n-grams of x, so it holds at least k of any |x| - ⌈t·|x|⌉ + k
    of them (the prefix filter of Chaudhuri, Ganti, Kaushik, ICDE 2006, with k as Wang, Li, Feng, SIGMOD 2012, choose
    it). Only texts that hold k of the rarest so many n-grams of a held-out text are compared with it.

    Parameters
    ----------
    texts : all questions, as `shingles.comparable` returns them. They are read in order, batch by batch.
    parts : the part of each, integers of shape ``(len(texts),)``.
    held_out : numbers of the texts that are compared with all others (those of test and validation).
    threshold : Jaccard similarity in (0, 1].
    """
    if not len(held_out):
        return Leakage(np.empty((0, 2), np.int64), 0)
    prefixes = _Prefixes(texts, held_out, threshold)
    found, compared = [], 0
    for rows, flat in _batches(texts):
        pairs = prefixes.candidates(rows, flat)
        pairs = pairs[parts[pairs[:, 0]] != parts[pairs[:, 1]]]
        compared += len(pairs)
        found.append(pairs[similarities(pairs, lambda number: shingle_set(texts[number])) >= threshold])
    return Leakage(np.concatenate(found), compared)


class _Prefixes:
    """The rarest n-grams of the held-out texts, each with the texts that it is of."""

    def __init__(self, texts: Sequence[str], held_out: np.ndarray, threshold: float) -> None:
        sets = [shingle_set(texts[number]) for number in held_out]
        frequent, counts = _frequencies(texts, np.unique(np.concatenate(sets)))
        prefixes, needed = [], []
        for members in sets:
            # The small term keeps a product such as 0.6 · 5 = 3.0000000000000004 from asking for one n-gram too many.
            common = math.ceil(threshold * len(members) - 1e-9)
            needed.append(min(_SHARED, common))
            rarest = np.argsort(counts[np.searchsorted(frequent, members)], kind="stable")
            prefixes.append(members[rarest[: len(members) - common + needed[-1]]])
        flat = np.concatenate(prefixes)
        owners = np.repeat(np.arange(len(held_out)), [len(prefix) for prefix in prefixes])
        order = np.argsort(flat, kind="stable")
        self._held_out, self._needed = held_out, np.array(needed)
        self._ngrams, self._starts = np.unique(flat[order], return_index=True)
        self._repeats = np.diff(self._starts, append=len(flat))
        self._owners = owners[order]
        self._table = _table(self._ngrams)

    def candidates(self, rows: np.ndarray, flat: np.ndarray) -> np.ndarray:
        """Return pairs of a held-out text and one of these texts that share enough of the prefix, int64 ``(n, 2)``."""
        rows, places = _found(self._ngrams, self._table, flat, rows)
        # A text may hold an n-gram several times.
        hits = np.unique(rows * len(self._ngrams) + places)
        rows, places = hits // len(self._ngrams), hits % len(self._ngrams)
        repeats = self._repeats[places]
        owners = self._owners[_ranges(self._starts[places], repeats)]
        pairs, shared = np.unique(np.repeat(rows, repeats) * len(self._held_out) + owners, return_counts=True)
        rows, owners = pairs // len(self._held_out), pairs % len(self._held_out)
        enough = shared >= self._needed[owners]
        return np.stack([self._held_out[owners[enough]], rows[enough]], axis=1)


def _frequencies(texts: Sequence[str], known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``known``, sorted n-grams, and how often each stands in a sample of the texts."""
    counts, table = np.zeros(len(known), np.int64), _table(known)
    step = max(1, len(texts) // _SAMPLE)
    for rows, flat in _batches(texts, step):
        counts += np.bincount(_found(known, table, flat, rows)[1], minlength=len(known))
    return known, counts


def _table(ngrams: np.ndarray) -> np.ndarray:
    table = np.zeros(1 << _TABLE_BITS, bool)
    table[_slots(ngrams)] = True
    return table


def _slots(ngrams: np.ndarray) -> np.ndarray:
    return (ngrams * _MULTIPLIER) >> np.uint64(64 - _TABLE_BITS)


def _found(known: np.ndarray, table: np.ndarray, flat: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of those n-grams that are known, and their places among the known ones."""
    likely = np.flatnonzero(table[_slots(flat)])
    flat, rows = flat[likely], rows[likely]
    places = np.minimum(np.searchsorted(known, flat), len(known) - 1)
    right = known[places] == flat
    return rows[right], places[right]


def _batches(texts: Sequence[str], step: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the n-grams of all texts, or of every ``step``-th batch, and the number of the text that each is from."""
    for start in range(0, len(texts), _BATCH * step):
        flat, offsets = shingles(texts[start : start + _BATCH])
        yield np.repeat(np.arange(start, start + len(offsets) - 1), np.diff(offsets)), flat


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return start, start + 1, …, start + length - 1 for each start, one after another."""
    ends = np.cumsum(lengths)
    return np.arange(lengths.sum()) - np.repeat(ends - lengths - starts, lengths)
