"""predictions.jsonl: the answers of one row of the study, read and checked. No library that takes long to import."""

import math
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError
from medscale.base.files import read_jsonl

MEASURED = ("nll_sum", "n_answer_tokens", "n_output_tokens")
"""What the prediction measured, null where it did not."""


def read_predictions(path: str | Path) -> list[dict[str, Any]]:
    """Read predictions.jsonl and check it.

    Raises
    ------
    UserError
        If there is no row, or a row lacks a key, repeats an id or holds a value of a wrong kind; it names the line.
    """
    rows, seen = [], set()
    for number, row in enumerate(read_jsonl(path), 1):
        problem = _problem(row)
        if not problem and row["id"] in seen:
            problem = f"the id {row['id']!r} was there before"
        if problem:
            raise UserError("E119", f"{path}, line {number}: {problem}; delete the file and predict again")
        seen.add(row["id"])
        rows.append(row)
    if not rows:
        raise UserError("B105", f"{path}: has no predictions; delete the file and predict again")
    return rows


def _problem(row: Any) -> str | None:
    """Say what is wrong with one row of predictions, if anything is."""
    if not isinstance(row, dict):
        return "not a JSON object"
    missing = [key for key in ("id", "predict", "label", *MEASURED) if key not in row]
    if missing:
        return f"has no {missing[0]}"
    for key in ("id", "predict", "label"):
        if not isinstance(row[key], str):
            return f"{key} is not a text"
    for key in MEASURED:
        value, whole = row[key], key != "nll_sum"
        if value is None:
            continue
        if not isinstance(value, int if whole else int | float) or not 0 <= value < math.inf:
            return f"{key} is {value}, but should be null or a {'whole' if whole else 'finite'} number from 0 on"
    return None
