"""eval.json: one run's scores, summed up with intervals, together with what its training and prediction measured."""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from jsonschema import Draft202012Validator

from medscale.base.errors import UserError
from medscale.base.files import read_json, read_jsonl, sha256_file
from medscale.evaluate.bootstrap import mean_interval, ratio_interval
from medscale.evaluate.exam_answers import read_table
from medscale.evaluate.exam_scores import summarise_exams

SCHEMA = Path(__file__).parents[3] / "schemas" / "eval.schema.json"
PROVENANCE = ("fingerprint", "config_sha256", "train_sha256", "test_sha256", "model_manifest_sha256")
DIGITS = 6
AGAIN = "run the workflow again to make both from the same run"


class Scores(NamedTuple):
    """The table of scores: ids, numeric columns of shape (items,) with NaN where null, and the metadata."""

    ids: list[str]
    columns: dict[str, np.ndarray]
    facts: dict[str, Any]


def read_scores(path: str | Path) -> Scores:
    """Read scores.parquet.

    Raises
    ------
    UserError
        If the file has no rows or was not written by score.py.
    """
    with pq.ParquetFile(path) as file:
        table = file.read()
    metadata = (table.schema.metadata or {}).get(b"medscale")
    if metadata is None or not table.num_rows:
        raise UserError("B104", f"{path}: not a table of scores, or an empty one; delete it and run score.py again")
    # By way of lists: pq.read_table and to_numpy would import pandas, which takes longer than to read the file.
    columns = {name: np.array(table[name].to_pylist(), np.float64) for name in table.column_names if name != "id"}
    return Scores(table["id"].to_pylist(), columns, json.loads(metadata))


def summarise(scores: Scores, resamples: int, seed: int) -> dict[str, Any]:
    """Return the ``metrics`` of eval.json.

    The value of a metric is the plain mean over the items, with the interval of its first part; NLL is the sum of all
    items' NLL over the sum of their answer tokens.

    Parameters
    ----------
    scores : Scores
        From `read_scores`.
    resamples, seed : int
        Of the bootstrap; see `bootstrap.mean_interval`.
    """
    metrics: dict[str, Any] = {}
    for name, entry in scores.facts["metrics"].items():
        columns = {part: scores.columns[column] for part, column in entry["columns"].items()}
        headline = next(iter(columns.values()))
        metrics[name] = {part: _rounded(math.fsum(values) / len(values)) for part, values in columns.items()}
        metrics[name]["ci95"] = _rounded(mean_interval(headline, resamples, seed))
    return metrics | _likelihood(scores, resamples, seed) | _lengths(scores, resamples, seed)


def _likelihood(scores: Scores, resamples: int, seed: int) -> dict[str, Any]:
    """NLL in nats per answer token, over the items where it was measured."""
    sums, tokens = scores.columns["nll_sum"], scores.columns["n_answer_tokens"]
    measured = ~(np.isnan(sums) | np.isnan(tokens))
    value, interval = _ratio(sums[measured], tokens[measured], resamples, seed)
    return {"nll": {"value": value, "ci95": interval, "n": int(measured.sum())}}


def _lengths(scores: Scores, resamples: int, seed: int) -> dict[str, Any]:
    predict, label = scores.columns["predict_chars"], scores.columns["label_chars"]
    value, interval = _ratio(predict, label, resamples, seed)
    return {"length_ratio": value, "length_ratio_ci95": interval, "empty_predictions": int((predict == 0).sum())}


def read_exams(path: str | Path, leaks: Iterable[str | Path]) -> dict[str, Any]:
    """Return the ``exams`` of eval.json.

    Parameters
    ----------
    path : of exams.parquet.
    leaks : files of the leak check, one an exam at most.

    Raises
    ------
    UserError
        If the leak check is of other questions than the answers.
    """
    rows, facts = read_table(path)
    found = {record["exam"]: record for record in map(read_json, leaks)}
    for exam, record in found.items():
        asked = {row["id"] for row in rows if row["exam"] == exam}
        if record["n"] != len(asked) or not asked.issuperset(record["ids"]):
            raise UserError("E138", f"{path}: the leak check of {exam} is of other questions; {AGAIN}")
    return summarise_exams(rows, facts["exams"], found)


def read_retention(path: str | Path, resamples: int, seed: int) -> dict[str, Any] | None:
    """Return the ``retention`` of eval.json: NLL in nats a token of the general texts; None where there are none."""
    rows, _ = read_table(path)
    if not rows:
        return None
    sums, tokens = (np.array([row[name] for row in rows], np.float64) for name in ("nll_sum", "n_tokens"))
    value, interval = _ratio(sums, tokens, resamples, seed)
    return {"value": value, "ci95": interval, "n": len(rows), "n_tokens": int(tokens.sum())}


