"""exams.parquet and retention.parquet: what a model made of each question and each text."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from medscale.base.errors import UserError
from medscale.base.files import atomic_path
from medscale.evaluate.exam_prompts import Asked

COLUMNS = {
    "exam": pa.string(),
    "id": pa.string(),
    "permutation": pa.int64(),
    "subject": pa.string(),
    "measures": pa.string(),
    "multiple": pa.bool_(),
    "seen": pa.bool_(),
    "answer": pa.string(),
    "chosen": pa.string(),
    "correct": pa.bool_(),
    "choices": pa.list_(pa.string()),
    "original": pa.list_(pa.string()),
    "characters": pa.list_(pa.int64()),
    "loglikelihoods": pa.list_(pa.float64()),
}
TEXTS = {"id": pa.string(), "nll_sum": pa.float64(), "n_tokens": pa.int64()}


class Answered(NamedTuple):
    """A question in one order of its options, and the log-likelihood of each choice in nats."""

    exam: str
    question: dict[str, Any]
    permutation: int
    form: Asked
    loglikelihoods: list[float]


def chosen(loglikelihoods: list[float], characters: list[int], normalised: bool) -> int:
    """Return the place of the choice that a model makes: the first of the most likely ones.

    Args:
        loglikelihoods: nats, one a choice.
        characters: of each choice.
        normalised: compare the log-likelihood a character, the harness's ``acc_norm``; else the sum, its ``acc``.
    """
    scores = [value / length if normalised else value for value, length in zip(loglikelihoods, characters, strict=True)]
    return max(range(len(scores)), key=scores.__getitem__)


def normalised(settings: dict[str, Any]) -> bool:
    """Return whether an exam compares log-likelihoods a character: where its choices are texts, if not told else."""
    told = settings.get("normalise")
    return settings["scored_by"] == "text" if told is None else told


def write_answers(path: str | Path, answers: list[Answered], settings: dict[str, dict[str, Any]]) -> None:
    """Write exams.parquet, one row a question and permutation.

    ``answer``, ``chosen`` and ``choices`` are letters as they stood before the options in that permutation; what each
    choice is in the order of the file stands in ``original``. The settings of the exams are in the metadata.
    """
    columns: dict[str, list] = {name: [] for name in COLUMNS}
    for exam, question, permutation, form, values in answers:
        choice = form.choices[chosen(values, form.characters, normalised(settings[exam]))]
        row = {
            **{name: question.get(name) for name in ("id", "subject", "measures", "multiple", "seen")},
            **{"exam": exam, "permutation": permutation, "answer": form.answer, "chosen": choice},
            **{"correct": choice == form.answer, "choices": form.choices, "original": form.original},
            **{"characters": form.characters, "loglikelihoods": values},
        }
        for name, value in row.items():
            columns[name].append(value)
    _write(path, columns, COLUMNS, {"schema_version": 1, "exams": settings})


def write_texts(path: str | Path, texts: list[tuple[str, float, int]]) -> None:
    """Write retention.parquet: id, negative log-likelihood in nats and number of tokens of each text."""
    columns = {name: [text[place] for text in texts] for place, name in enumerate(TEXTS)}
    _write(path, columns, TEXTS, {"schema_version": 1})


def _write(path: str | Path, columns: dict[str, list], kinds: dict[str, pa.DataType], facts: dict) -> None:
    table = pa.table({name: pa.array(values, kinds[name]) for name, values in columns.items()})
    with atomic_path(path) as temporary:
        pq.write_table(table.replace_schema_metadata({"medscale": json.dumps(facts, ensure_ascii=False)}), temporary)


def read_table(path: str | Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the rows of exams.parquet or retention.parquet, and the facts in its metadata.

    Raises:
        UserError: the file was not written by examine.py.
    """
    with pq.ParquetFile(path) as file:
        table = file.read()
    metadata = (table.schema.metadata or {}).get(b"medscale")
    if metadata is None:
        raise UserError("B104", f"{path}: not a table of examine.py; delete it and let the workflow make it again")
    names = table.column_names
    values = zip(*(table[name].to_pylist() for name in names), strict=True)
    return [dict(zip(names, row, strict=True)) for row in values], json.loads(metadata)
