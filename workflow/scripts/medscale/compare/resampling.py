"""All configurations of a study, resampled together: over the items of the test set, and over training seeds.

What an interval made from these draws covers:

* **Other test items of the same kind.** Items are drawn whole, and the same ones for all configurations, so a
  difference between two of them is paired and its noise is only that in which they differ.
* **Other seeds, where a configuration was trained with several.** The seeds are drawn with replacement inside the
  configuration. A configuration of one seed is taken as it is: its interval says nothing about what another seed would
  have given, and is too narrow for a statement about the *method* rather than about *this adapter*.
* **Not covered:** other corpora, other splits, other base models, other learning rates, and systematic faults such as a
  leak or a bad reference answer.

Few seeds. The variance of S values drawn with replacement is (S − 1)/S of the unbiased one: half of it for two seeds.
And the spread between the seeds' scores holds item noise, which drawing the items has counted already (Owen 2007 shows
that bootstrapping both factors counts it twice). So each drawn deviation of a configuration is multiplied by

    √( S/(S − 1) · max(0, 1 − E/B) ),

with B the squared standard error of the mean over seeds, and E the part of B that is item noise. The variance of the
draws is then right on average. Their tails are not: a spread known from two or three seeds is itself uncertain, which
no reuse of two numbers can show. `paired_differences` therefore takes critical values of Student's t for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from medscale.base.errors import UserError
from medscale.evaluate.bootstrap import resampled_sums
from medscale.evaluate.eval_file import Scores

LOWER_IS_BETTER = frozenset({"nll"})
NLL = "nll"
BASE = "base"
FLOOR = "floor_"


class Configuration(NamedTuple):
    """What is compared: one method on one number of rows, with the runs of all its seeds.

    ``kind`` is tuned, control, base or floor; ``name`` is the run of the first seed.
    """

    name: str
    kind: str
    method: str
    size: int | None
    runs: tuple[str, ...]


class SeedSpread(NamedTuple):
    """What several seeds say about each configuration, as squared standard errors of its mean over seeds.

    ``between`` is B and ``noise`` is E of the module's text, arrays of shape (configurations,), 0 for one seed.
    """

    between: np.ndarray
    noise: np.ndarray

    @property
    def variance(self) -> np.ndarray:
        """What seeds add to the variance that the items have."""
        return np.maximum(0.0, self.between - self.noise)


@dataclass(frozen=True)
class Resampled:
    """The configurations' values on all items, and on each resample.

    Attributes
    ----------
    configurations : tuple of Configuration
        The columns of all arrays, k of them.
    points : dict of str to array of shape (k,)
        Value of each metric on all items, the mean over seeds; NaN where not measured.
    draws : dict of str to array of shape (resamples, k)
        The same on each resample of items and seeds; columns of NaN where not measured.
    items : dict of str to array of shape (n_items, k)
        What is summed over items, the mean over seeds.
    weights : dict of str to array of shape (n_items,)
        What is summed below it: ones for a mean, answer tokens for NLL. A metric is Σ items / Σ weights.
    seeds : dict of str to SeedSpread
    resamples, seed : int
    """

    configurations: tuple[Configuration, ...]
    points: dict[str, np.ndarray]
    draws: dict[str, np.ndarray]
    items: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    seeds: dict[str, SeedSpread]
    resamples: int
    seed: int

    @property
    def n_items(self) -> int:
        return len(next(iter(self.items.values())))

    def index(self, name: str) -> int:
        """Return the column of the configuration called ``name``."""
        return [configuration.name for configuration in self.configurations].index(name)

    def with_nothing(self) -> "Resampled":
        """Return the same with one more configuration behind the others, which has 0 on every item and one seed."""
        nothing = Configuration("", "nothing", "", None, ("",))

        def widened(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {metric: np.column_stack([each, np.zeros(len(each))]) for metric, each in arrays.items()}

        return Resampled(
            (*self.configurations, nothing),
            {metric: np.append(each, 0.0) for metric, each in self.points.items()},
            widened(self.draws),
            widened(self.items),
            self.weights,
            {metric: SeedSpread(*(np.append(part, 0.0) for part in each)) for metric, each in self.seeds.items()},
            self.resamples,
            self.seed,
        )

    def measured(self, metric: str) -> list[int]:
        """Return the columns in which ``metric`` was measured."""
        return [int(column) for column in np.flatnonzero(~np.isnan(self.points[metric]))]


def configurations_of(evaluations: Iterable[Mapping[str, Any]]) -> list[Configuration]:
    """Return the configurations of a study, in the order in which their first runs are given.

    Runs that differ by ``_seed{n}`` at the end of their names are seeds of one configuration.

    Parameters
    ----------
    evaluations : iterable of dict
        Contents of eval.json files.
    """
    found: dict[str, Configuration] = {}
    for evaluation in evaluations:
        run, method, size = evaluation["run"], evaluation["method"], evaluation["train_size"]
        name = run.removesuffix(f"_seed{evaluation['seed']}")
        if run == BASE:
            kind = "base"
        elif run.startswith(FLOOR):
            kind = "floor"
        else:
            kind = "control" if evaluation["arm"] == "control" else "tuned"
        runs = found[name].runs if name in found else ()
        # the bare name is the first seed's, whatever the order of the files
        runs = (run, *runs) if run == name else (*runs, run)
        found[name] = Configuration(runs[0], kind, method, size, runs)
    return list(found.values())


def resample(
    scores: Mapping[str, Scores],
    configurations: Sequence[Configuration],
    metrics: Sequence[str],
    resamples: int,
    seed: int,
) -> Resampled:
    """Resample all configurations together, over items and over seeds.

    Parameters
    ----------
    scores : dict of str to Scores
        By run, from `eval_file.read_scores`.
    configurations : sequence of Configuration
        Each run of each must be in ``scores``.
    metrics : sequence of str
        ``nll`` is Σ nll_sum / Σ n_answer_tokens; any other is the mean of its column, for ROUGE of its F.
    resamples, seed : int
        See `bootstrap.resampled_sums`: an equal seed draws the same items there and here.

    Raises
    ------
    UserError
        If runs have other items, or a metric is there for a part of the items or seeds only.
    """
    _check_items(scores, configurations)
    picks = [_picked_seeds(configuration, resamples, seed) for configuration in configurations]
    points, draws, items, weights, seeds = {}, {}, {}, {}, {}
    for metric in metrics:
        runs, weights[metric] = _columns(scores, configurations, metric)
        total = weights[metric].sum()
        values = [columns.sum(axis=0) / total for columns in runs]
        items[metric] = np.column_stack([columns.mean(axis=1) for columns in runs])
        points[metric] = np.array([value.mean() for value in values])
        seeds[metric] = _spread(runs, values, weights[metric])
        draws[metric] = _item_draws(items[metric], weights[metric], resamples, seed)
        for column, (value, picked) in enumerate(zip(values, picks, strict=True)):
            draws[metric][:, column] += _seed_factor(seeds[metric], column, len(value)) * _deviation(value, picked)
    return Resampled(tuple(configurations), points, draws, items, weights, seeds, resamples, seed)


def _check_items(scores: Mapping[str, Scores], configurations: Sequence[Configuration]) -> None:
    """Check that all runs were scored on the same items in the same order."""
    first = None
    for run in (run for configuration in configurations for run in configuration.runs):
        if run not in scores:
            raise UserError(
                "R101", f"{run}: there is no scores.parquet of this run; give the scores of every run compared"
            )
        first = first or run
        ids, expected = scores[run].ids, scores[first].ids
        if ids == expected:
            continue
        place = next((i for i, pair in enumerate(zip(ids, expected, strict=False)) if pair[0] != pair[1]), None)
        where = f"{len(ids)} items and {len(expected)}" if place is None else f"item {place + 1} is {ids[place]}"
        raise UserError(
            "R102",
            f"{run}: was scored on other items than {first} ({where}); predict and score both on the same test set",
        )
    if first is None:
        raise UserError("R103", "no configurations were given, so there is nothing to resample")


def _columns(
    scores: Mapping[str, Scores], configurations: Sequence[Configuration], metric: str
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return what is summed over items, an array of shape (items, seeds) a configuration, and the shared weights."""
    columns, weights, first = [], None, None
    for configuration in configurations:
        runs = []
        for run in configuration.runs:
            values, weight = _column(scores[run], run, metric)
            runs.append(values)
            if np.isnan(values[0]):
                continue
            if weights is None:
                weights, first = weight, run
            elif not np.array_equal(weight, weights):
                raise UserError(
                    "R104",
                    f"{run}: its answers have other numbers of tokens than those of {first}, so their NLL per token "
                    "cannot be compared; predict both with the same tokenizer and test set",
                )
        if len({bool(np.isnan(values[0])) for values in runs}) > 1:
            raise UserError(
                "R105", f"{configuration.name}: {metric} is missing in some of its seeds; predict and score them"
            )
        columns.append(np.column_stack(runs))
    return columns, np.ones(len(columns[0])) if weights is None else weights


