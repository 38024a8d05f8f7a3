"""Which rows to drop, so that no row stays that is near an earlier one which stays: the first of near ones is kept.

Where there are few pairs, all near ones are found at once and gone through in their order. Rows made from a template
have too many pairs for that, and nearly all of them are dropped: then the first half of the rows is judged first, in
the second half what is near a kept row of the first is dropped, and only what is left is judged by itself. The same
rows are kept, since a dropped row takes nothing with it. A row is looked at no more once one kept row near it is
found, which need not be the first of those: so the pairs that are compared grow with the rows, and not with the kept
ones of a template too.
"""

from collections.abc import Callable, Iterable

import numpy as np

from medscale.data.near.pairs import Candidates

BLOCK = 250
"""So many rows are judged at once: no bucket of theirs is too large to look at each pair."""
PAIRS_OF_ROW = 8
"""Where there are more candidates than this for each row, on average, they are not all compared; usual is below 1."""


class KeptFirst:
    """The search among ``count`` rows.

    Parameters
    ----------
    count : how many rows there are.
    verified : called with candidate pairs, returns the places of those that are near, and two float64 arrays of their
        similarities.
    """

    def __init__(
        self,
        count: int,
        verified: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]],
    ) -> None:
        self._count, self._verified = count, verified
        # For each row a kept row before it that it is near, or `count` where it is kept itself.
        self._twins = np.full(count, count, np.int64)
        self._similarities = np.zeros((count, 2))

    def run(
        self, candidates: Candidates, less_crowded: Callable[[], Candidates]
    ) -> dict[int, tuple[int, float, float]]:
        """Return the rows to drop, each with a kept row before it that it is near and their two similarities.

        Where all pairs are looked at, that is the first such row.

        Parameters
        ----------
        candidates : the signatures of the rows.
        less_crowded : returns other ones, for rows of which these make too many pairs.
        """
        if not self._by_all_pairs(candidates):
            candidates = less_crowded()
            if not self._by_all_pairs(candidates):
                self._kept(np.arange(self._count), candidates)
        dropped = np.flatnonzero(self._twins < self._count)
        both = self._similarities[dropped].tolist()
        return {
            row: (twin, *values)
            for row, twin, values in zip(dropped.tolist(), self._twins[dropped].tolist(), both, strict=True)
        }

    def _by_all_pairs(self, candidates: Candidates) -> bool:
        """Judge all rows at once, or tell that there are too many pairs for that."""
        found, left = [], PAIRS_OF_ROW * self._count
        for pairs in candidates.pairs():
            left -= len(pairs)
            if candidates.crowded or left < 0:
                return False
            found.append(self._near(pairs))
        self._drop(found)
        return True

    def _near(self, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        near, one, other = self._verified(pairs)
        return pairs[near], np.stack([one, other], axis=1)

    def _drop(self, found: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """Go through all near pairs of some rows in their order, and drop what is near a row that is kept."""
        found = list(found)
        if not found:
            return
        pairs, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
        for place in np.lexsort((pairs[:, 1], pairs[:, 0])).tolist():
            earlier, later = pairs[place]
            if self._twins[later] == self._twins[earlier] == self._count:
                self._twins[later], self._similarities[later] = earlier, values[place]

    def _kept(self, rows: np.ndarray, candidates: Candidates) -> np.ndarray:
        """Judge rows, numbers in rising order, none of them near a kept row before them; return those that are kept."""
        if len(rows) <= BLOCK:
            self._drop(map(self._near, candidates.pairs(among=rows)))
            return rows[self._twins[rows] == self._count]
        kept, rest = self._kept(rows[: len(rows) // 2], candidates), rows[len(rows) // 2 :]
        for pairs in candidates.pairs_between(kept, rest, lambda pairs: self._twins[pairs[:, 1]] == self._count):
            near, values = self._near(pairs)
            # Of several kept rows the first is named: it is written last.
            order = np.argsort(-near[:, 0], kind="stable")
            near, values = near[order], values[order]
            is_first = near[:, 0] < self._twins[near[:, 1]]
            self._twins[near[is_first, 1]], self._similarities[near[is_first, 1]] = near[is_first, 0], values[is_first]
        return np.concatenate([kept, self._kept(rest[self._twins[rest] == self._count], candidates)])
