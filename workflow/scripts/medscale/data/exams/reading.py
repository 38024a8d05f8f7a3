"""An exam from its files: every row is a question, or dropped for a reason that is named and counted."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError
from medscale.data.exams import columns
from medscale.data.exams.account import Exam, require_usable
from medscale.data.exams.answers import are_places_too, could_begin_at, indices_of, is_word_for_nothing, way_of
from medscale.data.exams.choice import SPLIT_OF, choose, headers, is_answer_file
from medscale.data.exams.fields import Fields, Reading
from medscale.data.exams.options import Lettered, lettered, options_of
from medscale.data.exams.places import split_of, subject_of
from medscale.data.exams.question import Dropped, Row
from medscale.data.exams.rows import plain, question_of
from medscale.data.exams.selection import drawn, of_subjects, without_twins
from medscale.data.table_files import Broken, Part, TableFile, open_table, parts_of
from medscale.data.values import from_csv, is_null, without_half_pairs
from medscale.fetch.endings import in_order
from medscale.fetch.manifest import read_manifest, verify

FEWEST = 20
"""Rows from which it is odd that the first option is right in none: one in a hundred times of five options."""
_NAMED = ("question", "Question")
_EMPTY = {"", "nan", "NaN", "<NA>", "null", "NULL"}
"""What a CSV file has where a question or an option is missing. None is an option that English questions have."""


@dataclass
class _File:
    """A file of an exam that is open: where it lies below the root, and what it was recognised as."""

    part: Part
    path: Path
    table: TableFile
    fields: Fields | None = None


def read_exam(manifest: Path, reading: Reading, content: str | None = None, stopped: Path | None = None) -> Exam:
    """Read the files that a manifest lists.

    Parameters
    ----------
    manifest : path of the manifest.json; its files are verified first.
    reading : what the configuration says.
    content : what `manifest.content_of` it must be; default None, anything.
    stopped : where the rows that are no questions are written if there are too many of them; default None, nowhere.

    Raises `UserError` where a file is no exam, where more than half of the rows are unusable, or where none is left.
    """
    told = read_manifest(manifest)
    exam = Exam(**{key: told[key] for key in ("licence", "source", "id", "revision")})
    files = _of_split(opened(manifest, reading, exam, content), reading, exam)
    answers = _answer_file(files, exam)
    number = 0
    numbered: list[tuple[Row, Fields, str]] = []
    for file in files:
        if file.fields is None:
            continue
        rows = list(_rows(file, number, answers))
        number += len(rows)
        told_by = _answer_as(rows, file, reading, exam)
        exam.files.append(_entry(file, len(rows)) | {"answer_as": told_by})
        numbered += [(row, file.fields, told_by) for row in rows]
    exam.rows = {row.id: row for row, _, _ in numbered}
    for row, fields, told_by in numbered:
        try:
            exam.questions.append(question_of(row, fields, told_by, reading.measures))
        except Dropped as dropped:
            exam.drop(row.id, dropped.reason, dropped.detail)
    exam.questions = list(without_twins(exam.questions, exam))
    require_usable(reading, exam, stopped)
    exam.questions = drawn(list(of_subjects(exam.questions, reading, exam)), reading, exam)
    return exam


def opened(manifest: Path, reading: Reading, exam: Exam, content: str | None = None) -> list[_File]:
    """Open the files that a manifest lists and say what each is; one without questions is left unsaid."""
    root = verify(manifest, content=content)
    told = read_manifest(manifest)
    exam.skipped += told.get("skipped", [])
    files = []
    for name in in_order(entry["path"] for entry in told["files"]):
        parts, skipped = parts_of(root / name)
        exam.skipped += [f"{name}/{one}" for one in skipped]
        for part in parts:
            path = part.name.relative_to(root)
            files.append(_File(part, path, _open(part, reading, subject_of(path))))
    for file in files:
        if not (is_answer_file(file.table.columns) and len(files) > 1):
            file.fields = choose(reading, file.table, subject_of(file.path))
    return files


def _open(part: Part, reading: Reading, subject: str) -> TableFile:
    """Open a file; where an object may have rows or columns by name, that it has questions tells which."""
    try:
        lines = part.ending() in (".jsonl", ".ndjson")
        return open_table(
            part, OptionLists(reading.options) if lines else None, reading.files, headers(reading, subject)
        )
    except UserError as error:
        if error.code != "D126":
            raise
        for name in reading.question or _NAMED:
            table = open_table(part, [name], reading.files)
            if name in table.columns:
                return table
        raise


class OptionLists(Collection[str]):
    """The columns whose lists of objects are options of one row, and not rows: a file of one line looks like either."""

    def __init__(self, options: Collection[str]) -> None:
        self._options = options

    def __contains__(self, name: object) -> bool:
        return name in self._options or columns.plain(str(name)) in columns.OPTIONS

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _of_split(files: list[_File], reading: Reading, exam: Exam) -> list[_File]:
    """Leave out the files of another part of a divided set than is asked for, or than is the usual one."""
    shown = {split_of(file.path) for file in files}
    formats = {file.fields.format for file in files if file.fields}
    usual = {SPLIT_OF.get(name) for name in formats}
    wanted = reading.split or (usual.pop() if len(usual) == 1 else None)
    if reading.split and wanted not in shown:
        raise UserError(
            "D156",
            f"{reading.where}.split = {wanted}: no file is called so; there are "
            f"{', '.join(str(file.path) for file in files[:10])}; set it to null, or name other files",
        )
    if wanted not in shown:
        return files
    exam.skipped += [f"{file.path} (not of {wanted})" for file in files if split_of(file.path) != wanted]
    return [file for file in files if split_of(file.path) == wanted]


def _answer_file(files: list[_File], exam: Exam) -> dict[str, Any]:
    """Return the answers that stand apart from their questions, by their ids; one that is told in two ways is none."""
    answers: dict[str, Any] = {}
    for file in files:
        if file.fields is not None:
            continue
        count = 0
        for record in file.table.records:
            if not isinstance(record, Broken):
                key, count = plain(record.get("id")), count + 1
                answers[key] = (
                    record.get("answer") if answers.get(key, record.get("answer")) == record.get("answer") else None
                )
        exam.files.append(_entry(file, count) | {"exam_format": "answers of other files"})
    return answers


def _rows(file: _File, number: int, answers: dict[str, Any]) -> Iterator[Row]:
    """Yield the rows of a file, numbered after those of the files before."""
    fields = file.fields
    by_file = subject_of(file.path) if fields.by_file else None
    for place, record in enumerate(file.table.records, 1):
        here = {"number": number + place, "file": file.path.as_posix(), "place": place}
        if isinstance(record, Broken):
            yield Row(**here, question=(record.text,), broken=record.reason, detail=record.detail)
            continue
        record = without_half_pairs(record)
        if file.table.format == "csv":
            # The answer may be the text of an option.
            texts = {*fields.question, *fields.options, fields.answer}
            record = {name: _cell(value) if name in texts else from_csv(value) for name, value in record.items()}
        question = tuple(record.get(name) for name in fields.question)
        several = len(fields.options) > 1
        options = {name: record.get(name) for name in fields.options} if several else record.get(fields.options[0])
        answer, kind, key, subject = (
            None if name is None else record.get(name)
            for name in (fields.answer, fields.kind, fields.key, fields.subject)
        )
        if answers and (is_null(answer) or answer == "" or is_word_for_nothing(answer)):
            answer = answers.get(plain(key))
        yield Row(
            **here,
            question=question,
            options=options,
            answer=answer,
            kind=kind,
            key=key,
            subject=by_file or subject,
        )


def _cell(value: str) -> str | None:
    """Return a question's or an option's cell of a CSV file: Na and NA are sodium and noradrenaline, nan is nothing."""
    return None if value.strip() in _EMPTY else value


def _readable(rows: Sequence[Row]) -> Iterator[tuple[Any, Lettered]]:
    """Yield the answers of rows whose options can be read, each with these."""
    for row in rows:
        try:
            yield row.answer, lettered(options_of(row.options))
        except Dropped:
            continue


def _answer_as(rows: Sequence[Row], file: _File, reading: Reading, exam: Exam) -> str:
    """Return how a file tells its answers; `UserError` where they are numbers and nothing says where they begin."""
    if reading.answer_as != "auto":
        if reading.answer_as.startswith("index"):
            _require_beginning(rows, file, reading, exam)
        return reading.answer_as
    way = way_of(_readable(rows))
    example = next((text for row in rows if (text := plain(row.answer))), None)
    if way == "text" and are_places_too(_readable(rows)):
        raise UserError(
            "D155",
            f"{reading.where}: the answers of {file.table.path} are numbers, such as {example}, which are texts of "
            f"options and may be their places; say which with {reading.where}.answer_as: text, index_from_0 or "
            "index_from_1",
        )
    if way == "index":
        raise UserError(
            "D155",
            f"{reading.where}: the answers of {file.table.path} are numbers, such as {example}; say from where they "
            f"count with {reading.where}.answer_as: index_from_0 or index_from_1",
        )
    return way


def _require_beginning(rows: Sequence[Row], file: _File, reading: Reading, exam: Exam) -> None:
    """See that the numbers of a file count from where they are said to; where that is only unlikely, it is a warning.

    Raises `UserError` where they tell that they do not.
    """
    numbers, most = indices_of(_readable(rows))
    start = int(reading.answer_as[-1])
    wrong = {0: most in numbers and 0 not in numbers, 1: 0 in numbers and most not in numbers}[start]
    if numbers and wrong:
        raise UserError(
            "D155",
            f"{reading.where}.answer_as: {reading.answer_as} cannot be, because the answers of {file.table.path} go "
            f"from {min(numbers)} to {max(numbers)} with up to {most} options; say index_from_{1 - start}",
        )
    if start == 0 and min(numbers, default=0) == 1 and (count := could_begin_at(_readable(rows), 1)) >= FEWEST:
        exam.warnings.append(
            f"{reading.where}.answer_as: {reading.answer_as}, and none of the {count} answers of {file.table.path} is "
            f"0, the first option: they go from {min(numbers)} to {max(numbers)} and may count from 1; look at a few "
            "rows, and say index_from_1 if that is so"
        )


def _entry(file: _File, rows: int) -> dict[str, Any]:
    table = file.table
    entry = {
        "path": file.path.as_posix(),
        "part": split_of(file.path),
        "format": table.format,
        "encoding": table.encoding,
    }
    entry |= {"compression": table.compression, "dialect": table.dialect, "notes": table.notes, "rows": rows}
    if file.fields is None:
        return entry
    return entry | {"exam_format": file.fields.format, "because": file.fields.why}
