"""Places with equal keys, and the pairs of them: all pairs of a bucket, or a bounded number where it is crowded.

A bucket of m places has m²/2 pairs. Of texts made from a template thousands lie in one bucket, and looking at each pair
would take hours. So a place is paired with at most ``max(16, 300000 / m)`` neighbours on one side: that is all of them
up to 548 places, and a bounded number of pairs a place from there on. Neighbours are likely pairs if the places of
a crowded bucket are arranged by a second key first.
"""

from collections.abc import Callable, Iterator

import numpy as np

REACH = 16
"""A place is paired with so many neighbours at least, however crowded its bucket is."""
PAIRS_OF_BUCKET = 300_000
"""In a bucket whose places have fewer pairs than this, roughly, each is paired with each."""

_PAIRS = 8192


class Buckets:
    """Places 0 … n - 1 by their keys.

    Parameters
    ----------
    keys : uint64 of shape ``(n,)``.
    key_bits : how many bits of them are used, 1 to 64.

    Attributes
    ----------
    crowded : how many places are in buckets too large for all of their pairs.
    cut : how many places had partners in their bucket that they were not paired with, so far.
    """

    def __init__(self, keys: np.ndarray, key_bits: int) -> None:
        self._order, ordered = _sorted(keys, key_bits)
        is_first = np.ones(len(ordered) + 1, bool)
        is_first[1:-1] = ordered[1:] != ordered[:-1]
        edges = np.flatnonzero(is_first)
        sizes = np.diff(edges)
        several = sizes > 1
        self._starts, self._sizes = edges[:-1][several], sizes[several]
        self._reach = np.minimum(self._sizes - 1, np.maximum(REACH, PAIRS_OF_BUCKET // np.maximum(1, self._sizes)))
        self.crowded = int(self._sizes[self._reach < self._sizes - 1].sum())
        self.cut = 0

    def arrange(self, keys_of: Callable[[np.ndarray], np.ndarray]) -> None:
        """Sort the places of each crowded bucket by a second key, ``keys_of(places)``."""
        for bucket in np.flatnonzero(self._reach < self._sizes - 1).tolist():
            part = slice(self._starts[bucket], self._starts[bucket] + self._sizes[bucket])
            places = self._order[part]
            self._order[part] = places[np.argsort(keys_of(places), kind="stable")]

    def pairs(self, sets: Callable[[np.ndarray], np.ndarray] | None = None) -> Iterator[np.ndarray]:
        """Yield pairs of places, int64 of shape ``(n, 2)``: neighbours first, then those two apart, and so on.

        Parameters
        ----------
        sets : called with places, returns the set that each is in; a bucket that lies in one set is left.
        """
        buckets, apart = np.arange(len(self._starts)), 1
        while len(buckets):
            # Whether a bucket lies in one set is asked ever more seldom: at the neighbours 2, 3, 5, 9, 17 … apart.
            if sets is not None and apart > 1 and (apart - 1) & (apart - 2) == 0:
                buckets = buckets[self._are_divided(buckets, sets)]
            firsts = _ranges(self._starts[buckets], self._sizes[buckets] - apart)
            for start in range(0, len(firsts), _PAIRS):
                some = firsts[start : start + _PAIRS]
                yield np.stack([self._order[some], self._order[some + apart]], axis=1)
            apart += 1
            is_done = self._reach[buckets] < apart
            done, buckets = buckets[is_done], buckets[~is_done]
            done = done[self._reach[done] < self._sizes[done] - 1]
            if len(done):
                self.cut += int(self._sizes[done if sets is None else done[self._are_divided(done, sets)]].sum())

    def pairs_between(self, is_earlier: np.ndarray) -> Iterator[np.ndarray]:
        """Yield pairs of an earlier place and another one of its bucket, nearest in order first.

        Parameters
        ----------
        is_earlier : bool of shape ``(n,)``.
        """
        places = _ranges(self._starts, self._sizes)
        reach = np.repeat(self._reach, self._sizes)
        is_earlier = is_earlier[self._order[places]]
        earlier = self._order[places[is_earlier]]
        before = np.cumsum(is_earlier)  # how many earlier places come up to here, of all buckets
        ends = np.cumsum(self._sizes)
        low = np.repeat(np.concatenate([[0], before])[ends - self._sizes], self._sizes)
        high = np.repeat(before[ends - 1], self._sizes) if len(ends) else low
        others = np.flatnonzero(~is_earlier & (low < high))
        step = 0
        while len(others):
            for number in (before[others] + step, before[others] - 1 - step):
                there = np.flatnonzero((number >= low[others]) & (number < high[others]))
                for start in range(0, len(there), _PAIRS):
                    some = there[start : start + _PAIRS]
                    yield np.stack([earlier[number[some]], self._order[places[others[some]]]], axis=1)
            step += 1
            more = (before[others] + step < high[others]) | (before[others] - 1 - step >= low[others])
            others = others[more]
            within = step <= reach[others]
            self.cut += int((~within).sum())
            others = others[within]

    def _are_divided(self, buckets: np.ndarray, sets: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        sizes = self._sizes[buckets]
        if not len(buckets):
            return np.empty(0, bool)
        names = sets(self._order[_ranges(self._starts[buckets], sizes)])
        starts = np.cumsum(sizes) - sizes
        return np.minimum.reduceat(names, starts) != np.maximum.reduceat(names, starts)


def _sorted(keys: np.ndarray, key_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places in the order of their keys, equal ones in their own, and the keys in that order."""
    place_bits = len(keys).bit_length()
    if key_bits + place_bits > 64:
        order = np.argsort(keys, kind="stable")
        return order, keys[order]
    # Key and place in one integer: sorting integers is several times as fast as sorting their places.
    packed = (keys << np.uint64(place_bits)) | np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    return (packed & np.uint64((1 << place_bits) - 1)).astype(np.int64), packed >> np.uint64(place_bits)


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return start, start + 1, …, start + length - 1 for each start, one after another."""
    ends = np.cumsum(lengths)
    return np.arange(lengths.sum()) - np.repeat(ends - lengths - starts, lengths)
