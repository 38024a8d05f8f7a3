"""Candidate laws: which are tried, how they do on points held out, which are trusted, and what their band is."""

import numpy as np
import pytest

from medscale.compare.scaling.choice import (
    BOUND,
    FLAT,
    WIDE,
    Candidate,
    Fitted,
    Points,
    _item_variance,
    _problem,
    _scatter,
    _share_rising,
    candidates,
    fitted,
    forecast,
    trusted,
)
from medscale.compare.scaling.fits import BETA, Fits, K, fit

SIZES = np.array([1_000.0, 2_000, 5_000, 10_000, 20_000, 50_000])
POWER, RECTIFIED, WITH_BASE = Candidate("power", False), Candidate("rectified", False), Candidate("rectified", True)


def points_of(sizes, losses=None, draws=None) -> Points:
    sizes = np.array(sizes, dtype=float)
    losses = np.zeros(len(sizes)) if losses is None else np.array(losses)
    return Points(sizes, losses, np.tile(losses, (4, 1)) if draws is None else np.array(draws, dtype=float))


def noisy(sizes=SIZES, resamples=8, seed=2):
    generator = np.random.default_rng(seed)
    losses = 6.0 * np.maximum(sizes, 300.0) ** -0.25 + 1.6 + 0.01 * generator.normal(size=len(sizes))
    return points_of(sizes, losses, losses + 0.01 * generator.normal(size=(resamples, len(sizes))))


def fits_of(beta=(0.3,), k=(0.5,), a=(1.0,), e=(1.0,), reference=100.0) -> Fits:
    rows = len(beta)
    parts = (np.resize(np.array(part, dtype=float), rows) for part in (beta, k, a, e, (0.0,)))
    return Fits(reference, *parts)


def law(held_out, problem=None, candidate=POWER, refits=None) -> Fitted:
    return Fitted(candidate, fits_of(), refits or fits_of(), 0.0, np.array(held_out, dtype=float), problem)


def test_points_without_one_lose_it_everywhere():
    points = points_of([0, 10, 20], [3.0, 2.0, 1.0], [[3, 2, 1], [6, 5, 4]])
    sizes, losses, draws = points.without(1)
    assert sizes.tolist() == [0, 20]
    assert losses.tolist() == [3, 1]
    assert draws.tolist() == [[3, 1], [6, 4]]


def test_tuned_points_are_those_of_at_least_one_row():
    sizes, losses, draws = points_of([0, 1, 20], [3.0, 2.0, 1.0], [[3, 2, 1], [6, 5, 4]]).tuned()
    assert sizes.tolist() == [1, 20]
    assert losses.tolist() == [2, 1]
    assert draws.tolist() == [[2, 1], [5, 4]]


def test_a_candidate_fits_its_own_law_to_its_own_points():
    assert [one.parameters for one in (POWER, RECTIFIED, WITH_BASE)] == [3, 4, 4]
    points = noisy(np.append(0.0, SIZES))
    for candidate in (POWER, RECTIFIED):
        assert candidate.points(points).sizes.tolist() == SIZES.tolist()
    assert WITH_BASE.points(points) is points
    assert POWER.fit(points.tuned(), points.losses[1:]).k == [0.0]
    found, expected = WITH_BASE.fit(points, points.losses), fit(points.sizes, points.losses, rectified=True)
    assert [part.tolist() for part in found[1:]] == [part.tolist() for part in expected[1:]]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([1, 2, 3], []),
        ([0, 1, 2, 3], []),
        ([1, 2, 3, 4], [POWER]),
        ([0, 1, 2, 3, 4], [POWER, WITH_BASE]),
        ([1, 2, 3, 4, 5], [POWER, RECTIFIED]),
        ([0, 1, 2, 3, 4, 5], [POWER, RECTIFIED, WITH_BASE]),
        ([1, 2, 3, 3, 3, 3], []),
        ([0, 1, 2, 3, 4, 4], [POWER, WITH_BASE]),
    ],
)
def test_a_law_needs_more_different_sizes_than_parameters(sizes, expected):
    assert candidates(points_of(sizes)) == expected


def test_a_held_out_error_is_a_root_mean_square():
    assert law([3.0, -4.0]).held_out_error == pytest.approx(np.sqrt(12.5))


