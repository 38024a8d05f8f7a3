"""Which texts are compared: signatures, bands, the pairs that share a key; each on cases counted by hand."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.data.near import buckets, pairs
from medscale.data.near.buckets import Buckets
from medscale.data.near.pairs import BAND_MISS, PERMUTATIONS, Candidates, bands_for, signatures, similarities
from medscale.data.near.shingles import jaccard, shingle_set, shingles
from near_texts import LONG, OTHER, agreeing

QUICK = settings(derandomize=True, max_examples=50)


@pytest.mark.parametrize("threshold", [0.02, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99])
def test_bands_are_as_long_as_they_may_be(threshold):
    rows, bands = bands_for(threshold)
    assert bands == 256 // rows
    longer = [more for more in range(rows + 1, 257) if (1 - threshold**more) ** (256 // more) <= 2e-4]
    assert longer == []
    assert rows == 1 or (1 - threshold**rows) ** bands <= 2e-4


def test_bands_by_hand():
    assert (PERMUTATIONS, BAND_MISS) == (256, 2e-4)
    assert bands_for(1.0) == (256, 1)
    assert bands_for(0.001) == (1, 256)
    assert bands_for(0.6) == (4, 64)


def test_a_signature_does_not_depend_on_the_texts_beside_it(monkeypatch):
    texts = [LONG[start : start + 9] for start in range(11)]
    alone = np.concatenate([signatures(*shingles([text])) for text in texts])
    assert np.array_equal(signatures(*shingles(texts)), alone)
    monkeypatch.setattr(pairs, "_BATCH", 4)
    assert np.array_equal(signatures(*shingles(texts[::-1])), alone[::-1])
    assert (alone.shape, alone.dtype) == ((11, 256), np.uint8)
    assert signatures(*shingles([])).shape == (0, 256)


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.9])
def test_signatures_agree_by_as_much_as_the_sets_of_n_grams(threshold):
    generator = random.Random(int(10 * threshold))
    one = "".join(chr(0x4E00 + generator.randrange(9000)) for _ in range(400))
    other = one[: int(400 * threshold)] + "".join(chr(0x4E00 + generator.randrange(9000)) for _ in range(400))
    found = signatures(*shingles([one, other]))
    expected = jaccard(shingle_set(one), [shingle_set(other)])[0]
    assert (found[0] == found[1]).mean() == pytest.approx(expected, abs=0.1)
    assert len(np.unique(found[0])) > 140, "256 values of eight bits have 162 different ones on average, of seven 111"


def pairs_of(threshold: float, found: np.ndarray, wanted=None) -> list[list[int]]:
    candidates = Candidates(threshold)
    candidates.add_signatures(found)
    return [pair for some in candidates.pairs(wanted) for pair in some.tolist()]


def test_a_candidate_agrees_in_so_much_that_less_has_a_chance_of_one_in_a_million():
    """At 0.7 in 0.7 - √(ln 10⁶ / 512) of 256 values: 137.1."""
    assert pairs_of(0.7, agreeing(138)) == [[0, 1]]
    assert pairs_of(0.7, agreeing(137)) == []
    assert pairs_of(0.9, agreeing(189)) == [[0, 1]]
    assert pairs_of(0.9, agreeing(188)) == []


def test_a_candidate_agrees_in_a_whole_band():
    rows, bands = bands_for(0.7)
    found = agreeing(256)
    found[1, ::rows] = 255 - found[0, ::rows]
    assert (found[0] == found[1]).sum() >= 138
    assert pairs_of(0.7, found) == []
    found[1, (bands - 1) * rows] = found[0, (bands - 1) * rows]
    assert pairs_of(0.7, found) == [[0, 1]]


def test_each_pair_of_equal_texts_is_a_candidate_once():
    assert sorted(pairs_of(0.7, agreeing(256, rows=5))) == [list(pair) for pair in itertools.combinations(range(5), 2)]


def test_only_the_pairs_that_are_wanted_are_told_and_those_refused_come_again():
    asked = []

    def wanted(some: np.ndarray) -> np.ndarray:
        asked.append(some.tolist())
        return (some[:, 1] == 2) & (len(asked) > 4)

    assert sorted(pairs_of(0.7, agreeing(256, rows=3), wanted)) == [[0, 2], [1, 2]]
    assert asked[0] == [[0, 1], [1, 2]]


def test_texts_that_are_forgotten_are_no_candidates_and_the_others_numbered_anew():
    candidates = Candidates(0.7)
    candidates.add(*shingles([LONG, OTHER, LONG]))
    candidates.add(*shingles([OTHER]))
    candidates.keep(np.array([0, 2, 3]))
    assert np.concatenate(list(candidates.pairs())).tolist() == [[0, 1]]


@pytest.mark.parametrize("key_bits", [8, 64])
@pytest.mark.parametrize("at_once", [2, 8192])
@QUICK
@given(keys=st.lists(st.sampled_from([0, 1, 7, 255, 1 << 63, 3 << 62]), max_size=9))
def test_all_pairs_with_equal_keys_are_found(key_bits, at_once, keys):
    keys = [key % 2**key_bits for key in keys]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets, "_PAIRS", at_once)
        parts = list(Buckets(np.array(keys, np.uint64), key_bits).pairs())
    assert all(len(part) <= at_once for part in parts)
    found = [tuple(pair) for part in parts for pair in part.tolist()]
    places = range(len(keys))
    assert sorted(found) == [(i, j) for i, j in itertools.combinations(places, 2) if keys[i] == keys[j]]


@pytest.mark.parametrize("key_bits", [61, 62, 63, 64])
def test_no_bit_of_a_key_is_lost_beside_its_place(key_bits):
    """Three places take two bits of the 64."""
    keys = np.array([0, 1 << (key_bits - 1), 0], np.uint64)
    assert np.concatenate(list(Buckets(keys, key_bits).pairs())).tolist() == [[0, 2]]


def test_bits_are_spread_as_the_generator_splitmix64_does():
    """Its first three numbers from 0, as they are published."""
    states = np.array([1, 2, 3], np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert pairs._mixed(states).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_a_pair_is_found_in_a_later_band_though_one_of_its_texts_was_paired_before():
    found = agreeing(0, rows=3)
    found[2, :128] = 0
    found[2, 128:] = 1
    assert sorted(pairs_of(0.3, found)) == [[0, 2], [1, 2]]


@pytest.mark.parametrize("length", [1, 2, 8, 9, 20])
def test_bands_have_one_key_where_they_agree_and_other_keys_where_not(length):
    generator = np.random.default_rng(length)
    bands = generator.integers(0, 256, (200, length)).astype(np.uint8)
    bands = np.concatenate([bands, bands[:50], bands[:50][:, ::-1]])
    keys = pairs._folded(bands)
    assert len(np.unique(keys)) == len(np.unique(bands, axis=0))
    assert np.array_equal(keys[:50], keys[200:250])
    bands[1] = bands[0]
    bands[1, 0] ^= 2
    assert pairs._folded(bands)[0] != pairs._folded(bands)[1]


def test_known_codes_are_found_among_sorted_ones():
    assert pairs._is_in(np.array([5, 1, 9, 4, 0]), np.array([1, 4, 5])).tolist() == [True, True, False, True, False]
    assert pairs._is_in(np.array([5, 1]), np.empty(0, np.int64)).tolist() == [False, False]


def test_similarities_come_in_the_order_of_the_pairs():
    texts = ["abcde", "abcdx", "bcd", "xyz"]
    asked = []

    def set_of(number: int) -> np.ndarray:
        asked.append(number)
        return shingle_set(texts[number])

    several = np.array([[2, 0], [0, 1], [3, 2], [0, 2], [1, 0]])
    assert similarities(several, set_of).tolist() == [1 / 3, 2 / 4, 0, 1 / 3, 2 / 4]
    assert sorted(asked) == [0, 1, 2, 3], "each set is made once"
    assert similarities(np.empty((0, 2), np.int64), set_of).tolist() == []