def _ratio(tops: np.ndarray, bottoms: np.ndarray, resamples: int, seed: int) -> tuple[float | None, list | None]:
    """Return Σ tops / Σ bottoms with its interval, both None where the bottoms sum to 0."""
    if not bottoms.sum():
        return None, None
    value = _rounded(math.fsum(tops) / math.fsum(bottoms))
    return value, _rounded(ratio_interval(tops, bottoms, resamples, seed))


def _rounded(value: Any) -> Any:
    if value is None:
        return None
    return [round(end, DIGITS) for end in value] if isinstance(value, tuple) else round(value, DIGITS)


def check_same_predictions(scores: Scores, inference: dict[str, Any], predictions: str | Path | None) -> None:
    """Check that the scores are of the predictions that ``inference`` describes.

    Raises
    ------
    UserError
        If the predictions file has another sha256 than the one scored, or the mean output length differs.
    """
    if predictions and sha256_file(predictions) != scores.facts["predictions_sha256"]:
        raise UserError("E114", f"{predictions}: the scores are of other predictions; {AGAIN}")
    lengths = scores.columns["n_output_tokens"]
    told = (inference.get("inference") or {}).get("mean_output_tokens")
    if told is not None and not np.isnan(lengths).any() and abs(lengths.mean() - told) > 0.01:
        raise UserError(
            "E114",
            f"the scored answers have {lengths.mean():.2f} tokens on average, but inference.json says {told}: "
            f"scores and inference are of different predictions; {AGAIN}",
        )


def check_test_set(scores: Scores, provenance: dict[str, Any], test: str | Path) -> None:
    """Check that the scores and the provenance belong to the test set in the file ``test``.

    Raises
    ------
    UserError
        If the file has another sha256, or the scores have other ids than its first rows.
    """
    if provenance["test_sha256"] not in (None, sha256_file(test)):
        raise UserError("E115", f"{test}: the predictions were made on another test set; {AGAIN}")
    ids = [row["id"] for row in read_jsonl(test)]
    if scores.ids != ids[: len(scores.ids)]:
        strange = sorted(set(scores.ids) - set(ids))
        detail = f"{strange[0]} is not in the test set" if strange else "the order differs"
        raise UserError("E115", f"{test}: the scores are of another test set ({detail}); {AGAIN}")


def merged_provenance(records: Iterable[dict[str, Any]]) -> dict[str, str | None]:
    """Return one provenance from those of training.json and inference.json; null where neither has a value.

    Raises
    ------
    UserError
        If they disagree: the predictions then come from another training.
    """
    provenance: dict[str, str | None] = dict.fromkeys(PROVENANCE)
    for record in records:
        for key in PROVENANCE:
            value = record["provenance"].get(key)
            if value is None:
                continue
            if provenance[key] not in (None, value):
                raise UserError(
                    "E116",
                    f"provenance.{key}: {provenance[key]} in training.json, {value} in inference.json: "
                    "these are predictions of another training; run predict.py and score.py again",
                )
            provenance[key] = value
    return provenance


def read_record(path: str | Path, run: str) -> dict[str, Any]:
    """Read training.json or inference.json and check that it is of ``run``."""
    record = read_json(path)
    missing = [key for key in ("run", "hardware", "software", "provenance") if key not in record]
    if missing:
        raise UserError("B104", f"{path}: has no {missing[0]}; delete it and let the workflow make it again")
    if record["run"] != run:
        raise UserError("E117", f"{path}: is of the run {record['run']}, not of {run}; give the file of this run")
    return record


def check(result: dict[str, Any]) -> None:
    """Check a result against the schema of eval.json.

    Raises
    ------
    UserError
        Naming each key that is missing or has a value that is not allowed, NaN and infinity included.
    """
    validator = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    errors = sorted(validator.iter_errors(result), key=lambda error: list(map(str, error.absolute_path)))
    problems = [f"{'.'.join(map(str, error.absolute_path)) or 'eval.json'}: {error.message}" for error in errors]
    problems += [f"{key}: is not a finite number" for key in _not_finite(result)]
    if problems:
        raise UserError(
            "E118", "the result is not a valid eval.json:\n" + "\n".join(f"  - {each}" for each in problems)
        )


def _not_finite(value: Any, key: str = "") -> Iterator[str]:
    """Yield the dotted keys of NaN and infinity, which JSON does not have."""
    if isinstance(value, dict | list):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _not_finite(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, float) and not math.isfinite(value):
        yield key
