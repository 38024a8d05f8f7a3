"""An exam from its files: every row is a question, or dropped for a reason that is named and counted."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from medscale.base.errors import UserError
from medscale.data.exams.answers import comparable, letters_of, way_of
from medscale.data.exams.choice import SPLIT_OF, choose, is_answer_file
from medscale.data.exams.fields import Fields, Reading
from medscale.data.exams.options import lettered, options_of
from medscale.data.exams.places import split_of, subject_of
from medscale.data.exams.question import Dropped, Question, Row
from medscale.data.exams.subjects import measured
from medscale.data.splitting import row_ranks, stratified_order
from medscale.data.table_files import Broken, Part, TableFile, open_table, parts_of
from medscale.data.values import NotText, from_csv, is_null, text_of
from medscale.fetch.endings import in_order
from medscale.fetch.manifest import read_manifest, verify

MOST_UNUSABLE = 0.5
"""Where a larger share of the rows is unusable, the file was not understood, or is no exam."""
ASKED_FOR = {"other_subject", "not_drawn", "duplicate"}
"""Why rows are dropped that could be used."""
_NAMED = ("question", "Question")
_NO_SUBJECT = {"", "nan", "无", "不符合", "n/a", "none", "null"}
_SINGLE, _SEVERAL = ("单选", "单项", "single"), ("多选", "多项", "multi")


@dataclass
class Exam:
    """The questions that are kept, and an account of all rows: read = kept + Σ dropped.

    Attributes
    ----------
    questions : in the order of the files.
    dropped : rows by the reason for which they are no questions.
    noted : questions that are kept, by what is odd about them.
    files : one dict a file: path, format, encoding, compression, dialect, notes, rows, exam_format, because, answer_as.
    skipped : files that were not read, each with the reason in brackets.
    licence, source, id, revision : of the manifest.
    """

    questions: list[Question] = field(default_factory=list)
    dropped: Counter = field(default_factory=Counter)
    noted: Counter = field(default_factory=Counter)
    files: list[dict] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    licence: str | None = None
    source: str | None = None
    id: str | None = None
    revision: str | None = None

    @property
    def read(self) -> int:
        return len(self.questions) + self.dropped.total()


@dataclass
class _File:
    """A file of an exam that is open: where it lies below the root, and what it was recognised as."""

    part: Part
    path: Path
    table: TableFile
    fields: Fields | None = None


def read_exam(manifest: Path, reading: Reading, content: str | None = None) -> Exam:
    """Read the files that a manifest lists.

    Parameters
    ----------
    manifest : path of the manifest.json; its files are verified first.
    reading : what the configuration says.
    content : what `manifest.content_of` it must be; default None, anything.

    Raises `UserError` where a file is no exam, where more than half of the rows are unusable, and where nothing is left.
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
        told_by = _answer_as(rows, file, reading)
        exam.files.append(_entry(file, len(rows)) | {"answer_as": told_by})
        numbered += [(row, file.fields, told_by) for row in rows]
    exam.questions = list(_questions(numbered, reading, exam))
    exam.questions = list(_without_twins(exam.questions, exam))
    require_usable(reading, exam)
    exam.questions = list(_of_subjects(exam.questions, reading, exam))
    exam.questions = drawn(exam.questions, reading, exam)
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
            files.append(_File(part, part.name.relative_to(root), _open(part, reading)))
    for file in files:
        if not (is_answer_file(file.table.columns) and len(files) > 1):
            file.fields = choose(reading, file.table.columns, subject_of(file.path), file.table.path)
    return files


def _open(part: Part, reading: Reading) -> TableFile:
    """Open a file; what its messages say of keys of the section ``data`` are those of this exam."""
    try:
        try:
            return open_table(part, None, reading.files)
        except UserError as error:
            if error.code != "D126":
                raise
            # An object of rows by name: that it has questions tells rows from columns.
            for name in reading.question or _NAMED:
                table = open_table(part, [name], reading.files)
                if name in table.columns:
                    return table
            raise
    except UserError as error:
        text = error.text
        for key in ("data.csv.", "data.json."):
            text = text.replace(key, f"{reading.where}.files.")
        raise UserError(error.code, text) from error


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
                key, count = _plain(record.get("id")), count + 1
                answers[key] = (
                    record.get("answer") if answers.get(key, record.get("answer")) == record.get("answer") else None
                )
        exam.files.append(_entry(file, count) | {"exam_format": "answers of other files"})
    return answers


