"""The rows of an exam that are no questions: which they are, why, and what was read in them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from medscale.base.files import atomic_path
from medscale.data.cleaning import original_text
from medscale.data.exams.question import Row

MOST = 1000
"""Rows that are listed for one reason. All are counted; so many tell what is wrong with a file of a million."""
LONGEST = 2000
"""Characters that are listed of a cell."""
EXAMPLES = 3
"""Rows that NAME.json has for one reason, and the report shows."""
SHORT = 80
"""Characters of a cell there."""
TEXT = pa.string()
PLACE = [("id", TEXT), ("row", pa.int64()), ("file", TEXT), ("row_of_file", pa.int64())]
READ = [(name, TEXT) for name in ("question", "options", "answer", "subject")]
REJECTED = pa.schema([*PLACE, ("reason", TEXT), ("detail", TEXT), *READ])


class Rejected(NamedTuple):
    """A row that is no question.

    Attributes
    ----------
    row : as it was read.
    reason : why it is none, as rows are counted by it.
    detail : what more can be said, or an empty text.
    """

    row: Row
    reason: str
    detail: str

    def listed(self) -> dict[str, Any]:
        """Return the row as a row of the schema `REJECTED`."""
        row = self.row
        cells = {"question": row.question, "options": row.options, "answer": row.answer, "subject": row.subject}
        place = {"id": row.id, "row": row.number, "file": original_text(row.file), "row_of_file": row.place}
        why = {"reason": self.reason, "detail": _cell(self.detail)}
        return place | why | {key: _cell(value) for key, value in cells.items()}

    def example(self) -> dict[str, Any]:
        """Return what is shown of the row: its place, the reason, and how its cells begin."""
        found = self.listed()
        short = {name: _cut(found[name], SHORT) for name in ("detail", *(name for name, _ in READ))}
        return {key: found[key] for key in ("file", "row_of_file", "reason")} | short


def write_rejected(path: str | Path, rejected: Iterable[Rejected]) -> None:
    """Write the rows, in their order, as Parquet."""
    rows = [each.listed() for each in sorted(rejected, key=lambda each: each.row.number)]
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=REJECTED), temporary, compression="zstd")


def _cell(value: Any) -> str | None:
    """Return a cell as text: options of several columns, and lists, as JSON."""
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return _cut(original_text(value), LONGEST)


def _cut(text: str | None, length: int) -> str | None:
    return text if text is None or len(text) <= length else f"{text[:length]}…"