def test_trusted_are_the_best_and_those_that_err_at_most_twice_as_much():
    for error in (0.25, 1.0, 3.0):
        best, twice, more, unknown = law([error]), law([-2 * error]), law([2.001 * error]), law([0.1 * error], FLAT)
        assert [one.held_out_error for one in trusted([more, twice, unknown, best])] == [error, 2 * error]
    assert trusted([unknown]) == trusted([]) == []


def test_a_forecast_is_each_refit_with_its_drift():
    refits = [fits_of(beta=(0.3, 0.4)), fits_of(beta=(0.5, 0.6, 0.7), k=(0.0,))]
    laws = [law([0.1, -0.3], refits=refits[0]), law([0.2], refits=refits[1])]
    sizes = np.array([10, 1_000, 2_000, 8_000])
    found = forecast(laws, sizes, 1_000.0, seed=5)
    generator = np.random.default_rng([5, 1])
    expected = [
        each.predict(sizes) + generator.normal(size=(rows, 1)) * error * np.array([0, 0, 1, 3])
        for each, rows, error in zip(refits, (2, 3), (np.sqrt(0.05), 0.2), strict=True)
    ]
    assert found == pytest.approx(np.concatenate(expected))


def test_one_row_is_a_size():
    found = fitted(POWER, noisy(np.array([1.0, 2, 5, 10, 20])), seed=0)
    assert len(found.held_out) == 4


def test_exact_points_have_no_error_when_held_out():
    losses = 0.6 * (SIZES / 10_000) ** -0.5 + 1.6
    found = fitted(POWER, points_of(SIZES, losses), seed=0)
    assert found.held_out == pytest.approx(np.zeros(5), abs=1e-4)
    assert found.residual_sd == pytest.approx(0, abs=1e-5)
    assert found.problem is None


@pytest.mark.parametrize("candidate", [POWER, RECTIFIED, WITH_BASE])
def test_every_size_but_the_smallest_is_held_out(candidate):
    points = noisy(np.append(0.0, SIZES))
    found = fitted(candidate, points, seed=0).held_out
    first = 0 if candidate.with_base else 1
    expected = []
    for index in range(2, 7):
        others = [place for place in range(first, 7) if place != index]
        rest = fit(points.sizes[others], points.losses[others], candidate.law == "rectified")
        expected.append(rest.predict(points.sizes[[index]])[0, 0] - points.losses[index])
    assert found == pytest.approx(expected)
    assert (np.abs(found) > 1e-4).all()


@pytest.mark.parametrize("candidate", [POWER, RECTIFIED, WITH_BASE])
def test_refits_are_fits_of_the_resamples_with_their_scatter(candidate):
    every = noisy(np.append(0.0, SIZES))
    found = fitted(candidate, every, seed=3)
    points = every if candidate.with_base else every.tuned()
    rectified = candidate.law == "rectified"
    alone = fit(points.sizes, points.losses, rectified)
    freedom = len(points.sizes) - candidate.parameters
    assert found.candidate == candidate
    assert found.fits.beta == alone.beta
    assert found.residual_sd == pytest.approx(np.sqrt(alone.rss[0] / freedom))
    draws = points.draws + _scatter(points, alone.rss[0], freedom, 3)
    assert found.refits.beta == pytest.approx(fit(points.sizes, draws, rectified).beta)
    assert found.refits.rss == pytest.approx(fit(points.sizes, draws, rectified).rss)


def test_the_problem_is_judged_on_the_resamples_with_their_scatter():
    losses = np.array([2.3, 2.0, 2.25, 1.95, 2.1, 2.0])
    points = points_of(SIZES, losses, np.tile(losses, (40, 1)))
    assert _share_rising(points) == 0
    found = fitted(POWER, points, seed=0)
    scatter = _scatter(points, found.fits.rss[0], 3, 0)
    assert _share_rising(points._replace(draws=points.draws + scatter)) > 0.025
    assert found.problem == FLAT


