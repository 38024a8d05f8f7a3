"""Families of near-duplicate questions: the connected components of "is nearly the same question as"."""

from collections.abc import Iterable, Sequence

import numpy as np

from medscale.near_duplicates import Candidates, similarities
from medscale.shingles import shingle_set, shingles

_BATCH = 4096


class Components:
    """Disjoint sets of the numbers 0 … count - 1 (union by the smaller number, with path halving)."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

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

    def are_apart(self, pairs: np.ndarray) -> np.ndarray:
        """Tell for each pair, int64 of shape ``(n, 2)``, whether its items are in different sets."""
        return np.fromiter((self.find(one) != self.find(other) for one, other in pairs.tolist()), bool, len(pairs))

    def labels(self) -> np.ndarray:
        """Return the name of each item's set, int64 of shape ``(count,)``."""
        return np.fromiter((self.find(item) for item in range(len(self._parents))), np.int64, len(self._parents))


def near_duplicate_components(texts: Sequence[str], threshold: float) -> Components:
    """Unite texts whose character 3-gram sets have a Jaccard similarity of at least ``threshold``, transitively.

    A chain of small changes joins texts that are not alike at its ends. That is meant: cutting the chain somewhere
    would leave two near-duplicates on the two sides of the cut.

    Parameters
    ----------
    texts : texts as `medscale.shingles.comparable` returns them, in a fixed order.
    threshold : Jaccard similarity in (0, 1].
    """
    components = Components(len(texts))
    first: dict[str, int] = {}
    components.join((number, first.setdefault(text, number)) for number, text in enumerate(texts))
    numbers = np.fromiter(first.values(), np.int64, len(first))
    distinct = list(first)

    candidates = Candidates(threshold)
    for start in range(0, len(distinct), _BATCH):
        candidates.add(*shingles(distinct[start : start + _BATCH]))
    for pairs in candidates.pairs(lambda pairs: components.are_apart(numbers[pairs])):
        alike = similarities(pairs, lambda number: shingle_set(distinct[number])) >= threshold
        components.join(numbers[pairs[alike]].tolist())
    return components