def _rows(file: _File, number: int, answers: dict[str, Any]) -> Iterator[Row]:
    """Yield the rows of a file, numbered after those of the files before."""
    fields = file.fields
    by_file = subject_of(file.path) if fields.by_file else None
    for number, record in enumerate(file.table.records, number + 1):  # noqa: B020 (counted on from where it was)
        if isinstance(record, Broken):
            yield Row(number, broken=record.reason)
            continue
        if file.table.format == "csv":
            record = {name: from_csv(value) for name, value in record.items()}
        question = tuple(record.get(name) for name in fields.question)
        several = len(fields.options) > 1
        options = {name: record.get(name) for name in fields.options} if several else record.get(fields.options[0])
        answer, kind, key, subject = (
            None if name is None else record.get(name)
            for name in (fields.answer, fields.kind, fields.key, fields.subject)
        )
        if answers and (is_null(answer) or answer == ""):
            answer = answers.get(_plain(key))
        yield Row(number, question, options, answer, kind, key, by_file or subject)


def _answer_as(rows: Sequence[Row], file: _File, reading: Reading) -> str:
    """Return how a file tells its answers; `UserError` where they are numbers and nothing says from where they count."""
    if reading.answer_as != "auto":
        return reading.answer_as

    def readable() -> Iterator[tuple]:
        for row in rows:
            try:
                yield row.answer, *lettered(options_of(_options(row, file.fields)))
            except Dropped:
                continue

    way = way_of(readable())
    if way == "index":
        example = next(text for row in rows if (text := _plain(row.answer)))
        raise UserError(
            "D155",
            f"{reading.where}: the answers of {file.table.path} are numbers, such as {example}; say from where they "
            f"count with {reading.where}.answer_as: index_from_0 or index_from_1",
        )
    return way


