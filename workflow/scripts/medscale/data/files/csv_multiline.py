"""A quoted field over several lines, or rows between two stray quotes: told apart by the rest of the file.

A quote that is opened by mistake and closed by a later one of the same column makes one well-formed row of many.
Nothing in that row shows it but its lines: each of them would be a row. Where the file has many fields over several
lines whose lines would not, it is one that writes such fields, and so are the few that look like rows. Else nobody
knows.
"""

import itertools
from collections.abc import Sequence

from medscale.base.errors import UserError
from medscale.data.files.csv_lines import Dialect, Lines
from medscale.data.files.parts import Part
from medscale.data.files.text import lines_of, open_text

SHARE = 0.1
"""Of the rows over several lines; so many may look like rows by chance, as an answer with a comma in each line does."""
LONGEST_CHANCE = 5
"""Lines that may look like rows by chance, one after another."""


def would_be_rows(lines: Sequence[str], dialect: Dialect, width: int) -> bool:
    """Tell whether each line of a record over several lines could be a row, were its two quotes mere characters.

    A row has ``width`` fields that are not blank, and no space after its delimiters, as a comma in a sentence often has
    where the file itself has none.
    """
    if len(lines) < 2 or width < 2 or sum(line.count('"') for line in lines) != 2:
        return False
    for line in lines:
        fields = line.strip("\r\n").replace('"', "").split(dialect.delimiter)
        spaced = not dialect.space_after_delimiter and any(field[:1] in " \u3000" for field in fields[1:])
        if len(fields) != width or spaced or not all(field.strip() for field in fields):
            return False
    return True


def require_one_reading(part: Part, encoding: str, dialect: Dialect, width: int, key: str) -> None:
    """Raise `UserError` with both readings where rows over several lines may be rows, one a line.

    Parameters
    ----------
    part, encoding, dialect : the file and how it is written; it is read through once more.
    width : how many columns its header has.
    key : where the configuration can say which, for the message.
    """
    alike, others, longest = 0, 0, 0
    shown = ""
    with open_text(part, encoding) as handle:
        lines = Lines(itertools.islice(lines_of(part, handle), dialect.header, None), dialect, dialect.header + 1)
        while (fields := lines.next_record(width)) is not None:
            if not isinstance(fields, list) or len(fields) != width or len(lines.taken) < 2:
                continue
            if not would_be_rows(lines.taken, dialect, width):
                others += 1
                continue
            alike, longest = alike + 1, max(longest, len(lines.taken))
            if not shown:
                first, second = (dialect.restored(line).strip("\r\n")[:40] for line in lines.taken[:2])
                shown = f"lines {lines.number} to {lines.number + len(lines.taken) - 1}, «{first}», «{second}» …"
    if alike > SHARE * (alike + others) or longest > LONGEST_CHANCE:
        raise UserError(
            "D145",
            f"{part.name}: {shown}: may be one row with a quoted field over several lines, or a row each, of which one "
            f"has a quote too many that was never closed; say which in {key}, true for one row or false for a row a "
            "line, or mend the quotes",
        )
