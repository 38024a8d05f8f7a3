"""How quality grows with the number of training rows: which law holds, with which certainty, and what more would bring.

Two laws are fitted to the loss L of a method at D training rows:

    power      L = A·D^-β + E
    rectified  L = B / (D_l + D^β) + E

The second is that of Lin et al. (ICML 2024, arXiv 2402.02314), in the form of the paper's own program: without an outer
exponent. D_l is what the base model knew before, in units of D^β, so the law has a value at D = 0 and may go through
the base model; where the base model lies apart, because the first rows teach the form of an answer, it is left out.
The law, and whether the base model is one of its points, is what predicts best the points that it was not fitted to.

For the overlap metrics, of which more is better, the loss is 100 − value, and all is given in the metric's own unit.
The method, and how it does in simulations and on published curves: docs/scaling-law.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from medscale.compare.resampling import Configuration
from medscale.compare.scaling import words
from medscale.compare.scaling.choice import QUANTILES, Fitted, Points, candidates, fitted, forecast, trusted
from medscale.compare.scaling.fits import Fits

POINTS_NEEDED = 5
EXTRAPOLATE = (2, 5, 10)
RESAMPLES = 1000
STEPS = {"nll": 0.05}
"""The step of `one_more` in the metric's unit; one point where it is not given."""
FARTHEST = 1000
"""More rows than so many times the largest size count as out of reach."""
CURVE = 60
FORMULAS = {"power": "L = A·D^-β + E", "rectified": "L = B / (D_l + D^β) + E"}


