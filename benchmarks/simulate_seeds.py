"""Simulate studies of one or several seeds whose truth is known: does the interval of a value hold it, and the law?

python benchmarks/simulate_seeds.py --output benchmarks/results/seeds.json   # some minutes on one core
python benchmarks/simulate_seeds.py --simulations 50                         # coarser
"""

import argparse
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy.optimize import curve_fit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from medscale.base.arguments import whole_number
from medscale.base.errors import run_script
from medscale.base.files import write_json
from medscale.base.machine import cpu_model, versions
from medscale.compare.configurations import intervals_over_seeds
from medscale.compare.resampling import Configuration, Resampled, resample
from medscale.compare.scaling.law import fit_metric
from medscale.evaluate.eval_file import Scores

ALPHA = 0.05
RESAMPLES = 499
ITEMS = 300
REFITS = 100
SEEDS, SPREADS = (1, 2, 3, 5), (0.0, 1.0, 3.0)
SIZES = np.array([1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000])
PATTERNS = {
    "one seed everywhere": (1,) * 7,
    "three at the smallest and the largest": (3, 1, 1, 1, 1, 1, 3),
    "three seeds everywhere": (3,) * 7,
}
COMMON, OWN = 0.018, 0.0045
"""Standard deviations, in nats, of what items do to all points together and to each run, as in scaling_law.py."""


