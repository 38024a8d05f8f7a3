"""The proof that a split is clean: an exact search for near-duplicate questions on two sides of it.

It shares nothing with the search that made the families but the definition of similarity: no MinHash and no chance.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from medscale.near_duplicates import similarities
from medscale.shingles import shingle_set, shingles

_BATCH = 4096


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

    Where J(x, y) ≥ t, y holds at least ⌈t·|x|⌉ of the n-grams of x, so it holds at least one of any |x| - ⌈t·|x|⌉ + 1
    of them (the prefix filter of Chaudhuri, Ganti, Kaushik, ICDE 2006). Only texts that hold one of the rarest so
    many n-grams of a held-out text are compared with it.

    Parameters
    ----------
    texts : all questions, as `medscale.shingles.comparable` returns them.
    parts : the part of each, integers of shape ``(len(texts),)``.
    held_out : numbers of the texts that are compared with all others (those of test and validation).
    threshold : Jaccard similarity in (0, 1].
    """
    if not len(held_out):
        return Leakage(np.empty((0, 2), np.int64), 0)
    ngrams, owners = _rarest_ngrams(texts, held_out, threshold)
    found, compared = [], 0
    for rows, flat in _batches(texts):
        starts = np.searchsorted(ngrams, flat, "left")
        repeats = np.searchsorted(ngrams, flat, "right") - starts
        owner = owners[_ranges(starts, repeats)]
        row = np.repeat(rows, repeats)
        apart = parts[row] != parts[owner]
        pairs = np.unique(np.stack([owner[apart], row[apart]], axis=1), axis=0)
        compared += len(pairs)
        found.append(pairs[similarities(pairs, lambda number: shingle_set(texts[number])) >= threshold])
    return Leakage(np.concatenate(found), compared)


def _rarest_ngrams(texts: Sequence[str], held_out: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the prefix n-grams of the held-out texts, sorted, and which text each belongs to."""
    sets = [shingle_set(texts[number]) for number in held_out]
    known = np.unique(np.concatenate(sets))
    counts = np.zeros(len(known), np.int64)
    for _, flat in _batches(texts):
        places = np.minimum(np.searchsorted(known, flat), len(known) - 1)
        counts += np.bincount(places[known[places] == flat], minlength=len(known))
    prefixes, owners = [], []
    for number, members in zip(held_out, sets, strict=True):
        # The small term keeps a product such as 0.6 · 5 = 3.0000000000000004 from asking for one n-gram too many.
        length = len(members) - math.ceil(threshold * len(members) - 1e-9) + 1
        rarest = np.argsort(counts[np.searchsorted(known, members)], kind="stable")[:length]
        prefixes.append(members[rarest])
        owners.append(np.full(len(rarest), number, np.int64))
    flat, owner = np.concatenate(prefixes), np.concatenate(owners)
    order = np.argsort(flat, kind="stable")
    return flat[order], owner[order]


def _batches(texts: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the n-grams of all texts batch by batch, and the number of the text that each is from."""
    for start in range(0, len(texts), _BATCH):
        flat, offsets = shingles(texts[start : start + _BATCH])
        yield np.repeat(np.arange(start, start + len(offsets) - 1), np.diff(offsets)), flat


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return start, start + 1, …, start + length - 1 for each start, one after another."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1]) - np.repeat(ends - lengths - starts, lengths)
