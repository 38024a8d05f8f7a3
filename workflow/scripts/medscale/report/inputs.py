"""What report.html is made of, read from the files of a study and matched by run."""

import base64
import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from medscale.base.errors import UserError
from medscale.base.files import read_json, read_jsonl, sha256_file
from medscale.evaluate.eval_file import Scores, read_scores
from medscale.evaluate.predictions import read_predictions
from medscale.report.evaluations import match_logs, read_evaluations
from medscale.report.training_log import TrainingLog, read_log

PLOTS = ("data_scale_comparison", "method_comparison", "scaling", "pareto", "loss_curves")
COMPARED, KNOWN = ("metric", "kind", "a", "b"), ("metric", "scope", "subject", "measures", "name")
AGAIN = "run the workflow again to make all of them from the same study"


class Summary(NamedTuple):
    """The files of the summary folder; rows of tables are dictionaries with None where a cell is empty.

    ``knowledge`` and its comparisons are empty where the study has neither exams nor general texts.
    """

    results: list[dict[str, Any]]
    configurations: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    power: list[dict[str, Any]]
    scaling: dict[str, Any]
    recommendation: dict[str, Any]
    plots: dict[str, str]
    knowledge: Sequence[dict[str, Any]] = ()
    knowledge_comparisons: Sequence[dict[str, Any]] = ()
    rates: list[dict[str, Any]] | None = None  # of the pilots, where there were any


class Answers(NamedTuple):
    """The test set and what each run answered: texts in the order of ``ids``, ``departments`` None where unknown."""

    ids: list[str]
    questions: list[str]
    references: list[str]
    departments: list[str | None] | None
    predictions: dict[str, list[str]]
    scores: dict[str, Scores]


class Inputs(NamedTuple):
    """All inputs of the report; ``evaluations`` by run, in the order of the table of results.

    ``safety`` holds the screens by run, the reference answers as ``reference``, and is empty where there are none;
    ``verdicts`` is None where nobody judged.
    """

    summary: Summary
    evaluations: dict[str, dict[str, Any]]
    answers: Answers
    logs: dict[str, TrainingLog]
    clean: dict[str, Any]
    split: dict[str, Any]
    leak: dict[str, Any]
    model: dict[str, Any]
    data: dict[str, Any]
    config: dict[str, Any]
    safety: dict[str, dict[str, Any]]
    verdicts: dict[str, Any] | None
    mix: dict[str, Any] | None = None
    exams: dict[str, dict[str, Any]] | None = None  # what became of the rows of each exam's files


def read_summary(folder: Path, examined: bool = False, pilots: bool = False) -> Summary:
    """Read the summary folder.

    What exams and general texts told is read where the study was ``examined``, what pilots found where there were some.

    Raises
    ------
    UserError
        Naming the file that is missing or has no such content.
    """
    rates = {"learning_rates": _picture(folder / "learning_rates.png")} if pilots else {}
    return Summary(
        results=read_table(folder / "results_summary.csv", texts=("experiment", "run", "method", "arm")),
        configurations=read_table(
            folder / "configurations.csv", texts=("configuration", "kind", "method", "runs", "interval")
        ),
        comparisons=read_table(folder / "comparisons.csv", texts=COMPARED),
        power=read_table(folder / "power.csv", texts=("metric",)),
        scaling=_json(folder / "scaling_fit.json", "metrics"),
        recommendation=_json(folder / "recommendation.json", "verdict", "sentence", "candidates", "warnings"),
        plots={name: _picture(folder / f"{name}.png") for name in (*PLOTS, *["knowledge"] * examined)} | rates,
        knowledge=read_table(folder / "knowledge.csv", texts=KNOWN) if examined else (),
        knowledge_comparisons=read_table(folder / "knowledge_comparisons.csv", texts=COMPARED) if examined else (),
        rates=_json(folder / "learning_rates.json", "entries")["entries"] if pilots else None,
    )


def read_table(path: Path, texts: tuple[str, ...]) -> list[dict[str, Any]]:
    """Read a CSV file: numbers and truth values as such but in the columns ``texts``, empty cells as None."""
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            return [
                {name: (cell or None) if name in texts else _value(cell, name, path) for name, cell in row.items()}
                for row in csv.DictReader(handle)
            ]
    except FileNotFoundError as error:
        raise UserError("B101", f"{path}: no such file; let the workflow make the summary again") from error


def _value(cell: str | None, name: str | None, path: Path) -> float | bool | str | None:
    if cell is None or name is None:
        raise UserError("B104", f"{path}: a row has more or fewer cells than the header; delete it and make it again")
    if cell.lower() in ("true", "false"):
        return cell.lower() == "true"
    try:
        value = float(cell) if cell else None
    except ValueError:
        return cell
    return value if value is None or math.isfinite(value) else None


def _json(path: Path, *keys: str) -> dict[str, Any]:
    value = read_json(path)
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise UserError("B104", f"{path}: has no {key}; delete it and let the workflow make it again")
    return value


