"""Pairs that cross from the test questions to those of training, by hand and against brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.data.near import leakage
from medscale.data.near.leakage import crossing_pairs
from medscale.data.near.shingles import jaccard, shingle_set
from near_texts import LONG, OTHER, changed

QUICK = settings(derandomize=True, max_examples=50)


def test_pairs_that_cross_by_hand():
    texts = [LONG, OTHER, changed(LONG, 4), changed(OTHER, 3), "药", changed(LONG, 30)]
    parts = np.array([0, 0, 1, 0, 2, 1])
    found = crossing_pairs(texts, parts, np.array([2, 4, 5]), 0.7)
    assert sorted(found.pairs.tolist()) == [[2, 0], [5, 0]]
    assert found.compared == 2


@pytest.mark.parametrize(("threshold", "crosses"), [(0.5, True), (0.51, False)])
def test_a_pair_crosses_from_the_threshold_on(threshold, crosses):
    found = crossing_pairs(["abcde", "abcdx"], np.array([0, 1]), np.array([1]), threshold)
    assert found.pairs.tolist() == ([[1, 0]] if crosses else [])


def test_a_share_that_is_not_exact_in_floating_point_asks_for_no_n_gram_too_many():
    """0.6 · 5 is 3.0000000000000004, and three of five n-grams are enough."""
    found = crossing_pairs(["abcdefg", "abcde"], np.array([0, 1]), np.array([0]), 0.6)
    assert found.pairs.tolist() == [[0, 1]]


def test_n_grams_are_known_or_not_even_where_the_table_lets_all_pass():
    known, everything = np.array([3, 7], np.uint64), np.ones(1 << leakage._TABLE_BITS, bool)
    flat, rows = np.array([9, 3, 5, 7, 0, 7], np.uint64), np.array([0, 0, 1, 1, 2, 2])
    found_rows, places = leakage._found(known, everything, flat, rows)
    assert (found_rows.tolist(), places.tolist()) == ([0, 1, 2], [0, 1, 1])


def test_compared_pairs_are_counted_over_all_batches(monkeypatch):
    monkeypatch.setattr(leakage, "_BATCH", 2)
    found = crossing_pairs([LONG, OTHER, LONG, LONG, OTHER, LONG], np.array([1, *[0] * 5]), np.array([0]), 0.7)
    assert found.pairs.tolist() == [[0, 2], [0, 3], [0, 5]]
    assert found.compared == 3


def test_without_held_out_questions_nothing_is_compared():
    found = crossing_pairs([LONG, LONG], np.array([0, 1]), np.empty(0, int), 0.7)
    assert (found.pairs.shape, found.pairs.dtype, found.compared) == ((0, 2), np.int64, 0)


@QUICK
@given(st.lists(st.text("甲乙丙a", max_size=9), min_size=1, max_size=14), st.sampled_from([0.2, 0.5, 0.6, 0.75, 1.0]))
def test_every_crossing_pair_is_found_in_any_batches(texts, threshold):
    parts = np.arange(len(texts)) % 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leakage, "_BATCH", 4)
        patch.setattr(leakage, "_SAMPLE", 5)
        found = crossing_pairs(texts, parts, np.flatnonzero(parts), threshold)
    sets = [shingle_set(text) for text in texts]
    expected = {
        (one, other)
        for one, other in itertools.combinations(range(len(texts)), 2)
        if parts[one] != parts[other] and jaccard(sets[one], [sets[other]])[0] >= threshold
    }
    assert {tuple(sorted(pair)) for pair in found.pairs.tolist()} == expected


def test_a_text_that_holds_one_rare_n_gram_alone_is_not_compared():
    """Four of the rarest n-grams must be shared, where the threshold asks for as many."""
    texts = [LONG, LONG[:3] + OTHER, LONG[:6] + OTHER[:8], LONG[:9] + OTHER[:2]]
    found = crossing_pairs(texts, np.array([1, 0, 0, 0]), np.array([0]), 0.7)
    assert found.pairs.tolist() == []
    assert found.compared == 0
