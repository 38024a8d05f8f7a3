"""How a CSV file is written: which character stands between fields, how a quote is escaped, where the header is.

The names of the wanted columns tell most: the header is the line that has them. Where a file could be read in two ways
that give different rows, it is refused with both readings, and the configuration decides.
"""

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from medscale.base.errors import UserError
from medscale.data.files.csv_lines import DELIMITERS, Dialect, Lines
from medscale.data.files.parts import Part
from medscale.data.files.records import FileOptions, Known, Wanted
from medscale.data.files.text import LONGEST, lines_of, open_text

_HEADER_LINES = 30
_SAMPLE_LINES = 200
_SEP = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_BLOCK = 1 << 20


def find_dialect(
    part: Part, encoding: str, wanted: Wanted, options: FileOptions, headers: Sequence[Known] = ()
) -> Dialect | None:
    """Return how a CSV file is written, or None where it has no line with names.

    Parameters
    ----------
    part, encoding : the file.
    wanted : names of the columns that are looked for; None where any will do.
    options : what the configuration says of CSV files goes before what is found.
    headers : what knows a header otherwise than by the names in ``wanted``; see `table_files.open_table`.

    Raises `UserError` that names two readings and the key that decides between them.
    """
    csv.field_size_limit(LONGEST)
    with open_text(part, encoding) as handle:
        head = list(itertools.islice(lines_of(part, handle), _HEADER_LINES + _SAMPLE_LINES))
    said = _SEP.fullmatch(head[0]) if head else None
    skip = 1 if said else 0
    if options.delimiter:
        candidates = [options.delimiter]
    elif said:
        candidates = [said[1]]
    else:
        tab_first = part.ending() == ".tsv"
        candidates = sorted(DELIMITERS, key=lambda mark: mark != "\t") if tab_first else list(DELIMITERS)
    places = [options.header - 1] if options.header else range(skip, min(len(head), _HEADER_LINES))
    if options.header and options.header > len(head):
        whole = len(head) < _HEADER_LINES + _SAMPLE_LINES
        raise UserError(
            "D123",
            f"{part.name}: {options.key('header')} is {options.header}, but "
            f"{'the file has' if whole else 'the header is looked for in the first'} {len(head)} lines; "
            "name the line with the columns, from 1, or null",
        )
    named = _by_names(head, candidates, places, headers or ([set(wanted).issubset] if wanted else []))
    found = named or _by_counts(part, head, candidates, places, options)
    if found is None:
        return None
    delimiter, place = found
    if named and not options.header:
        width = len(_fields(head[place:], delimiter))
        _refuse_rows_before(part, head[skip:place], width, delimiter, place, options.key("header"))
    text = "".join(head[place:])
    spaced = f'{delimiter} "' in text and f'{delimiter}"' not in text
    dialect = Dialect(delimiter, "double", place + 1, spaced)
    return replace(dialect, quote_escape=options.quote_escape or _quote_escape(part, encoding, dialect, options))


def _refuse_rows_before(part: Part, before: list[str], width: int, delimiter: str, place: int, key: str) -> None:
    """Raise `UserError` where what stands before the header may be rows: they would be lost in silence."""
    for number, line in enumerate(before, place - len(before) + 1):
        fields = _fields([line], delimiter)
        if width > 1 and len(fields) == width and all(field.strip() for field in fields):
            raise UserError(
                "D123",
                f"{part.name}: line {place + 1} has the names of the columns, but line {number} before it has as many "
                f"fields and may be a row; move the header to the top, or set {key}: {place + 1} to leave out what "
                "stands before it",
            )


def _fields(lines: list[str], delimiter: str) -> list[str]:
    """Return the fields of the record that begins at the first of some lines, [] where it cannot be read."""
    try:
        return next(csv.reader(lines, delimiter=delimiter), [])
    except csv.Error:
        return []


def _by_names(head: list[str], candidates: list[str], places: range | list[int], headers: Sequence[Known]) -> Any:
    """Return delimiter and line of the first line that is known for a header, by the first test that knows any."""
    lines = [
        (delimiter, place, [field.strip() for field in _fields(head[place:], delimiter)])
        for place in (places if headers else ())
        for delimiter in candidates
    ]
    found = ((delimiter, place) for known in headers for delimiter, place, names in lines if known(names))
    return next(found, None)


