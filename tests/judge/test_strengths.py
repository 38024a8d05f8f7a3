"""Bradley–Terry with Davidson's ties: the maximum that an optimiser finds, groups, and strengths without bound."""

import numpy as np
import pytest
from scipy import optimize

from medscale.judge.strengths import fit, groups, strengths
from medscale.judge.win_rates import Outcomes, question_weights


def outcomes(a, b, wins, ties, losses):
    """Make the outcomes of a pair, a question each; the same questions for all pairs."""
    rows = [[1, 0, 0]] * wins + [[0, 1, 0]] * ties + [[0, 0, 1]] * losses
    items = [f"r{n}" for n in range(len(rows))]
    return Outcomes(a, b, items, np.array(rows, float), np.ones(len(rows)), np.zeros(len(rows), bool))


def found(*given, reference="base"):
    weights = question_weights([f"r{n}" for n in range(100)], 400, 0)
    return strengths(given, weights, 0, 0.05, reference)


def by_name(group):
    return {entry["name"]: entry for entry in group["configurations"]}


def test_the_fit_is_the_maximum_of_davidsons_likelihood():
    counts = np.array([[12.0, 5, 3], [8, 2, 9], [4.5, 7, 10]])
    ends = np.array([[1, 0], [2, 1], [2, 0]])

    def loss(parameters):
        strength, tie = np.exp([0, *parameters[:2]]), np.exp(parameters[2])
        total = 0.0
        for (wins, ties, losses), (i, j) in zip(counts, ends, strict=True):
            middle = tie * np.sqrt(strength[i] * strength[j])
            chances = np.array([strength[i], middle, strength[j]]) / (strength[i] + middle + strength[j])
            total -= np.array([wins, ties, losses]) @ np.log(chances)
        return total

    best = optimize.minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-9}).x
    assert fit(counts[None], ends)[0] == pytest.approx([0, *best], abs=1e-5)


def test_two_configurations_have_the_odds_of_their_wins():
    fitted = fit(np.array([[[30.0, 0, 10]]]), np.array([[1, 0]]))
    assert fitted[0] == pytest.approx([0, np.log(3), -np.inf])


def test_the_rate_against_the_reference_is_the_win_rate_of_a_pair_alone():
    (group,) = found(outcomes("lora", "base", 50, 20, 30))
    entry = by_name(group)["lora"]
    assert entry["rate"] == pytest.approx(0.6, abs=0.005)
    low, high = entry["rate_ci"]
    assert 0.48 < low < 0.55 < 0.65 < high < 0.72
    assert group["reference"] == "base"
    assert by_name(group)["base"]["strength"] == 0


def test_a_chain_of_comparisons_puts_configurations_on_one_scale():
    (group,) = found(outcomes("b", "base", 30, 0, 10), outcomes("c", "b", 30, 0, 10))
    assert [entry["name"] for entry in group["configurations"]] == ["c", "b", "base"]
    assert by_name(group)["c"]["strength"] == pytest.approx(2 * by_name(group)["b"]["strength"], rel=0.01)


def test_configurations_without_a_chain_between_them_have_scales_of_their_own():
    one, other = found(outcomes("lora", "base", 20, 0, 10), outcomes("x", "y", 5, 5, 20))
    assert one["reference"] == "base"
    assert {entry["name"] for entry in other["configurations"]} == {"x", "y"}
    assert by_name(other)["x"]["strength"] == 0


def test_a_strength_without_bound_is_finite_and_told():
    (group,) = found(outcomes("lora", "base", 20, 0, 0))
    assert not group["bounded"]
    entry = by_name(group)["lora"]
    assert np.isfinite([entry["strength"], *entry["ci"]]).all()
    assert entry["rate_ci"][0] > 0.8


def test_a_single_tie_bounds_a_strength():
    (group,) = found(outcomes("lora", "base", 19, 1, 0))
    assert group["bounded"]


def test_all_ties_are_equal_strengths():
    (group,) = found(outcomes("lora", "base", 0, 20, 0))
    entry = by_name(group)["lora"]
    assert entry["strength"] == pytest.approx(0, abs=1e-6)
    assert entry["rate"] == pytest.approx(0.5)


def test_nothing_judged_gives_no_groups():
    assert found(outcomes("lora", "base", 0, 0, 0)) == []
    assert groups([], "base") == []
