"""Simulate studies whose law is known, and count how often MedScale's fit of the scaling law is right; time it too.

python benchmarks/scaling_law.py --output benchmarks/results/scaling_law.json   # half an hour on one core
python benchmarks/scaling_law.py --simulations 50                               # a few minutes, coarser
python benchmarks/scaling_law.py --curves flan.csv                              # forecasts of published curves too

The published curves are a table of fine-tuning losses as Lin et al. (ICML 2024) give them, a row a model and a column a
training size, at https://github.com/linhaowei1/Fine-tuning-Scaling-Law in the folder benchmark; they are not ours to
redistribute. A part of each curve is fitted, and the forecasts are compared with the sizes that follow.
"""

import argparse
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import curve_fit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from medscale.base.arguments import whole_number
from medscale.base.errors import run_script
from medscale.base.files import write_json
from medscale.base.machine import cpu_model, versions
from medscale.compare.scaling.choice import Candidate, Points
from medscale.compare.scaling.law import fit_metric

RESAMPLES = 300
SEVEN = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
FOUR = (2_000, 10_000, 50_000, 100_000)
WINDOWS = ((800, 7), (200, 7), (400, 6), (1600, 6), (3200, 5), (200, 5), (800, 4))
MULTIPLES = (2, 4, 8)


class Setting(NamedTuple):
    """A made-up study: its law, its sizes, and the standard deviations of what disturbs its points.

    ``common`` moves all points together (the test items), ``own`` each point (how its model answers these items), and
    ``training`` each point too, but unknown to resampled items (the seed).
    """

    law: str
    parameters: dict[str, float]
    sizes: tuple[int, ...]
    base: float | None = None
    metric: str = "nll"
    common: float = 0.018
    own: float = 0.0045
    training: float = 0.005

    def loss(self, sizes: np.ndarray) -> np.ndarray:
        p, sizes = self.parameters, np.asarray(sizes, dtype=float)
        if self.law == "power":
            return p["A"] * sizes ** -p["beta"] + p["E"]
        return p["B"] / (p["D_l"] + sizes ** p["beta"]) + p["E"]


POWER = {"A": 6.0, "beta": 0.25, "E": 1.6}
RECTIFIED = {"B": 30.0, "D_l": 12.0, "beta": 0.35, "E": 1.5}
ROUGE = {"A": 120.0, "beta": 0.25, "E": 68.0}
SETTINGS = {
    "power law, 7 sizes and a base apart": Setting("power", POWER, SEVEN, base=3.4),
    "power law, 7 sizes, noisy training": Setting("power", POWER, SEVEN, base=3.4, training=0.02),
    "rectified law, 7 sizes and the base": Setting("rectified", RECTIFIED, SEVEN, base=4.0),
    "rectified law, 7 sizes, noisy training": Setting("rectified", RECTIFIED, SEVEN, base=4.0, training=0.02),
    "rectified law, 4 sizes and the base": Setting("rectified", RECTIFIED, FOUR, base=4.0),
    "ROUGE-L, power law, 7 sizes": Setting("power", ROUGE, SEVEN, None, "rouge_l", 0.22, 0.12, 0.1),
    "no effect of size, 7 sizes": Setting("power", {"A": 0.0, "beta": 1.0, "E": 2.0}, SEVEN, base=3.4),
}


