"""Simulate judges whose truth is known, and count how often the intervals of judging hold it.

python benchmarks/simulate_judging.py --output benchmarks/results/judging.json  # minutes
python benchmarks/simulate_judging.py --simulations 50                          # coarser

A judge hears of each answer a quality: that of the configuration, that of the answer to this question, which all judges
hear alike and all pairs share, and a noise of the judge's own. Differences below a threshold are ties. No model of the
analysis generates these verdicts. The truth is the analysis of 200,000 questions.
"""

import argparse
import sys
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from circumstances import circumstances, load_average, told
from medscale.base.arguments import whole_number
from medscale.base.errors import run_script
from medscale.base.files import write_json
from medscale.judge.agreement import agreement, position
from medscale.judge.strengths import fit, strengths
from medscale.judge.win_rates import (
    LOSS,
    TIE,
    WIN,
    Opinion,
    Outcomes,
    question_weights,
    win_rate,
    win_rate_draws,
    win_rate_interval,
)

ALPHA = 0.05
RESAMPLES = 1000
POPULATION = 200_000
SLOWER = 4
"""Strengths are simulated so many times less often: each simulation fits a model a thousand times."""


class Setting(NamedTuple):
    """How verdicts come about: qualities of the configurations, spreads, and the difference that is seen."""

    qualities: tuple[float, ...]
    questions: float = 1.0  # standard deviation of an answer's own quality
    noise: float = 0.7  # of a judge
    threshold: float = 0.4  # below it, a tie


