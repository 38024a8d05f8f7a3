"""Scores of made-up studies, shaped as real ones are, whose true differences are known."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from medscale.compare.resampling import Configuration, Resampled, resample
from medscale.evaluate.eval_file import Scores

RESAMPLES = 2000
MANY = 4_000_000  # items from which the true value of a made-up score is computed
Generator = np.random.Generator


# Scores of two configurations on the same items: x, y, and the weights of a ratio.


def rouge_l(generator: Generator, items: int) -> tuple:
    """Two models of one method: mean 17, SD 6, half of the variance shared; the same distribution for both."""
    shared = generator.gamma(4.0, 1.0, items)
    x, y = (generator.gamma(4.0, 1.0, items) for _ in range(2))
    return 2.125 * (shared + x), 2.125 * (shared + y), np.ones(items)


def rouge_2(generator: Generator, items: int) -> tuple:
    """A tuned model against the base: zeros in a third and in two thirds of the items, long right tails."""
    x = np.where(generator.random(items) < 0.35, 0.0, generator.lognormal(1.4, 0.9, items))
    y = np.where(generator.random(items) < 0.65, 0.0, generator.lognormal(0.0, 0.7, items))
    return x, y, np.ones(items)


def bleu_4(generator: Generator, items: int) -> tuple:
    """A tuned model against a floor: skewness about 5 and 2."""
    return generator.lognormal(0.8, 0.95, items), generator.lognormal(-0.2, 0.55, items), np.ones(items)


def sparse(generator: Generator, items: int) -> tuple:
    """Two adapters that answer alike: nine of ten items are equal, the rest differ at random."""
    x, changed = generator.gamma(4.0, 4.25, items), generator.random(items) < 0.1
    return x, np.where(changed, generator.gamma(4.0, 4.25, items), x), np.ones(items)


def sparse_skewed(generator: Generator, items: int) -> tuple:
    """The same, but few large gains make up for many small losses: skewness 1.4 among the items that differ."""
    x, changed = generator.gamma(4.0, 4.25, items), generator.random(items) < 0.1
    return x, x - np.where(changed, generator.gamma(2.0, 3.0, items) - 6.0, 0.0), np.ones(items)


def nll(generator: Generator, items: int) -> tuple:
    """NLL of answers of very unequal lengths; long ones cost less per token, and the models differ more on them."""
    tokens = np.maximum(5, generator.lognormal(4.4, 0.6, items).round())
    ease = 0.2 * np.log(tokens / 80)
    base = tokens * generator.gamma(30.0, 0.07, items) * (1 - ease)
    x, y = (base + tokens * generator.normal(0, 0.08, items) for _ in range(2))
    return x - tokens * 0.05 * ease, y, tokens


SCORES: dict[str, Callable] = {each.__name__: each for each in (rouge_l, rouge_2, bleu_4, sparse, sparse_skewed, nll)}
EQUAL = (rouge_l, sparse, sparse_skewed)  # no difference by construction
METRIC = {"nll": "nll"}  # all others are means and go by one name
PLAIN = "bleu_4"


def equal_study(generator: Generator, items: int, seed: int, shift: np.ndarray) -> Resampled:
    """Seven configurations with scores like ROUGE-L and true values apart by ``shift``."""
    shared = generator.gamma(4.0, 1.0, items)
    columns = {f"c{i}": 2.125 * (shared + generator.gamma(4.0, 1.0, items)) + shift[i] for i in range(7)}
    return resampled_study(columns, {run: (run,) for run in columns}, seed)


def resampled_study(columns: dict[str, np.ndarray], runs: dict[str, tuple[str, ...]], seed: int) -> Resampled:
    scores = {run: Scores(list(range(len(values))), {PLAIN: values}, {}) for run, values in columns.items()}
    configurations = [Configuration(name, "tuned", name, 1, of) for name, of in runs.items()]
    return resample(scores, configurations, [PLAIN], RESAMPLES, seed)


def studies(draw: Callable, items: int, simulations: int, shift: float) -> Iterator[Resampled]:
    """Yield studies of many pairs each, made so that a − b is truly 0 where ``shift`` is the true difference.

    Pairs of means share the resamples of a study to save time; those of NLL share its tokens too, so it has few.
    """
    generator = np.random.default_rng([items, *draw.__name__.encode()])
    together = 1 if draw is nll else 20
    metric = METRIC.get(draw.__name__, PLAIN)
    for number in range(-(-simulations // together)):
        scores, configurations = {}, []
        for place in range(together):
            x, y, weights = draw(generator, items)
            for side, values in (("a", x - shift * weights), ("b", y)):
                columns = {"nll_sum": values, "n_answer_tokens": weights} if metric == "nll" else {metric: values}
                scores[f"{side}{place}"] = Scores(list(range(items)), columns, {})
                configurations.append(Configuration(f"{side}{place}", "tuned", side, 1, (f"{side}{place}",)))
        yield resample(scores, configurations, [metric], RESAMPLES, number)


def pairs_of(resampled: Resampled) -> list[tuple[int, int]]:
    return [(place, place + 1) for place in range(0, len(resampled.configurations), 2)]


def true_difference(draw: Callable) -> float:
    if draw in EQUAL:
        return 0.0
    x, y, weights = draw(np.random.default_rng(99), MANY)
    return float((x - y).sum() / weights.sum())