def _picture(path: Path) -> str:
    """Return a PNG file as a data URL."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError("B101", f"{path}: no such file; let the workflow make the summary again") from error
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def read_runs(
    results: list[dict[str, Any]],
    evals: Iterable[str],
    predictions: Iterable[str],
    scores: Iterable[str],
    logs: Iterable[str],
    test: str | None,
) -> tuple[dict[str, dict[str, Any]], Answers, dict[str, TrainingLog]]:
    """Read what each run has: its evaluation, its answers with their scores, its training log.

    Parameters
    ----------
    results : rows of results_summary.csv, whose runs and order hold.
    evals, predictions, scores, logs : files, a run's own in one folder.
    test : test.jsonl, for the departments; None leaves them out.

    Raises
    ------
    UserError
        If a run of the table lacks a file, or two files do not belong together.
    """
    by_folder = read_evaluations(evals)
    found = {evaluation["run"]: evaluation for evaluation in by_folder.values()}
    order = [row["run"] for row in results]
    if set(order) != set(found):
        strange = sorted(set(order) ^ set(found), key=str)[0]
        raise UserError(
            "R205", f"results_summary.csv and the files of --evals do not have the same runs: {strange}; {AGAIN}"
        )
    folders = {folder: evaluation["run"] for folder, evaluation in by_folder.items()}
    paths = {
        "predictions": _by_run(folders, predictions, "--predictions"),
        "scores": _by_run(folders, scores, "--scores"),
    }
    answers = _answers(order, paths["predictions"], paths["scores"], test)
    training = {run: read_log(path) for run, path in match_logs(by_folder, logs).items()}
    return {run: found[run] for run in order}, answers, {run: training[run] for run in order if run in training}


def read_safety(paths: Iterable[str], predictions: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Read the screens of answers by run, and check that they are of the predictions given."""
    digests = {sha256_file(path) for path in predictions} if (paths := list(paths)) else set()
    found = {}
    for path in paths:
        screen = _json(Path(path), "run", "n", "rules", "predictions_sha256")
        if screen["predictions_sha256"] not in digests:
            raise UserError("J112", f"{path}: the screen is of other predictions; {AGAIN}")
        found[screen["run"]] = screen
    return found


def read_accounts(paths: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Read by exam what became of the rows of its files."""
    found = [_json(Path(path), "exam", "read", "kept", "dropped", "rejected", "examples") for path in paths]
    return {account["exam"]: account for account in found}


def _by_run(folders: dict[Path, str], paths: Iterable[str], option: str) -> dict[str, Path]:
    """Return each run's file: it lies in the folder of the run's evaluation."""
    files: dict[str, Path] = {}
    for path in paths:
        run = folders.get(Path(path).resolve().parent)
        if run is None:
            raise UserError("R204", f"{option} {path}: no eval.json was given from this folder; give both")
        if run in files:
            raise UserError("R202", f"{option} {path}: run {run} has another one, {files[run]}; give one")
        if not Path(path).is_file():
            raise UserError("B101", f"{option} {path}: no such file; let the workflow make it again")
        files[run] = Path(path)
    for run in folders.values():
        if run not in files:
            raise UserError("R206", f"{option}: the file of run {run} was not given")
    return files


def _answers(order: list[str], predictions: dict[str, Path], scores: dict[str, Path], test: str | None) -> Answers:
    """Read the answers of all runs and check that they are answers to the same questions."""
    first: list[dict[str, Any]] | None = None
    texts: dict[str, list[str]] = {}
    tables: dict[str, Scores] = {}
    for run in order:
        rows = read_predictions(predictions[run])
        first = rows if first is None else first
        _check_same_questions(first, rows, predictions[run])
        texts[run] = [row["predict"] for row in rows]
        tables[run] = read_scores(scores[run])
        if tables[run].facts["predictions_sha256"] != sha256_file(predictions[run]):
            raise UserError("E114", f"{scores[run]}: the scores are of other predictions; {AGAIN}")
    rows = first or []
    ids = [row["id"] for row in rows]
    questions = [_asked(row) for row in rows]
    return Answers(ids, questions, [row["label"] for row in rows], _departments(ids, test), texts, tables)


def _asked(row: dict[str, Any]) -> str:
    """Return what a model was asked: the question, after the turns before it where there are such."""
    earlier = [text for turn in row.get("history") or () for text in zip("问答", turn, strict=True)]
    lines = [f"{who}：{text}" for who, text in earlier]
    question = str(row.get("prompt") or "")
    return "\n".join([*lines, f"问：{question}"]) if lines else question


def _check_same_questions(first: list[dict[str, Any]], rows: list[dict[str, Any]], path: Path) -> None:
    for number in range(max(len(first), len(rows))):
        one, other = ((rows[number] if number < len(rows) else {}) for rows in (first, rows))
        for key in ("id", "prompt", "history", "system", "label"):
            if one.get(key) != other.get(key):
                raise UserError(
                    "R207", f"{path}: row {number + 1} has another {key} than the other runs have there; {AGAIN}"
                )


def _departments(ids: list[str], test: str | None) -> list[str | None] | None:
    if test is None:
        return None
    known = {row["id"]: row.get("department") for row in read_jsonl(test)}
    departments = [known.get(id) for id in ids]
    return departments if any(departments) else None
