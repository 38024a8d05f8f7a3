"""Least squares of the two laws: the linear step against scipy, the search against a finer one, and the edges."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize_scalar, nnls

from medscale.compare.scaling import fits
from medscale.compare.scaling.fits import BETA, GRID, Fits, K, fit

SIZES = np.array([1_000.0, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000])
X = SIZES / 10_000  # whose geometric mean is 1
WITH_BASE = np.append(0.0, SIZES)


@pytest.fixture(autouse=True)
def no_warning_of_numpy():
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        yield


def laws(**changes) -> Fits:
    """A power law, a rectified one, and losses that do not fall."""
    parts = {
        "beta": [1.0, 0.5, 0.7],
        "k": [0.0, 2.0, 0.0],
        "a": [3.0, 4.0, 0.0],
        "e": [1.0, 0.5, 7.0],
        "rss": [0.0] * 3,
    }
    return Fits(100.0, **{name: np.array(one) for name, one in (parts | changes).items()})


def noisy(rows=6, sizes=SIZES, sd=0.02):
    generator = np.random.default_rng(3)
    return 6.0 * np.maximum(sizes, 500.0) ** -0.25 + 1.6 + sd * generator.normal(size=(rows, len(sizes)))


def test_a_prediction_by_hand():
    assert laws().predict([100, 400, 0]).tolist() == [[4.0, 1.75, np.inf], [4 / 3 + 0.5, 1.5, 2.5], [7.0, 7.0, 7.0]]


def test_a_size_by_hand():
    assert laws().size_at(np.array([1.75, 1.5, 7.5])).tolist() == [400.0, 400.0, np.inf]
    assert laws().size_at(np.array([4.0, 0.9, 6.0])).tolist() == pytest.approx([100.0, 6400.0, np.inf])


def test_a_loss_at_or_below_the_asymptote_is_reached_nowhere():
    for below in (0.0, 0.25):
        assert laws().size_at(laws().e - below).tolist() == [np.inf] * 3


def test_a_loss_above_that_of_no_rows_is_reached_at_once():
    assert laws().size_at(np.array([1e9, 3.0, 8.0]))[1] == 0.0


def test_a_size_beyond_all_numbers_is_infinite():
    assert laws(beta=[0.02] * 3).size_at(laws().e + 1e-9)[:2].tolist() == [np.inf] * 2


def test_a_law_may_be_nearly_level():
    level = laws(a=[0.25, 0.25, 0.0])
    assert level.predict([100])[:, 0].tolist() == [1.25, 0.25 / 3 + 0.5, 7.0]
    assert level.size_at(np.array([1.125, 0.5 + 0.0625, 7.0])).tolist() == [200.0, 400.0, np.inf]


def test_the_reference_is_the_geometric_mean_of_the_sizes_but_0():
    assert fit(SIZES, noisy(1), rectified=False).reference == pytest.approx(10_000)
    assert fit(WITH_BASE, noisy(1, WITH_BASE), rectified=True).reference == pytest.approx(10_000)
    assert fit([1, 100], [2.0, 1.0], rectified=False).reference == pytest.approx(10)
    assert fit([10, 1000], [2.0, 1.0], rectified=False).reference == pytest.approx(100)


@pytest.mark.parametrize("rectified", [False, True])
def test_rows_fitted_together_equal_each_alone(rectified):
    losses = noisy()
    together = fit(SIZES, losses, rectified)
    for row, one in enumerate(losses):
        alone = fit(SIZES, one, rectified)
        for name in ("beta", "k", "a", "e", "rss"):
            assert getattr(together, name).shape == (6,)
            assert getattr(together, name).dtype == np.float64
            assert getattr(alone, name) == pytest.approx([getattr(together, name)[row]], rel=1e-9), name


def test_blocks_of_the_grid_search_change_nothing(monkeypatch):
    at_once = fit(SIZES, noisy(), rectified=True)
    for block in (GRID**2, 4 * GRID**2 + 1):
        monkeypatch.setattr(fits, "BLOCK", block)
        for found, expected in zip(fit(SIZES, noisy(), rectified=True), at_once, strict=True):
            assert found == pytest.approx(expected, rel=1e-9)


def test_units_of_sizes_and_losses_do_not_matter():
    one, other = fit(SIZES, noisy(), rectified=False), fit(7 * SIZES, 100 * noisy(), rectified=False)
    assert other.reference == pytest.approx(7 * one.reference)
    assert other.beta == pytest.approx(one.beta, rel=1e-4)
    assert other.a == pytest.approx(100 * one.a, rel=1e-3)
    assert other.e == pytest.approx(100 * one.e, rel=1e-3)
    assert other.rss == pytest.approx(10_000 * one.rss, rel=1e-6)


def test_the_residuals_are_those_of_the_parameters():
    for rectified in (False, True):
        losses = noisy()
        found = fit(SIZES, losses, rectified)
        assert found.rss == pytest.approx(((found.predict(SIZES) - losses) ** 2).sum(axis=1))


@pytest.mark.parametrize("rectified", [False, True])
def test_losses_that_do_not_fall_are_a_constant(rectified):
    rising = np.array([1.0, 1.5, 1.2, 2.0, 2.5, 2.2, 3.0])
    found = fit(SIZES, [rising, np.full(7, 4.0)], rectified)
    assert found.a.tolist() == found.k.tolist() == [0.0, 0.0]
    assert found.e == pytest.approx([rising.mean(), 4.0])
    assert found.rss == pytest.approx([((rising - rising.mean()) ** 2).sum(), 0.0])


def test_the_linear_step_is_that_of_scipy():
    """Random losses and curves: some rise, and some would have a negative asymptote."""
    generator = np.random.default_rng(0)
    losses = generator.uniform(0.5, 2.0, size=(40, 1)) * X ** generator.uniform(-1.5, 0.5, size=(40, 1))
    points = fits._Points(X, losses + generator.uniform(0, 0.5, size=(40, 1)) * generator.uniform(size=losses.shape))
    places = np.log([[0.1, 0.01], [0.3, 2.0], [1.0, 0.3], [2.5, 100.0]])
    shared = points.curves(places, True)
    own = np.tile(shared, (40, 1, 1)) * generator.uniform(0.9, 1.1, size=(40, 1, 7))
    kinds = set()
    for curves in (shared, own):
        a, e, rss = points.solve(curves)
        assert a.shape == e.shape == rss.shape == (40, 4)
        for row in range(40):
            for column in range(4):
                curve = curves[column] if curves.ndim == 2 else curves[row, column]
                (true_a, true_e), norm = nnls(np.column_stack([curve, np.ones(7)]), points.losses[row])
                kinds.add((true_a > 0, true_e > 0))
                found = (a[row, column], e[row, column], rss[row, column])
                assert found == pytest.approx((true_a, true_e, norm**2), rel=1e-6, abs=1e-9)
    assert kinds == {(True, True), (True, False), (False, True)}


def test_a_curve_by_hand():
    points = fits._Points(np.array([0.0, 1.0, 4.0]), np.zeros((1, 3)))
    assert points.curves(np.log([[0.5, 2.0]]), True) == pytest.approx(np.array([[1 / 2, 1 / 3, 1 / 4]]))
    points = fits._Points(np.array([1.0, 4.0]), np.zeros((1, 2)))
    assert points.curves(np.log([[0.5], [2.0]]), False) == pytest.approx(np.array([[1, 1 / 2], [1, 1 / 16]]))


def test_the_grid_spans_the_whole_range_in_equal_steps():
    points = fits._Points(X, noisy())
    for rectified, ends in ((False, [BETA]), (True, [BETA, K])):
        place, step = fits._grid_search(points, rectified)
        axes = [np.geomspace(*each, 40) for each in ends]
        assert step == pytest.approx([np.log(axis[1] / axis[0]) for axis in axes])
        assert place.shape == (6, len(ends))
        places = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(ends))
        best = points.solve(points.curves(np.log(places), rectified))[2].argmin(axis=1)
        assert np.exp(place) == pytest.approx(places[best])


def plain_search(points, place, step, moves, rectified):
    """The pattern search of one fit, in a loop."""
    low, high = np.log([BETA, K] if rectified else [BETA]).T
    ways = np.array(list(product((0.0, -1.0, 1.0), repeat=len(step))))
    scale = 0.5
    for _ in range(moves):
        if scale * max(step) <= 1e-5:
            break
        near = np.clip(place + scale * step * ways, low, high)
        best = points.solve(points.curves(near, rectified))[2][0].argmin()
        scale, place = (scale / 2 if best == 0 else scale), near[best]
    return place


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("moves", [1, 2, 3, 5, 200])
def test_the_search_is_that_of_a_plain_loop(monkeypatch, moves, rectified):
    monkeypatch.setattr(fits, "MOVES", moves)
    points = fits._Points(X, noisy())
    start, step = fits._grid_search(points, rectified)
    start[:3] -= 1.3 * step
    found = fits._pattern_search(points, start.copy(), step, rectified)
    for row in range(6):
        expected = plain_search(points.of(slice(row, row + 1)), start[row], step, moves, rectified)
        assert found[row] == pytest.approx(expected, abs=1e-7)


def test_the_search_ends_at_the_bottom_of_the_valley():
    for losses in noisy():
        points = fits._Points(X, losses[None])

        def rss(log_beta, points=points):
            return points.solve(points.curves(np.array([[log_beta]]), False))[2][0, 0]

        found = fit(SIZES, losses, rectified=False)
        best = minimize_scalar(rss, bounds=np.log(found.beta[0]) + np.array([-0.2, 0.2]), options={"xatol": 1e-9})
        assert np.log(found.beta[0]) == pytest.approx(best.x, abs=3e-5)
        assert found.rss[0] == pytest.approx(best.fun, rel=1e-8)


def test_the_rectified_law_never_fits_worse_than_the_power_law():
    assert (fit(SIZES, noisy(), True).rss <= fit(SIZES, noisy(), False).rss * 1.001).all()


def test_the_search_goes_up_and_down_on_both_axes():
    for beta, k in ((0.3, 0.6), (0.9, 0.3), (0.9, 3.0), (2.0, 0.6), (2.0, 3.0)):
        losses = 2 / (k + X**beta) + 1
        found = fit(SIZES, losses, rectified=True)
        assert found.predict(SIZES)[0] == pytest.approx(losses, abs=2e-5)
        assert (found.beta[0], found.k[0]) == pytest.approx((beta, k), rel=0.005)


@pytest.mark.parametrize(
    ("losses", "beta"),
    [(1000 - np.log(X), 0.02), (np.where(X[0] == X, 4.0, 2.0), 3.0)],
    ids=["a straight line in log size", "a single drop"],
)
def test_an_exponent_stays_within_its_range(losses, beta):
    assert BETA == (0.02, 3.0)
    assert fit(SIZES, losses, rectified=False).beta == pytest.approx([beta], rel=1e-9)


@pytest.mark.parametrize(
    ("losses", "k"),
    [(np.where(X[0] == X, 4.0, 2.0), 1e-4), (1e6 - X**4, 1e4)],
    ids=["a single drop", "no power phase in sight"],
)
def test_what_the_base_model_knew_stays_within_its_range(losses, k):
    assert K == (1e-4, 1e4)
    assert fit(SIZES, losses, rectified=True).k == pytest.approx([k], rel=1e-9)
