"""Exams and general texts: what each configuration knows, how it differs from the base model and from the others.

The likelihood of general texts is a ratio over them, compared as the metrics of the test set are. Of a difference of
accuracies one test gives both p-value and interval (`accuracy_differences`): no bootstrap, whose p-values have a floor
that a long list of subjects could not pass. The p-values are corrected by Holm, over all pairs of an exam. The accuracy
of a subject is compared with the base model alone, and Holm's correction is over all subjects and configurations of the
exam; so for its medical part and its rest.

The interval of an accuracy by itself is Wilson's (1927) for one seed, which stays within 0 and 100 and holds for few
questions too. For several seeds it is Wilson's of as many questions as would give the variance over questions and
seeds, with Student's quantile. docs/statistics.md has the simulations.

An exam is called too small to rank where a difference of `TOO_SMALL` points between two configurations would be missed
more often than the power that was asked for: where the median detectable difference of its pairs is larger. The chance
level is the accuracy of guessing.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy import stats

from medscale.base.errors import UserError
from medscale.compare.accuracy_differences import accuracy_differences
from medscale.compare.comparisons import COLUMNS as COMPARED
from medscale.compare.comparisons import Pair, compared_pairs, compared_rows, holm
from medscale.compare.configurations import intervals_over_seeds
from medscale.compare.detectable import typical
from medscale.compare.paired_differences import paired_differences
from medscale.compare.resampling import NLL, Configuration, Resampled, resample
from medscale.evaluate.eval_file import Scores
from medscale.evaluate.wilson import wilson_interval

TOO_SMALL = 5.0
"""Points of 100."""
OWN_ALPHA = 0.05
"""Of the interval of a value by itself, as in eval.json; `statistics.alpha` is that of comparisons."""
RETENTION = "retention"
ACCURACY = "accuracy"
ALL, MEASURES, SUBJECT = "all", "measures", "subject"
"""Scopes: an exam as a whole, what it says of medicine and of the rest, each of its subjects."""
COLUMNS = (
    *("metric", "scope", "subject", "measures", "name", "seeds", "n_items", "value", "lo", "hi", "chance"),
    *("value_without_leaks", "n_without_leaks", "value_calibrated", "value_permuted", "consistent"),
    *("base_difference", "base_lo", "base_hi", "base_p", "base_p_holm", "base_significant"),
    *("smallest_detectable", "too_small"),
)
TO_BASE = ("difference", "lo", "hi", "p", "p_holm", "significant")


class Exam(NamedTuple):
    """One exam as all runs answered it: arrays over its questions, and by run which were answered right.

    Attributes
    ----------
    ids : list of str
    subjects, measures : list of str or None
    chance : array of shape (items,)
        Share of guesses that are right, 0 to 1.
    correct : dict of str to array of shape (items,)
        By run, 0 or 1.
    """

    ids: list[str]
    subjects: list[str | None]
    measures: list[str | None]
    chance: np.ndarray
    correct: dict[str, np.ndarray]


class Statistics(NamedTuple):
    """The section `statistics` of the configuration."""

    resamples: int
    seed: int
    alpha: float
    power: float


def read_exams(paths: Mapping[str, str | Path]) -> dict[str, Exam]:
    """Return the exams by name from the exams.parquet of each run.

    Raises
    ------
    UserError
        If two runs answered other questions.
    """
    exams: dict[str, Exam] = {}
    for run, path in paths.items():
        table = (
            pq.ParquetFile(path)
            .read()
            .select(["exam", "id", "permutation", "subject", "measures", "correct", "choices"])
        )
        rows = [row for row in table.to_pylist() if row["permutation"] == 0]
        for name, group in groupby(rows, key=lambda row: row["exam"]):
            here = list(group)
            ids = [row["id"] for row in here]
            subjects, measures = ([row[key] for row in here] for key in ("subject", "measures"))
            chance = np.array([1 / len(row["choices"]) for row in here])
            exam = exams.setdefault(name, Exam(ids, subjects, measures, chance, {}))
            if exam.ids != ids:
                raise UserError(
                    "R211",
                    f"{path}: {run} answered other questions of the exam {name} than the runs before; run the "
                    "workflow again to have all answer the same",
                )
            exam.correct[run] = np.array([row["correct"] for row in here], dtype=float)
    return exams


def read_retention(paths: Mapping[str, str | Path]) -> dict[str, Scores]:
    """Return the likelihoods of the general texts by run, from the retention.parquet of each."""
    found = {}
    for run, path in paths.items():
        table = pq.ParquetFile(path).read()
        sums, tokens = (np.array(table[name].to_pylist(), np.float64) for name in ("nll_sum", "n_tokens"))
        found[run] = Scores(table["id"].to_pylist(), {"nll_sum": sums, "n_answer_tokens": tokens}, {})
    return found


def knowledge_tables(
    exams: Mapping[str, Exam],
    retention: Mapping[str, Scores],
    configurations: Iterable[Configuration],
    evaluations: Iterable[Mapping[str, Any]],
    statistics: Statistics,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return knowledge.csv and knowledge_comparisons.csv.

    Parameters
    ----------
    exams : dict of str to Exam
        From `read_exams`.
    retention : dict of str to Scores
        From `read_retention`; empty where none was asked for.
    configurations : iterable of Configuration
        Those of the study; floors answer no exam and are left out.
    evaluations : iterable of dict
        Contents of eval.json files.
    statistics : Statistics

    Returns
    -------
    tuple of pandas.DataFrame
        The first has `COLUMNS`: a row an exam, subject (``all`` for the whole) and configuration, accuracies and their
        differences in points of 100, and rows of the metric ``retention``, in nats a token. The second has the columns
        of comparisons.csv; its kind ``ends`` is the largest against the smallest size of a method.
    """
    study = _Study([each for each in configurations if each.kind != "floor"], list(evaluations), statistics)
    values: list[dict[str, Any]] = []
    compared: list[tuple] = []
    for name, exam in exams.items():
        scores = {run: Scores(exam.ids, {ACCURACY: 100 * right}, {}) for run, right in exam.correct.items()}
        whole = study.resample(scores, ACCURACY)
        rows = study.compare(whole, ACCURACY)
        compared += [(name, *row[1:]) for row in rows]
        about = {"metric": name, "scope": ALL, "chance": 100 * float(exam.chance.mean())}
        about["measures"] = exam.measures[0] if len({*exam.measures}) == 1 else "mixed"
        values += [row | about | study.told_of(row["name"], name) for row in study.rows(whole, ACCURACY, rows)]
        for scope in (MEASURES, SUBJECT):
            values += _by_part(study, name, exam, scores, scope)
    if retention:
        whole = study.resample(retention, NLL)
        rows = study.compare(whole, NLL)
        compared += [(RETENTION, *row[1:]) for row in rows]
        values += [row | {"metric": RETENTION, "scope": ALL, "too_small": None} for row in study.rows(whole, NLL, rows)]
    return pd.DataFrame(values, columns=list(COLUMNS)), pd.DataFrame(compared, columns=list(COMPARED))