def _options(row: Row, fields: Fields) -> Any:
    """Return the options of a row; those of several columns by their letters, which are the order of the columns."""
    if len(fields.options) == 1:
        return row.options
    names = dict(zip(fields.options, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", strict=False))
    own = {name.strip().upper() for name in names} == set(names.values())
    return {name if own or _short(name) else letter: row.options.get(name) for name, letter in names.items()}


def _short(name: str) -> bool:
    """Tell whether a column's name may stand in an answer, as opa does."""
    return name.isascii() and len(name) <= 4


def _questions(rows: Iterable[tuple[Row, Fields, str]], reading: Reading, exam: Exam) -> Iterator[Question]:
    for row, fields, told_by in rows:
        try:
            yield _question(row, fields, told_by, reading, exam)
        except Dropped as dropped:
            exam.dropped[dropped.reason] += 1


def _question(row: Row, fields: Fields, told_by: str, reading: Reading, exam: Exam) -> Question:
    """Return the question of a row, or raise `Dropped` with the reason why there is none."""
    if row.broken:
        raise Dropped(row.broken)
    text = "\n".join(part for part in map(_text, row.question) if part)
    if not text:
        raise Dropped("empty_question")
    options, keys = lettered(options_of(_options(row, fields)))
    answer = letters_of(row.answer, options, keys, told_by)
    multiple = _may_be_several(row.kind, answer)
    by_text = defaultdict(set)
    for letter, option in options.items():
        by_text[comparable(option)].add(letter)
    twins = [letters for letters in by_text.values() if len(letters) > 1]
    if any(letters & set(answer) and not letters <= set(answer) for letters in twins):
        raise Dropped("right_and_wrong_option_equal")
    exam.noted["equal_wrong_options"] += any(not letters & set(answer) for letters in twins)
    exam.noted["options_left_empty"] += len(keys) < _columns_of(row)
    subject = _subject(row.subject)
    measures = measured(fields.format, subject) if reading.measures == "auto" else reading.measures
    return Question(row.id, text, options, answer, multiple, subject, measures)


def _columns_of(row: Row) -> int:
    return len(row.options) if isinstance(row.options, dict) else 0


def _text(value: Any) -> str:
    try:
        return (text_of(value, "join") or "").replace("\r\n", "\n").strip().strip("\ufeff")
    except NotText as error:
        raise Dropped("empty_question") from error


def _plain(value: Any) -> str:
    try:
        return (text_of(value) or "").strip()
    except NotText:
        return ""


def _subject(value: Any) -> str | None:
    text = _plain(value)
    return None if text.lower() in _NO_SUBJECT else text


def _may_be_several(kind: Any, answer: str) -> bool:
    """Tell whether several options may be right; a file that says one is, and names two, is dropped."""
    text = _plain(kind).lower()
    if text.startswith(_SEVERAL):
        return True
    if text.startswith(_SINGLE) and len(answer) > 1:
        raise Dropped("several_answers_to_one")
    return len(answer) > 1


def _without_twins(questions: Sequence[Question], exam: Exam) -> Iterator[Question]:
    """Leave out what stands twice, in whatever order of the options, and what is answered in two ways altogether."""

    def key_of(question: Question) -> tuple:
        return comparable(question.question), tuple(sorted(map(comparable, question.options.values())))

    def right(question: Question) -> frozenset:
        return frozenset(comparable(question.options[letter]) for letter in question.answer)

    answers = defaultdict(set)
    for question in questions:
        answers[key_of(question)].add(right(question))
    seen = set()
    for question in questions:
        key = key_of(question)
        if len(answers[key]) > 1:
            exam.dropped["answered_in_two_ways"] += 1
        elif key in seen:
            exam.dropped["duplicate"] += 1
        else:
            seen.add(key)
            yield question


def require_usable(reading: Reading, exam: Exam) -> None:
    """Raise `UserError` where more than half of the rows are unusable, or no row is usable."""
    bad = {reason: count for reason, count in exam.dropped.most_common() if reason not in ASKED_FOR}
    unusable = sum(bad.values())
    if exam.questions and unusable <= MOST_UNUSABLE * exam.read:
        return
    paths = ", ".join(str(file["path"]) for file in exam.files[:3])
    if exam.read and bad.get("no_answer", 0) == exam.read:
        raise UserError(
            "D158",
            f"{reading.where}: none of the {exam.read} questions of {paths} has an answer, as in the test part of C-Eval "
            "and of CMB, whose answers are not beside the questions; name the part that has them, such as val, or the "
            "file of answers too",
        )
    raise UserError(
        "D154",
        f"{reading.where}: {unusable} of the {exam.read} rows of {paths} are no questions that can be asked ({bad}); "
        f"see whether {reading.where}.format, columns and answer_as fit the file",
    )


def _of_subjects(questions: Sequence[Question], reading: Reading, exam: Exam) -> Iterator[Question]:
    if reading.subjects is None:
        yield from questions
        return
    there = Counter(question.subject or "none" for question in questions)
    if absent := [subject for subject in reading.subjects if subject not in there]:
        shown = ", ".join(name for name, _ in there.most_common(20))
        more = f" and {len(there) - 20} more" if len(there) > 20 else ""
        raise UserError(
            "D157",
            f"{reading.where}.subjects: no question is about {', '.join(absent)}; the subjects are {shown}{more}",
        )
    for question in questions:
        if question.subject in reading.subjects:
            yield question
        else:
            exam.dropped["other_subject"] += 1


def drawn(questions: list[Question], reading: Reading, exam: Exam) -> list[Question]:
    """Return as many questions as are wanted, drawn evenly over the subjects, in their order."""
    count = reading.max_questions
    if count is None or count >= len(questions):
        return questions
    ranks = row_ranks([question.id for question in questions], reading.seed)
    order = stratified_order(np.arange(len(questions)), [question.subject or "" for question in questions], ranks)
    exam.dropped["not_drawn"] += len(questions) - count
    return [questions[place] for place in sorted(order[:count].tolist())]


def _entry(file: _File, rows: int) -> dict[str, Any]:
    table = file.table
    entry = {"path": file.path.as_posix(), "format": table.format, "encoding": table.encoding}
    entry |= {"compression": table.compression, "dialect": table.dialect, "notes": table.notes, "rows": rows}
    if file.fields is None:
        return entry
    return entry | {"exam_format": file.fields.format, "because": file.fields.why}


def report_of(exam: Exam, reading: Reading) -> dict[str, Any]:
    """Return the account of an exam as JSON has it; see `Exam`."""
    subjects: dict[str, dict[str, Any]] = {}
    for question in exam.questions:
        entry = subjects.setdefault(question.subject or "", {"n": 0, "measures": question.measures})
        entry["n"] += 1
    formats = Counter(file["exam_format"] for file in exam.files)
    return {
        "schema_version": 1,
        "exam": reading.name,
        "formats": dict(formats),
        "source": exam.source,
        "id": exam.id,
        "revision": exam.revision,
        "licence": exam.licence,
        "read": exam.read,
        "kept": len(exam.questions),
        "dropped": {reason: count for reason, count in sorted(exam.dropped.items()) if count},
        "noted": {oddity: count for oddity, count in sorted(exam.noted.items()) if count},
        "measures": dict(sorted(Counter(question.measures for question in exam.questions).items())),
        "multiple": sum(question.multiple for question in exam.questions),
        "options": _counted(str(len(question.options)) for question in exam.questions),
        "answers": _counted(itertools.chain.from_iterable(question.answer for question in exam.questions)),
        "subjects": dict(sorted(subjects.items())),
        "files": exam.files,
        "files_skipped": exam.skipped,
    }


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
