"""The registry of the metrics that score one answer.

A new metric is one function of a `Pair` that returns points of 100, and one entry in `METRICS`. An entry that is not
one of `STANDARD` is computed only where the configuration names it in ``evaluation.extra_metrics``. A metric that runs
a model scores all pairs at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, NamedTuple

from medscale.base.errors import UserError
from medscale.evaluate import overlap

DECIMALS = 4
"""Digits that the score of one item is rounded to, before any mean."""


@dataclass(frozen=True)
class Pair:
    """One prediction and its label, with the words that several metrics need, cut once."""

    predict: str
    label: str

    @cached_property
    def words(self) -> tuple[list[str], list[str]]:
        """The words of the prediction and of the label; see `overlap.rouge_words`."""
        return overlap.rouge_words(self.predict), _label_words(self.label)


_label_words = lru_cache(maxsize=1 << 14)(overlap.rouge_words)  # floors and several runs share their labels


class Options(NamedTuple):
    """What metrics that score all pairs at once may need: the directory of BERTScore's model, CPU threads."""

    bertscore_model: str | None = None
    threads: int = 1


NO_OPTIONS = Options()


@dataclass(frozen=True)
class Metric:
    """One entry of the registry.

    Attributes
    ----------
    function : callable
        Takes a `Pair`, returns one value for each part, in points of 100. With ``at_once`` it takes a list of pairs
        and `Options`, and returns a list of such values.
    signature : callable
        Returns in words the definition and the versions used; with ``at_once`` it takes `Options`.
    parts : tuple of str
        What the function returns; the first is the headline, which gets the interval.
    packages : tuple of str
        Optional packages that have to be installed.
    at_once : bool
        Whether all pairs are scored by one call, in this process.
    option : str or None
        Which of the `Options` has to be set.
    """

    function: Callable[..., Any]
    signature: Callable[..., str]
    parts: tuple[str, ...] = ("value",)
    packages: tuple[str, ...] = ()
    at_once: bool = False
    option: str | None = None


def rouge_1(pair: Pair) -> tuple[float, ...]:
    """F, precision and recall of ROUGE-1; see `overlap.rouge_n`."""
    return overlap.rouge_n(*pair.words, 1)


def rouge_2(pair: Pair) -> tuple[float, ...]:
    """F, precision and recall of ROUGE-2; see `overlap.rouge_n`."""
    return overlap.rouge_n(*pair.words, 2)


def rouge_l(pair: Pair) -> tuple[float, ...]:
    """F, precision and recall of ROUGE-L; see `overlap.rouge_l`."""
    return overlap.rouge_l(*pair.words)


def bleu_4(pair: Pair) -> tuple[float, ...]:
    """BLEU-4 on characters; see `overlap.bleu_4`."""
    return (overlap.bleu_4(pair.predict, pair.label),)


def chrf(pair: Pair) -> tuple[float, ...]:
    """chrF of the sentence, by ``sacrebleu`` (Popović 2015)."""
    return (_sacrebleu_chrf().sentence_score(pair.predict, [pair.label]).score,)


def sacrebleu_zh(pair: Pair) -> tuple[float, ...]:
    """BLEU of the sentence, by ``sacrebleu`` with its Chinese tokenizer and effective order."""
    return (_sacrebleu_zh().sentence_score(pair.predict, [pair.label]).score,)


def bertscore(pairs: Sequence[Pair], options: Options) -> list[tuple[float, ...]]:
    """BERTScore with a local model; see `bertscore`."""
    from medscale.evaluate.bertscore import bertscore  # torch is loaded only where the metric is asked for

    texts = [(pair.predict, pair.label) for pair in pairs]
    return [(value,) for value in bertscore(texts, options.bertscore_model, options.threads)]


@lru_cache(maxsize=1)
def _sacrebleu_chrf():
    from sacrebleu.metrics import CHRF  # optional, so imported only where the metric is asked for

    return _scored_once(CHRF())


@lru_cache(maxsize=1)
def _sacrebleu_zh():
    from sacrebleu.metrics import BLEU

    return _scored_once(BLEU(tokenize="zh", effective_order=True))


