"""The scaling law: known laws are found again, and what the points do not tell is not claimed."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from medscale.compare.resampling import Configuration
from medscale.compare.scaling.choice import Candidate, Points, fitted, forecast
from medscale.compare.scaling.fits import fit
from medscale.compare.scaling.law import fit_metric, fit_study

SIZES = np.array([1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000])
FAR = 3.4  # a base model that no law through these points meets
RESAMPLES = 200


def power(sizes):
    return 6.0 * np.asarray(sizes, dtype=float) ** -0.25 + 1.6


def rectified(sizes):
    return 30 / (12 + np.asarray(sizes, dtype=float) ** 0.35) + 1.5


def observed(losses, seed=0, own=0.003):
    """Return noisy losses and their values over resampled items: most of the noise is common to all."""
    generator = np.random.default_rng(seed)
    losses = losses + 0.015 * generator.normal() + own * generator.normal(size=len(losses))
    shape = (RESAMPLES, len(losses))
    return losses, losses + 0.015 * generator.normal(size=(RESAMPLES, 1)) + own * generator.normal(size=shape)


def fit_law(law, base, seed=0, sizes=SIZES, **options):
    losses, draws = observed(np.append(base, law(sizes)), seed)
    return fit_metric("nll", sizes, losses[1:], draws[:, 1:], losses[0], draws[:, 0], **options)


def parameters(result, law):
    return {name: one["value"] for name, one in result["laws"][law]["parameters"].items()}


def at(result, size):
    return next(point for point in result["predictions"] if point["size"] == size)


def test_exact_losses_give_the_exact_parameters():
    found = fit(SIZES, power(SIZES), rectified=False)
    assert found.beta[0] == pytest.approx(0.25, rel=1e-3)
    assert found.e[0] == pytest.approx(1.6, rel=1e-3)
    sizes = np.append(0, SIZES)
    found = fit(sizes, rectified(sizes), rectified=True)
    assert found.beta[0] == pytest.approx(0.35, rel=1e-3)
    assert found.e[0] == pytest.approx(1.5, rel=1e-3)
    assert found.predict([1e6])[0, 0] == pytest.approx(rectified(1e6), abs=1e-4)


def test_the_least_squares_are_those_of_scipy():
    generator = np.random.default_rng(1)
    losses = power(SIZES) + 0.01 * generator.normal(size=(20, len(SIZES)))
    found = fit(SIZES, losses, rectified=False)
    for row, beta, rss in zip(losses, found.beta, found.rss, strict=True):
        theirs = curve_fit(lambda d, a, b, e: a * d**-b + e, SIZES.astype(float), row, (6.0, 0.25, 1.6), maxfev=9999)[0]
        assert beta == pytest.approx(theirs[1], rel=5e-3)
        ours = np.sum((theirs[0] * SIZES ** -theirs[1] + theirs[2] - row) ** 2)
        assert rss <= ours * 1.0001


def test_no_law_promises_less_than_no_loss():
    straight = 2.0 - 0.3 * np.log10(SIZES / 1_000) ** 2  # bends down: without a bound, E would be far below 0
    for rectified_law in (False, True):
        found = fit(SIZES, straight, rectified=rectified_law)
        assert found.e[0] >= 0
        assert found.predict([1e30])[0, 0] >= 0


def test_a_forecast_drifts_by_its_held_out_error_with_every_doubling():
    losses, draws = observed(power(SIZES))
    one = fitted(Candidate("power", False), Points(SIZES, losses, draws), seed=0)
    one = one._replace(held_out=np.full(6, 0.5))
    sizes = np.array([10_000, 100_000, 200_000, 800_000])
    drift = (forecast([one], sizes, 100_000, seed=0) - one.refits.predict(sizes)).std(0)
    assert drift == pytest.approx([0, 0, 0.5, 1.5], rel=0.2)


@pytest.mark.parametrize(("law", "base", "name"), [(power, FAR, "power"), (rectified, 4.0, "rectified")])
def test_a_clear_law_is_chosen_and_its_intervals_mostly_hold_the_truth(law, base, name):
    beta, asymptote = (0.25, 1.6) if name == "power" else (0.35, 1.5)
    results = [fit_law(law, base, seed) for seed in range(12)]
    assert {result["status"] for result in results} == {"fitted"}
    assert sum(result["law"] == name for result in results) >= 7
    found = [result["laws"][name]["parameters"] for result in results]
    for key, true in (("beta", beta), ("E", asymptote)):
        inside = [one[key]["ci95"][0] <= true <= one[key]["ci95"][1] for one in found]
        assert sum(inside) >= 9
        assert np.median([one[key]["value"] for one in found]) == pytest.approx(true, rel=0.1)
    forecasts = [at(result, 200_000) for result in results]
    assert sum(one["lo"] <= law(200_000) <= one["hi"] for one in forecasts) >= 10


def test_a_base_model_apart_is_left_out_of_the_law():
    on_the_law = [fit_law(rectified, 4.0, seed)["laws"]["rectified"]["base_included"] for seed in range(5)]
    apart = [fit_law(rectified, 12.0, seed) for seed in range(5)]
    assert sum(on_the_law) >= 3
    assert not any(result["laws"]["rectified"]["base_included"] for result in apart)
    for result in apart:
        assert at(result, 100_000)["value"] == pytest.approx(rectified(100_000), abs=0.06)


def test_scatter_that_test_items_do_not_explain_widens_the_intervals():
    calm, rough = (observed(power(SIZES), seed=3, own=own) for own in (0.0, 0.03))
    widths = []
    for losses in (calm[0], rough[0]):
        result = fit_metric("nll", SIZES, losses, losses + calm[1] - calm[0])
        low, high = result["laws"]["power"]["parameters"]["beta"]["ci95"]
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]


def test_the_band_widens_beyond_the_points():
    result = fit_law(power, FAR, extrapolate=(2, 10))
    bands = [at(result, size)["hi"] - at(result, size)["lo"] for size in (50_000, 200_000, 1_000_000)]
    assert bands[0] < bands[1] < bands[2]
    assert result["extrapolated"] == [at(result, 200_000), at(result, 1_000_000)]


def test_the_order_of_sizes_does_not_matter():
    losses, draws = observed(np.append(4.0, rectified(SIZES)))
    order = np.array([3, 0, 6, 1, 5, 2, 4])
    one = fit_metric("nll", SIZES, losses[1:], draws[:, 1:], losses[0], draws[:, 0])
    other = fit_metric("nll", SIZES[order], losses[1:][order], draws[:, 1:][:, order], losses[0], draws[:, 0])
    assert one == other


def test_overlap_metrics_are_fitted_from_the_other_end():
    losses, draws = observed(10 * np.append(4.0, rectified(SIZES)), own=0.02)
    result = fit_metric("rouge_l", SIZES, 50 - losses[1:], 50 - draws[:, 1:], 50 - losses[0], 50 - draws[:, 0])
    assert result["status"] == "fitted"
    assert result["points"][-1]["value"] == pytest.approx(50 - losses[-1])
    assert result["one_more"]["step"] == 1
    assert at(result, 1_000_000)["value"] > at(result, 100_000)["value"] > at(result, 1_000)["value"]
    point = at(result, 100_000)
    assert point["lo"] < point["value"] < point["hi"]
    assert "ROUGE-L" in result["sentence"]["en"]
    assert "ROUGE-L" in result["sentence"]["zh"]


def test_one_more_step_tells_rows_and_time():
    result = fit_law(power, FAR, seconds_per_row=0.36)
    answer = result["one_more"]
    true = (6.0 / (power(100_000) - 0.05 - 1.6)) ** 4 - 100_000
    assert answer["reachable"]
    assert answer["from_size"] == 100_000
    assert answer["extra_rows"] == answer["to_size"] - 100_000 == pytest.approx(true, rel=0.3)
    assert answer["ci95"][0] <= true <= answer["ci95"][1]
    assert answer["train_hours"] == pytest.approx(answer["to_size"] / 10_000, rel=1e-3)
    for language in ("en", "zh"):
        assert "100,000" in result["sentence"][language]


def test_a_step_below_the_asymptote_is_out_of_reach():
    result = fit_law(power, FAR, step=0.9)
    assert result["one_more"] | {"ci95": None} == {
        "step": 0.9,
        "reachable": False,
        "above_asymptote": False,
        "from_size": 100_000,
        "to_size": None,
        "extra_rows": None,
        "ci95": None,
        "train_hours": None,
    }
    assert "asymptote" in result["sentence"]["en"]


@pytest.mark.parametrize(("sizes", "base"), [(SIZES[:3], 4.0), (SIZES[:4], None), (SIZES[:0], 4.0), (SIZES[:0], None)])
def test_fewer_than_five_points_carry_no_law(sizes, base):
    losses = rectified(sizes)
    draws = np.tile(losses, (9, 1))
    result = fit_metric("nll", sizes, losses, draws, base, None if base is None else np.full(9, base))
    assert result["status"] == "too_few_sizes"
    assert len(result["points"]) == len(sizes) + (base is not None)
    assert result["law"] is result["one_more"] is None
    assert result["predictions"] == []
    assert f"{len(sizes)} training size" in result["sentence"]["en"]
    assert f"{len(sizes)} 个训练规模" in result["sentence"]["zh"]


def test_what_was_not_measured_is_no_point():
    losses, draws = observed(np.append(4.0, rectified(SIZES)))
    losses[3:], draws[:, 3:] = np.nan, np.nan
    result = fit_metric("nll", SIZES, losses[1:], draws[:, 1:], losses[0], draws[:, 0])
    assert result["status"] == "too_few_sizes"
    assert [point["size"] for point in result["points"]] == [0, 1_000, 2_000]


@pytest.mark.parametrize("losses", [np.full(7, 2.0), np.linspace(2.0, 2.5, 7)], ids=["flat", "rising"])
@pytest.mark.parametrize("base", [4.0, None])
def test_losses_that_do_not_fall_carry_no_law(losses, base):
    losses, draws = observed(losses, seed=5)
    result = fit_metric("nll", SIZES, losses, draws, base, None if base is None else np.full(RESAMPLES, base))
    assert result["status"] == "not_identified"
    assert result["law"] is result["one_more"] is None
    assert "do not clearly improve" in result["sentence"]["en"]
    assert len(result["points"]) == 7 + (base is not None)


def test_chance_is_not_taken_for_a_law():
    """Losses that do not depend on size, after a base model that is far worse."""
    fits = [fit_law(lambda sizes: np.full(len(sizes), 2.0), FAR, seed) for seed in range(15, 27)]
    assert sum(result["status"] == "fitted" for result in fits) <= 1


def test_a_single_drop_has_no_exponent():
    losses, draws = observed(np.array([2.6] + [2.0] * 6), seed=2)
    assert fit_metric("nll", SIZES, losses, draws)["status"] == "not_identified"


def test_a_study_is_fitted_by_metric_and_method_without_controls_and_floors():
    configurations = [
        Configuration("base", "base", "base", None, ("base",)),
        Configuration("floor_bm25", "floor", "floor_bm25", None, ("floor_bm25",)),
        *(Configuration(f"lora_{size}", "tuned", "lora", int(size), ()) for size in SIZES),
        Configuration("lora_1k_5epochs", "control", "lora", 1_000, ()),
        Configuration("qlora_1k", "tuned", "qlora", 1_000, ()),
    ]
    losses, draws = observed(np.concatenate([[4.0, np.nan], rectified(SIZES), [2.5, 2.8]]))
    study = fit_study(configurations, {"nll": losses}, {"nll": draws}, seconds_per_row={"lora": 0.5, "qlora": None})
    assert study["schema_version"] == 1
    found = study["metrics"]["nll"]
    assert list(found) == ["lora", "qlora"]
    assert found["lora"]["status"] == "fitted"
    assert [point["size"] for point in found["lora"]["points"]] == [0, *SIZES]
    assert found["lora"]["one_more"]["train_hours"] > 0
    assert found["qlora"]["status"] == "too_few_sizes"
    json.dumps(study, allow_nan=False)


numbers = st.floats(allow_nan=True, allow_infinity=True)
sizes_of = st.lists(st.integers(1, 10**9), min_size=0, max_size=9)


@settings(max_examples=60)
@given(st.data(), sizes_of, st.sampled_from(["nll", "bleu_4"]), st.booleans())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_any_input_gives_numbers_or_null(data, sizes, metric, with_base):
    count = len(sizes)
    plain = st.floats(0, 100) if data.draw(st.booleans()) else numbers
    values = data.draw(st.lists(plain, min_size=count, max_size=count))
    resamples = data.draw(st.integers(1, 4))
    rows = st.lists(plain, min_size=count, max_size=count)
    draws = np.array(data.draw(st.lists(rows, min_size=resamples, max_size=resamples))).reshape(resamples, count)
    base = (data.draw(plain), np.array(data.draw(st.lists(plain, min_size=resamples, max_size=resamples))))
    result = fit_metric(metric, sizes, values, draws, *(base if with_base else (None, None)), seconds_per_row=1.0)
    json.dumps(result, allow_nan=False)
    assert result["status"] in ("fitted", "too_few_sizes", "not_identified")
    assert set(result["sentence"]) == {"en", "zh"}
    assert (result["law"] is not None) == (result["status"] == "fitted") == bool(result["predictions"])
