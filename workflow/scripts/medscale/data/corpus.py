"""The raw corpus: every row of the fetched files, in order and numbered, with the columns that the study asks for."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError
from medscale.data.table_files import SUFFIXES, Broken, TableFile, open_table
from medscale.fetch.manifest import read_manifest, verify


@dataclass(frozen=True)
class Columns:
    """Which columns of the raw file hold the question (one or several, joined in this order), answer, department."""

    question: tuple[str, ...]
    answer: str
    department: str | None = None

    @classmethod
    def from_json(cls, text: str) -> "Columns":
        """Read the mapping from JSON, such as ``{"question": ["title", "ask"], "answer": "answer"}``.

        Raises `UserError` naming ``data.columns`` where a name is missing or is not text.
        """
        try:
            mapping = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError("C122", f"data.columns: not JSON ({error}): {text}") from error
        if not isinstance(mapping, dict) or not mapping.keys() <= {"question", "answer", "department"}:
            raise UserError("C122", f"data.columns: must be a map with question, answer and department, not {text}")
        question = mapping.get("question")
        question = [question] if isinstance(question, str) else question
        if not isinstance(question, list) or not question or not all(isinstance(name, str) for name in question):
            raise UserError(
                "C122", f"data.columns.question: must be a column or a list of columns, not {json.dumps(question)}"
            )
        answer, department = mapping.get("answer"), mapping.get("department")
        if not isinstance(answer, str):
            raise UserError("C122", f"data.columns.answer: must be the name of a column, not {json.dumps(answer)}")
        if department is not None and not isinstance(department, str):
            raise UserError(
                "C122", f"data.columns.department: must be a column's name or null, not {json.dumps(department)}"
            )
        return cls(tuple(question), answer, department)

    @property
    def names(self) -> tuple[str, ...]:
        """All columns of the raw file that are named."""
        return (*self.question, self.answer, *([] if self.department is None else [self.department]))


@dataclass(frozen=True)
class RawRow:
    """One row as it stands in the file.

    Attributes
    ----------
    number : its place in the corpus, from 1; with several files the count runs on.
    question : one value for each question column; a value is what the file holds, so it may be None or not text.
    answer, department : likewise.
    broken : why the row could not be read at all, or None.
    """

    number: int
    question: tuple[Any, ...]
    answer: Any
    department: Any
    broken: Broken | None = None

    @property
    def id(self) -> str:
        """The row's name in every later file."""
        return row_id(self.number)


def row_id(number: int) -> str:
    """Return the name of a row by its place in the corpus, from 1."""
    return f"r{number:07d}"


class Corpus:
    """The data files that a manifest lists, checked, and read as one stream of rows.

    Parameters
    ----------
    manifest : path of the manifest.json; its files are verified first.
    columns : the mapping of columns.
    content : what `manifest.content_of` it must be; default None, anything.

    Attributes
    ----------
    files : after `rows` has ended, one dict a file: path, format, encoding, rows.
    skipped : files of the manifest that are no data files by their suffix, such as a licence.
    """

    def __init__(self, manifest: Path, columns: Columns, content: str | None = None) -> None:
        self._columns = columns
        self._root = verify(manifest, content=content)
        names = [entry["path"] for entry in read_manifest(manifest)["files"]]
        self._names = [name for name in names if Path(name).suffix.lower() in SUFFIXES]
        self.skipped = [name for name in names if name not in self._names]
        self.files: list[dict] = []
        if not self._names:
            raise UserError("D109", f"{manifest}: lists no data file ({', '.join(sorted(SUFFIXES))}), only {names}")

    def rows(self, limit: int | None = None) -> Iterator[RawRow]:
        """Yield the rows of all files in the manifest's order, at most ``limit`` of them (default: all).

        Raises `UserError` where a file lacks a column that the mapping names, listing the columns it has.
        """
        number = 0
        for name in self._names:
            if number == limit:
                return
            table = open_table(self._root / name, self._columns.names)
            self._require_columns(table)
            entry = {"path": name, "format": table.format, "encoding": table.encoding, "rows": 0}
            self.files.append(entry)
            left = None if limit is None else limit - number
            for record in itertools.islice(table.records, left):
                number += 1
                entry["rows"] += 1
                yield self._row(number, record)

    def _require_columns(self, table: TableFile) -> None:
        missing = [name for name in self._columns.names if name not in table.columns]
        if missing:
            raise UserError(
                "D110",
                f"data.columns: {table.path} has no column {', '.join(map(repr, missing))}; "
                f"its columns are {', '.join(map(repr, table.columns))}",
            )

    def _row(self, number: int, record: dict | Broken) -> RawRow:
        if isinstance(record, Broken):
            return RawRow(number, (), None, None, record)
        columns = self._columns
        question = tuple(record.get(name) for name in columns.question)
        department = None if columns.department is None else record.get(columns.department)
        return RawRow(number, question, record.get(columns.answer), department)