def main() -> None:
    args = parse_arguments()
    result = {"simulations": args.simulations, "resamples": RESAMPLES, "settings": {}}
    print(HEADER)
    with ProcessPoolExecutor(args.jobs) as pool:
        found = pool.map(simulate, SETTINGS.values(), repeat(args.simulations), range(len(SETTINGS)))
        for name, figures in zip(SETTINGS, found, strict=True):
            result["settings"][name] = figures
            print(row(name, figures), flush=True)
    result["weights"] = compare_weights(SETTINGS["power law, 7 sizes and a base apart"], args.simulations)
    print("\nroot-mean-square error of β by the weights of the squares:", result["weights"])
    result["seconds_per_fit_1000_resamples"] = time_a_fit(SETTINGS["rectified law, 7 sizes and the base"])
    print(f"one metric of one method, 1,000 resamples: {result['seconds_per_fit_1000_resamples']} s")
    if args.curves:
        result["published_curves"] = forecast_curves(args.curves)
        for window, found in result["published_curves"].items():
            print(window, found)
    result |= {
        "command": "python benchmarks/scaling_law.py " + " ".join(sys.argv[1:]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cpu": cpu_model(), "system": platform.platform(), "jobs": args.jobs},
        "versions": versions(("numpy", "scipy", "pandas")),
    }
    if args.output:
        write_json(args.output, result)


def observe(setting: Setting, generator: np.random.Generator, resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return measured losses, the base first where there is one, and their values over resampled items."""
    truth = setting.loss(np.array(setting.sizes))
    if setting.base is not None:
        truth = np.append(setting.base, truth)
    count = len(truth)
    items = setting.common * generator.normal() + setting.own * generator.normal(size=count)
    losses = truth + items + setting.training * generator.normal(size=count)
    again = setting.common * generator.normal(size=(resamples, 1))
    again = again + setting.own * generator.normal(size=(resamples, count))
    return losses, losses + again


def run_fit(setting: Setting, losses: np.ndarray, draws: np.ndarray) -> dict:
    """Call `fit_metric` as the workflow does."""
    turn: Callable = (lambda x: x) if setting.metric == "nll" else (lambda x: 100 - x)
    values, draws = turn(losses), turn(draws)
    first = 0 if setting.base is None else 1
    base = (None, None) if setting.base is None else (values[0], draws[:, 0])
    return fit_metric(setting.metric, setting.sizes, values[first:], draws[:, first:], *base)


def simulate(setting: Setting, simulations: int, seed: int) -> dict:
    """Fit ``simulations`` made-up studies and compare with the truth."""
    generator = np.random.default_rng(seed)
    statuses, laws, errors, hits = Counter(), Counter(), [], []
    for _ in range(simulations):
        losses, draws = observe(setting, generator, RESAMPLES)
        fit = run_fit(setting, losses, draws)
        statuses[fit["status"]] += 1
        if fit["status"] == "fitted":
            laws[fit["law"]] += 1
            errors.append(true_law_errors(setting, fit))
            hits.append(covered(setting, fit, losses, draws))
    shares = {status: count / simulations for status, count in statuses.items()}
    found = {"law": setting.law, "parameters": setting.parameters, "status": shares}
    if not laws or setting.parameters.get("A") == 0:
        return found
    errors_ = pd.DataFrame(errors)
    return found | {
        "right_law": laws[setting.law] / sum(laws.values()),
        "bias": errors_.mean().round(4).to_dict(),
        "median_error": errors_.median().round(4).to_dict(),
        "rms_error": np.sqrt((errors_**2).mean()).round(4).to_dict(),
        "coverage": pd.DataFrame(hits).mean().round(3).to_dict(),
    }


def true_law_errors(setting: Setting, fit: dict) -> dict[str, float]:
    """Return the errors of β and E of the true law, and of the forecast at twice and five times the largest size."""
    found = {
        name: fit["laws"][setting.law]["parameters"][name]["value"] - setting.parameters[name] for name in ("beta", "E")
    }
    return found | {
        f"{multiple}x": at(fit, setting, multiple)["value"] - truth(setting, multiple) for multiple in (2, 5)
    }


def covered(setting: Setting, fit: dict, losses: np.ndarray, draws: np.ndarray) -> dict[str, bool]:
    """Return which intervals hold the truth, and whether β's would if only test items were resampled."""
    parameters = fit["laws"][setting.law]["parameters"]
    inside = {name: within(parameters[name]["ci95"], setting.parameters[name]) for name in ("beta", "E")}
    for multiple in (2, 5):
        there = at(fit, setting, multiple)
        inside[f"{multiple}x"] = within((there["lo"], there["hi"]), truth(setting, multiple))
    inside["one_more"] = within(fit["one_more"]["ci95"], true_rows(setting, fit["one_more"]["step"]))
    with_base = fit["laws"][setting.law]["base_included"]
    first = 0 if with_base or setting.base is None else 1
    sizes = np.append(0, setting.sizes) if with_base else np.array(setting.sizes)
    points = Points(sizes, losses[first:], draws[:, first:])
    items_only = Candidate(setting.law, with_base).fit(points, points.draws).beta
    return inside | {"beta_items_only": within(np.quantile(items_only, [0.025, 0.975]), setting.parameters["beta"])}


def at(fit: dict, setting: Setting, multiple: int) -> dict:
    return next(point for point in fit["predictions"] if point["size"] == multiple * setting.sizes[-1])


def truth(setting: Setting, multiple: int) -> float:
    loss = float(setting.loss(setting.sizes[-1] * multiple))
    return loss if setting.metric == "nll" else 100 - loss


def true_rows(setting: Setting, step: float) -> float:
    """Return how many more rows one step takes by the true law; infinite where it is never reached."""
    sizes = setting.sizes[-1] * np.geomspace(1, 1000, 100_001)
    reached = setting.loss(sizes) <= setting.loss(setting.sizes[-1]) - step
    return float(sizes[reached.argmax()] - setting.sizes[-1]) if reached.any() else np.inf


def within(ends: tuple, value: float) -> bool:
    """Return whether an interval holds a value; an end that is null is infinite."""
    low, high = (np.inf if end is None else end for end in ends)
    return bool(low <= value <= high)


def compare_weights(setting: Setting, simulations: int) -> dict[str, float]:
    """Return the error of β for unweighted squares, and for weights from the points' variances and covariance."""
    generator = np.random.default_rng(99)
    sizes, start = np.array(setting.sizes, dtype=float), [*setting.parameters.values()]
    errors: dict[str, list[float]] = {}
    for _ in range(simulations):
        losses, draws = observe(setting._replace(base=None), generator, RESAMPLES)
        covariance = np.cov(draws.T)
        for name, sigma in (("none", None), ("variances", np.sqrt(np.diag(covariance))), ("covariance", covariance)):
            fitted = curve_fit(lambda d, a, b, e: a * d**-b + e, sizes, losses, start, sigma, maxfev=20_000)[0]
            errors.setdefault(name, []).append(fitted[1] - setting.parameters["beta"])
    return {name: round(float(np.sqrt(np.mean(np.square(values)))), 5) for name, values in errors.items()}


def time_a_fit(setting: Setting, repeats: int = 3) -> float:
    """Return the best processor time of one metric of one method with 1,000 resamples."""
    losses, draws = observe(setting, np.random.default_rng(1), 1000)
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run_fit(setting, losses, draws)
        times.append(time.process_time() - start)
    return round(min(times), 2)


def forecast_curves(path: str) -> dict[str, dict]:
    """Fit parts of published curves and compare the forecasts with the measured losses that follow."""
    table = pd.read_csv(path, index_col=0)
    sizes = np.array([int(column) for column in table.columns if column.isdigit()])
    losses = table[[str(size) for size in sizes]].to_numpy(dtype=float)
    generator, found = np.random.default_rng(0), {}
    for first, count in WINDOWS:
        start = int(np.flatnonzero(sizes == first)[0])
        rows = [_forecast_curve(curve, sizes, start, count, generator) for curve in losses]
        fitted = [one for one in rows if one is not None]
        errors, inside = (np.array([one[part] for one in fitted]) for part in (0, 1))
        found[f"{count} sizes from {first} and the base"] = {
            "curves": len(rows),
            "fitted": len(fitted),
            "rms_error": dict(zip(MULTIPLES, np.sqrt((errors**2).mean(0)).round(3).tolist(), strict=True)),
            "coverage": dict(zip(MULTIPLES, inside.mean(0).round(3).tolist(), strict=True)),
        }
    return found


def _forecast_curve(
    curve: np.ndarray, sizes: np.ndarray, start: int, count: int, generator: np.random.Generator
) -> tuple | None:
    own = sizes[start : start + count]
    noise = 0.018 * generator.normal(size=(RESAMPLES, 1)) + 0.0045 * generator.normal(size=(RESAMPLES, count + 1))
    values = curve[start : start + count]
    fit = fit_metric("nll", own, values, values + noise[:, 1:], curve[0], curve[0] + noise[:, 0], extrapolate=MULTIPLES)
    if fit["status"] != "fitted":
        return None
    there = [next(p for p in fit["predictions"] if p["size"] == own[-1] * multiple) for multiple in MULTIPLES]
    future = curve[start + count : start + count + len(MULTIPLES)]
    pairs = list(zip(there, future, strict=True))
    return [p["value"] - value for p, value in pairs], [p["lo"] <= value <= p["hi"] for p, value in pairs]


HEADER = (
    f"{'':<42}{'fitted':>8}{'right law':>11}{'median error':>20}{'95 % intervals hold the truth':>52}\n"
    f"{'':<42}{'':>8}{'':>11}{'β':>10}{'E':>10}{'β':>10}{'(items)':>9}{'E':>8}{'2x':>8}{'5x':>8}{'one more':>9}"
)


def row(name: str, found: dict) -> str:
    """Return a setting's figures as a line of the table."""
    start = f"{name:<42}{found['status'].get('fitted', 0):>8.1%}"
    if "coverage" not in found:
        return start
    hold = found["coverage"]
    return (
        f"{start}{found['right_law']:>11.1%}{found['median_error']['beta']:>10.4f}{found['median_error']['E']:>10.4f}"
        f"{hold['beta']:>10.1%}{hold['beta_items_only']:>9.1%}{hold['E']:>8.1%}{hold['2x']:>8.1%}{hold['5x']:>8.1%}"
        f"{hold['one_more']:>9.1%}"
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--simulations", type=whole_number, default=500, help="studies a setting (default: %(default)s)"
    )
    parser.add_argument("--jobs", type=whole_number, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--curves", help="CSV file of published curves to forecast")
    parser.add_argument("--output", help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
