"""Reading rows from CSV, JSON lines, JSON and Parquet files as a stream; a broken row is handed on, not raised."""

import csv
import itertools
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from medscale.base.errors import UserError
from medscale.data.text_encoding import detect_encoding

SUFFIXES = {".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet"}

_BLOCK = 1 << 20
_PARQUET_ROWS = 2000
_GAP = re.compile(r"[ \t\r\n]*")
_COMMA = re.compile(r"[ \t\r\n,]*")
# JSON lines have no header, so the columns are those that the first rows have among them.
_ROWS_FOR_COLUMNS = 100


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
    path, format, encoding : "csv", "jsonl", "json" or "parquet"; the encoding is None for Parquet.
    columns : names of the columns, in the file's order.
    records : the rows, each a dict or a `Broken`, read from the file as they are asked for.
    """

    path: Path
    format: str
    encoding: str | None
    columns: list[str]
    records: Iterator[dict[str, Any] | Broken]


def open_table(path: Path, wanted: Collection[str]) -> TableFile:
    """Open a data file by its suffix; ``.json`` may hold an array of objects or one object a line.

    Blank lines are no rows.

    Parameters
    ----------
    path : the file.
    wanted : names of the columns that the caller will look at; a Parquet file reads no others.

    Raises `UserError` where the file has no header, no JSON object or no known format.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _open_parquet(path, wanted)
    if suffix not in SUFFIXES:
        raise UserError("D101", f"{path}: unknown format; expected one of {', '.join(sorted(SUFFIXES))}")
    encoding = detect_encoding(path)
    if suffix in {".csv", ".tsv"}:
        return _open_csv(path, encoding, "\t" if suffix == ".tsv" else ",")
    format = "json" if _starts_with_bracket(path, encoding) else "jsonl"
    records = _json_array(path, encoding) if format == "json" else _json_lines(path, encoding)
    first = list(itertools.islice(records, _ROWS_FOR_COLUMNS))
    columns = list(dict.fromkeys(name for record in first if isinstance(record, dict) for name in record))
    if not columns:
        raise UserError(
            "D102", f"{path}: no JSON object in the first {_ROWS_FOR_COLUMNS} rows; expected an object a line"
        )
    return TableFile(path, format, encoding, columns, itertools.chain(first, records))


def _open_text(path: Path, encoding: str, newline: str = "") -> TextIO:
    return open(path, encoding="utf-8-sig" if encoding.startswith("utf-8") else encoding, newline=newline)


def _open_csv(path: Path, encoding: str, delimiter: str) -> TableFile:
    records = _csv_records(path, encoding, delimiter)
    columns = next(records, None)
    if not isinstance(columns, list):
        raise UserError("D103", f"{path}: no header line with the names of the columns")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise UserError("D104", f"{path}: the header names {', '.join(map(repr, twice))} more than once")
    return TableFile(path, "csv", encoding, columns, records)


def _csv_records(path: Path, encoding: str, delimiter: str) -> Iterator[Any]:
    """Yield the header as a list, then each row as a dict or a `Broken`.

    A quote that is opened and never closed would swallow the rows after it. The parser is therefore strict, and where
    it fails, only the first line of what it took is given up; the others are read again.
    """
    header = None
    with _open_text(path, encoding) as handle:
        lines = _Lines(handle)
        while True:
            fields = lines.next_record(delimiter)
            if fields is None:
                return
            if isinstance(fields, list):
                if not fields:
                    continue
                if header is None:
                    header = [name.strip() for name in fields]
                    yield header
                    continue
                if len(fields) == len(header):
                    yield dict(zip(header, fields, strict=True))
                    continue
                detail = f"{len(fields)} fields where the header has {len(header)}"
                fields = Broken("wrong_field_count", detail, "".join(lines.taken).rstrip("\r\n"))
            yield fields


