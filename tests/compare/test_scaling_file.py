"""What scaling_fit.json holds: laws, forecasts and the price of one more step, in the metric's unit and in rows."""

import numpy as np
import pytest

from medscale.compare.resampling import Configuration
from medscale.compare.scaling import law, words
from medscale.compare.scaling.choice import BOUND, FLAT, WIDE, Candidate, Fitted, Points, forecast
from medscale.compare.scaling.fits import Fits
from medscale.compare.scaling.law import fit_metric, fit_study

SIZES = np.array([1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000])


def noisy(resamples: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return losses near a power law and their values over resampled items."""
    generator = np.random.default_rng(0)
    losses = 6.0 * SIZES**-0.25 + 1.6 + 0.01 * generator.normal(size=7)
    return losses, losses + 0.015 * generator.normal(size=(resamples, 1)) + 0.01 * generator.normal(size=(resamples, 7))


def stub(law="power", held_out=(0.0, 0.0), rows=1, problem=None, with_base=False, **parameters) -> Fitted:
    """A fit with 1,000 as its reference size, and refits that are equal to it."""
    numbers = {"beta": 1.0, "k": 0.0 if law == "power" else 1.0, "a": 1.0, "e": 2.0, "rss": 0.0} | parameters
    one, refits = (Fits(1_000.0, *(np.full(count, number) for number in numbers.values())) for count in (1, rows))
    return Fitted(Candidate(law, with_base), one, refits, 0.25, np.array(held_out), problem)


def study(metric="nll", scale=1.0, largest=4_000.0) -> law._Study:
    return law._Study(metric, scale, largest, 0)


def test_a_study_hands_each_metric_of_each_method_its_columns(monkeypatch):
    monkeypatch.setattr(law, "fit_metric", lambda *given, **options: (*given, options))
    configurations = [
        Configuration("lora_2k", "tuned", "lora", 2_000, ()),
        Configuration("floor", "floor", "floor", None, ()),
        Configuration("base", "base", "base", None, ()),
        Configuration("qlora_1k", "tuned", "qlora", 1_000, ()),
        Configuration("lora_1k", "tuned", "lora", 1_000, ()),
        Configuration("lora_1k_5epochs", "control", "lora", 1_000, ()),
    ]
    values = {"nll": np.arange(6.0), "bleu_4": np.arange(6.0) + 10}
    draws = {metric: np.stack([each, each + 100]) for metric, each in values.items()}
    found = fit_study(configurations, values, draws, iter([3, 7]), {"nll": 0.2}, {"lora": 0.5}, resamples=9, seed=4)
    assert list(found) == ["schema_version", "metrics"]
    assert found["schema_version"] == 1
    assert list(found["metrics"]) == ["nll", "bleu_4"]
    for metric, more, step in (("nll", 0, 0.2), ("bleu_4", 10, None)):
        methods = found["metrics"][metric]
        assert list(methods) == ["lora", "qlora"]
        for method, sizes, columns, seconds in (("lora", [2_000, 1_000], [0, 4], 0.5), ("qlora", [1_000], [3], None)):
            name, own, points, resampled, base, base_draws, options = methods[method]
            assert (name, own, points.tolist()) == (metric, sizes, [column + more for column in columns])
            assert resampled.tolist() == [[column + more + plus for column in columns] for plus in (0, 100)]
            assert (base, base_draws.tolist()) == (2 + more, [2 + more, 102 + more])
            assert options == {
                "extrapolate": (3, 7),
                "step": step,
                "seconds_per_row": seconds,
                "resamples": 9,
                "seed": 4,
            }


def test_a_study_without_a_base_model_and_wishes_takes_the_defaults(monkeypatch):
    monkeypatch.setattr(law, "fit_metric", lambda *given, **options: (*given, options))
    configurations = [Configuration("lora_2k", "tuned", "lora", 2_000, ())]
    found = fit_study(configurations, {"nll": np.ones(1)}, {"nll": np.ones((3, 1))})["metrics"]["nll"]["lora"]
    assert found[4:6] == (None, None)
    assert found[6] == {"extrapolate": (2, 5, 10), "step": None, "seconds_per_row": None, "resamples": 1000, "seed": 0}


@pytest.fixture(scope="module")
def exact():
    """Five sizes on a power law, and five resamples that move all points together: nothing scatters."""
    sizes = SIZES[1:6]
    losses = 60.0 * (sizes / 10_000) ** -0.5 + 16.0
    draws = losses + np.linspace(-0.01, 0.01, 5)[:, None]
    return sizes, losses, draws


@pytest.fixture
def power_law_only(monkeypatch):
    monkeypatch.setattr(law, "candidates", lambda points: [Candidate("power", False)])


def test_an_exact_power_law_is_told_in_its_own_units(exact):
    sizes, losses, draws = exact
    result = fit_metric("nll", sizes, losses, draws, seconds_per_row=36, step=5.0)
    assert (result["status"], result["law"], list(result["laws"])) == ("fitted", "power", ["power", "rectified"])
    found = result["laws"]["power"]
    assert found["formula"] == "L = A·D^-β + E"
    assert found["base_included"] is False
    assert found["problem"] is None
    assert list(found["parameters"]) == ["A", "beta", "E"]
    for name, true in (("A", 6_000.0), ("beta", 0.5), ("E", 16.0)):
        assert found["parameters"][name]["value"] == pytest.approx(true, rel=1e-3)
        low, high = found["parameters"][name]["ci95"]
        assert low <= true * 1.001
        assert high >= true * 0.999
    assert found["parameters"]["E"]["ci95"] == pytest.approx([16 - 0.0095, 16 + 0.0095], abs=2e-3)
    for name in ("held_out_error", "held_out_error_largest", "residual_sd"):
        assert 0 <= found[name] < 1e-3
    extrapolated = result["extrapolated"]
    assert [point["size"] for point in extrapolated] == [100_000, 250_000, 500_000]
    for point in extrapolated:
        true = 60 * (point["size"] / 10_000) ** -0.5 + 16
        assert point["value"] == pytest.approx(true, abs=1e-3)
        assert (point["lo"], point["hi"]) == pytest.approx((true - 0.0095, true + 0.0095), abs=3e-3)
    curve = {point["size"]: point for point in result["predictions"]}
    assert {*sizes, 100_000, 250_000, 500_000} <= set(curve)
    assert len(curve) > 60
    assert [curve[point["size"]] for point in extrapolated] == extrapolated
    size = 10_000 * (60 / (60 / np.sqrt(5) - 5)) ** 2
    assert result["one_more"]["step"] == 5.0
    assert result["one_more"]["to_size"] == pytest.approx(size, rel=1e-3)
    assert result["one_more"]["train_hours"] == pytest.approx(size / 100, rel=1e-3)
    assert result["sentence"] == words.one_more("nll", 5.0, result["one_more"])


def test_a_rectified_law_tells_what_the_base_model_knew():
    sizes = np.append(0.0, SIZES)
    losses = 30 / (12 + sizes**0.35) + 1.5
    draws = losses + np.linspace(-0.01, 0.01, 5)[:, None]
    result = fit_metric("nll", SIZES, losses[1:], draws[:, 1:], losses[0], draws[:, 0])
    found = result["laws"]["rectified"]
    assert found["formula"] == "L = B / (D_l + D^β) + E"
    assert list(found["parameters"]) == ["B", "D_l", "beta", "E"]
    for name, true in (("B", 30.0), ("D_l", 12.0), ("beta", 0.35), ("E", 1.5)):
        assert found["parameters"][name]["value"] == pytest.approx(true, rel=0.02)
    assert [point["size"] for point in result["points"]] == [0, *SIZES]


def test_an_overlap_metric_is_told_from_below_in_points(exact, power_law_only):
    sizes, losses, draws = exact
    nll, rouge = (
        fit_metric(metric, sizes, *values, step=5.0)
        for metric, values in (("nll", (losses, draws)), ("rouge_l", (100 - losses, 100 - draws)))
    )
    assert rouge["laws"]["power"]["parameters"] == nll["laws"]["power"]["parameters"]
    assert rouge["one_more"] == nll["one_more"]
    for name in ("points", "predictions", "extrapolated"):
        assert [point["size"] for point in rouge[name]] == [point["size"] for point in nll[name]]
        for ours, theirs in zip(rouge[name], nll[name], strict=True):
            mirrored = (100 - theirs["value"], 100 - theirs["hi"], 100 - theirs["lo"])
            assert (ours["value"], ours["lo"], ours["hi"]) == pytest.approx(mirrored)


def test_only_the_first_draws_are_refitted(exact, power_law_only):
    sizes, losses, draws = exact
    base = 140.0, np.full(5, 140.0)
    few = fit_metric("nll", sizes, losses, draws[:3], base[0], base[1][:3], step=5.0)
    assert [point["size"] for point in few["points"]] == [0, *sizes]
    assert fit_metric("nll", sizes, losses, draws, *base, step=5.0, resamples=3) == few
    assert fit_metric("nll", sizes, losses, draws, *base, step=5.0) != few


def test_the_seed_is_that_of_the_scatter_and_the_band(power_law_only):
    losses, draws = noisy()
    one, other = (fit_metric("nll", SIZES, losses, draws, seed=seed) for seed in (0, 1))
    assert one == fit_metric("nll", SIZES, losses, draws)
    assert one["laws"]["power"]["parameters"]["beta"]["value"] == other["laws"]["power"]["parameters"]["beta"]["value"]
    assert one["laws"]["power"]["parameters"]["beta"]["ci95"] != other["laws"]["power"]["parameters"]["beta"]["ci95"]
    assert one["extrapolated"] != other["extrapolated"]


def test_a_base_model_counts_only_with_its_draws(exact, power_law_only):
    sizes, losses, draws = exact
    alone = fit_metric("nll", sizes, losses, draws)
    assert fit_metric("nll", sizes, losses, draws, base_value=140.0) == alone
    assert fit_metric("nll", sizes, losses, draws, base_draws=np.full(5, 140.0)) == alone


@pytest.mark.parametrize(("metric", "step"), [("nll", 0.05), ("bleu_4", 1.0)])
def test_the_step_is_a_twentieth_of_a_nat_or_a_point(exact, power_law_only, metric, step):
    sizes, losses, draws = exact
    values = (losses, draws) if metric == "nll" else (100 - losses, 100 - draws)
    assert fit_metric(metric, sizes, *values)["one_more"]["step"] == step


def test_five_different_sizes_are_needed_and_counted_once():
    sizes = [1, 20, 30, 30]
    result = fit_metric("nll", sizes, [4.0, 3.0, 2.0, 2.1], np.ones((3, 4)), 5.0, np.ones(3))
    assert result == {
        "status": "too_few_sizes",
        "points": [
            {"size": size, "value": value, "lo": 1.0, "hi": 1.0}
            for size, value in ((0, 5.0), (1, 4.0), (20, 3.0), (30, 2.0), (30, 2.1))
        ],
        "law": None,
        "laws": {},
        "predictions": [],
        "extrapolated": [],
        "one_more": None,
        "sentence": words.too_few(3, 4),
    }
    enough = fit_metric("nll", [10, 20, 30, 40, 50], np.arange(5.0), np.tile(np.arange(5.0), (3, 1)))
    assert enough["status"] == "not_identified"
    assert list(enough["laws"]) == ["power", "rectified"]
    assert enough["law"] is enough["one_more"] is None
    assert enough["predictions"] == enough["extrapolated"] == []
    assert enough["sentence"] == words.not_identified([FLAT])


def test_losses_of_0_are_no_law():
    result = fit_metric("nll", SIZES, np.zeros(7), np.zeros((3, 7)))
    assert result["status"] == "not_identified"
    assert result["laws"]["power"]["problem"] == FLAT
    assert result["laws"]["power"]["parameters"]["E"] == {"value": 0.0, "ci95": [0.0, 0.0]}


def test_units_are_taken_out_before_the_fit_and_put_back(power_law_only):
    losses, draws = noisy()
    small, large = (fit_metric("nll", SIZES, f * losses, f * draws, step=f * 0.05) for f in (1.0, 1024.0))
    for name in ("held_out_error", "held_out_error_largest", "residual_sd"):
        assert large["laws"]["power"][name] == pytest.approx(1024 * small["laws"]["power"][name])
        assert small["laws"]["power"][name] > 1e-4
    for name, factor in (("A", 1024), ("beta", 1), ("E", 1024)):
        ours, theirs = (each["laws"]["power"]["parameters"][name] for each in (large, small))
        assert ours["value"] == pytest.approx(factor * theirs["value"])
        assert ours["ci95"] == pytest.approx([factor * end for end in theirs["ci95"]])
    assert large["one_more"] | {"step": None} == small["one_more"] | {"step": None}


def test_points_are_sorted_and_finite_with_the_base_model_first():
    values = [3.0, 2.0, np.nan, 2.5, 1.0, 0.5]
    draws = np.array([[3, 2, 9, 2.5, 1, 0], [3, 2, 9, 2.5, 1, np.inf]])
    found = law._points("nll", [20, 30, 5, 20, 10, 40], values, draws, (7.0, np.array([7.5, 8.0])))
    assert found.sizes.tolist() == [0, 10, 20, 20, 30]
    assert found.losses.tolist() == [7, 1, 2.5, 3, 2]
    assert found.draws.tolist() == [[7.5, 1, 2.5, 3, 2], [8, 1, 2.5, 3, 2]]
    alone = law._points("bleu_4", [20, 30, 5, 20, 10, 40], values, draws, None)
    assert alone.sizes.tolist() == [10, 20, 20, 30]
    assert alone.losses.tolist() == [99, 97.5, 97, 98]
    assert alone.draws[0].tolist() == [99, 97.5, 97, 98]


def test_points_of_whole_numbers_are_numbers_of_double_precision():
    found = law._points("nll", [20, 10], [2, 3], np.array([[2, 3]]), None)
    assert found.sizes.dtype == found.losses.dtype == np.float64
    assert fit_metric("nll", SIZES, [9, 8, 7, 6, 5, 4, 3], [[9, 8, 7, 6, 5, 4, 3]])["points"][0]["lo"] == 9.0


def test_points_are_described_in_the_metric_s_unit():
    draws = np.column_stack([np.linspace(0, 40, 41), np.linspace(40, 80, 41)])
    described = law._described_points("rouge_l", Points(np.array([0.0, 30.0]), np.array([20.0, 61.0]), draws))
    assert described == [
        {"size": 0, "value": 80.0, "lo": pytest.approx(61.0), "hi": pytest.approx(99.0)},
        {"size": 30, "value": 39.0, "lo": pytest.approx(21.0), "hi": pytest.approx(59.0)},
    ]


def test_a_law_is_described_in_the_unit_of_the_metric_and_of_rows():
    found = law._described_law(
        study(scale=8.0), stub("rectified", (0.5, 0.0, -1.0), 3, WIDE, True, beta=2.0), np.array([2.0])
    )
    assert found == {
        "formula": "L = B / (D_l + D^β) + E",
        "parameters": {
            "B": {"value": 8e6, "ci95": [8e6, 8e6]},
            "D_l": {"value": 1e6, "ci95": [1e6, 1e6]},
            "beta": {"value": 2.0, "ci95": [2.0, 2.0]},
            "E": {"value": 16.0, "ci95": [16.0, 16.0]},
        },
        "base_included": True,
        "held_out_error": pytest.approx(8 * np.sqrt(1.25 / 3)),
        "held_out_error_largest": 8.0,
        "residual_sd": 2.0,
        "problem": WIDE,
        "extrapolated": law._predictions(
            study(scale=8.0), [stub("rectified", (0.5, 0.0, -1.0), 3, beta=2.0)], np.array([8_000.0])
        ),
    }
    assert found["extrapolated"][0]["value"] == pytest.approx(8 / 65 + 16)
    power_law = law._described_law(study(scale=8.0), stub(beta=2.0), np.array([2.0]))
    assert {name: one["value"] for name, one in power_law["parameters"].items()} == {"A": 8e6, "beta": 2.0, "E": 16.0}


def test_predictions_are_the_first_law_s_curve_and_the_band_of_all():
    laws = [stub(rows=3), stub("rectified", rows=5, e=1.0)]
    found = law._predictions(study("bleu_4", 10.0), laws, np.array([1_000.0, 4_000.4]))
    draws = 100 - 10 * forecast(laws, np.array([1_000.0, 4_000.4]), 4_000.0, 0)
    assert [point["size"] for point in found] == [1_000, 4_000]
    assert [point["value"] for point in found] == pytest.approx([70.0, 80 - 10 / 4.0004])
    for point, column in zip(found, draws.T, strict=True):
        assert [point["lo"], point["hi"]] == pytest.approx(np.quantile(column, [0.025, 0.975]).tolist())


def test_each_law_is_told_by_the_candidate_that_does_best():
    worse, better, alone = stub("rectified", (2.0,)), stub("rectified", (1.0,), with_base=True), stub(held_out=(9.0,))
    assert law._best_of_each_law([worse, better, alone]) == {"power": alone, "rectified": better}
    assert list(law._best_of_each_law([worse, alone])) == ["power", "rectified"]
    assert law._best_of_each_law([alone]) == {"power": alone}


def test_the_law_that_is_told_is_the_trusted_one(monkeypatch, exact):
    """Where the best candidate of a law is not determined, its trusted other one is described instead."""
    sizes, losses, draws = exact
    best = stub("rectified", (0.1, 0.1), problem=WIDE)
    kept = stub("rectified", (0.2, 0.2), with_base=True)
    chosen = {"power": stub(held_out=(9.0, 9.0)), "best": best, "kept": kept}
    monkeypatch.setattr(law, "candidates", lambda points: list(chosen))
    monkeypatch.setattr(law, "fitted", lambda candidate, points, seed: chosen[candidate])
    result = fit_metric("nll", sizes, losses, draws)
    assert result["law"] == "rectified"
    assert list(result["laws"]) == ["power", "rectified"]
    assert result["laws"]["rectified"]["problem"] is None
    assert result["laws"]["rectified"]["base_included"] is True
    chosen["kept"] = kept._replace(problem=BOUND)
    chosen["power"] = chosen["power"]._replace(problem=FLAT)
    result = fit_metric("nll", sizes, losses, draws)
    assert result["laws"]["rectified"]["problem"] == WIDE
    assert result["sentence"] == words.not_identified([FLAT, WIDE])


def test_a_curve_has_sixty_sizes_and_those_that_were_measured_or_asked():
    found = law._curve_sizes(np.array([0.0, 100.0, 777.5, 10_000.0]), np.array([0.5, 3.0]))
    spaced = np.round(np.geomspace(100, 30_000, 60))
    assert found.tolist() == sorted({*spaced, 100.0, 777.5, 10_000.0, 5_000.0, 30_000.0})
    assert law._curve_sizes(np.array([100.0, 200.0]), np.array([])).tolist() == sorted(
        {*np.round(np.geomspace(100, 200, 60))}
    )
    assert law._curve_sizes(np.array([1.0, 10_000.0]), np.array([0.5]))[[0, -1]].tolist() == [1, 10_000]


def more(*laws, step=0.125, seconds=None, **options):
    return law._one_more(study(**options), list(laws), step, seconds)


def test_one_more_step_by_hand():
    """L = 1000 / D + 2 falls from 2.25 at 4,000 rows to 2.125 at 8,000."""
    places = 4_000 * np.geomspace(1, 1000, 300)
    crossing = round(places[places >= 8_000][0] - 4_000)
    assert more(stub(rows=3), seconds=0.9) == {
        "reachable": True,
        "above_asymptote": True,
        "from_size": 4_000,
        "to_size": 8_000,
        "extra_rows": 4_000,
        "ci95": [crossing, crossing],
        "train_hours": pytest.approx(2.0),
    }
    assert more(stub(rows=3))["train_hours"] is None


def test_a_step_beyond_a_thousand_times_the_largest_size_is_out_of_reach():
    def falls_to(times):
        return more(stub(), step=0.25 - 0.25 / times, seconds=1.0)

    assert falls_to(999.999)["to_size"] == pytest.approx(4_000_000, rel=1e-5)
    assert falls_to(1000.1) == {
        "reachable": False,
        "above_asymptote": True,
        "from_size": 4_000,
        "to_size": None,
        "extra_rows": None,
        "ci95": [None, None],
        "train_hours": None,
    }
    assert not more(stub(), step=0.25)["above_asymptote"]
    assert not more(stub(), step=0.3)["reachable"]


def test_the_interval_of_a_step_is_where_the_band_s_curves_cross():
    """Two laws: one takes 4,000 rows more, the other never gets there."""
    near, never = stub(rows=50), stub(rows=50, a=0.1)
    places = 4_000 * np.geomspace(1, 1000, 300)
    crossing = round(places[places >= 8_000][0] - 4_000)
    assert more(near, never)["ci95"] == [crossing, None]
    assert more(never, near)["reachable"] is False
    assert more(never, near)["ci95"] == [crossing, None]
    assert more(stub(rows=98), stub(rows=2, a=0.1))["ci95"] == [crossing, crossing]


def test_an_end_of_the_interval_is_a_size_at_which_a_curve_crosses():
    places = 4_000 * np.geomspace(1, 1000, 300)
    first, last = (round(places[places >= size][0] - 4_000) for size in (8_000, 4_000 / (1 - 0.5 / 0.8)))
    assert more(stub(), stub(a=0.8))["ci95"] == [first, last]


def test_no_improvement_takes_no_rows():
    found = more(stub(rows=3), step=0.0)
    assert (found["extra_rows"], found["ci95"]) == (0, [0, 0])


def test_the_band_of_a_step_drifts():
    drifting = stub(rows=200, held_out=(0.05, 0.05))
    low, high = more(drifting)["ci95"]
    curves = forecast([drifting], 4_000 * np.geomspace(1, 1000, 300), 4_000.0, 0)
    reached = [np.flatnonzero(curve <= curve[0] - 0.125) for curve in curves]
    crossing = [4_000 * np.geomspace(1, 1000, 300)[each[0]] - 4_000 if len(each) else np.inf for each in reached]
    expected = np.quantile(crossing, [0.025, 0.975], method="nearest")
    assert low == round(expected[0])
    assert high is None
    assert np.isinf(expected[1])


def test_numbers_that_json_cannot_hold_are_null():
    assert [law._rows(size) for size in (2.5001, 7, np.inf, np.nan)] == [3, 7, None, None]
    assert [law._number(value) for value in (np.float64(0.5), -np.inf, np.nan)] == [0.5, None, None]
    assert type(law._rows(np.float64(3.0))) is int
    assert type(law._number(np.float64(0.5))) is float
    assert law._interval(np.linspace(0, 40, 41)) == pytest.approx([1.0, 39.0])
