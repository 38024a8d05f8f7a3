"""What reading a data file gives: its rows, one by one, and what it turned out to be."""

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError

Wanted = Collection[str] | None
"""Names of the columns that a caller will look at; None where he wants them all."""
Known = Callable[[Collection[str]], bool]
"""Tells whether the fields of a line are names of columns, for a caller who knows several sets of them."""


@dataclass(frozen=True)
class Broken:
    """A row that could not be read: why, what the parser said, and the text as it stands in the file."""

    reason: str
    detail: str
    text: str


@dataclass(frozen=True)
class TableFile:
    """An open data file.

    Attributes
    ----------
    path : the file; in an archive, its path and the member's, as in ``data.zip/内科.csv``.
    format, encoding : "csv", "jsonl", "json", "parquet" or "arrow"; the encoding is None for the last two.
    columns : names of the columns, in the file's order.
    records : the rows, each a dict or a `Broken`, read from the file as they are asked for.
    compression : how it is packed, outermost first, as in "zip" or "zip, gz"; None where it is not.
    dialect : how a CSV or JSON file is laid out, as far as that had to be found out.
    notes : oddities that were met and mended, for the report; complete when the last row was read.
    """

    path: Path
    format: str
    encoding: str | None
    columns: list[str]
    records: Iterator[dict[str, Any] | Broken]
    compression: str | None = None
    dialect: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FileOptions:
    """What the configuration says of files that cannot be told from themselves; None is found out.

    Attributes
    ----------
    encoding : of text files.
    delimiter, quote_escape, header : of CSV files: the character between fields; "double" or "backslash", how a quote
        inside quotes is written; the number of the line with the names, from 1.
    rows_key : of JSON files that are one object: the key that the rows stand under, with dots for keys in keys.
    department_folder : which folder of a file's path is its department: 1 is the one that it lies in, 2 the one above.
    multiline : of CSV files: whether a quoted field may go over several lines.
    section : where the configuration says so, for messages: ``data``, or that of a set, such as ``study.mix``.
    """

    encoding: str | None = None
    delimiter: str | None = None
    quote_escape: str | None = None
    header: int | None = None
    rows_key: str | None = None
    department_folder: int | None = None
    multiline: bool | None = None
    section: str = "data"

    @classmethod
    def from_json(cls, text: str, section: str = "data") -> "FileOptions":
        """Read what `settings` made of a section; `UserError` for an unknown name."""
        try:
            return cls(**json.loads(text), section=section)
        except (ValueError, TypeError) as error:
            raise UserError("D133", f"--files: {error}; must be a JSON map with {', '.join(cls().told())}") from error

    def told(self) -> dict[str, Any]:
        """Return what is said of the files, for the report."""
        return {name: value for name, value in vars(self).items() if name != "section"}

    def key(self, name: str) -> str:
        """Return the key of the configuration under which a value stands, for messages.

        >>> FileOptions().key("header"), FileOptions(section="study.mix").key("header")
        ('data.csv.header', 'study.mix.files.header')
        """
        if self.section != "data":
            return f"{self.section}.files.{name}"
        return {"encoding": "data.encoding", "rows_key": "data.json.rows_key"}.get(name, f"data.csv.{name}")