class _Lines:
    """The lines of a CSV file, of which some can be given back."""

    def __init__(self, handle: TextIO) -> None:
        self._handle = handle
        self._returned: list[str] = []
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.pop() if self._returned else next(self._handle)
        self.taken.append(line)
        return line

    def next_record(self, delimiter: str) -> list[str] | Broken | None:
        """Return the next record's fields, [] for a blank line, a `Broken`, or None at the end of the file."""
        self.taken = []
        try:
            return next(csv.reader(self, delimiter=delimiter, strict=True), None)
        except csv.Error as error:
            problem = str(error)
        first = self.taken[0]
        self._returned += reversed(self.taken[1:])
        self.taken = [first]
        try:
            # A stray quote inside one line, as in «a,"b"c,d», is harmless to the lenient parser.
            return next(csv.reader([first], delimiter=delimiter))
        except csv.Error:
            return Broken("bad_csv", problem, first.rstrip("\r\n"))


def _json_lines(path: Path, encoding: str) -> Iterator[dict | Broken]:
    with _open_text(path, encoding, newline="\n") as handle:
        for line in handle:
            text = line.strip()
            if text:
                yield _json_object(text)


def _json_object(text: str) -> dict | Broken:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Broken("bad_json", str(error), text)
    return value if isinstance(value, dict) else Broken("bad_json", "not an object", text)


def _starts_with_bracket(path: Path, encoding: str) -> bool:
    with _open_text(path, encoding) as handle:
        return handle.read(4096).lstrip().startswith("[")


def _json_array(path: Path, encoding: str) -> Iterator[dict | Broken]:
    """Yield the elements of one JSON array without holding the file in memory.

    Raises `UserError` at a syntax error: after it nothing says where the next element starts.
    """
    decoder, position, done = json.JSONDecoder(), 0, 0
    with _open_text(path, encoding) as handle:
        buffer = handle.read(_BLOCK).lstrip()[1:]
        while True:
            start = _COMMA.match(buffer, position).end()
            if buffer.startswith("]", start):
                return
            value, end, problem = _element(decoder, buffer, start)
            if problem is None:
                yield value if isinstance(value, dict) else Broken("bad_json", "not an object", buffer[start:end])
                position, done = end, done + 1
                continue
            more = handle.read(_BLOCK)
            if not more:
                raise UserError(
                    "D105", f"{path}: broken JSON after {done} elements of the array ({problem}); mend the file"
                )
            buffer, position = buffer[start:] + more, 0


def _element(decoder: json.JSONDecoder, buffer: str, start: int) -> tuple[Any, int, str | None]:
    """Return the element that begins at ``start``, where it ends, and why it is not whole, if it is not."""
    try:
        value, end = decoder.raw_decode(buffer, start)
    except (ValueError, RecursionError) as error:
        return None, start, str(error)
    # The mark after an element proves that a number was not cut at the end of the buffer.
    whole = buffer.startswith((",", "]"), _GAP.match(buffer, end).end())
    return value, end, None if whole else "no comma or bracket after an element"


def _open_parquet(path: Path, wanted: Collection[str]) -> TableFile:
    try:
        table = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise UserError("D106", f"{path}: not a Parquet file ({error}); fetch it again") from error
    columns = table.schema_arrow.names
    records = _parquet_records(path, table, [name for name in columns if name in wanted])
    return TableFile(path, "parquet", None, columns, records)


def _parquet_records(path: Path, table: pq.ParquetFile, columns: list[str]) -> Iterator[dict | Broken]:
    batches = table.iter_batches(batch_size=_PARQUET_ROWS, columns=columns)
    while True:
        try:
            batch = next(batches, None)
        except (OSError, pa.ArrowException) as error:
            raise UserError("D106", f"{path}: damaged inside ({error}); fetch it again") from error
        if batch is None:
            return
        try:
            yield from batch.to_pylist()
        except UnicodeDecodeError:
            yield from (_parquet_row(batch, index) for index in range(batch.num_rows))


def _parquet_row(batch: pa.RecordBatch, index: int) -> dict | Broken:
    try:
        return batch.slice(index, 1).to_pylist()[0]
    except UnicodeDecodeError as error:
        return Broken("bad_text", str(error), error.object.decode("utf-8", "backslashreplace"))
