"""The rows of a CSV file; one that is not well formed is handed on as broken and takes no other with it."""

from collections.abc import Iterator, Sequence
from typing import Any

from medscale.base.errors import UserError
from medscale.data.files.csv_dialect import find_dialect
from medscale.data.files.csv_lines import Dialect, Lines
from medscale.data.files.csv_multiline import require_one_reading, would_be_rows
from medscale.data.files.parts import Part
from medscale.data.files.records import Broken, FileOptions, Known, TableFile, Wanted
from medscale.data.files.text import encoding_of, lines_of, open_text


def open_csv(part: Part, wanted: Wanted, options: FileOptions, headers: Sequence[Known] = ()) -> TableFile:
    """Open a CSV file; see `table_files.open_table`."""
    encoding = encoding_of(part, options)
    dialect = find_dialect(part, encoding, wanted, options, headers)
    if dialect is None:
        raise UserError(
            "D103",
            f"{part.name}: no header line with the names of the columns; "
            f"write one, or name its line in {options.key('header')}",
        )
    rows = _rows(part, encoding, dialect, options)
    columns = next(rows)
    twice = sorted({name for name in columns if columns.count(name) > 1 and (wanted is None or name in wanted)})
    if twice:
        raise UserError(
            "D104", f"{part.name}: the header names {', '.join(map(repr, twice))} more than once; rename one"
        )
    return TableFile(part.name, "csv", encoding, columns, rows, part.packing(), dialect.told())


def _rows(part: Part, encoding: str, dialect: Dialect, options: FileOptions) -> Iterator[Any]:
    """Yield the names of the columns, then each row as a dict or a `Broken`.

    A quote that is opened and never closed would swallow the rows after it. The parser is therefore strict, and where
    it fails, only the first line of what it took is given up; the others are read again. One that happens to be closed
    is seen by its lines, see `csv_multiline`; ``options.multiline`` says of all such rows what they are.
    """
    names: list[str] = []
    width = 0
    with open_text(part, encoding) as handle:
        lines = Lines(lines_of(part, handle), dialect, multiline=options.multiline is not False)
        in_doubt = options.multiline is None
        for _ in range(dialect.header - 1):
            next(lines)
        while (fields := lines.next_record(width)) is not None:
            if isinstance(fields, list):
                if not any(fields[1:]) and not "".join(fields[:1]).strip() and len(fields) < max(2, width):
                    continue
                if not names:
                    names = _named(fields)
                    width = len(names)
                    yield names
                    continue
                if in_doubt and would_be_rows(lines.taken, dialect, width):
                    require_one_reading(part, encoding, dialect, width, options.key("multiline"))
                    in_doubt = False
                row = _row(names, fields)
                if row is not None:
                    yield row
                    continue
                detail = f"line {lines.number}: {len(fields)} fields where the header has {width}"
                fields = Broken("wrong_field_count", detail, lines.text())
            yield fields


def _named(fields: list[str]) -> list[str]:
    """Return the names of a header; blank ones at its end, as spreadsheets leave them, are no columns."""
    names: list[str] = [name.strip() for name in fields]
    while len(names) > 1 and not names[-1]:
        names.pop()
    return [name or f"(column {place})" for place, name in enumerate(names, 1)]


def _row(names: list[str], fields: list[str]) -> dict[str, str] | None:
    """Return a row, or None where it has not as many fields as the header; empty ones at its end do not count."""
    if len(fields) < len(names) or any(fields[len(names) :]):
        return None
    return dict(zip(names, fields, strict=False))
