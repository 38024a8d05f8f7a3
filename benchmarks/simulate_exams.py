"""Simulate exams whose truth is known, and count how often the intervals and tests of accuracies are right.

python benchmarks/simulate_exams.py --output benchmarks/results/exams.json   # some minutes
python benchmarks/simulate_exams.py --simulations 50                         # coarser

Two models answer the same questions. A question's difficulty is drawn from a beta distribution, so that the two agree
as models of one family do; beside MedScale's test, McNemar's exact one (mid-p) is counted on the same answers. In the
families of subjects all guess: with two and three seeds, each of them turns one answer in ten of its configuration.
"""

import argparse
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from medscale.base.arguments import whole_number
from medscale.base.errors import run_script
from medscale.base.files import write_json
from medscale.base.machine import cpu_model, versions
from medscale.compare.accuracy_differences import AccuracyDifferences, accuracy_differences
from medscale.compare.holm import holm
from medscale.compare.knowledge import interval_over_seeds
from medscale.compare.paired_differences import paired_differences
from medscale.compare.resampling import Configuration, resample
from medscale.evaluate.eval_file import Scores
from medscale.evaluate.wilson import wilson_interval

ALPHA = 0.05
FEW = (5, 10, 20)
ITEMS = (90, 400, 1639, 6811)
ACCURACIES = (0.25, 0.5, 0.8)
AGREEMENT = {"close": 0.05, "far": 1.0}
"""Concentration of the questions' difficulty: at 0.05 nearly every question is always right or always wrong, and the
models differ on few."""
FAMILY = 7
SETS = (5, 10, 15, 20, 30, 50, 100)
SUBJECTS = 52
TURNED = 0.1


