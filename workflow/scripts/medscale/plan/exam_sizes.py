"""How many questions an exam has that has not been read: what the configuration says, or the known size of a known set.

The sizes are those that the sets' own pages state. The shares of questions with several answers were counted in part of
CMB-Exam's answers (24 of 334 in four places of its test part) and follow for CMExam from the mean length of its answers
(1.07 letters).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, NamedTuple

from medscale.data.demo.exam import EIGHT, QUESTIONS
from medscale.data.exams.places import split_of, subject_of

OPTIONS = 5
"""Of a question of a set that is not known: as the licensing examinations have."""


class Guessed(NamedTuple):
    """What is taken for an exam that has not been read.

    Attributes:
        questions: how many.
        source: by what that is known, in words.
        options: of each question.
        several: share of the questions that may have several answers.
        least: letters of the smallest combination of these; see `exam_prompts.least_letters`.
    """

    questions: int
    source: str
    options: int = OPTIONS
    several: float = 0.0
    least: int = 2


class KnownSet(NamedTuple):
    """A public exam: its title, the questions of each part, the part that is read, and what single subjects have."""

    title: str
    parts: dict[str, int]
    usual: str
    options: int
    several: float = 0.0
    least: int = 2
    subjects: Mapping[str, int] = MappingProxyType({})


KNOWN = {
    "cmexam": KnownSet("CMExam", {"test": 6811, "val": 6811, "train": 54497}, "test", 5, 0.03),
    "cmb": KnownSet("CMB-Exam", {"test": 11200, "val": 280}, "test", 5, 0.07, 1),
    "cmmlu": KnownSet(
        "CMMLU",
        {"test": 11582},
        "test",
        4,
        subjects={
            "anatomy": 148,
            "clinical_knowledge": 237,
            "college_medical_statistics": 106,
            "college_medicine": 273,
            "nutrition": 145,
            "professional_medicine": 376,
            "traditional_chinese_medicine": 185,
            "virology": 169,
        },
    ),
    "ceval": KnownSet(
        "C-Eval",
        {"val": 1346},
        "val",
        4,
        subjects={"basic_medicine": 19, "clinical_medicine": 22, "physician": 49},
    ),
}
"""By the name of the format."""
NAMES = {"cmexam": "cmexam", "cmb": "cmb", "cmmlu": "cmmlu", "ceval": "c-?eval"}
"""How ids, files and paths of a set call it."""


def guessed_size(exam: dict[str, Any]) -> Guessed | None:
    """Return how many questions an exam has that has not been read; None where nothing tells.

    Args:
        exam: an entry of `evaluation.exams`.
    """
    most = exam["max_questions"]
    if exam["source"] == "demo":
        made = (most or exam["rows"] or QUESTIONS) // EIGHT * EIGHT
        return Guessed(made, "as many as are made, if there are facts enough", options=4)
    name = known_set(exam)
    count = None if name is None else _known_count(KNOWN[name], exam)
    if name is not None and count is not None:
        known = KNOWN[name]
        asked, told = min(count, most or count), f"taken to be {known.title} with {count:,} questions"
        told += "" if asked == count else f", of which {asked:,} are asked (max_questions)"
        return Guessed(asked, told, known.options, known.several, known.least)
    if most:
        return Guessed(most, "max_questions, if there are as many")
    return None


def known_set(exam: dict[str, Any]) -> str | None:
    """Return which of the known sets an exam is, by its format or by what its id and files are called.

    >>> known_set({"format": "auto", "id": "FreedomIntelligence/CMB", "file": None, "path": None})
    'cmb'
    """
    if exam["format"] != "auto":
        return exam["format"] if exam["format"] in KNOWN else None
    called = " ".join([exam["id"] or "", *_listed(exam["file"]), *_listed(exam["path"])]).lower()
    found = [name for name, word in NAMES.items() if re.search(rf"(?<![a-z]){word}(?![a-z])", called)]
    return found[0] if len(found) == 1 else None


def _known_count(known: KnownSet, exam: dict[str, Any]) -> int | None:
    """Return the questions of the part or of the subjects that are asked for; None where they are not known."""
    # Of a user's own files the folder says nothing: he may keep them anywhere.
    files = [*map(PurePath, _listed(exam["file"])), *(PurePath(PurePath(path).name) for path in _listed(exam["path"]))]
    shown = {split_of(file) for file in files} - {None}
    part = exam["split"] or (shown.pop() if len(shown) == 1 else known.usual)
    subjects = exam["subjects"] or [name for name in map(subject_of, files) if name in known.subjects]
    if not subjects:
        return known.parts.get(part)
    if part != known.usual or not set(subjects) <= known.subjects.keys():
        return None
    return sum(known.subjects[subject] for subject in subjects)


def _listed(value: str | Sequence[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)
