"""The order of the rows: a function of seed, epoch and effective batch alone, with similar lengths side by side."""

import itertools
import random

import pytest

from medscale.train.trainer import GROUP, EpochOrder

LENGTHS = random.Random(0).choices(range(10, 500), k=1000)


def order(seed=1, epoch=0, batch=8, lengths=LENGTHS):
    return list(EpochOrder(lengths, batch, seed, lambda: epoch))


def test_every_row_comes_once():
    assert sorted(order()) == list(range(1000))
    assert len(EpochOrder(LENGTHS, 8, 1, lambda: 0)) == 1000


def test_each_epoch_and_each_seed_has_an_order_of_its_own_and_always_the_same():
    seen = {(seed, epoch): tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1, 2)}
    assert len(set(seen.values())) == 6
    assert all(tuple(order(*key)) == rows for key, rows in seen.items())


def test_seeds_and_epochs_do_not_run_into_each_other():
    """Otherwise the second epoch of one seed would be the first of the next."""
    assert len({tuple(order(seed, epoch)) for seed in range(20) for epoch in range(20)}) == 400


def test_the_epoch_is_asked_for_at_the_start_of_each_pass():
    epochs = itertools.count()
    sampler = EpochOrder(LENGTHS, 8, 1, lambda: next(epochs))
    assert [list(sampler), list(sampler)] == [order(epoch=0), order(epoch=1)]


def test_an_effective_batch_has_rows_of_similar_length():
    """Within a group of 32 batches: so the spread within a batch is a small part of the whole."""
    rows = order()
    spreads = [
        max(LENGTHS[row] for row in batch) - min(LENGTHS[row] for row in batch)
        for batch in (rows[start : start + 8] for start in range(0, 1000, 8))
    ]
    assert sum(spreads) / len(spreads) < 0.1 * (max(LENGTHS) - min(LENGTHS))


def test_batches_come_in_no_order_of_length():
    means = [sum(LENGTHS[row] for row in order()[start : start + 8]) for start in range(0, 8 * GROUP, 8)]
    assert sum(a <= b for a, b in itertools.pairwise(means)) < 0.7 * len(means)
    assert sum(a >= b for a, b in itertools.pairwise(means)) < 0.7 * len(means)


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 255, 256, 257, 300])
def test_an_incomplete_batch_comes_last(rows):
    """The Trainer counts on full ones before it; the incomplete one is cut from the longest of the last group."""
    made = order(lengths=LENGTHS[:rows])
    assert sorted(made) == list(range(rows))
    if rows % 8 and rows < 8 * GROUP:
        left = rows % 8
        assert sorted(LENGTHS[row] for row in made[-left:]) == sorted(LENGTHS[:rows])[-left:]


def test_a_group_is_32_effective_batches():
    """Rows of more than a group are sorted apart: the same lengths come again in each group."""
    assert GROUP == 32
    lengths = list(range(2 * GROUP * 2))
    rows = order(batch=2, lengths=lengths)
    neighbours = [tuple(sorted(rows[start : start + 2])) for start in range(0, len(rows), 2)]
    assert any(b - a > 1 for a, b in neighbours), "sorted over all rows, each batch would hold neighbours alone"