def test_scatter_is_what_items_do_not_explain():
    draws = np.random.default_rng(1).normal(size=(500, 4))
    points = points_of([1, 2, 3, 4], draws=draws)
    generator = np.random.default_rng(9)
    variance = 3 / generator.chisquare(2, 500) - _item_variance(draws)
    expected = np.sqrt(np.where(variance > 0, variance, 0))[:, None] * generator.normal(size=(500, 4))
    found = _scatter(points, 3.0, 2, 9)
    assert found == pytest.approx(expected)
    assert (found == 0).all(axis=1).any()
    assert (found != 0).all(axis=1).any()


def test_scatter_of_a_perfect_fit_is_none():
    points = points_of([1, 2, 3, 4], [4.0, 3.0, 2.0, 1.0])
    assert (_scatter(points, 0.0, 1, 0) == 0).all()


def test_the_variance_over_items_leaves_out_what_moves_all_points():
    assert _item_variance(np.array([[0.0, 0.0], [1.0, 3.0]])) == pytest.approx(0.5)
    assert _item_variance(np.array([[0.0, 0.0], [9.0, 11.0]])) == pytest.approx(0.5)
    assert _item_variance(np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])) == pytest.approx(0.25)
    assert _item_variance(np.array([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]])) == 0.0


def test_losses_that_stay_as_they_are_count_as_rising():
    draws = [[2.0, 1.5, 1.0], [1.0, 1.5, 2.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.9]]
    assert _share_rising(points_of([1, 10, 100], draws=draws)) == 0.5
    assert _share_rising(points_of([1, 500, 1_000], draws=[[1.0, 0.0, 0.9]])) == 0
    assert _share_rising(points_of([1, 2, 1_000], draws=[[1.0, 0.0, 0.9]])) == 1


def falling(rising: int = 0, resamples: int = 40) -> Points:
    """Resamples of a base model and three sizes, of which ``rising`` get worse with size."""
    down, up = [9.0, 3.0, 2.0, 1.0], [9.0, 1.0, 2.0, 3.0]
    return points_of([0, 1, 10, 100], draws=[up] * rising + [down] * (resamples - rising))


def test_problems_are_called_as_scaling_fit_json_does():
    assert (FLAT, BOUND, WIDE) == ("flat", "bound", "wide")


def test_points_that_determine_a_law_have_no_problem():
    for candidate in (POWER, RECTIFIED, WITH_BASE):
        assert _problem(candidate, fits_of(), fits_of(), falling()) is None


def test_a_law_that_does_not_fall_is_flat():
    assert _problem(POWER, fits_of(a=(0.0,)), fits_of(), falling()) == FLAT
    assert _problem(POWER, fits_of(a=(1e-9,)), fits_of(), falling()) is None


def test_more_than_one_resample_in_forty_that_rises_is_flat():
    assert _problem(POWER, fits_of(), fits_of(), falling(1)) is None
    assert _problem(POWER, fits_of(), fits_of(), falling(2)) == FLAT


@pytest.mark.parametrize("name", ["beta", "k"])
def test_a_parameter_within_a_hundredth_of_its_bound_is_not_determined(name):
    low, high = BETA if name == "beta" else K
    for value, problem in (
        (low, BOUND),
        (low * 1.01, BOUND),
        (low * 1.011, None),
        (low * 1.5, None),
        (high / 1.5, None),
        (high / 1.011, None),
        (high / 1.01, BOUND),
        (high, BOUND),
    ):
        assert _problem(RECTIFIED, fits_of(**{name: (value,)}), fits_of(), falling()) == problem


def test_the_power_law_has_no_bound_on_what_the_base_model_knew():
    assert _problem(POWER, fits_of(k=(0.0,)), fits_of(k=(0.0,)), falling()) is None
    assert _problem(POWER, fits_of(beta=(BETA[0],), k=(0.0,)), fits_of(k=(0.0,)), falling()) == BOUND


@pytest.mark.parametrize(("share", "problem"), [(0.5, None), (0.899, None), (0.901, WIDE), (1.0, WIDE)])
def test_exponents_over_nine_tenths_of_the_range_fit_all(share, problem):
    """Of a hundred refits two are lower and two higher: the interval leaves them out."""
    low, high = np.log(BETA)
    span = np.exp([low, low + share * (high - low)])
    beta = np.repeat([1e-9, *span, 1e9], [2, 48, 48, 2])
    assert _problem(POWER, fits_of(), fits_of(beta=beta), falling()) == problem
