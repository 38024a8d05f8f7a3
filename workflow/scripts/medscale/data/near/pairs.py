"""Pairs of near-duplicate texts: candidates by MinHash and banding, each verified by its exact Jaccard similarity.

Signatures come from ``rensa``. An estimate only chooses which pairs are looked at: no pair is called near-duplicate
unless the exact Jaccard similarity of its n-gram sets reaches the threshold. The result depends neither on threads or
processor nor on ``PYTHONHASHSEED``.
"""

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
from rensa import RMinHash

from medscale.data.near.buckets import Buckets
from medscale.data.near.shingles import jaccard_of_pairs
from medscale.data.near.text_store import GrowingArray

PERMUTATIONS = 256
# What a pair exactly at the threshold may be overlooked with: by the bands, and by the look at whole signatures.
BAND_MISS = 2e-4
SIGNATURE_MISS = 1e-6

_SEED = 20240
# As much as fits into the processor's caches: larger ones are slower.
_BATCH = 128
# So many pairs that came already are held, eight bytes each, give or take a band's.
_SEEN = 4_000_000
# So many n-grams are looked up at once.
_MEMBERS = 1_000_000


def bands_for(threshold: float) -> tuple[int, int]:
    """Return ``(rows, bands)``: the longest bands that still find nearly every pair at the threshold.

    A pair of similarity s agrees in a band of r values with probability s^r, and in none of b bands with (1 - s^r)^b
    (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4.2). Longer bands give fewer false candidates.

    Parameters
    ----------
    threshold : Jaccard similarity in (0, 1].
    """
    for rows in range(PERMUTATIONS, 1, -1):
        bands = PERMUTATIONS // rows
        if (1.0 - threshold**rows) ** bands <= BAND_MISS:
            return rows, bands
    return 1, PERMUTATIONS