def _by_counts(
    part: Part, head: list[str], candidates: list[str], places: range | list[int], options: FileOptions
) -> Any:
    """Return delimiter and line of the header by its shape: the first line that is no comment, with the delimiter that
    gives most of the lines after it as many fields."""
    place = next((place for place in places if head[place].strip() and not _is_comment(head, place, candidates)), None)
    if place is None:
        return None
    shares = {}
    for delimiter in candidates:
        count = len(_fields(head[place:], delimiter))
        if count > 1:
            rows = list(_sample(head[place:], delimiter))[1:]
            shares[delimiter] = sum(row == count for row in rows) / len(rows) if rows else 1.0
    if not shares:
        return candidates[0], place
    best = max(shares, key=lambda delimiter: (shares[delimiter], -candidates.index(delimiter)))
    rivals = [other for other, share in shares.items() if other != best and share > 0.8 * shares[best]]
    if rivals:
        first, second = DELIMITERS.get(best, best), DELIMITERS.get(rivals[0], rivals[0])
        raise UserError(
            "D124",
            f"{part.name}: may be separated by {first} (columns {_fields(head[place:], best)}) or by {second} "
            f"(columns {_fields(head[place:], rivals[0])}); say which in {options.key('delimiter')}",
        )
    return best, place


def _is_comment(head: list[str], place: int, candidates: list[str]) -> bool:
    """Tell whether a line that begins with # is a comment, and not a header such as ``#id,question,answer``."""
    if not head[place].lstrip().startswith("#"):
        return False
    after = next((line for line in head[place + 1 :] if line.strip()), "#")
    return after.lstrip().startswith("#") or not any(
        len(_fields([head[place]], delimiter)) == len(_fields([after], delimiter)) > 1 for delimiter in candidates
    )


def _sample(lines: list[str], delimiter: str) -> Iterator[int]:
    """Yield how many fields each of the first rows has."""
    try:
        yield from (len(row) for row in csv.reader(lines[:-1] or lines, delimiter=delimiter) if row)
    except csv.Error:
        return


def _quote_escape(part: Part, encoding: str, double: Dialect, options: FileOptions) -> str:
    """Return how quotes are escaped, found by reading the whole file both ways where it has a backslash before a quote.

    The right way breaks no rows, the other one does. Where both break rows or neither does, nobody knows.
    """
    if not _has_escapes(part, encoding):
        return "double"
    backslash = replace(double, quote_escape="backslash")
    tried = {dialect.quote_escape: _trial(part, encoding, dialect) for dialect in (double, backslash)}
    good, bad = {name: t[0] for name, t in tried.items()}, {name: t[1] for name, t in tried.items()}
    best = min(bad, key=lambda name: bad[name])
    if bad["double"] == bad["backslash"] or bad[best] > 0.1 * (good[best] + bad[best]):
        shown = {name: trial[2] or "no row that is whole" for name, trial in tried.items()}
        raise UserError(
            "D125",
            f'{part.name}: has \\" in its rows, which may be a quote after a backslash, as in {shown["double"]}, or an '
            f"escaped quote, as in {shown['backslash']}; say which in {options.key('quote_escape')}, double or "
            "backslash",
        )
    return best


def _has_escapes(part: Part, encoding: str) -> bool:
    last = ""
    with open_text(part, encoding) as handle:
        while block := handle.read(_BLOCK):
            if '\\"' in last + block:
                return True
            last = block[-1]
    return False


def _trial(part: Part, encoding: str, dialect: Dialect) -> tuple[int, int, str]:
    """Return how many rows with a backslash before a quote come out whole and how many do not, and the first whole."""
    good, bad, shown, count = 0, 0, "", None
    with open_text(part, encoding) as handle:
        lines = Lines(itertools.islice(lines_of(part, handle), dialect.header - 1, None), dialect, dialect.header)
        while (fields := lines.strict_record()) != []:
            if count is None and fields:
                count = len(fields)
            elif any('\\"' in dialect.restored(line) for line in lines.taken):
                if fields and len(fields) == count:
                    good += 1
                    shown = shown or next((f"line {lines.number}: «{f[:60]}»" for f in fields if '"' in f), "")
                else:
                    bad += 1
    return good, bad, shown