def main() -> None:
    args = parse_arguments()
    started = time.perf_counter()
    result = {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "simulations": args.simulations,
        "alpha": ALPHA,
        "accuracy": accuracies(args.simulations * 10),
        "differences": differences(args.simulations),
        "power": power(args.simulations),
        "family": family(args.simulations),
        "subjects": subjects(max(1, args.simulations // 2)),
        "seeds": seeds(args.simulations),
        "differences_over_seeds": differences_over_seeds(args.simulations),
        "calibration": calibration(max(max(SETS), args.simulations * 80)),
    }
    result["seconds"] = round(time.perf_counter() - started, 1)
    result["machine"] = {"cpu": cpu_model(), "system": platform.platform(), "cores_used": 1}
    result["versions"] = versions(["numpy", "scipy", "pandas"])
    for key, rows in result.items():
        if isinstance(rows, list):
            print(key, *rows, sep="\n  ")
    if args.output:
        write_json(args.output, result)


def accuracies(simulations: int) -> list[dict]:
    """How often Wilson's interval holds the true accuracy."""
    rows = []
    for items in ITEMS:
        for truth in ACCURACIES:
            right = np.random.default_rng([items, int(100 * truth)]).binomial(items, truth, simulations)
            ends = {count: wilson_interval(count, items) for count in np.unique(right)}
            held = np.mean([ends[count][0] <= truth <= ends[count][1] for count in right])
            rows.append({"items": items, "accuracy": truth, "n": simulations, "wilson": percent(held)})
    return rows


def differences(simulations: int) -> list[dict]:
    """How often the interval of a difference holds the truth, and how often no difference is called one."""
    rows = []
    for items in (*FEW, *ITEMS):
        for name, concentration in AGREEMENT.items():
            for truth in (0.0, 0.05, 0.4):
                generator = np.random.default_rng([items, int(100 * concentration), int(100 * truth)])
                held, called, mid_p, differing, width = [], [], [], [], []
                for _ in range(simulations):
                    a, b = two_models(generator, items, concentration, 0.5 + truth, 0.5)
                    low, high, p = judged([a], [b])
                    held.append(low <= 100 * truth <= high)
                    called.append(p <= ALPHA)
                    mid_p.append(mcnemar(a, b) <= ALPHA)
                    differing.append((a != b).mean())
                    width.append(high - low)
                row = {"items": items, "models": name, "difference": 100 * truth, "n": simulations}
                row |= {"differing": percent(np.mean(differing)), "coverage": percent(np.mean(held))}
                row |= {"called": percent(np.mean(called)), "called_mcnemar": percent(np.mean(mid_p))}
                rows.append(row | {"width": round(float(np.mean(width)), 1)})
    return rows


def power(simulations: int) -> list[dict]:
    """How often a true difference of the smallest detectable size is found; 80 % is promised.

    The size is the median of what pairs of equally good models tell, as in knowledge.csv.
    """
    rows = []
    for items in (*FEW[2:], *ITEMS):
        for name, concentration in AGREEMENT.items():
            generator = np.random.default_rng([items, int(100 * concentration), 7])
            pairs = [two_models(generator, items, concentration, 0.5, 0.5) for _ in range(simulations)]
            told = [compared([[a], [b]], [(0, 1)]).smallest_detectable[0] for a, b in pairs]
            effect = float(np.median(told)) / 100
            found = [
                judged(*([each] for each in two_models(generator, items, concentration, 0.5 + effect, 0.5)))[2] <= ALPHA
                for _ in range(simulations)
            ]
            row = {"items": items, "models": name, "effect": round(100 * effect, 2), "n": simulations}
            rows.append(row | {"found": percent(np.mean(found))})
    return rows


def family(simulations: int) -> list[dict]:
    """How often any of seven equal models is called different from the base model, without and with correction."""
    rows = []
    for items in ITEMS[:3]:
        generator = np.random.default_rng([items, 11])
        alone, corrected = [], []
        for _ in range(simulations):
            hard = difficulties(generator, items, AGREEMENT["far"], 0.5)
            answers = (generator.random((FAMILY + 1, items)) < hard).astype(float)
            last = len(answers) - 1
            p = compared([[each] for each in answers], [(place, last) for place in range(last)]).p
            alone.append((p <= ALPHA).any())
            corrected.append((holm(p) <= ALPHA).any())
        row = {"items": items, "models": FAMILY, "n": simulations}
        rows.append(row | {"uncorrected": percent(np.mean(alone)), "holm": percent(np.mean(corrected))})
    return rows


def subjects(simulations: int) -> list[dict]:
    """How often any subject is called different from the base model, where all guess, without and with correction."""
    rows = []
    for items in FEW:
        for count in (1, 2, 3):
            generator = np.random.default_rng([items, count, 17])
            single, alone, corrected = [], [], []
            for _ in range(simulations):
                p = []
                for _ in range(SUBJECTS):
                    first, base = (generator.random((2, items)) < 0.5).astype(float)
                    turned = generator.random((count, items)) < (TURNED if count > 1 else 0)
                    p.append(judged(list(np.where(turned, 1 - first, first)), [base])[2])
                single.append(np.mean(np.array(p) <= ALPHA))
                alone.append(min(p) <= ALPHA)
                corrected.append(holm(np.array(p)).min() <= ALPHA)
            row = {"subjects": SUBJECTS, "items": items, "seeds": count, "n": simulations}
            row |= {"single": percent(np.mean(single)), "uncorrected": percent(np.mean(alone))}
            rows.append(row | {"holm": percent(np.mean(corrected))})
    return rows


def differences_over_seeds(simulations: int) -> list[dict]:
    """How often the interval of several seeds against one base model holds the truth, and how often 0 is excluded.

    The seeds' standard deviation is 0, 1 or 3 times the standard error that the questions give one seed.
    """
    rows = []
    for items in (*FEW, *ITEMS[:2]):
        for count in (2, 3):
            for ratio in (0, 1, 3):
                for truth in (0.0, 0.1):
                    generator = np.random.default_rng([items, count, ratio, int(100 * truth), 19])
                    held, called = [], []
                    for _ in range(simulations):
                        hard = difficulties(generator, items, AGREEMENT["far"], 0.5)
                        base = shifted(generator, hard, 0.0)
                        shifts = generator.normal(truth, ratio * 0.5 / np.sqrt(items), count)
                        # an accuracy is no more than 1, so far seeds of few questions are cut, to both sides alike
                        shifts = truth + np.clip(shifts - truth, -0.5 + truth, 0.5 - truth)
                        low, high, p = judged([shifted(generator, hard, shift) for shift in shifts], [base])
                        held.append(low <= 100 * truth <= high)
                        called.append(p <= ALPHA)
                    row = {"items": items, "seeds": count, "spread": ratio, "difference": 100 * truth}
                    row |= {"n": simulations, "coverage": percent(np.mean(held))}
                    rows.append(row | {"called": percent(np.mean(called))})
    return rows


def seeds(simulations: int) -> list[dict]:
    """How often the interval over questions and seeds holds the accuracy over all of both.

    The seeds' standard deviation is 0, 1 or 3 times the standard error that the questions give one seed.
    """
    rows = []
    for items in ITEMS[:2]:
        for count in (2, 3):
            for ratio in (0, 1, 3):
                generator = np.random.default_rng([items, count, ratio, 13])
                held = []
                for _ in range(simulations):
                    hard = difficulties(generator, items, AGREEMENT["far"], 0.5)
                    shifts = generator.normal(0, ratio * 0.5 / np.sqrt(items), count)
                    low, high = over_seeds([shifted(generator, hard, shift) for shift in shifts])
                    held.append(low <= 50 <= high)
                row = {"items": items, "seeds": count, "spread": ratio, "n": simulations}
                rows.append(row | {"coverage": percent(np.mean(held))})
    return rows


def calibration(questions: int) -> list[dict]:
    """How many of a set's questions are right with its letters calibrated, by the number of questions in the set.

    Logits are normal; that of the right letter is larger by ``knowledge`` and each letter's by a bias of its own, whose
    standard deviation is ``bias`` nats.
    """
    rows = []
    for letters in (4, 5):
        for bias in (0.0, 0.5, 1.0, 2.0):
            for knowledge in (1.5, 3.0):
                row = {"letters": letters, "bias": bias, "knowledge": knowledge, "n": questions}
                for size in SETS:
                    generator = np.random.default_rng([letters, int(10 * bias), int(10 * knowledge), size])
                    answers = generator.integers(letters, size=(questions // size, size, 1))
                    logits = generator.normal(0, bias, (questions // size, 1, letters))
                    logits = logits + generator.normal(size=(questions // size, size, letters))
                    np.put_along_axis(logits, answers, np.take_along_axis(logits, answers, 2) + knowledge, 2)
                    given = np.exp(logits)
                    given /= given.sum(axis=2, keepdims=True)
                    scores = given / given.mean(axis=1, keepdims=True)
                    right = {"as_is": given, f"sets_of_{size}": scores}
                    row |= {key: percent((each.argmax(2) == answers[..., 0]).mean()) for key, each in right.items()}
                rows.append(row)
    return rows


def shifted(generator: np.random.Generator, hard: np.ndarray, shift: float) -> np.ndarray:
    """Return the answers of a seed whose accuracy is one half and ``shift``."""
    right = generator.random(len(hard)) < hard
    turned = generator.random(len(hard)) < 2 * abs(shift)
    return np.where(turned, shift > 0, right).astype(float) if shift else right.astype(float)


def over_seeds(answers: list[np.ndarray]) -> tuple[float, float]:
    """Return the interval of knowledge.py for one configuration of several seeds."""
    ids = [str(place) for place in range(len(answers[0]))]
    runs = tuple(str(place) for place in range(len(answers)))
    scores = {run: Scores(ids, {"accuracy": 100 * right}, {}) for run, right in zip(runs, answers, strict=True)}
    return interval_over_seeds(resample(scores, [Configuration("0", "tuned", "0", 1, runs)], ["accuracy"], 1, 0), 0)


def difficulties(generator: np.random.Generator, items: int, concentration: float, mean: float) -> np.ndarray:
    """Return each question's probability to be answered right."""
    return generator.beta(2 * concentration * mean, 2 * concentration * (1 - mean), items)


def two_models(
    generator: np.random.Generator, items: int, concentration: float, first: float, second: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return 0 or 1 a question for two models of given accuracies that find the same questions hard.

    The better one answers some of the questions right that it would have had wrong, so its accuracy is as asked.
    """
    hard = difficulties(generator, items, concentration, second)
    a, b = (generator.random(items) < hard for _ in range(2))
    lifted = generator.random(items) < (first - second) / (1 - second)
    return (a | lifted).astype(float), b.astype(float)


def judged(a: list[np.ndarray], b: list[np.ndarray]) -> tuple[float, float, float]:
    """Return interval (points of 100) and p-value of two configurations, a list of seeds each, as in knowledge.csv."""
    low, high, p, _ = compared([a, b], [(0, 1)])
    return low[0], high[0], p[0]


def compared(configurations: list[list[np.ndarray]], pairs: list[tuple[int, int]]) -> AccuracyDifferences:
    """Return how pairs of configurations differ; each is what its seeds answered right."""
    ids = [str(place) for place in range(len(configurations[0][0]))]
    named, scores = [], {}
    for place, answers in enumerate(configurations):
        runs = tuple(f"{place}_{seed}" for seed in range(len(answers)))
        named.append(Configuration(runs[0], "tuned", str(place), 1, runs))
        scores |= {run: Scores(ids, {"accuracy": 100 * right}, {}) for run, right in zip(runs, answers, strict=True)}
    resampled = resample(scores, named, ["accuracy"], 1, 0)
    freedom = paired_differences(resampled, {"accuracy": pairs})["accuracy"].freedom
    return accuracy_differences(resampled, "accuracy", pairs, freedom, ALPHA)


def mcnemar(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mid-p of McNemar's exact test (Fagerland, Lydersen & Laake, BMC Med Res Methodol 13, 2013)."""
    only_a, only_b = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
    count = only_a + only_b
    if not count:
        return 1.0
    exact = stats.binomtest(only_a, count).pvalue
    return float(exact - stats.binom.pmf(only_a, count, 0.5))


def percent(share: float) -> float:
    return round(100 * float(share), 1)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=whole_number, default=1000, help="a setting (default: %(default)s)")
    parser.add_argument("--output", help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
