"""A question with what stands before it: as a model is asked it, and as it is compared with others.

A follow-up such as «那饮食呢？» says little by itself and stands in many dialogues; with the questions before it, it is
the question of one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Question(NamedTuple):
    """A question as it is asked: with the turns before it, oldest first, and the text of the system.

    ``system`` None takes the prompt that the study has.
    """

    text: str
    history: tuple[tuple[str, str], ...] = ()
    system: str | None = None


def question_of(row: Mapping[str, Any]) -> Question:
    """Return the question of a row of the study."""
    return Question(row["question"], tuple(map(tuple, row.get("history") or ())), row.get("system"))


def context_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands before a row's question, as the files have it; nothing where nothing does."""
    return {name: row[name] for name in ("history", "system") if row.get(name)}


def in_context(question: str, history: Sequence[Sequence[str]] | None) -> str:
    """Return a question behind those before it, a line each; without any it is the question alone."""
    return "\n".join([*(earlier for earlier, _ in history or ()), question])


def asked(row: Mapping[str, Any]) -> str:
    """Return the question of a row in its context."""
    return in_context(row["question"], row.get("history"))
