"""A record as it stands in a raw file, and its name in every later file."""

from dataclasses import dataclass
from typing import Any

from medscale.data.table_files import Broken


@dataclass(frozen=True)
class RawRow:
    """One record as it stands in the file.

    Attributes
    ----------
    number : its place in the corpus, from 1; with several files the count runs on.
    question : one value for each question column; a value is what the file holds, so it may be None or not text.
    answer, department : likewise.
    broken : why the record could not be read at all, or None.
    history, system : what stands before the question, and the text of the system; None where there is nothing.
    dialogue : the turns of a record that is a whole dialogue, whose question and answer are then None.
    is_dialogue : whether it is one.
    """

    number: int
    question: tuple[Any, ...]
    answer: Any
    department: Any
    broken: Broken | None = None
    history: Any = None
    system: Any = None
    dialogue: Any = None
    is_dialogue: bool = False

    @property
    def id(self) -> str:
        """The record's name in every later file."""
        return row_id(self.number)


def row_id(number: int, turn: int = 1) -> str:
    """Return the name of a sample: of the record at this place in the corpus, from 1, the turn, from 1."""
    return f"r{number:07d}" if turn == 1 else f"r{number:07d}.{turn}"
