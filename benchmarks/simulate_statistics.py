"""Simulate studies whose truth is known, and count how often MedScale's statistics are right; time them too.

python benchmarks/simulate_statistics.py --output benchmarks/results/statistics.json  # a quarter of an hour
python benchmarks/simulate_statistics.py --simulations 100                            # a minute, coarser
"""

import argparse
import json
import platform
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from interval_methods import interval_methods
from medscale.base.arguments import whole_number
from medscale.base.errors import run_script
from medscale.base.files import write_json
from medscale.base.machine import cpu_model, versions
from medscale.compare.best_comparisons import compare_with_best
from medscale.compare.comparisons import comparison_table, holm
from medscale.compare.detectable import detectable_of_error
from medscale.compare.paired_differences import intervals, p_values, paired_differences
from medscale.compare.recommendation import Settings, recommend
from medscale.compare.resampling import Configuration, Resampled, resample
from medscale.evaluate.eval_file import Scores
from simulated_scores import (
    MANY,
    METRIC,
    PLAIN,
    RESAMPLES,
    SCORES,
    equal_study,
    pairs_of,
    resampled_study,
    studies,
    true_difference,
)

ALPHA = 0.05


def main() -> None:
    args = parse_arguments()
    started = time.perf_counter()
    result = {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "simulations": args.simulations,
        "resamples": RESAMPLES,
        "alpha": ALPHA,
        "timing": timing(),
    }
    if not args.timing_only:
        result |= {
            "coverage": coverage(args.simulations),
            "power": power(args.simulations),
            "seeds": seeds(args.simulations),
            "family": family(args.simulations),
            "best": best(args.simulations),
        }
    result["seconds"] = round(time.perf_counter() - started, 1)
    result["machine"] = {"cpu": cpu_model(), "system": platform.platform(), "cores_used": 1}
    result["versions"] = versions(["numpy", "scipy", "pandas"])
    print(table(result))
    if args.output:
        write_json(args.output, result)


def coverage(simulations: int) -> list[dict]:
    """How often 95 % intervals hold the truth, and how often a true difference of 0 is called one."""
    rows = []
    for name, draw in SCORES.items():
        truth = true_difference(draw)
        for items in (100, 500, 2000):
            hits, false = {}, []
            count = simulations * (4 if items == 100 else 1)  # the hardest setting, and the fastest
            for number, resampled in enumerate(studies(draw, items, count, truth)):
                pairs = pairs_of(resampled)
                metric = METRIC.get(name, PLAIN)
                # the scores are shifted so that the truth is no difference: an interval without 0 is a false alarm
                for method, (low, high) in interval_methods(resampled, metric, pairs, ALPHA).items():
                    hits.setdefault(method, []).extend((low <= 0) & (high >= 0))
                false.extend(p_values(paired_differences(resampled, {metric: pairs})[metric]) <= ALPHA)
                progress(f"coverage {name} {items}", number)
            shares = {method: share(values) for method, values in hits.items()}
            rows.append({"scores": name, "items": items, "n": len(false), **shares, "false_positives": share(false)})
    return rows


def power(simulations: int) -> list[dict]:
    """How often a true difference of the smallest detectable size is called significant, at 80 % nominal power."""
    rows = []
    for name, items in (("rouge_l", 500), ("rouge_l", 2000), ("nll", 2000)):
        draw, metric = SCORES[name], METRIC.get(name, PLAIN)
        x, y, weights = draw(np.random.default_rng(5), MANY)
        influence = (x - y) - (x - y).sum() / weights.sum() * weights
        effect = detectable_of_error(influence.std() / weights.mean() / np.sqrt(items), np.inf, ALPHA, 0.8)
        found = []
        for number, resampled in enumerate(studies(draw, items, simulations, true_difference(draw) - effect)):
            found.extend(p_values(paired_differences(resampled, {metric: pairs_of(resampled)})[metric]) <= ALPHA)
            progress(f"power {name} {items}", number)
        rows.append(
            {"scores": name, "items": items, "n": len(found), "effect": round(effect, 4), "power": share(found)}
        )
    return rows