def fit_study(
    configurations: Sequence[Configuration],
    points: Mapping[str, np.ndarray],
    draws: Mapping[str, np.ndarray],
    extrapolate: Iterable[float] = EXTRAPOLATE,
    steps: Mapping[str, float] | None = None,
    seconds_per_row: Mapping[str, float | None] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    ends: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> dict[str, Any]:
    """Fit each metric of each method and return the content of scaling_fit.json.

    Parameters
    ----------
    configurations : sequence of k configurations
        Those of kind ``tuned`` are the points of their method, the one of kind ``base`` that of all methods.
    points, draws : mapping of metric to array of shape (k,) and (resamples, k)
        See `resampling.resample`.
    extrapolate, resamples, seed
        See `fit_metric`.
    steps : mapping of metric to float, optional
        Where the step of a metric is not the default.
    seconds_per_row : mapping of method to float or None, optional
        Seconds of training a row.
    ends : mapping of metric to k pairs of float, optional
        The intervals under which the points are told, where those of the draws are not the ones of the study's tables.
        The fits are made of the draws.
    """
    columns: dict[str, list[int]] = {}
    for column, configuration in enumerate(configurations):
        if configuration.kind == "tuned":
            columns.setdefault(configuration.method, []).append(column)
    base = next((column for column, one in enumerate(configurations) if one.kind == "base"), None)
    extrapolate, steps, seconds = tuple(extrapolate), steps or {}, seconds_per_row or {}
    metrics = {
        metric: {
            method: fit_metric(
                metric,
                [configurations[column].size for column in own],
                values[own],
                draws[metric][:, own],
                None if base is None else values[base],
                None if base is None else draws[metric][:, base],
                extrapolate=extrapolate,
                step=steps.get(metric),
                seconds_per_row=seconds.get(method),
                resamples=resamples,
                seed=seed,
            )
            for method, own in columns.items()
        }
        for metric, values in points.items()
    }
    for metric, told in (ends or {}).items():
        for method, own in columns.items():
            sizes = {configurations[column].size: told[column] for column in own}
            sizes |= {} if base is None else {0: told[base]}
            for point in metrics[metric][method]["points"]:
                point["lo"], point["hi"] = map(_number, sizes[point["size"]])
    return {"schema_version": 1, "metrics": metrics}


def fit_metric(
    metric: str,
    sizes: Sequence[float],
    values: Sequence[float],
    draws: np.ndarray,
    base_value: float | None = None,
    base_draws: np.ndarray | None = None,
    extrapolate: Iterable[float] = EXTRAPOLATE,
    step: float | None = None,
    seconds_per_row: float | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Fit the laws to one metric of one method.

    Points that are not finite count as not measured and are left out. The answer is the same for every order of sizes.

    Parameters
    ----------
    metric : str
        ``nll`` (less is better) or an overlap metric in points of 100.
    sizes : sequence of shape (n,)
        Training rows, positive.
    values : sequence of shape (n,)
        The metric at each size, in its unit.
    draws : array of shape (resamples, n)
        The same over resamples of the test items, all sizes seeing the same items; at least one.
    base_value, base_draws : float and array of shape (resamples,), optional
        The base model, resampled with the same items.
    extrapolate : iterable of float
        Multiples of the largest size to predict.
    step : float, optional
        The improvement whose price in rows is asked, in the metric's unit; see `STEPS`.
    seconds_per_row : float, optional
        Seconds of training a row, to say how long a training on so many rows takes.
    resamples : int
        The first so many of ``draws`` are refitted.
    seed : int
        Seed of the residual scatter that is added to the resamples.

    Returns
    -------
    dict
        status (``fitted``, ``too_few_sizes`` or ``not_identified``), points, law, laws, predictions (a dense curve),
        extrapolated (at the multiples), one_more and sentence; see docs/scaling-law.md. Numbers are finite or None.
    """
    step = STEPS.get(metric, 1.0) if step is None else step
    draws = np.asarray(draws, dtype=np.float64)[:resamples]
    base = None if base_value is None or base_draws is None else (base_value, np.asarray(base_draws)[:resamples])
    points = _points(metric, sizes, values, draws, base)
    result: dict[str, Any] = {
        "status": "too_few_sizes",
        "points": _described_points(metric, points),
        "law": None,
        "laws": {},
        "predictions": [],
        "extrapolated": [],
        "one_more": None,
    }
    distinct = len(np.unique(points.sizes))
    if distinct < POINTS_NEEDED:
        return result | {"sentence": words.too_few(int((np.unique(points.sizes) > 0).sum()), distinct)}
    scale = float(np.abs(points.draws).max()) or 1.0
    scaled = Points(points.sizes, points.losses / scale, points.draws / scale)
    study = _Study(metric, scale, float(points.sizes[-1]), seed)
    every = [fitted(candidate, scaled, seed) for candidate in candidates(scaled)]
    multiples = np.unique(np.array([float(multiple) for multiple in extrapolate]))
    laws = _best_of_each_law(every)
    result |= {
        "status": "not_identified",
        "laws": {law: _described_law(study, one, multiples) for law, one in laws.items()},
    }
    kept = trusted(every)
    if not kept:
        return result | {"sentence": words.not_identified(one.problem for one in laws.values())}
    one_more = {"step": step, **_one_more(study, kept, step / scale, seconds_per_row)}
    return result | {
        "status": "fitted",
        "law": kept[0].candidate.law,
        "laws": result["laws"] | {kept[0].candidate.law: _described_law(study, kept[0], multiples)},
        "predictions": _predictions(study, kept, _curve_sizes(points.sizes, multiples)),
        "extrapolated": _predictions(study, kept, multiples * study.largest),
        "one_more": one_more,
        "sentence": words.one_more(metric, step, one_more),
    }


class _Study(NamedTuple):
    """What turns fitted losses back into the metric, and where its points end."""

    metric: str
    scale: float
    largest: float
    seed: int

    def values(self, losses: np.ndarray) -> np.ndarray:
        return _turn(self.metric, losses * self.scale)


def _best_of_each_law(every: list[Fitted]) -> dict[str, Fitted]:
    """Return each law's candidate that does best on held-out points."""
    by_law = {law: [one for one in every if one.candidate.law == law] for law in FORMULAS}
    return {law: min(ones, key=lambda one: one.held_out_error) for law, ones in by_law.items() if ones}


def _points(metric: str, sizes: Any, values: Any, draws: np.ndarray, base: tuple[float, np.ndarray] | None) -> Points:
    """Return the finite points as losses, sorted by size."""
    sizes, values = np.asarray(sizes, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if base is not None:
        sizes, values, draws = np.append(0.0, sizes), np.append(base[0], values), np.column_stack([base[1], draws])
    order = np.lexsort([values, sizes])
    order = order[np.isfinite(values[order]) & np.isfinite(draws[:, order]).all(0)]
    losses, draws = _turn(metric, values[order]), _turn(metric, draws[:, order])
    return Points(sizes[order], losses, draws)


def _turn(metric: str, values: np.ndarray) -> np.ndarray:
    """Turn a metric into its loss, and a loss into its metric."""
    return values if metric == "nll" else 100.0 - values


def _described_points(metric: str, points: Points) -> list[dict]:
    values, draws = _turn(metric, points.losses), _turn(metric, points.draws)
    ends = [_interval(column) for column in draws.T]
    return [
        {"size": int(size), "value": _number(value), "lo": low, "hi": high}
        for size, value, (low, high) in zip(points.sizes, values, ends, strict=True)
    ]


def _described_law(study: _Study, one: Fitted, multiples: np.ndarray) -> dict[str, Any]:
    values, draws = (_parameters(fits, one.candidate.law, study.scale) for fits in (one.fits, one.refits))
    return {
        "formula": FORMULAS[one.candidate.law],
        "parameters": {
            name: {"value": _number(value[0]), "ci95": _interval(draws[name])} for name, value in values.items()
        },
        "base_included": one.candidate.with_base,
        "held_out_error": _number(one.held_out_error * study.scale),
        "held_out_error_largest": _number(abs(one.held_out[-1]) * study.scale),
        "residual_sd": _number(one.residual_sd * study.scale),
        "problem": one.problem,
        "extrapolated": _predictions(study, [one], multiples * study.largest),
    }


def _parameters(fits: Fits, law: str, scale: float) -> dict[str, np.ndarray]:
    unit = fits.reference**fits.beta
    if law == "power":
        return {"A": fits.a * unit * scale, "beta": fits.beta, "E": fits.e * scale}
    return {"B": fits.a * unit * scale, "D_l": fits.k * unit, "beta": fits.beta, "E": fits.e * scale}


def _curve_sizes(sizes: np.ndarray, multiples: np.ndarray) -> np.ndarray:
    """Return sizes evenly spaced on a log axis, the measured and the extrapolated ones among them."""
    measured = sizes[sizes > 0]
    asked = measured[-1] * np.append(multiples, 1.0)
    spaced = np.geomspace(measured[0], asked.max(), CURVE).round()
    return np.unique(np.concatenate([measured, asked, spaced]))


def _predictions(study: _Study, laws: list[Fitted], sizes: np.ndarray) -> list[dict]:
    """Return the curve of the first of ``laws`` with the band of all of them."""
    values = study.values(laws[0].fits.predict(sizes)[0])
    draws = study.values(forecast(laws, sizes, study.largest, study.seed))
    ends = [_interval(column) for column in draws.T]
    return [
        {"size": _rows(size), "value": _number(value), "lo": low, "hi": high}
        for size, value, (low, high) in zip(sizes, values, ends, strict=True)
    ]


def _one_more(study: _Study, laws: list[Fitted], step: float, seconds_per_row: float | None) -> dict[str, Any]:
    """Return how many more rows one step of improvement takes, counted from the curve at the largest size.

    The interval is where the curves of the forecast's band cross their own value at the largest size less the step.
    """
    fits = laws[0].fits
    size = float(fits.size_at(fits.predict([study.largest])[:, 0] - step)[0])
    reachable = bool(size <= FARTHEST * study.largest)
    sizes = study.largest * np.geomspace(1, FARTHEST, 300)
    curves = forecast(laws, sizes, study.largest, study.seed)
    there = curves <= curves[:, :1] - step
    crossing = np.where(there.any(1), sizes[there.argmax(1)], np.inf) - study.largest
    low, high = np.quantile(crossing, QUANTILES, method="nearest")
    return {
        "reachable": reachable,
        "above_asymptote": bool(np.isfinite(size)),
        "from_size": int(study.largest),
        "to_size": _rows(size) if reachable else None,
        "extra_rows": _rows(size - study.largest) if reachable else None,
        "ci95": [_rows(low), _rows(high)],
        "train_hours": _number(size * seconds_per_row / 3600) if reachable and seconds_per_row is not None else None,
    }


def _rows(size: float) -> int | None:
    return round(float(size)) if np.isfinite(size) else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _interval(draws: np.ndarray) -> list[float | None]:
    return [_number(end) for end in np.quantile(draws, QUANTILES)]