def _scored_once(metric: Any) -> Any:
    """Return a metric of sacrebleu that can say its signature: it has none before its first score."""
    metric.sentence_score("是", ["是"])
    return metric


def _rouge_signature() -> str:
    return f"rouge_chinese 1.0.3 as in LLaMA-Factory, words of jieba {version('jieba')} in default mode"


def _bleu_signature() -> str:
    return "nltk sentence_bleu as in LLaMA-Factory, characters, smoothing method 3"


def _bertscore_signature(options: Options) -> str:
    from medscale.evaluate.bertscore import signature

    return signature(options.bertscore_model)


F_P_R = ("f", "p", "r")
METRICS = {
    "rouge_1": Metric(rouge_1, _rouge_signature, parts=F_P_R),
    "rouge_2": Metric(rouge_2, _rouge_signature, parts=F_P_R),
    "rouge_l": Metric(rouge_l, _rouge_signature, parts=F_P_R),
    "bleu_4": Metric(bleu_4, _bleu_signature),
    "chrf": Metric(
        chrf, lambda: f"mean over sentences of {_sacrebleu_chrf().get_signature()}", packages=("sacrebleu",)
    ),
    "sacrebleu_zh": Metric(
        sacrebleu_zh, lambda: f"mean over sentences of {_sacrebleu_zh().get_signature()}", packages=("sacrebleu",)
    ),
    "bertscore": Metric(
        bertscore,
        _bertscore_signature,
        packages=("torch", "transformers"),
        at_once=True,
        option="bertscore_model",
    ),
}
STANDARD = ("rouge_1", "rouge_2", "rouge_l", "bleu_4")


@lru_cache
def columns(name: str) -> list[str]:
    """Return a metric's columns in scores.parquet: ``rouge_1_f``, … for several parts, the bare name for one."""
    parts = METRICS[name].parts
    return [name] if len(parts) == 1 else [f"{name}_{part}" for part in parts]


def metric_names(extra: Iterable[str] = (), options: Options = NO_OPTIONS) -> list[str]:
    """Return the names of the standard metrics and of the extra ones asked for, each once.

    Raises
    ------
    UserError
        If a name is not in the registry, or if it needs a package that is not installed or an option that is not set.
    """
    names = list(dict.fromkeys([*STANDARD, *extra]))
    for name in names:
        if name not in METRICS:
            known = ", ".join(key for key in METRICS if key not in STANDARD)
            raise UserError("C103", f"evaluation.extra_metrics: no metric is called {name!r}; choose from {known}")
        metric = METRICS[name]
        for package in metric.packages:
            if find_spec(package) is None:
                raise UserError(
                    "E104",
                    f"evaluation.extra_metrics: {name} needs the package {package}, which is not installed; "
                    f"run `pip install {package}` in this environment or take {name} out of the list",
                )
        if metric.option and getattr(options, metric.option) is None:
            raise UserError(
                "C116",
                f"evaluation.{metric.option}: is null, but {name} needs it; set it or take {name} out of "
                "evaluation.extra_metrics",
            )
    return names


def score(pair: Pair, names: Iterable[str]) -> dict[str, float]:
    """Score one pair.

    Parameters
    ----------
    pair : Pair
        The prediction and its label.
    names : iterable of str
        Metrics from `metric_names` that score one pair by itself.

    Returns
    -------
    dict of str to float
        One value a column, in points of 100, rounded to 4 digits.
    """
    values: dict[str, float] = {}
    for name in names:
        values.update(_rounded(name, METRICS[name].function(pair)))
    return values


def score_at_once(pairs: Sequence[Pair], name: str, options: Options) -> list[dict[str, float]]:
    """Score all pairs by one metric that is ``at_once``; see `score`."""
    return [dict(_rounded(name, values)) for values in METRICS[name].function(pairs, options)]


def _rounded(name: str, values: tuple[float, ...]) -> Iterator[tuple[str, float]]:
    """Pair a metric's columns with its values, rounded."""
    return zip(columns(name), [round(value, DECIMALS) for value in values], strict=True)


def signature(name: str, options: Options) -> str:
    """Return in words the definition of a metric and the versions used."""
    metric = METRICS[name]
    return metric.signature(options) if metric.at_once else metric.signature()