def seeds(simulations: int) -> list[dict]:
    """Coverage for the difference of two methods of several seeds each, as the spread between seeds grows."""
    rows = []
    items = 500
    noise = 4.25 / np.sqrt(items)  # standard error of a run's mean by what items do not share, for rouge_l
    for count in (2, 3, 5):
        for ratio in (0.0, 1.0, 3.0):
            generator = np.random.default_rng([count, int(ratio)])
            hits: dict[str, list] = {}
            for number in range(simulations):
                columns = {}
                for method in "ab":
                    for place in range(count):
                        columns[f"{method}{place}"] = generator.normal(0, ratio * noise)
                shared = generator.gamma(4.0, 1.0, items)
                columns = {
                    run: 2.125 * (shared + generator.gamma(4.0, 1.0, items)) + shift for run, shift in columns.items()
                }
                runs = {method: tuple(f"{method}{place}" for place in range(count)) for method in "ab"}
                resampled = resampled_study(columns, runs, seed=number)
                for method, hit in seed_methods(resampled).items():
                    hits.setdefault(method, []).append(hit)
                progress(f"seeds {count} {ratio}", number)
            shares = {method: share(values) for method, values in hits.items()}
            rows.append({"seeds": count, "seed_sd_over_item_se": ratio, "n": simulations, **shares})
    return rows


def seed_methods(resampled: Resampled) -> dict[str, bool]:
    """Whether each interval of a − b holds 0: items alone; seeds too, uncorrected and corrected; and the one in use."""
    differences = paired_differences(resampled, {PLAIN: [(0, 1)]})[PLAIN]
    low, high = intervals(differences, ALPHA)
    ends = [ALPHA / 2, 1 - ALPHA / 2]
    alone = differences.value[0] + differences.studentised[:, 0] * differences.item_se[0]
    spread, generator = resampled.seeds[PLAIN].between, np.random.default_rng(resampled.seed)
    counts = [len(configuration.runs) for configuration in resampled.configurations]
    # the variance of a mean of S values drawn with replacement is (S - 1)/S of the unbiased one
    naive_se = np.sqrt(sum(between * (count - 1) / count for between, count in zip(spread, counts, strict=True)))
    naive = alone + generator.normal(0, naive_se, len(alone))
    corrected = resampled.draws[PLAIN][:, 0] - resampled.draws[PLAIN][:, 1]
    found = {name: np.quantile(draws, ends) for name, draws in (("items_only", alone), ("uncorrected", naive))}
    found |= {"corrected_draws": np.quantile(corrected, ends), "medscale": (low[0], high[0])}
    return {name: bool(lower <= 0 <= upper) for name, (lower, upper) in found.items()}


def family(simulations: int) -> list[dict]:
    """How often a study of equal configurations has any difference called significant, with and without Holm."""
    rows = []
    for items in (100, 1000):
        generator = np.random.default_rng(items)
        corrected, uncorrected = [], []
        for number in range(simulations):
            resampled = equal_study(generator, items, number, np.zeros(7))
            pairs = [(a, b) for a, b in STUDY_PAIRS]
            p = p_values(paired_differences(resampled, {PLAIN: pairs})[PLAIN])
            corrected.append((holm(p) <= ALPHA).any())
            uncorrected.append((p <= ALPHA).any())
            progress(f"family {items}", number)
        rows.append(
            {"items": items, "comparisons": len(STUDY_PAIRS), "n": simulations}
            | {"uncorrected": share(uncorrected), "holm": share(corrected)}
        )
    return rows


# lora 0-2, qlora 3-5, base 6: method, size and base comparisons
STUDY_PAIRS = [(3, 0), (4, 1), (5, 2), (1, 0), (2, 1), (4, 3), (5, 4), *((i, 6) for i in range(6))]


