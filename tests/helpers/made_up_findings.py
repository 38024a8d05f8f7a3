"""What aggregate.py would find in a made-up study of seven sizes: the fit of its losses, and its recommendation."""

import numpy as np

from medscale.compare.resampling import Configuration
from medscale.compare.scaling.law import fit_study

SEVEN = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)


def scaling(sizes=SEVEN, methods=("lora", "qlora"), metrics=("nll", "rouge_l"), base=4.0):
    """Return the fit of made-up losses that follow a rectified law."""
    generator = np.random.default_rng(0)
    configurations = [Configuration("base", "base", "base", None, ())] if base else []
    configurations += [
        Configuration(f"{method}_{size}", "tuned", method, size, ()) for method in methods for size in sizes
    ]
    points, draws = {}, {}
    for metric in metrics:
        losses = np.array([base if one.size is None else 30 / (12 + one.size**0.35) + 1.5 for one in configurations])
        losses = losses + 0.003 * generator.normal(size=len(losses))
        again = losses + 0.015 * generator.normal(size=(100, 1)) + 0.003 * generator.normal(size=(100, len(losses)))
        turn = 1.0 if metric == "nll" else -5.0
        points[metric], draws[metric] = 30 * (turn < 0) + turn * losses, 30 * (turn < 0) + turn * again
    return fit_study(configurations, points, draws)


def candidate(method, size, value, hours, memory, price=None, pareto=True):
    return {
        "run": f"{method}_{size}" if size else "base",
        "method": method,
        "train_size": size,
        "value": value,
        "lo": value - 0.03,
        "hi": value + 0.03,
        "gpu_hours": hours,
        "peak_memory_gib": memory,
        "cost": None if price is None or hours is None else hours * price,
        "pareto": pareto,
        "not_worse": True,
    }


def recommendation(sizes=SEVEN, methods=("lora", "qlora"), hours=1e-4, memory=(15.2, 9.1), price=None, **changes):
    metric = changes.get("metric", "nll")
    turn = (lambda loss: loss) if metric == "nll" else (lambda loss: 30 - 5 * loss)
    candidates = [candidate("base", None, turn(2.4), 0.0, None)]
    for place, method in enumerate(methods):
        for size in sizes:
            value = turn(30 / (12 + size**0.35) + 1.5 + 0.02 * place)
            known = None if hours is None else hours * size * (1 + 0.3 * place)
            candidates.append(candidate(method, size, value, known, memory and memory[place], price))
    best = f"{methods[0]}_{sizes[-1]}"
    return {
        "schema_version": 1,
        "verdict": "recommended",
        "metric": metric,
        "margin": 0.02 if metric == "nll" else 0.1,
        "run": best,
        "best": best,
        "sentence": {"en": "", "zh": ""},
        "candidates": candidates,
        "price_per_gpu_hour": price,
        "currency": "CNY",
        "warnings": [],
    } | changes
