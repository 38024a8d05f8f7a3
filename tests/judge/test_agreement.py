"""Agreement: the alpha of the package krippendorff, and who likes a place or contradicts himself."""

import numpy as np
import pytest

from medscale.judge.agreement import agreement, consistency, position
from medscale.judge.win_rates import LOSS, TIE, WIN, Opinion, question_weights

ITEMS = [f"r{n}" for n in range(60)]
WEIGHTS = question_weights(ITEMS, 500, 0)


def said(item, judge, score, first=True, repeated=False):
    return Opinion("x", "y", item, judge, score, first, repeated, f"{item} {first}")


def drawn(seed, judges=3, missing=0.2, shared=0.6):
    """Let judges agree in part, with gaps."""
    generator = np.random.default_rng(seed)
    found = []
    for item in ITEMS:
        truth = generator.choice([LOSS, TIE, WIN])
        for judge in range(judges):
            if generator.random() > missing:
                score = truth if generator.random() < shared else generator.choice([LOSS, TIE, WIN], p=[0.2, 0.2, 0.6])
                found.append(said(item, f"J{judge}", float(score)))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_that_of_the_package(seed):
    krippendorff = pytest.importorskip("krippendorff", reason="the package krippendorff is not installed")
    opinions = drawn(seed)
    table = np.full((3, len(ITEMS)), np.nan)
    for each in opinions:
        table[int(each.judge[1]), ITEMS.index(each.item)] = each.score
    expected = krippendorff.alpha(reliability_data=table, level_of_measurement="ordinal", value_domain=[0, 0.5, 1])
    found = agreement(opinions, WEIGHTS, 0.05)
    assert found["alpha"] == pytest.approx(expected, abs=1e-12)
    assert found["ci"][0] < expected < found["ci"][1]


def test_judges_who_agree_have_an_alpha_of_one_and_opposites_one_below_zero():
    scores = [WIN, LOSS, TIE] * 20
    same = [said(item, judge, score) for judge in "AB" for item, score in zip(ITEMS, scores, strict=True)]
    assert agreement(same, WEIGHTS, 0.05)["alpha"] == pytest.approx(1)
    opposite = [each._replace(score=1 - each.score) if each.judge == "B" else each for each in same]
    assert agreement(opposite, WEIGHTS, 0.05)["alpha"] < -0.3


def test_saying_the_opposite_is_worse_than_saying_neither():
    scores = [WIN, LOSS] * 30
    first = [said(item, "A", score) for item, score in zip(ITEMS, scores, strict=True)]
    near = [
        said(item, "B", TIE if n < 10 else score) for n, (item, score) in enumerate(zip(ITEMS, scores, strict=True))
    ]
    far = [
        said(item, "B", 1 - score if n < 10 else score)
        for n, (item, score) in enumerate(zip(ITEMS, scores, strict=True))
    ]
    assert agreement([*first, *near], WEIGHTS, 0.05)["alpha"] > agreement([*first, *far], WEIGHTS, 0.05)["alpha"]


def test_one_judge_agrees_with_nobody_and_one_value_says_nothing():
    assert agreement([said(item, "A", WIN) for item in ITEMS], WEIGHTS, 0.05) is None
    same = agreement([said(item, judge, WIN) for item in ITEMS for judge in "AB"], WEIGHTS, 0.05)
    assert (same["alpha"], same["ci"], same["equal"]) == (None, None, 1)


def test_a_judge_who_always_takes_the_first_answer_is_found_out():
    opinions = [said(item, "A", WIN if n % 2 else LOSS, first=bool(n % 2)) for n, item in enumerate(ITEMS)]
    found = position(opinions, WEIGHTS, 0.05)
    assert (found["first"], found["decided"], found["share"]) == (60, 60, 1)
    assert found["ci"][0] > 0.9


def test_ties_say_nothing_of_the_place():
    assert position([said(item, "A", TIE) for item in ITEMS], WEIGHTS, 0.05) == {
        "decided": 0,
        "first": 0,
        "share": None,
        "ci": None,
    }


def test_judges_who_say_the_same_are_no_more_evidence_of_a_bias_than_one():
    one = [said(item, "A", WIN if n < 40 else LOSS) for n, item in enumerate(ITEMS)]
    many = [each._replace(judge=judge) for judge in "ABCD" for each in one]
    assert position(one, WEIGHTS, 0.05)["ci"] == pytest.approx(position(many, WEIGHTS, 0.05)["ci"])


def test_what_was_said_in_both_orders_is_counted():
    pairs = [(WIN, WIN), (WIN, LOSS), (LOSS, LOSS), (TIE, WIN)]
    opinions = []
    for item, (one, other) in zip(ITEMS, pairs, strict=False):
        opinions += [said(item, "A", one, True), said(item, "A", other, False, True)]
    opinions.append(said(ITEMS[9], "A", WIN))
    assert consistency(opinions) == {"shown_twice": 4, "same": 2, "place": 1, "other": 1}


def test_judges_who_prefer_the_same_configuration_agree_in_whichever_place_it_is():
    opinions = []
    for n, item in enumerate(ITEMS):
        opinions += [said(item, "A", WIN, bool(n % 2)), said(item, "B", WIN if n > 5 else TIE, bool(n % 2))]
    assert agreement(opinions, WEIGHTS, 0.05)["alpha"] > 0.9