def best(simulations: int) -> list[dict]:
    """Whether the intervals of the distance to the true best all hold, and how often a candidate worse by the margin,
    other than the one with the best value, is called not worse.
    """
    rows = []
    margin = 1.0
    patterns = {
        "all equal": np.zeros(7),
        "one best, the rest worse by the margin": np.array([0, 0, 0, 0, 0, 1.0, 0]) * margin,
        "steps of half the margin": np.array([0, 1, 2, 0, 1, 2, -6]) * margin / 2,
    }
    for name, shift in patterns.items():
        for items in (100, 1000):
            generator = np.random.default_rng([items, len(name)])
            held, bad = [], []
            for number in range(simulations):
                resampled = equal_study(generator, items, number, shift)
                found = compare_with_best(resampled, PLAIN, range(7), ALPHA)
                truth = shift - shift.max()
                held.append(((found.lo <= truth + 1e-12) & (truth <= found.hi + 1e-12)).all())
                passed = (found.lo > -margin) & (np.arange(7) != found.best)
                bad.append((passed & (truth <= -margin)).any())
                progress(f"best {name} {items}", number)
            shares = {"all_hold": share(held), "worse_passed": share(bad)}
            rows.append({"truth": name, "items": items, "n": simulations, **shares})
    return rows


def timing() -> dict:
    """Time all that is drawn from 10,000 resamples of 2,000 items, 11 configurations, 5 metrics, all pairs."""
    resamples, items = 10_000, 2000
    metrics = ["rouge_1", "rouge_2", "rouge_l", "bleu_4", "nll"]
    generator = np.random.default_rng(3)
    scores, configurations, evaluations = {}, [], []
    tokens = generator.integers(20, 300, items).astype(float)
    kinds = ["tuned"] * 6 + ["base"] + ["floor"] * 4
    for place, kind in enumerate(kinds):
        method, size = ("lora", "qlora")[place // 3 % 2], (20_000, 50_000, 100_000)[place % 3]
        run = f"{kind}_{place}" if kind != "tuned" else f"{method}_{size // 1000}k"
        columns = {f"rouge_{n}_f": generator.gamma(4.0, 4.0, items) for n in "12l"}
        columns["bleu_4"] = generator.gamma(1.0, 4.0, items)
        columns |= {"nll_sum": tokens * generator.normal(2 - place / 100, 0.4, items), "n_answer_tokens": tokens}
        scores[run] = Scores(list(range(items)), columns, {})
        configurations.append(Configuration(run, kind, method, size, (run,)))
        training = {"seconds": 3600.0, "steps": 1, "peak_memory_gib": {"train_allocated": 7.0}, "energy_kwh": None}
        evaluations.append({"run": run, "training": training, "hardware": {"device": "cuda"}})
    start = time.process_time()
    resampled = resample(scores, configurations, metrics, resamples, 0)
    drawn = time.process_time()
    pairs = [(a, b) for a in range(len(kinds)) for b in range(a)]
    found = paired_differences(resampled, dict.fromkeys(metrics, pairs))
    for differences in found.values():
        intervals(differences, ALPHA)
        p_values(differences)
    compared = time.process_time()
    comparisons = comparison_table(resampled, evaluations)
    tabulated = time.process_time()
    recommend(resampled, evaluations, comparisons, None, Settings())
    recommended = time.process_time()
    return {
        "resamples": resamples,
        "items": items,
        "configurations": len(kinds),
        "metrics": len(metrics),
        "pairs": len(pairs) * len(metrics),
        "cpu_seconds": {
            "resample": round(drawn - start, 2),
            "all_pairs": round(compared - drawn, 2),
            "comparisons_of_the_study": round(tabulated - compared, 2),
            "recommendation": round(recommended - tabulated, 2),
        },
        "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2),
    }


def share(values: list) -> float:
    return round(float(np.mean(values)), 4)


def progress(what: str, number: int) -> None:
    if number % 100 == 0 and sys.stderr.isatty():
        print(f"{what}: {number}", file=sys.stderr)


def table(result: dict) -> str:
    """Return the figures as text."""
    lines = [json.dumps(result["timing"])]
    for part in ("coverage", "power", "seeds", "family", "best"):
        rows = result.get(part, [])
        if rows:
            lines += ["", part, "  ".join(f"{key:>16.16}" for key in rows[0])]
            lines += ["  ".join(f"{value!s:>16.16}" for value in row.values()) for row in rows]
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=whole_number, default=1000, help="a setting (default: %(default)s)")
    parser.add_argument("--timing-only", action="store_true", help="simulate nothing, only measure the time")
    parser.add_argument("--output", help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
