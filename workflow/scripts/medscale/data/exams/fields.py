"""Where a format finds what a question is made of: the columns of a file, and why it is read so."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from medscale.base.errors import UserError
from medscale.data.table_files import FileOptions


class Fields(NamedTuple):
    """The columns of one file.

    Attributes
    ----------
    format, why : which format it is, and by what that was known.
    question : one or several, joined by line ends.
    options : one column that holds all of them, or one for each in their order.
    answer : the right one; None for questions whose answers stand in another file.
    subject : None where the file's name tells it, or nothing does.
    by_file : whether the file's name is the subject.
    kind : says whether several options may be right (单项选择题, 多项选择题).
    key : by which answers in another file are found.
    as_written : whether options keep the white space at their ends, because the harness, too, asks them so.
    """

    format: str
    why: str
    question: tuple[str, ...]
    options: tuple[str, ...]
    answer: str | None
    subject: str | None = None
    by_file: bool = False
    kind: str | None = None
    key: str | None = None
    as_written: bool = False

    @property
    def names(self) -> set[str]:
        """All columns that are read."""
        single = (self.answer, self.subject, self.kind, self.key)
        return {*self.question, *self.options, *(name for name in single if name is not None)}


class Format(NamedTuple):
    """A format: its name, the columns that show it, in words, and what finds them among those of a file.

    ``find`` takes the columns, the name of the file's subject and how to say why, and returns None for another file.
    ``split`` is the part of the set that is read where folders or names of files divide it.
    """

    name: str
    shown_by: str
    find: Callable[[Collection[str], str, str], Fields | None]
    split: str | None = None


@dataclass(frozen=True)
class Reading:
    """What the configuration says of an exam, see ``evaluation.exams`` of the schema.

    Attributes
    ----------
    name : of the exam, for messages.
    format : auto, columns, or the name of a format, see `choice.KNOWN`.
    question, options, answer, subject : columns that were named; empty or None are found by their names.
    answer_as : how the answer is told: auto, letters, index_from_0, index_from_1 or text.
    split : the part of a divided set; None takes the format's own.
    subjects : those that are kept; None keeps all.
    measures : ``auto``, ``medicine`` or ``general``.
    max_questions : how many are drawn; None takes all.
    seed : of what is drawn.
    files : what is said of files that they do not tell themselves.
    """

    name: str = "exam"
    format: str = "auto"
    question: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    answer: str | None = None
    subject: str | None = None
    answer_as: str = "auto"
    split: str | None = None
    subjects: tuple[str, ...] | None = None
    measures: str = "auto"
    max_questions: int | None = None
    seed: int = 42
    files: FileOptions = field(default_factory=FileOptions)

    @classmethod
    def from_json(cls, name: str, text: str) -> "Reading":
        """Read what `settings.exam_settings` made of an exam's entry; `UserError` for what cannot be meant."""
        try:
            given: Mapping[str, Any] = json.loads(text)
            columns = given.get("columns") or {}
            listed = {key: _listed(columns.get(key)) for key in ("question", "options")}
            single = {key: columns.get(key) for key in ("answer", "subject")}
            rest = {key: value for key, value in given.items() if key not in ("columns", "files")}
            if rest.get("subjects") is not None:
                rest["subjects"] = tuple(rest["subjects"])
            return cls(
                name,
                **listed,
                **single,
                **rest,
                files=FileOptions(**(given.get("files") or {}), section=where_of(name)),
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(
                "D150",
                f"--exam: {error}; must be a JSON map of the keys that evaluation.exams.{name} may have: columns, "
                "format, answer_as, split, subjects, measures, max_questions, seed, files",
            ) from error

    @property
    def where(self) -> str:
        """The key of the configuration that messages name."""
        return where_of(self.name)


def where_of(name: str) -> str:
    """Return where an exam stands in the configuration."""
    return f"evaluation.exams.{name}"


def _listed(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())
