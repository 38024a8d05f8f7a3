"""Win rates: what they count, and intervals that are Jeffreys' where there are wins and losses alone."""

import numpy as np
import pytest
from scipy import stats

from medscale.judge.win_rates import (
    LOSS,
    TIE,
    WIN,
    Opinion,
    outcomes_of,
    question_weights,
    win_rate,
    win_rate_draws,
    win_rate_interval,
)

ITEMS = [f"r{n}" for n in range(20)]
COMPARED = [{"a": "x", "b": "y", "items": ITEMS, "identical": []}]


def opinions(scores, judge="LW"):
    return [
        Opinion("x", "y", item, judge, score, True, False, item) for item, score in zip(ITEMS, scores, strict=False)
    ]


def interval(outcomes, alpha=0.05, resamples=40_000):
    return win_rate_interval(outcomes, win_rate_draws(outcomes, question_weights(ITEMS, resamples, 1), 1), alpha)


@pytest.mark.parametrize("wins", [3, 10, 17])
def test_the_interval_of_wins_and_losses_is_that_of_jeffreys(wins):
    (outcomes,) = outcomes_of(opinions([WIN] * wins + [LOSS] * (20 - wins)), COMPARED)
    assert win_rate(outcomes) == wins / 20
    expected = stats.beta.ppf([0.025, 0.975], wins + 0.5, 20 - wins + 0.5)
    assert interval(outcomes) == pytest.approx(expected, abs=0.006)


def test_who_won_every_question_has_an_interval_with_a_width():
    (outcomes,) = outcomes_of(opinions([WIN] * 20), COMPARED)
    low, high = interval(outcomes)
    assert 0.85 < low < 0.9
    assert high == 1
    assert interval(outcomes_of(opinions([LOSS] * 20), COMPARED)[0]) == pytest.approx((0, 1 - low), abs=0.01)


def test_ties_count_half_and_narrow_the_interval():
    (ties,) = outcomes_of(opinions([TIE] * 20), COMPARED)
    (mixed,) = outcomes_of(opinions([WIN, LOSS] * 10), COMPARED)
    assert win_rate(ties) == win_rate(mixed) == 0.5
    assert 0.02 < np.ptp(interval(ties)) < np.ptp(interval(mixed)) / 3


def test_a_question_counts_once_however_many_judges_there_are():
    one = opinions([WIN] * 12 + [LOSS] * 8)
    crowd = [each for judge in "ABCDE" for each in opinions([WIN] * 12 + [LOSS] * 8, judge)]
    first, second = outcomes_of(one, COMPARED)[0], outcomes_of(crowd, COMPARED)[0]
    assert win_rate(first) == win_rate(second)
    assert interval(first) == interval(second)


def test_a_judge_who_contradicts_himself_when_the_answers_are_exchanged_says_nothing_of_them():
    both = [
        *opinions([WIN] * 20),
        *(each._replace(score=LOSS, first=False, repeated=True) for each in opinions([WIN] * 20)),
    ]
    assert win_rate(outcomes_of(both, COMPARED)[0]) == 0.5


def test_equal_answers_are_ties_in_the_measure_in_which_the_others_were_judged():
    compared = [{"a": "x", "b": "y", "items": ITEMS, "identical": ITEMS[10:]}]
    (all_judged,) = outcomes_of(opinions([WIN] * 10), compared)
    assert win_rate(all_judged) == 0.75
    (half_judged,) = outcomes_of(opinions([WIN] * 5), compared)
    assert win_rate(half_judged) == 0.75
    assert (half_judged.judged, half_judged.weights.sum()) == (5, 10)
    assert np.ptp(interval(half_judged)) > np.ptp(interval(all_judged))


def test_pairs_that_nobody_judged_have_no_questions():
    compared = [*COMPARED, {"a": "x", "b": "z", "items": ITEMS, "identical": ITEMS[:3]}]
    _, none = outcomes_of(opinions([WIN] * 20), compared)
    assert none.items == []