def signatures(ngrams: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the MinHash signatures of texts, of which eight bits a value are kept.

    Parameters
    ----------
    ngrams, offsets : as `shingles.shingles` returns them.

    Returns uint8 of shape ``(texts, 256)``.
    """
    result = np.empty((len(offsets) - 1, PERMUTATIONS), np.uint8)
    for start in range(0, len(result), _BATCH):
        ends = offsets[start : start + _BATCH + 1]
        flat = _mixed(ngrams[ends[0] : ends[-1]])
        places = (ends - ends[0]).astype(np.uint64)
        rows = RMinHash.digest_matrix_from_flat_token_hashes(flat, places, PERMUTATIONS, _SEED).to_rows()
        values = np.fromiter(itertools.chain.from_iterable(rows), np.uint64, len(rows) * PERMUTATIONS)
        result[start : start + len(rows)] = (_mixed(values) >> np.uint64(56)).reshape(-1, PERMUTATIONS)
    return result


class Candidates:
    """Pairs of texts that may be as similar as a threshold, from their MinHash signatures.

    A candidate agrees in a whole band, and in so much of the signature that less would have a probability below 10⁻⁶
    at the threshold (Hoeffding: share ≥ t - √(ln 10⁶ / 2·256)). Only eight bits of each value are kept, which is 256
    bytes a text; that makes chance agreements, which cost time, and loses none.

    Texts that agree in a band are a bucket. In a bucket of up to 548 texts each is looked at with each; in a larger
    one, which texts made from a template fill, each with the 16 or more whose signatures are the nearest in order, so
    that time grows with the number of texts and not with its square. See `buckets`.

    Parameters
    ----------
    threshold : Jaccard similarity in (0, 1].

    Attributes
    ----------
    looked_at : how many pairs of signatures were compared so far.
    crowded : how many texts were so far in buckets too large to look at each pair, summed over the bands.
    cut : how many of these had others in their bucket that they were not compared with, likewise.
    """

    def __init__(self, threshold: float) -> None:
        self._rows, self._bands = bands_for(threshold)
        margin = math.sqrt(-math.log(SIGNATURE_MISS) / (2 * PERMUTATIONS))
        self._least_agreement = math.ceil((threshold - margin) * PERMUTATIONS)
        self._signatures = GrowingArray((PERMUTATIONS,), np.uint8)
        self.looked_at = self.crowded = self.cut = 0

    def add(self, ngrams: np.ndarray, offsets: np.ndarray) -> None:
        """Add texts, as `shingles.shingles` returns them; they are numbered in the order they come."""
        self.add_signatures(signatures(ngrams, offsets))

    def add_signatures(self, rows: np.ndarray) -> None:
        """Add texts by what `signatures` returns for them."""
        self._signatures.extend(rows)

    def keep(self, places: np.ndarray) -> None:
        """Forget all texts but these, numbers in rising order; the ones that stay are numbered anew."""
        self._signatures.keep(places)

    def clear(self) -> None:
        """Forget all texts, and give their memory back."""
        self._signatures = GrowingArray((PERMUTATIONS,), np.uint8)

    def crowding(self) -> int:
        """Return how many texts are in buckets too large to look at each pair, summed over the bands."""
        every = np.arange(len(self._signatures.rows))
        return sum(Buckets(self._key(band, every), min(64, 8 * self._rows)).crowded for band in range(self._bands))

    def pairs(
        self,
        wanted: Callable[[np.ndarray], np.ndarray] | None = None,
        sets: Callable[[np.ndarray], np.ndarray] | None = None,
        among: np.ndarray | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield arrays of candidate pairs, int64 of shape ``(n, 2)`` with the smaller number first.

        Each pair comes once, as long as there are not millions of them; after that one may come again.

        Parameters
        ----------
        wanted : called with an array of pairs, returns a mask of those that are worth a look; default: all are. What
            it says may change between calls, as components grow.
        sets : called with an array of texts, returns the name of the set that each is in by now; a bucket that lies
            in one set is left. Default: none is.
        among : the texts to look at, numbers in rising order; default: all.
        """
        among = np.arange(len(self._signatures.rows)) if among is None else among
        yield from self._candidates(among, lambda bands: bands.pairs(sets), wanted)

    def pairs_between(
        self, earlier: np.ndarray, later: np.ndarray, wanted: Callable[[np.ndarray], np.ndarray]
    ) -> Iterator[np.ndarray]:
        """Yield candidate pairs of one of ``earlier`` and one of ``later``, both in rising order, as `pairs` does."""
        is_earlier = np.arange(len(earlier) + len(later)) < len(earlier)
        among = np.concatenate([earlier, later])
        yield from self._candidates(among, lambda bands: bands.pairs_between(is_earlier), wanted)

    def _candidates(
        self,
        among: np.ndarray,
        pairs_of: Callable[[Buckets], Iterator[np.ndarray]],
        wanted: Callable[[np.ndarray], np.ndarray] | None,
    ) -> Iterator[np.ndarray]:
        signatures = self._signatures.rows
        seen = np.empty(0, np.int64)
        for band in range(self._bands):
            buckets = Buckets(self._key(band, among), min(64, 8 * self._rows))
            if buckets.crowded:
                self.crowded += buckets.crowded
                buckets.arrange(lambda places, band=band: self._key((band + 1) % self._bands, among[places]))
            fresh = []
            for places in pairs_of(buckets):
                pairs = among[places]
                if wanted is not None:
                    pairs = pairs[wanted(pairs)]
                pairs.sort(axis=1)
                self.looked_at += len(pairs)
                agreements = np.count_nonzero(signatures[pairs[:, 0]] == signatures[pairs[:, 1]], axis=1)
                pairs = pairs[agreements >= self._least_agreement]
                codes = pairs[:, 0] * len(signatures) + pairs[:, 1]
                new = ~_is_in(codes, seen)
                if new.any():
                    fresh.append(codes[new])
                    yield pairs[new]
            self.cut += buckets.cut
            if fresh and len(seen) < _SEEN:
                seen = np.sort(np.concatenate([seen, *fresh]))

    def _key(self, band: int, texts: np.ndarray) -> np.ndarray:
        return _folded(self._signatures.rows[texts, band * self._rows : (band + 1) * self._rows])


def similarities(pairs: np.ndarray, set_of: Callable[[int], np.ndarray]) -> np.ndarray:
    """Return the exact Jaccard similarity of each pair.

    Parameters
    ----------
    pairs : int64 of shape ``(n, 2)``.
    set_of : returns the sorted distinct n-grams of a text by its number; called once for each.

    Returns float64 of shape ``(n,)``.
    """
    numbers, places = np.unique(pairs, return_inverse=True)
    sets = [set_of(number) for number in numbers.tolist()]
    sizes = np.fromiter(map(len, sets), np.int64, len(sets))
    places = places.reshape(-1, 2)
    places = np.take_along_axis(places, np.argsort(sizes[places], axis=1, kind="stable"), axis=1)  # smaller set first
    result, ends = np.empty(len(pairs)), np.cumsum(sizes[places[:, 0]])
    start = 0
    while start < len(pairs):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _MEMBERS)))
        result[start:stop] = jaccard_of_pairs(sets, places[start:stop])
        start = stop
    return result


def _folded(band: np.ndarray) -> np.ndarray:
    """Return one integer for each row of a band; rows that agree have the same one."""
    keys = np.zeros(len(band), dtype=np.uint64)
    for column in band.T:
        keys = _mixed(keys ^ column) if band.shape[1] > 8 else (keys << np.uint64(8)) | column
    return keys


def _is_in(codes: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    if not len(ordered):
        return np.zeros(len(codes), dtype=bool)
    places = np.minimum(np.searchsorted(ordered, codes), len(ordered) - 1)
    return ordered[places] == codes


def _mixed(values: np.ndarray) -> np.ndarray:
    """Spread integers over 64 bits by the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
