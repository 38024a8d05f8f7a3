"""Families of near-duplicate questions: the connected components of "is nearly the same question as"."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from medscale.data.near.pairs import Candidates, signatures, similarities
from medscale.data.near.shingles import shingle_set, shingles
from medscale.data.near.text_store import DIGEST_BYTES, GrowingArray, digest, first_occurrences

_BATCH = 4096
_STEPS = 32
_SETS_IN_MEMORY = 20_000


class Components:
    """Disjoint sets of the numbers 0 … count - 1 (union by the smaller number, with path halving)."""

    def __init__(self, count: int) -> None:
        self._parents = array("q", range(count))

    def find(self, item: int) -> int:
        """Return the smallest member of the item's set, by which the set is named."""
        parents = self._parents
        while parents[item] != item:
            parents[item] = parents[parents[item]]
            item = parents[item]
        return item

    def join(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Unite the sets of the two items of each pair."""
        for one, other in pairs:
            one, other = self.find(one), self.find(other)
            self._parents[max(one, other)] = min(one, other)

    def names(self, items: np.ndarray) -> np.ndarray:
        """Return the name of the set of each of these items, int64 of the shape of ``items``."""
        parents = np.frombuffer(self._parents, np.int64)
        names, steps = parents[items], 0
        while not np.array_equal(names, above := parents[names]):
            names, steps = above, steps + 1
            if steps == _STEPS:  # a long chain: shorten all at once, by doubling
                parents[:] = self.labels()
        parents[items] = names
        return names

    def are_apart(self, pairs: np.ndarray) -> np.ndarray:
        """Tell for each pair, int64 of shape ``(n, 2)``, whether its items are in different sets."""
        names = self.names(pairs)
        return names[:, 0] != names[:, 1]

    def labels(self) -> np.ndarray:
        """Return the name of each item's set, int64 of shape ``(count,)``."""
        labels = np.array(self._parents)
        while not np.array_equal(labels, above := labels[labels]):
            labels = above
        return labels


class Marks(NamedTuple):
    """What the search for families keeps of some texts: digests and signatures, uint8, a row for each text."""

    digests: np.ndarray
    signatures: np.ndarray


def marks(texts: Sequence[str]) -> Marks:
    """Return the marks of texts as `shingles.comparable` returns them."""
    digests = np.frombuffer(b"".join(map(digest, texts)), np.uint8).reshape(-1, DIGEST_BYTES)
    return Marks(digests, signatures(*shingles(texts)))


class FamilySearch:
    """Takes the marks of texts in their order, and then unites those that are near.

    Parameters
    ----------
    threshold : Jaccard similarity in (0, 1] of the sets of character 3-grams.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._digests, self._candidates = GrowingArray((DIGEST_BYTES,), np.uint8), Candidates(threshold)

    def add(self, batch: Marks) -> None:
        """Add texts by their marks."""
        self._digests.extend(batch.digests)
        self._candidates.add_signatures(batch.signatures)

    def families(self, texts: Sequence[str]) -> Components:
        """Return the families of the texts, all of whose marks were added. Nothing can be added after it."""
        candidates = self._candidates
        first = first_occurrences(self._digests.rows)
        components = Components(len(first))
        is_first = first == np.arange(len(first))
        again, numbers = np.flatnonzero(~is_first), np.flatnonzero(is_first)
        components.join(zip(first[again].tolist(), again.tolist(), strict=True))

        candidates.keep(numbers)
        set_of = lru_cache(_SETS_IN_MEMORY)(lambda number: shingle_set(texts[number]))
        for pairs in candidates.pairs(
            lambda pairs: components.are_apart(numbers[pairs]), lambda places: components.names(numbers[places])
        ):
            pairs = numbers[pairs]
            alike = similarities(pairs, set_of) >= self._threshold
            components.join(pairs[alike].tolist())
        return components


def near_duplicate_components(
    texts: Sequence[str], threshold: float, batches: Iterable[Marks] | None = None
) -> Components:
    """Unite texts whose character 3-gram sets have a Jaccard similarity of at least ``threshold``, transitively.

    A chain of small changes joins texts that are not alike at its ends. That is meant: cutting the chain somewhere
    would leave two near-duplicates on the two sides of the cut.

    Parameters
    ----------
    texts : texts as `shingles.comparable` returns them, in a fixed order. They may lie in a file: memory
        holds 280 bytes a text beside them.
    threshold : Jaccard similarity in (0, 1].
    batches : the marks of all texts in their order, if they are there already; default None, they are made here.
    """
    search = FamilySearch(threshold)
    for batch in marks_of(texts) if batches is None else batches:
        search.add(batch)
    return search.families(texts)


def marks_of(texts: Sequence[str]) -> Iterator[Marks]:
    """Yield the marks of texts, which may lie in a file, batch by batch."""
    for start in range(0, len(texts), _BATCH):
        yield marks(texts[start : start + _BATCH])
