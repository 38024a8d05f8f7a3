"""Simulate pilots of learning rates whose truth is known: do the intervals hold, and how often is a rate called far?

python benchmarks/simulate_rates.py --output benchmarks/results/rates.json
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from medscale.base.arguments import whole_number
from medscale.base.errors import run_script
from medscale.base.files import write_json
from medscale.base.machine import cpu_model, versions
from medscale.compare.learning_rates import FAR, paired_difference, sensitivity

ALPHA = 0.05
ROWS, RATES = (64, 200, 1000), (3, 4, 6)
SPREAD = 0.1  # nats a token: standard deviation of a row's loss between two rates
MARGINS = (0.0, 0.02)


def main() -> None:
    args = parse_arguments()
    result = {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "simulations": args.simulations,
        "alpha": ALPHA,
        "coverage": [coverage(args.simulations, shape, rows) for shape in SHAPES for rows in ROWS],
        "far": [far(args.simulations, shape, rows, rates) for shape in SHAPES for rows in ROWS for rates in RATES],
        "machine": {"cpu": cpu_model(), **versions(("numpy", "scipy"))},
    }
    for row in [*result["coverage"], *result["far"]]:
        print(row)
    if args.output:
        write_json(args.output, result)


def normal(draw: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Return deviations of mean 0 and standard deviation 1."""
    return draw.standard_normal(size)


def skewed(draw: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Return such with a long tail to one side: a few rows get much worse."""
    values = draw.lognormal(0.0, 1.0, size)
    return (values - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)


SHAPES = {"normal": normal, "skewed": skewed}


def made_up(draw: np.random.Generator, shape: str, rows: int, rates: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nats of shape (rates, rows) of equally good rates, and the answer tokens of the rows.

    Answers are as unequal in length as real ones, and a row's loss a token varies more where it has few.
    """
    tokens = np.maximum(1, draw.lognormal(4.4, 0.5, rows).round())
    common = 2.3 * tokens + 0.5 * tokens * draw.standard_normal(rows)
    own = SPREAD * np.sqrt(tokens * tokens.mean()) * SHAPES[shape](draw, (rates, rows))
    return common + own, tokens


def coverage(simulations: int, shape: str, rows: int) -> dict[str, Any]:
    """Return the share of 95 % intervals of two equally good rates that hold 0."""
    draw, held = np.random.default_rng(1), 0
    for _ in range(simulations):
        nats, tokens = made_up(draw, shape, rows, 2)
        _, low, high = paired_difference(nats[0], nats[1], tokens, ALPHA)
        held += low <= 0 <= high
    return {"shape": shape, "rows": rows, "coverage": held / simulations}


def far(simulations: int, shape: str, rows: int, rates: int) -> dict[str, Any]:
    """Return how often the fixed one of equally good rates is called far from the luckiest, by margin."""
    draw, called = np.random.default_rng(2), dict.fromkeys(MARGINS, 0)
    for _ in range(simulations):
        nats, tokens = made_up(draw, shape, rows, rates)
        (entry,) = sensitivity([pilot_of(nats, tokens)], 0.0, ALPHA)
        for margin in MARGINS:
            called[margin] += entry["verdict"] == FAR and entry["rates"][0]["difference"] > margin
    shares = {f"margin_{margin:g}": count / simulations for margin, count in called.items()}
    return {"shape": shape, "rows": rows, "rates": rates, **shares}


def pilot_of(nats: np.ndarray, tokens: np.ndarray) -> dict[str, Any]:
    """Return a pilot of one size, whose first rate is the fixed one."""
    losses = nats.sum(1) / tokens.sum()
    none = {"diverged": None, "extended": False, "curve": [], "seconds": 0.0}
    rates = [{"rate": float(n + 1), "nll": loss, "rows": nats[n], **none} for n, loss in enumerate(losses)]
    size = {"size": 1, "steps": 1, "steps_of_a_run": 1, "fixed": 1.0, "at_edge": None, "answer_tokens": tokens}
    return {"method": "lora", "sizes": {"1": size | {"chosen": float(losses.argmin() + 1), "rates": rates}}}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=whole_number, default=2000, help="of each setting (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
