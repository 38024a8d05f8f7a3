"""A multiple-choice question as it is asked, and what a row of an exam's file is before that is known."""

from dataclasses import dataclass
from typing import Any, NamedTuple

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""By what options are called, from the first on and without a gap."""
MOST_OPTIONS = 8
"""Of a question with several answers: 8 letters make 247 combinations, each of which is computed."""


class Question(NamedTuple):
    """A question of an exam.

    Attributes
    ----------
    id : its name in every later file, a function of its place in the exam.
    question : what is asked, without the options.
    options : the texts by their letters, at least two, from A on without a gap.
    answer : the letters of the right ones, in order.
    multiple : whether several letters may be right.
    subject : what it is about, as the file calls it; None where the file does not tell.
    measures : ``medicine`` or ``general``.
    seen : whether a training row holds what it asks for; None where nobody looked.
    format : which format its file has; a known exam is asked as the harness asks it.
    subject_name : the subject's Chinese name, where a known exam's files call it otherwise.
    """

    id: str
    question: str
    options: dict[str, str]
    answer: str
    multiple: bool = False
    subject: str | None = None
    measures: str = "medicine"
    seen: bool | None = None
    format: str | None = None
    subject_name: str | None = None


class Option(NamedTuple):
    """An option as it stands in a file: what it is called there, None where that is nothing; its text; its place."""

    key: str | None
    text: str
    place: int = 0


@dataclass(frozen=True)
class Row:
    """A row of an exam's file.

    Attributes
    ----------
    number : its place in the exam, from 1; with several files the count runs on.
    question : the texts of the columns of the question.
    options : the value of the one column, or a map of the several.
    answer, kind, key, subject : the values of these columns; None where there is no such column.
    broken : why the row could not be read at all, or None; ``detail`` is what the parser said, and ``question`` then
        the text as it stands in the file.
    file, place : the file that it stands in, and its place there, from 1, the header not counted.
    """

    number: int
    question: tuple[Any, ...] = ()
    options: Any = None
    answer: Any = None
    kind: Any = None
    key: Any = None
    subject: Any = None
    broken: str | None = None
    detail: str = ""
    file: str = ""
    place: int = 0

    @property
    def id(self) -> str:
        """The question's name in every later file."""
        return f"q{self.number:06d}"


class Dropped(Exception):
    """A row that is no question that can be asked; ``reason`` names why, and is what rows are counted by.

    ``detail`` is what more can be said of this row, for whoever looks it up.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason)
        self.reason, self.detail = reason, detail