class _Study(NamedTuple):
    """The configurations that are compared, what eval.json says of their runs, and how they are judged."""

    configurations: list[Configuration]
    evaluations: list[Mapping[str, Any]]
    statistics: Statistics

    def resample(self, scores: Mapping[str, Scores], metric: str) -> Resampled:
        resamples = 1 if metric == ACCURACY else self.statistics.resamples  # nothing of an accuracy is drawn
        return resample(scores, self.configurations, [metric], resamples, self.statistics.seed)

    def compare(self, resampled: Resampled, metric: str) -> list[tuple]:
        """Return the rows of comparisons.csv: the usual pairs, and the ends of each method."""
        steps = {each["run"]: (each["training"] or {}).get("steps") for each in self.evaluations}
        kinds = [each.kind for each in self.configurations]
        kept = [("base", a, b) for b in _of(kinds, "base") for a in _of(kinds, "control")]
        pairs = compared_pairs(resampled, metric, steps) + _ends(resampled) + kept
        return self.compare_pairs(resampled, metric, pairs)

    def compare_pairs(self, resampled: Resampled, metric: str, pairs: list[Pair]) -> list[tuple]:
        if not pairs or resampled.n_items < 2:
            return []
        places, alpha, power = [pair[1:] for pair in pairs], self.statistics.alpha, self.statistics.power
        found = paired_differences(resampled, {metric: places})[metric]
        if metric != ACCURACY:
            return compared_rows(resampled, metric, pairs, found, alpha, power)
        tested = accuracy_differences(resampled, metric, places, found.freedom, alpha, power)
        return compared_rows(resampled, metric, pairs, found, alpha, power, tested)

    def rows(self, resampled: Resampled, metric: str, compared: Iterable[tuple]) -> list[dict[str, Any]]:
        """Return a row of knowledge.csv a configuration, with its difference to the base model."""
        pairs = [dict(zip(COMPARED, row, strict=True)) for row in compared]
        to_base = {pair["a"]: pair for pair in pairs if pair["kind"] == "base"}
        smallest = _smallest_detectable(resampled, metric, pairs)
        found = []
        for place, each in enumerate(self.configurations):
            told = self.of_seeds(each.name)[0].get("retention") if metric == NLL else None
            value, low, high = _value(resampled, metric, place, told)
            row = {"name": each.name, "seeds": len(each.runs), "n_items": resampled.n_items}
            row |= {"value": value, "lo": low, "hi": high, "smallest_detectable": smallest}
            row["too_small"] = smallest is None or smallest > TOO_SMALL
            if each.name in to_base:
                row |= {f"base_{key}": to_base[each.name][key] for key in TO_BASE}
            found.append(dict.fromkeys(COLUMNS) | row)
        return found

    def told_of(self, name: str, exam: str) -> dict[str, Any]:
        """Return what eval.json says of an exam besides its accuracy, the mean over the seeds of a configuration."""
        entries = [each["exams"][exam] for each in self.of_seeds(name)]

        def mean(key: str) -> float | None:
            values = [(entry.get(key) or {}).get("accuracy") for entry in entries]
            return None if None in values else float(np.mean(values))

        return {
            "value_without_leaks": mean("accuracy_without_leaks"),
            "n_without_leaks": (entries[0].get("accuracy_without_leaks") or {}).get("n"),
            "value_calibrated": mean("accuracy_calibrated"),
            "value_permuted": mean("accuracy_permuted"),
            "consistent": mean("consistent"),
        }

    def of_seeds(self, name: str) -> list[Mapping[str, Any]]:
        told = {each["run"]: each for each in self.evaluations}
        return [told[run] for each in self.configurations if each.name == name for run in each.runs]


