"""Which columns of the raw files hold what, as the configuration names them."""

import json
from dataclasses import dataclass, replace
from typing import Any

from medscale.base.errors import UserError

LAYOUTS = ("auto", "columns", "alpaca", "sharegpt", "messages", "lists")
_OPTIONAL = ("department", "history", "system", "conversation")


@dataclass(frozen=True)
class Columns:
    """The mapping of columns, and how a record is to be read.

    Attributes
    ----------
    question : one or several columns, joined in this order.
    answer, department : a column each.
    history, system : columns with the turns before the question and with the system text; used where a file has them,
        and left alone where they are None.
    conversation : the column with the turns of a dialogue; None takes the names that the layout knows.
    layout : one of `LAYOUTS`.
    ignore : columns that are knowingly left out.
    section : where the configuration says so, for messages: ``data``, or ``study.mix``, which names question and answer
        alone.
    """

    question: tuple[str, ...]
    answer: str
    department: str | None = None
    history: str | None = "history"
    system: str | None = "system"
    conversation: str | None = None
    layout: str = "auto"
    ignore: tuple[str, ...] = ()
    section: str = "data"

    @classmethod
    def from_json(
        cls, text: str, layout: str = "auto", ignore: tuple[str, ...] = (), section: str = "data"
    ) -> "Columns":
        """Read the mapping from JSON, such as ``{"question": ["title", "ask"], "answer": "answer"}``.

        Raises `UserError` naming the key where a name is missing or is not text.
        """
        key = f"{section}.columns"
        try:
            mapping = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError("D133", f"{key}: not JSON ({error}): {text}") from error
        if not isinstance(mapping, dict) or not mapping.keys() <= {"question", "answer", *_OPTIONAL}:
            known = ", ".join(("question", "answer", *_OPTIONAL))
            raise UserError("D133", f"{key}: must be a map with {known}, not {text}")
        question = mapping.get("question")
        question = [question] if isinstance(question, str) else question
        if not isinstance(question, list) or not question or not all(isinstance(name, str) for name in question):
            raise UserError(
                "D133", f"{key}.question: must be a column or a list of columns, not {json.dumps(question)}"
            )
        answer = mapping.get("answer")
        if not isinstance(answer, str):
            raise UserError("D133", f"{key}.answer: must be the name of a column, not {json.dumps(answer)}")
        optional = {name: mapping[name] for name in _OPTIONAL if name in mapping}
        for name, value in optional.items():
            if value is not None and not isinstance(value, str):
                raise UserError("D133", f"{key}.{name}: must be a column's name or null, not {json.dumps(value)}")
        return cls(tuple(question), answer, **optional, layout=layout, ignore=tuple(ignore), section=section)

    def told(self) -> dict[str, Any]:
        """Return the mapping for the report."""
        return {name: value for name, value in vars(self).items() if name != "section"}

    def without_system(self) -> "Columns":
        """Return the mapping for records whose system texts are ignored."""
        ignore = self.ignore if self.system is None else (*self.ignore, self.system)
        return replace(self, system=None, ignore=ignore)

    @property
    def single(self) -> tuple[str | None, ...]:
        """The columns of answer, department, history and system."""
        return self.answer, self.department, self.history, self.system

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that a file of the layout `columns` must have."""
        return (*self.question, self.answer, *([] if self.department is None else [self.department]))