def main() -> None:
    args = parse_arguments()
    result = {"schema_version": 1, **circumstances(["numpy", "scipy"])}
    count = args.simulations
    result |= {
        "simulations": count,
        "resamples": RESAMPLES,
        "level": 1 - ALPHA,
        "win_rate": [
            win_rates(name, setting, items, judges, count)
            for name, setting in {
                "equal": Setting((0, 0)),
                "equal, no ties": Setting((0, 0), threshold=0),
                "equal, mostly ties": Setting((0, 0), questions=0.3, noise=0.3, threshold=0.9),
                "better": Setting((0.8, 0)),
                "nearly always better": Setting((3.0, 0)),
            }.items()
            for items, judges in ((20, 1), (50, 1), (50, 3), (200, 1))
        ],
        "strengths": [
            bradley_terry(name, qualities, items, max(1, count // SLOWER))
            for name, qualities in (("equal", (0, 0, 0, 0)), ("apart", (0, 0.4, 0.8, 2.5)))
            for items in (20, 50)
        ],
        "agreement": [
            alphas(name, setting, items, judges, count)
            for name, setting in {
                "no agreement": Setting((0, 0), questions=0, noise=1),
                "some": Setting((0.3, 0)),
                "much": Setting((0.3, 0), questions=1.5, noise=0.3),
            }.items()
            for items, judges in ((30, 2), (100, 2), (100, 4))
        ],
        "position": [places(items, judges, count) for items, judges in ((30, 1), (100, 3))],
    }
    result["load_average_after"] = load_average()
    print(table(result))
    if args.output:
        write_json(args.output, result)


def drawn(generator: np.random.Generator, setting: Setting, items: int, judges: int) -> np.ndarray:
    """Draw verdicts on all pairs of configurations: shape (judges, pairs, items), 1 where the later one is better."""
    size = len(setting.qualities)
    answers = np.array(setting.qualities)[:, None] + setting.questions * generator.standard_normal((size, items))
    pairs = list(combinations(range(size), 2))
    differences = np.array([answers[j] - answers[i] for i, j in pairs])[None]
    heard = differences + setting.noise * np.sqrt(2) * generator.standard_normal((judges, len(pairs), items))
    return np.where(np.abs(heard) < setting.threshold, TIE, np.where(heard > 0, WIN, LOSS))


def outcomes_of(verdicts: np.ndarray, qualities: tuple[float, ...]) -> list[Outcomes]:
    """Put drawn verdicts into the form that the analysis takes."""
    items = [str(n) for n in range(verdicts.shape[2])]
    found = []
    for place, (i, j) in enumerate(combinations(range(len(qualities)), 2)):
        shares = np.stack([(verdicts[:, place] == value).mean(axis=0) for value in (WIN, TIE, LOSS)], axis=1)
        found.append(Outcomes(f"c{j}", f"c{i}", items, shares, np.ones(len(items)), np.zeros(len(items), bool)))
    return found


def win_rates(name: str, setting: Setting, items: int, judges: int, count: int) -> dict[str, Any]:
    """How often the interval of a win rate holds the truth, and excludes one half."""
    generator = np.random.default_rng(1)
    truth = win_rate(outcomes_of(drawn(generator, setting, POPULATION, 1), setting.qualities)[0])
    weights = question_weights([str(n) for n in range(items)], RESAMPLES, 0)
    held = excluded = 0
    widths = []
    for _ in range(count):
        (each,) = outcomes_of(drawn(generator, setting, items, judges), setting.qualities)
        low, high = win_rate_interval(each, win_rate_draws(each, weights, 0), ALPHA)
        held += low <= truth <= high
        excluded += not low <= 0.5 <= high
        widths.append(high - low)
    shares = {"coverage": held / count, "excludes_half": excluded / count, "width": round(float(np.median(widths)), 4)}
    return {"setting": name, "questions": items, "judges": judges, "truth": round(truth, 4), **shares}


def bradley_terry(name: str, qualities: tuple[float, ...], items: int, count: int) -> dict[str, Any]:
    """How often intervals of strengths, and of the rates that follow, hold what 200,000 questions give."""
    generator = np.random.default_rng(2)
    setting = Setting(qualities)
    ends = np.array([(j, i) for i, j in combinations(range(len(qualities)), 2)])
    many = outcomes_of(drawn(generator, setting, POPULATION, 1), qualities)
    truth = fit(np.array([each.shares.sum(axis=0) for each in many])[None], ends)[0]
    difference, tie = truth[1:-1], np.exp(truth[-1])
    rates = (np.exp(difference) + tie * np.exp(difference / 2) / 2) / (
        1 + np.exp(difference) + tie * np.exp(difference / 2)
    )
    weights = question_weights([str(n) for n in range(items)], RESAMPLES, 0)
    held, rate_held, excluded, all_held = np.zeros(3), np.zeros(3), np.zeros(3), 0
    for _ in range(count):
        given = outcomes_of(drawn(generator, setting, items, 1), qualities)
        (group,) = strengths(given, weights, 0, ALPHA, "c0")
        by_name = {entry["name"]: entry for entry in group["configurations"]}
        found = [by_name[f"c{n}"] for n in range(1, len(qualities))]
        holds = np.array([e["ci"][0] <= t <= e["ci"][1] for e, t in zip(found, difference, strict=True)])
        held += holds
        all_held += holds.all()
        rate_held += [e["rate_ci"][0] <= t <= e["rate_ci"][1] for e, t in zip(found, rates, strict=True)]
        excluded += [not e["ci"][0] <= 0 <= e["ci"][1] for e in found]
    return {
        "setting": name,
        "questions": items,
        "simulations": count,
        "truth": [round(float(value), 3) for value in difference],
        "coverage": (held / count).tolist(),
        "rate_coverage": (rate_held / count).tolist(),
        "excludes_zero": (excluded / count).tolist(),
    }


def opinions_of(verdicts: np.ndarray, generator: np.random.Generator) -> list[Opinion]:
    """Name the judges and the questions, and draw which configuration was shown first."""
    firsts = generator.random(verdicts.shape[2]) < 0.5
    return [
        Opinion(
            "c1", "c0", str(item), f"J{judge}", float(verdicts[judge, 0, item]), bool(firsts[item]), False, str(item)
        )
        for judge in range(len(verdicts))
        for item in range(verdicts.shape[2])
    ]


def alphas(name: str, setting: Setting, items: int, judges: int, count: int) -> dict[str, Any]:
    """How often the interval of Krippendorff's alpha holds that of 20,000 questions."""
    generator = np.random.default_rng(3)
    many = 20_000
    whole = opinions_of(drawn(generator, setting, many, judges), generator)
    truth = agreement(whole, question_weights([str(n) for n in range(many)], 2, 0), ALPHA)["alpha"]
    weights = question_weights([str(n) for n in range(items)], RESAMPLES, 0)
    held = excluded = 0
    for _ in range(count):
        found = agreement(opinions_of(drawn(generator, setting, items, judges), generator), weights, ALPHA)
        low, high = found["ci"]
        held += low <= truth <= high
        excluded += low > 0
    shares = {"coverage": held / count, "above_zero": excluded / count}
    return {"setting": name, "questions": items, "judges": judges, "truth": round(truth, 4), **shares}


def places(items: int, judges: int, count: int) -> dict[str, Any]:
    """How often a bias of the position is seen where there is none, the configurations being far apart."""
    generator = np.random.default_rng(4)
    weights = question_weights([str(n) for n in range(items)], RESAMPLES, 0)
    false = 0
    for _ in range(count):
        found = position(opinions_of(drawn(generator, Setting((0.8, 0)), items, judges), generator), weights, ALPHA)
        false += not found["ci"][0] <= 0.5 <= found["ci"][1]
    return {"questions": items, "judges": judges, "false_alarms": false / count}


def table(result: dict[str, Any]) -> str:
    """Return the figures as lines."""
    lines = []
    for row in result["win_rate"]:
        about = f"{row['setting']:<22} {row['questions']:>4} questions, {row['judges']} judges"
        shares = f"{100 * row['coverage']:.1f} % held, {100 * row['excludes_half']:.1f} % exclude 50 %"
        lines.append(
            f"win rate   {about}: {shares}, width {100 * row['width']:.0f} points, truth {100 * row['truth']:.1f}"
        )
    for row in result["strengths"]:
        shares = ", ".join(f"{100 * value:.1f}" for value in row["coverage"])
        rates = ", ".join(f"{100 * value:.1f}" for value in row["rate_coverage"])
        outside = ", ".join(f"{100 * value:.1f}" for value in row["excludes_zero"])
        lines.append(
            f"strengths  {row['setting']:<8} {row['questions']:>4} questions: {shares} % held, rates {rates} %; "
            f"{outside} % exclude 0; truth {row['truth']}"
        )
    for row in result["agreement"]:
        about = f"{row['setting']:<14} {row['questions']:>4} questions, {row['judges']} judges"
        shares = f"{100 * row['coverage']:.1f} % held, {100 * row['above_zero']:.1f} % above 0"
        lines.append(f"alpha      {about}: {shares}, truth {row['truth']}")
    for row in result["position"]:
        about = f"{row['questions']} questions, {row['judges']} judges"
        lines.append(f"position   {about}: {100 * row['false_alarms']:.1f} % false alarms")
    return "\n".join([*lines, told(result)])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=whole_number, default=1000, help="of each setting (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