def _column(scores: Scores, run: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one run's values, all NaN where not measured, and their weights."""
    names = ("nll_sum", "n_answer_tokens") if metric == NLL else (f"{metric}_f", metric)
    found = [scores.columns[name] for name in names if name in scores.columns]
    if not found:
        raise UserError("R106", f"{run}: its scores have no column for {metric}; score it again with this metric")
    missing = np.isnan(found).any(axis=0)
    if missing.any() and not missing.all():
        raise UserError(
            "R107", f"{run}: {metric} is missing for {missing.sum()} of {len(missing)} items; predict it again"
        )
    values = np.where(missing, np.nan, found[0])
    weights = found[1] if metric == NLL else np.ones(len(values))
    if (weights <= 0).any():
        raise UserError("R108", f"{run}: n_answer_tokens is not above 0 for every item; predict it again")
    return values, weights


def _item_draws(items: np.ndarray, weights: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return each column's Σ items / Σ weights over resampled items; columns of NaN stay so."""
    measured = ~np.isnan(items[0])
    sums = resampled_sums(np.column_stack([items[:, measured], weights]), resamples, seed)
    draws = np.full((resamples, items.shape[1]), np.nan)
    draws[:, measured] = sums[:, :-1] / sums[:, -1:]
    return draws


def _picked_seeds(configuration: Configuration, resamples: int, seed: int) -> np.ndarray:
    """Draw which seeds each resample has: shape (resamples, seeds), the same for all metrics."""
    # seeded by the name too, so that configurations are independent and one more changes nothing for the others
    sequence = np.random.SeedSequence([seed, *configuration.name.encode()])
    count = len(configuration.runs)
    return np.random.Generator(np.random.PCG64(sequence)).integers(0, count, size=(resamples, count))


def _deviation(values: np.ndarray, picked: np.ndarray) -> np.ndarray:
    return (values - values.mean())[picked].mean(axis=1)


def _seed_factor(spread: SeedSpread, column: int, count: int) -> float:
    between = spread.between[column]
    if count < 2 or not between > 0:
        return 1.0
    return float(np.sqrt(count / (count - 1) * spread.variance[column] / between))


def _spread(runs: list[np.ndarray], values: list[np.ndarray], weights: np.ndarray) -> SeedSpread:
    """Return how far the seeds of each configuration lie apart, and how far item noise alone would put them."""
    between, noise = np.zeros(len(runs)), np.zeros(len(runs))
    items = len(weights)
    for column, (numerators, value) in enumerate(zip(runs, values, strict=True)):
        count = len(value)
        if count < 2 or items < 2:
            continue
        between[column] = value.var(ddof=1) / count
        residual = numerators - numerators.mean(axis=1, keepdims=True) - np.outer(weights, value - value.mean())
        item_variance = (residual**2).sum() / (count - 1) * items / (items - 1) / weights.sum() ** 2
        noise[column] = item_variance / count
    return SeedSpread(between, noise)