def _smallest_detectable(resampled: Resampled, metric: str, pairs: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the smallest difference that this set detects: the median over the compared pairs that are not alike.

    Two that answer all questions alike do not tell how far apart others are; where all do, they are all there is.
    """
    items = resampled.items[metric]
    values = {(pair["a"], pair["b"]): pair["smallest_detectable"] for pair in pairs}
    unlike = {
        (a, b): value
        for (a, b), value in values.items()
        if (items[:, resampled.index(a)] != items[:, resampled.index(b)]).any()
    }
    return typical((unlike or values).values())


def _value(resampled: Resampled, metric: str, place: int, told: Mapping[str, Any] | None) -> tuple[float, float, float]:
    """Return a configuration's value with its own 95 % interval: for one seed that of its eval.json.

    ``told`` is what eval.json says of the general texts; a part of an exam has Wilson's interval as the whole has.
    """
    value, several = float(resampled.points[metric][place]), len(resampled.configurations[place].runs) > 1
    if metric == ACCURACY:
        low, high = interval_over_seeds(resampled, place) if several else _wilson(value, resampled.n_items)
    elif several:
        ((low, high),) = intervals_over_seeds(resampled, metric, [place], OWN_ALPHA)
    else:
        low, high = (told or {}).get("ci95") or (np.nan, np.nan)
    return value, low, high


def _wilson(value: float, items: int) -> tuple[float, float]:
    low, high = wilson_interval(round(value / 100 * items), items)
    return 100 * low, 100 * high


def interval_over_seeds(resampled: Resampled, place: int) -> tuple[float, float]:
    """Return Wilson's interval of an accuracy over questions and seeds, in points of 100.

    In place of the number of questions stands the one that would give the variance over questions and seeds, p(1 − p) /
    variance, but no more than there are (Korn & Graubard 1998 do so for surveys), and in place of the normal quantile
    Student's, with Satterthwaite's degrees of freedom.
    """
    items, seeds = resampled.items[ACCURACY][:, place] / 100, resampled.seeds[ACCURACY]
    n, share, count = len(items), float(items.mean()), len(resampled.configurations[place].runs)
    variance = float(items.var()) / n + float(seeds.variance[place]) / 1e4
    between = float(seeds.between[place]) / 1e4
    freedom = max(1.0, variance**2 * (count - 1) / between**2) if between > 0 and variance > 0 else np.inf
    effective = min(n, share * (1 - share) / variance) if variance > 0 else n
    low, high = wilson_interval(share * effective, effective, float(stats.t.isf(OWN_ALPHA / 2, freedom)))
    return 100 * low, 100 * high


def with_knowledge(configurations: pd.DataFrame, knowledge: pd.DataFrame) -> pd.DataFrame:
    """Return configurations.csv with ``exam_{name}`` and ``retention`` and the ends of their intervals."""
    found = configurations.set_index("configuration", drop=False)
    for metric, part in knowledge[knowledge["scope"] == ALL].groupby("metric", sort=False):
        column = metric if metric == RETENTION else f"exam_{metric}"
        here = part.set_index("name")
        for suffix, source in (("", "value"), ("_lo", "lo"), ("_hi", "hi")):
            found[f"{column}{suffix}"] = here[source].astype("float64")
    return found.reset_index(drop=True)


def _ends(resampled: Resampled) -> list[Pair]:
    """Return the largest against the smallest size of each method, where they are not neighbours."""
    sizes: dict[str, list[tuple[int, int]]] = {}
    for place, each in enumerate(resampled.configurations):
        if each.kind == "tuned" and each.size is not None:
            sizes.setdefault(each.method, []).append((each.size, place))
    return [("ends", max(found)[1], min(found)[1]) for found in sizes.values() if len(found) > 2]


def _by_part(study: _Study, name: str, exam: Exam, scores: Mapping[str, Scores], scope: str) -> list[dict[str, Any]]:
    """Return the rows of an exam's parts; the differences to the base model are corrected over all parts of a scope."""
    parts = exam.measures if scope == MEASURES else exam.subjects
    if len({*parts}) < 2:
        return []
    kinds = [each.kind for each in study.configurations]
    pairs: list[Pair] = [("base", a, b) for b in _of(kinds, "base") for a in _of(kinds, "tuned", "control")]
    found = []
    for part in dict.fromkeys(each for each in parts if each is not None):
        places = np.flatnonzero([each == part for each in parts])
        ids, measures = [exam.ids[place] for place in places], {exam.measures[place] for place in places}
        here = {run: Scores(ids, {ACCURACY: each.columns[ACCURACY][places]}, {}) for run, each in scores.items()}
        whole = study.resample(here, ACCURACY)
        about = {"metric": name, "scope": scope, "subject": part, "chance": 100 * float(exam.chance[places].mean())}
        about["measures"] = measures.pop() if len(measures) == 1 else "mixed"
        found += [row | about for row in study.rows(whole, ACCURACY, study.compare_pairs(whole, ACCURACY, pairs))]
    tested = [row for row in found if row["base_p"] is not None]
    adjusted = holm(np.array([row["base_p"] for row in tested], dtype=float))
    for row, p in zip(tested, adjusted, strict=True):
        row["base_p_holm"], row["base_significant"] = float(p), bool(p <= study.statistics.alpha)
    return found


def _of(kinds: list[str], *wanted: str) -> list[int]:
    return [place for place, kind in enumerate(kinds) if kind in wanted]
