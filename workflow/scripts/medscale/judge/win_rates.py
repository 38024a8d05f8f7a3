"""Win rates of one configuration against another, ties counted half, with intervals over questions.

Each question counts once: what several judges said of it, or one judge in both orders, is averaged first, for two
verdicts on one question are not two questions. Questions on which both gave the same answer are ties that need no
judge; where only a part of the others was judged, they count for the same part.

Intervals are those of the Bayesian bootstrap (Rubin 1981): each question gets a random weight from the exponential
distribution. Besides the questions there are half a win and half a loss, with weights from the gamma distribution of
shape ½. With wins and losses alone that is exactly the interval of Jeffreys (Brown, Cai & DasGupta 2001), whose
coverage is near its level for 10 questions as for 1,000, also where all were won, where a plain bootstrap has no width
at all; ties and averages of judges have their own, smaller spread in it, which a binomial interval would not see.

The judges are taken as they are: the interval is about other questions, not about other judges. Two or three judges are
too few to draw from, so their own rates stand beside each other instead.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from medscale.evaluate.bootstrap import percentile_interval

WIN, TIE, LOSS = 1.0, 0.5, 0.0
PRIOR = 0.5
"""Of a win and of a loss: Jeffreys' prior."""


class Opinion(NamedTuple):
    """What a verdict says of one pair of configurations: 1 where a's answer is better, 0 where b's is, ½ for neither.

    ``pair`` is what was shown. A verdict on answers that several configurations gave is an opinion of each of them.
    """

    a: str
    b: str
    item: str
    judge: str
    score: float
    first: bool
    repeated: bool
    pair: str


class Outcomes(NamedTuple):
    """What is known of one pair of configurations by one criterion, a row a question.

    Attributes
    ----------
    a, b : names.
    items : ids of the questions, n of them.
    shares : array of shape (n, 3): the shares of verdicts that were a win of a, a tie, a loss. They add up to 1.
    weights : array of shape (n,): 1 for what was judged, and for identical answers the judged share of the others.
    identical : array of bool of shape (n,).
    """

    a: str
    b: str
    items: list[str]
    shares: np.ndarray
    weights: np.ndarray
    identical: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        return self.shares @ np.array([WIN, TIE, LOSS])

    @property
    def judged(self) -> int:
        return int((~self.identical).sum())


def outcomes_of(opinions: Iterable[Opinion], compared: Sequence[Mapping[str, Any]]) -> list[Outcomes]:
    """Return the outcomes of each pair of configurations, of which some may have none.

    Parameters
    ----------
    opinions : of one criterion.
    compared : the pairs as key.json has them: a, b, items, identical.
    """
    told: dict[tuple[str, str], dict[str, dict[str, list[float]]]] = {}
    for opinion in opinions:
        of_judges = told.setdefault((opinion.a, opinion.b), {}).setdefault(opinion.item, {})
        of_judges.setdefault(opinion.judge, []).append(opinion.score)
    found = []
    for pair in compared:
        judged = told.get((pair["a"], pair["b"]), {})
        others = len(pair["items"]) - len(pair["identical"])
        share = len(judged) / others if others else 1.0
        identical = list(pair["identical"]) if share else []
        rows = [_shares(judged[item].values()) for item in judged] + [[0.0, 1.0, 0.0]] * len(identical)
        found.append(
            Outcomes(
                pair["a"],
                pair["b"],
                [*judged, *identical],
                np.array(rows, dtype=float).reshape(-1, 3),
                np.array([1.0] * len(judged) + [share] * len(identical)),
                np.array([False] * len(judged) + [True] * len(identical), dtype=bool),
            )
        )
    return found


def _shares(by_judge: Iterable[Sequence[float]]) -> list[float]:
    """Return the shares of wins, ties and losses of one question: of each judge's verdicts, then of the judges."""
    each = [[np.mean([score == value for score in scores]) for value in (WIN, TIE, LOSS)] for scores in by_judge]
    return np.mean(each, axis=0).tolist()


def win_rate(outcomes: Outcomes) -> float:
    """Return the share of questions that a won, ties counted half."""
    return float(outcomes.scores @ outcomes.weights / outcomes.weights.sum())


def question_weights(items: Sequence[str], resamples: int, seed: int) -> dict[str, np.ndarray]:
    """Draw the weights of the questions: by id, an array of shape (resamples,), the same for all pairs and criteria."""
    generator = np.random.Generator(np.random.PCG64(seed))
    return dict(zip(sorted(items), generator.standard_exponential((len(items), resamples)), strict=True))


def win_rate_draws(outcomes: Outcomes, weights: Mapping[str, np.ndarray], seed: int) -> np.ndarray:
    """Return the win rate on each draw of the weights, an array of shape (resamples,)."""
    drawn = np.array([weights[item] for item in outcomes.items]) * outcomes.weights[:, None]
    prior = prior_weights(outcomes, drawn.shape[1], seed)
    return (outcomes.scores @ drawn + prior[0]) / (drawn.sum(axis=0) + prior.sum(axis=0))


def prior_weights(outcomes: Outcomes, resamples: int, seed: int) -> np.ndarray:
    """Draw the weights of the half win and the half loss of a pair: shape (2, resamples)."""
    return half_wins(f"{outcomes.a}\0{outcomes.b}", resamples, seed)


def half_wins(name: str, resamples: int, seed: int) -> np.ndarray:
    """Draw the weights of half a win and half a loss, of shape (2, resamples); other names draw others."""
    sequence = np.random.SeedSequence([seed, *name.encode()])
    return np.random.Generator(np.random.PCG64(sequence)).standard_gamma(PRIOR, (2, resamples))


def win_rate_interval(outcomes: Outcomes, draws: np.ndarray, alpha: float) -> tuple[float, float]:
    """Return the interval of the win rate; it ends at 1, or begins at 0, where every question was won, or lost."""
    low, high = percentile_interval(draws, 1 - alpha)
    scores = outcomes.scores
    return (0.0 if (scores == LOSS).all() else low), (1.0 if (scores == WIN).all() else high)
