"""What became of the rows of an exam: each is a question, or was dropped for a reason that is named and counted."""

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError
from medscale.base.plurals import counts_of, how_many
from medscale.data.exams.fields import Reading
from medscale.data.exams.question import MOST_OPTIONS, Question, Row
from medscale.data.exams.rejected import EXAMPLES, MOST, Rejected, write_rejected
from medscale.data.exams.rows import equal_options

MOST_UNUSABLE = 0.5
"""Where a larger share of the rows is unusable, the file was not understood, or is no exam."""
NOT_ASKED = {"other_subject", "not_drawn"}
"""Why rows are dropped that were not wanted."""
ASKED_FOR = {*NOT_ASKED, "duplicate"}
"""Why rows are dropped that could be used."""


@dataclass
class Exam:
    """The questions that are kept, and an account of all rows: read = kept + Σ dropped.

    Attributes
    ----------
    questions : in the order of the files.
    dropped : rows by the reason for which they are no questions.
    rejected : these rows, `rejected.MOST` of a reason at most.
    rows : all rows by the ids that their questions have.
    files : one dict a file: path, part, format, encoding, compression, dialect, notes, rows, exam_format, because,
        answer_as.
    skipped : files that were not read, each with the reason in brackets.
    warnings : what may be otherwise than it was meant, for the log and the account.
    licence, source, id, revision : of the manifest.
    """

    questions: list[Question] = field(default_factory=list)
    dropped: Counter = field(default_factory=Counter)
    rejected: list[Rejected] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)
    files: list[dict] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    licence: str | None = None
    source: str | None = None
    id: str | None = None
    revision: str | None = None

    @property
    def read(self) -> int:
        return len(self.questions) + self.dropped.total()

    def drop(self, name: str, reason: str, detail: str = "") -> None:
        """Count the row of this id as one that is no question, and list it."""
        self.dropped[reason] += 1
        if self.dropped[reason] <= MOST and name in self.rows:
            self.rejected.append(Rejected(self.rows[name], reason, detail))

    def examples(self) -> list[dict[str, Any]]:
        """Return the first rows of each reason, but those that were not asked for, as the report shows them."""
        counts: Counter = Counter()
        found = []
        for each in sorted(self.rejected, key=lambda each: each.row.number):
            counts[each.reason] += 1
            if each.reason not in NOT_ASKED and counts[each.reason] <= EXAMPLES:
                found.append(each.example())
        return found


def require_usable(reading: Reading, exam: Exam, stopped: Path | None = None) -> None:
    """Raise `UserError` where more than half of the rows are unusable, or no row is usable.

    The rows are written to ``stopped`` then, for a workflow takes away what a failed job has made.
    """
    bad = {reason: count for reason, count in exam.dropped.most_common() if reason not in ASKED_FOR}
    unusable = sum(bad.values())
    if exam.questions and unusable <= MOST_UNUSABLE * exam.read:
        return
    paths = ", ".join(str(file["path"]) for file in exam.files[:3])
    if not exam.read:
        raise UserError(
            "D159",
            f"{reading.where}: {paths or 'the files'} {'have' if len(exam.files) > 1 else 'has'} no rows, only the "
            "names of columns; name the file that has the questions",
        )
    where = ""
    if stopped is not None and exam.rejected:
        write_rejected(stopped, exam.rejected)
        where = f"{stopped} has them with the reasons; "
    if exam.read and bad.get("no_answer", 0) == exam.read:
        raise UserError(
            "D158",
            f"{reading.where}: none of the {how_many(exam.read, 'question')} of {paths} has an answer, as in the test "
            "part of C-Eval and of CMB, whose answers are not beside the questions; name the part that has them, such "
            "as val, or the file of answers too",
        )
    raise UserError(
        "D154",
        f"{reading.where}: {unusable} of the {how_many(exam.read, 'row')} of {paths} cannot be asked as a question "
        f"({counts_of(bad)}); {where}see whether {reading.where}.format, columns and answer_as fit the file",
    )


def require_scorable(reading: Reading, questions: Iterable[Question], scored_by: str) -> None:
    """Raise `UserError` for questions that cannot be scored, long before a model is to answer them.

    Parameters
    ----------
    reading : for the message.
    questions : those that are asked.
    scored_by : as the configuration has it, ``letter`` or ``text``.
    """
    several = [question for question in questions if question.multiple]
    if several and scored_by == "text":
        raise UserError(
            "E133",
            f"{reading.where}.scored_by: text compares single options, and {len(several)} questions have or may have "
            f"several right ones, such as {several[0].id}; set scored_by: letter",
        )
    if many := [question for question in several if len(question.options) > MOST_OPTIONS]:
        shown = ", ".join(f"{question.id} with {len(question.options)}" for question in many[:10])
        raise UserError(
            "E134",
            f"{reading.where}: {len(many)} questions with several answers have more than {MOST_OPTIONS} options "
            f"({shown}{', …' if len(many) > 10 else ''}); leave them out of the exam's file",
        )


def parts_read(exam: Exam) -> dict[str, list[str]]:
    """Return the files with questions by the part that they are called after: test, val, dev or train."""
    parts: dict[str, list[str]] = {}
    for file in exam.files:
        if file.get("part") and "because" in file:
            parts.setdefault(file["part"], []).append(file["path"])
    return parts


def report_of(exam: Exam, reading: Reading, rejected: str) -> dict[str, Any]:
    """Return the account of an exam as JSON has it, see `Exam`; ``rejected`` is the file that lists dropped rows."""
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
        "rejected": {"file": rejected, "listed": len(exam.rejected), "most_of_a_reason": MOST},
        "examples": exam.examples(),
        "with_equal_wrong_options": sum(bool(equal_options(question.options)) for question in exam.questions),
        "measures": dict(sorted(Counter(question.measures for question in exam.questions).items())),
        "multiple": sum(question.multiple for question in exam.questions),
        "options": _counted(str(len(question.options)) for question in exam.questions),
        "answers": _counted(itertools.chain.from_iterable(question.answer for question in exam.questions)),
        "subjects": dict(sorted(subjects.items())),
        "files": exam.files,
        "files_skipped": exam.skipped,
        "warnings": exam.warnings,
    }


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
