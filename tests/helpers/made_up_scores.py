"""Tables of scores with known properties, for tests of what is concluded from them."""

from collections.abc import Mapping

import numpy as np

from medscale.compare.resampling import Configuration, Resampled, resample
from medscale.evaluate.eval_file import Scores


def table(n: int, columns: Mapping[str, np.ndarray]) -> Scores:
    return Scores([f"r{i:05d}" for i in range(n)], {name: np.asarray(v, float) for name, v in columns.items()}, {})


def bleu_study(runs: Mapping[str, np.ndarray], configurations: list[Configuration], resamples=999, seed=0) -> Resampled:
    """Resample one metric, bleu_4, given each run's values."""
    scores = {run: table(len(values), {"bleu_4": values}) for run, values in runs.items()}
    return resample(scores, configurations, ["bleu_4"], resamples, seed)


def single(name: str, kind: str = "tuned", method: str = "lora", size: int | None = 1000) -> Configuration:
    return Configuration(name, kind, method, size, (name,))


def rouge_like(generator: np.random.Generator, items: int, shared: np.ndarray | None = None) -> np.ndarray:
    """Scores with a mean of 17 and an SD of 6; half of their variance is that of ``shared``."""
    common = generator.gamma(4.0, 1.0, items) if shared is None else shared
    return 2.125 * (common + generator.gamma(4.0, 1.0, items))


def tokens_and_nll(generator: np.random.Generator, items: int, level: float) -> dict[str, np.ndarray]:
    """Columns of NLL; the tokens are the same for equal ``items``, as they are the references'."""
    tokens = np.random.default_rng(77).integers(5, 300, items).astype(float)
    return {"nll_sum": tokens * (level + generator.normal(0, 0.3, items)), "n_answer_tokens": tokens}
