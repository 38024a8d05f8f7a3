"""Texts as sets of character n-grams, and their exact Jaccard similarity.

An n-gram is three characters. A code point has 21 bits, so three of them fit into one 64-bit integer exactly: no
hash, no collision, and sets that NumPy can handle.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

NGRAM = 3

# What tells two questions apart: letters, digits and the signs of a measurement. HBsAg(+) is not HBsAg(-).
_NOISE = re.compile(r"[^\w+<>=≥≤±×÷%℃]+|_+")
# Most texts hold nothing but what stands here, and of them NFKC and case folding make what `_PLAIN_NOISE` and lower
# case make: CJK characters and ASCII are their own NFKC, and the full-width marks become ASCII marks, which are noise.
_PLAIN_MARKS = r"\n !-$&-*,-/:;?@\[-`{-~，。、；：？！（）“”‘’《》【】「」—·～"
_PLAIN = re.compile(rf"[\u4e00-\u9fffA-Za-z0-9+<=>%{_PLAIN_MARKS}]*")
_PLAIN_NOISE = re.compile(rf"[{_PLAIN_MARKS}]+")
_BITS = np.uint64(21)


def comparable(text: str) -> str:
    """Return what is compared of a text: NFKC, lower case, without white space and punctuation.

    A text of punctuation alone is compared as it is.
    """
    if _PLAIN.fullmatch(text):
        return _PLAIN_NOISE.sub("", text).lower() or text
    return _NOISE.sub("", unicodedata.normalize("NFKC", text).casefold()) or text


def shingles(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the n-grams of many texts as one flat array.

    Parameters
    ----------
    texts : texts as `comparable` returns them; one shorter than an n-gram counts as a single n-gram, filled with NUL.

    Returns ``(ngrams, offsets)``: uint64 n-grams, repeated ones included, and int64 offsets of length
    ``len(texts) + 1``, so that text ``i`` has ``ngrams[offsets[i]:offsets[i + 1]]``.
    """
    padded = [text.ljust(NGRAM, "\0") for text in texts]
    lengths = np.fromiter((len(text) for text in padded), dtype=np.int64, count=len(padded))
    offsets = np.concatenate([[0], np.cumsum(lengths - (NGRAM - 1))])
    if not padded:
        return np.empty(0, np.uint64), offsets
    # The last two starts of a text reach into the next one.
    ends = np.cumsum(lengths)[:-1]
    return np.delete(_packed("".join(padded)), np.concatenate([ends - 1, ends - 2])), offsets


def shingle_set(text: str) -> np.ndarray:
    """Return the sorted distinct n-grams of one comparable text, uint64."""
    ngrams = np.sort(_packed(text.ljust(NGRAM, "\0")))
    return ngrams[np.concatenate([[True], ngrams[1:] != ngrams[:-1]])]


def _packed(text: str) -> np.ndarray:
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    return (points[:-2] << (_BITS + _BITS)) | (points[1:-1] << _BITS) | points[2:]


def jaccard(one: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """Return |A ∩ B| / |A ∪ B| of one set with each of some others, exactly.

    Parameters
    ----------
    one, others : non-empty sets as `shingle_set` returns them.

    Returns a float64 array of shape ``(len(others),)``.
    """
    sizes = np.fromiter((len(other) for other in others), dtype=np.int64, count=len(others))
    flat = np.concatenate(others)
    places = np.minimum(np.searchsorted(one, flat), len(one) - 1)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    common = np.add.reduceat((one[places] == flat).astype(np.int64), starts)
    return common / (len(one) + sizes - common)


def jaccard_of_pairs(sets: Sequence[np.ndarray], pairs: np.ndarray) -> np.ndarray:
    """Return the similarities of many pairs of sets at once, exactly as `jaccard` returns them.

    Parameters
    ----------
    sets : non-empty sets as `shingle_set` returns them.
    pairs : places of two sets each, int64 of shape ``(n, 2)``; fastest with the smaller set first.

    Returns a float64 array of shape ``(n,)``.
    """
    used, places = np.unique(pairs, return_inverse=True)
    one, other = places.reshape(-1, 2).T
    sizes = np.fromiter((len(sets[place]) for place in used.tolist()), np.int64, len(used))
    ngrams, codes = np.unique(np.concatenate([sets[place] for place in used.tolist()]), return_inverse=True)
    # A set's number and an n-gram's in one integer: in rising order, since each set is.
    members = np.repeat(np.arange(len(used)), sizes) * len(ngrams) + codes
    starts = np.cumsum(sizes) - sizes
    ends = np.cumsum(sizes[one])
    of_pair = np.repeat(np.arange(len(pairs)), sizes[one])
    asked = codes[np.arange(len(of_pair)) + np.repeat(starts[one] - ends + sizes[one], sizes[one])]
    asked = other[of_pair] * len(ngrams) + asked
    found = members[np.minimum(np.searchsorted(members, asked), len(members) - 1)] == asked
    common = np.add.reduceat(found.astype(np.int64), ends - sizes[one])
    return common / (sizes[one] + sizes[other] - common)