def main() -> None:
    args = parse_arguments()
    started = time.perf_counter()
    result = {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "simulations": args.simulations,
        "resamples": RESAMPLES,
        "items": ITEMS,
        "refits": REFITS,
        "alpha": ALPHA,
        "values": [row for metric in ("rouge_l", "nll") for row in values(metric, args.simulations)],
        "laws": laws(args.simulations // 8),
    }
    result["seconds"] = round(time.perf_counter() - started, 1)
    result["machine"] = {"cpu": cpu_model(), "system": platform.platform(), "cores_used": 1}
    result["versions"] = versions(["numpy", "scipy"])
    for part in ("values", "laws"):
        rows = result[part]
        print(part, "  ".join(f"{key:>20.20}" for key in rows[0]), sep="\n")
        print("\n".join("  ".join(f"{value!s:>20.20}" for value in row.values()) for row in rows))
    if args.output:
        write_json(args.output, result)


def values(metric: str, simulations: int) -> list[dict]:
    """How often the 95 % interval of a configuration's own value holds its mean over all items and seeds.

    The seeds' standard deviation is a multiple of the standard error that the items give one run.
    """
    rows = []
    for count in SEEDS:
        for ratio in SPREADS:
            generator = np.random.default_rng([count, int(ratio), len(metric)])
            hits: dict[str, list[bool]] = {}
            for number in range(simulations):
                resampled = (drawn_rouge if metric == "rouge_l" else drawn_nll)(generator, count, ratio, number)
                truth = 17.0 if metric == "rouge_l" else 2.1
                for name, (low, high) in methods(resampled, metric).items():
                    hits.setdefault(name, []).append(bool(low <= truth <= high))
            shares = {name: share(found) for name, found in hits.items()}
            rows.append({"scores": metric, "seeds": count, "seed_sd_over_item_se": ratio, "n": simulations, **shares})
    return rows


def drawn_rouge(generator: np.random.Generator, count: int, ratio: float, seed: int) -> Resampled:
    """One configuration with scores like ROUGE-L: mean 17, SD 6, half of the variance that of the items."""
    shared = generator.gamma(4.0, 1.0, ITEMS)
    columns = {
        f"s{place}": {"rouge_l_f": 2.125 * (shared + generator.gamma(4.0, 1.0, ITEMS)) + shift}
        for place, shift in enumerate(generator.normal(0, ratio * 6.0 / np.sqrt(ITEMS), count))
    }
    return resampled_of(columns, "rouge_l", seed)


def drawn_nll(generator: np.random.Generator, count: int, ratio: float, seed: int) -> Resampled:
    """One configuration with the NLL of answers of very unequal lengths: 2.1 nats a token."""
    tokens = np.maximum(5, generator.lognormal(4.4, 0.6, ITEMS).round())
    base = tokens * generator.gamma(30.0, 0.07, ITEMS)
    item_se = 0.38 * np.sqrt((tokens**2).sum()) / tokens.sum()
    columns = {
        f"s{place}": {
            "nll_sum": base + tokens * (generator.normal(0, 0.08, ITEMS) + shift),
            "n_answer_tokens": tokens,
        }
        for place, shift in enumerate(generator.normal(0, ratio * item_se, count))
    }
    return resampled_of(columns, "nll", seed)


def resampled_of(columns: dict[str, dict[str, np.ndarray]], metric: str, seed: int) -> Resampled:
    scores = {run: Scores(list(range(ITEMS)), values, {}) for run, values in columns.items()}
    return resample(scores, [Configuration("s0", "tuned", "lora", 1, tuple(columns))], [metric], RESAMPLES, seed)


def methods(resampled: Resampled, metric: str) -> dict[str, tuple[float, float]]:
    """Return the intervals: over items alone, over the corrected draws, and the one in use.

    The items alone are what eval.json tells of a run; with one seed that is the one in use.
    """
    ends = [ALPHA / 2, 1 - ALPHA / 2]
    weights = resampled.weights[metric]
    alone = resample(
        {"m": Scores(list(range(ITEMS)), _columns(metric, resampled.items[metric][:, 0], weights), {})},
        [Configuration("m", "tuned", "lora", 1, ("m",))],
        [metric],
        RESAMPLES,
        resampled.seed,
    ).draws[metric][:, 0]
    found = {
        "items_only": tuple(np.quantile(alone, ends)),
        "corrected_draws": tuple(np.quantile(resampled.draws[metric][:, 0], ends)),
    }
    several = len(resampled.configurations[0].runs) > 1
    found["medscale"] = intervals_over_seeds(resampled, metric, [0], ALPHA)[0] if several else found["items_only"]
    return found


def _columns(metric: str, items: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    return {"nll_sum": items, "n_answer_tokens": weights} if metric == "nll" else {f"{metric}_f": items}


def laws(simulations: int) -> list[dict]:
    """How the scaling law does where sizes have unequal numbers of seeds; a power law is the truth.

    Besides, the forecast of a plain least-squares fit, and of one in which a point weighs as its seeds do.
    """
    rows = []
    for training in (0.005, 0.02):
        for name, counts in PATTERNS.items():
            generator = np.random.default_rng([int(1000 * training), len(name)])
            found: dict[str, list] = {}
            for number in range(simulations):
                for key, value in one_law(generator, counts, training, number).items():
                    found.setdefault(key, []).append(value)
            fitted = np.array(found.pop("fitted"))
            row = {"seeds": name, "training_sd": training, "n": simulations, "fitted": share(fitted)}
            for key, column in found.items():
                known = np.array(column, float)
                kept = known[~np.isnan(known)]
                row[key] = share(kept) if key.startswith("held") else round(float(np.sqrt(np.median(kept**2))), 5)
            rows.append(row)
    return rows


def truth(sizes: np.ndarray) -> np.ndarray:
    return power(np.asarray(sizes, float) / 10_000, 6.0 * 10_000**-0.25, 0.25, 1.6)


def power(x: np.ndarray, a: float, beta: float, e: float) -> np.ndarray:
    return a * x**-beta + e


def one_law(generator: np.random.Generator, counts: tuple[int, ...], training: float, number: int) -> dict:
    """Make one study, fit it, and return what held and what erred at twice and four times the largest size."""
    counts, common = np.array(counts), generator.normal(0, COMMON)
    means, draws = np.empty(len(SIZES)), np.empty((REFITS, len(SIZES)))
    together = generator.normal(0, COMMON, REFITS)
    for place, count in enumerate(counts):
        items, seeds = generator.normal(0, OWN, count), generator.normal(0, training, count)
        run = truth(SIZES[[place]])[0] + common + items + seeds
        means[place] = run.mean()
        # As `resampling.resample` has it: what seeds add to the items, known from these seeds alone.
        added = max(0.0, run.var(ddof=1) / count - OWN**2 / count) if count > 1 else 0.0
        own = generator.normal(0, OWN / np.sqrt(count), REFITS)
        draws[:, place] = means[place] + together + own + np.sqrt(added) * generator.normal(size=REFITS)
    fit = fit_metric("nll", SIZES, means, draws, extrapolate=(2, 4), seed=number)
    found = {"fitted": fit["status"] == "fitted"}
    # The band is held to the truth of all items; an error, to that of these items, which move all points together.
    for place, multiple in enumerate((2, 4)):
        true = truth(SIZES[-1:] * multiple)[0] + common
        point = fit["extrapolated"][place] if fit["extrapolated"] else {"lo": np.nan, "hi": np.nan, "value": np.nan}
        there = not np.isnan(point["value"])
        found[f"held_{multiple}x"] = float(point["lo"] - 1e-12 <= true - common <= point["hi"]) if there else np.nan
        found[f"error_{multiple}x"] = point["value"] - true
    for name, weights in (("plain", None), ("by_seeds", 1 / np.sqrt(counts))):
        try:
            best, _ = curve_fit(
                power, SIZES / 10_000, means, [0.6, 0.25, 1.6], weights, bounds=([0, 0.02, 0], [np.inf, 3, np.inf])
            )
            found[f"{name}_error_4x"] = power(SIZES[-1] * 4 / 10_000, *best) - truth(SIZES[-1:] * 4)[0] - common
        except RuntimeError:  # no minimum was found
            found[f"{name}_error_4x"] = np.nan
    return found


def share(found: list | np.ndarray) -> float:
    return round(float(np.mean(found)), 4)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=whole_number, default=400, help="a setting (default: %(default)s)")
    parser.add_argument("--output", help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
