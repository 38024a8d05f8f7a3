"""Opening a data file, whatever tool wrote it.

Its format is told by what it holds, and by its name where that is not enough. The formats are the files of the room
`files`.
"""

from collections.abc import Sequence
from pathlib import Path

from medscale.base.errors import UserError
from medscale.data.files.arrow_rows import open_arrow, open_parquet
from medscale.data.files.csv_rows import open_csv
from medscale.data.files.json_rows import open_json
from medscale.data.files.parts import Part, parts_of, require_readable
from medscale.data.files.records import Broken, FileOptions, Known, TableFile, Wanted
from medscale.fetch.corpus_files import REFUSED
from medscale.fetch.endings import SUFFIXES

__all__ = ["Broken", "FileOptions", "Part", "TableFile", "open_table", "parts_of"]

_TEXT = {".csv", ".tsv", ".json", ".jsonl", ".ndjson"}


def open_table(
    path: Path | Part, wanted: Wanted, options: FileOptions | None = None, headers: Sequence[Known] = ()
) -> TableFile:
    """Open a data file, packed or not, in any of the formats CSV, JSON lines, JSON, Parquet and Arrow.

    Blank lines are no rows.

    Parameters
    ----------
    path : the file, or one of several in an archive; see `parts_of`.
    wanted : names of the columns that the caller will look at, by which a CSV header and the layout of a JSON file are
        found; a Parquet or Arrow file reads no others. None: all there are.
    options : what the configuration says of files; default None, all is found out.
    headers : what tells the header of a CSV file, in this order: the first line that the first of them knows, else the
        first that the next one knows; default: the names in ``wanted``, all of them in one line.

    Raises `UserError` where the file has no header, no JSON object or no known format, where it is damaged, and where
    it could be read in two ways.
    """
    options = options or FileOptions()
    if isinstance(path, Part):
        part = path
    else:
        parts, _ = parts_of(path)
        if len(parts) > 1:
            raise ValueError(f"{path}: holds {len(parts)} files; open them by `parts_of`")
        part = parts[0]
    first = require_readable(part)
    suffix = part.ending()
    if first.startswith(b"PAR1") or suffix == ".parquet":
        return open_parquet(part, wanted)
    if first.startswith((b"ARROW1", b"\xff\xff\xff\xff")) or suffix in {".arrow", ".feather"}:
        return open_arrow(part, wanted)
    start = first.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if suffix in REFUSED or (suffix not in _TEXT and start not in (b"{", b"[")):
        why = REFUSED.get(suffix, f"expected one of {', '.join(sorted(SUFFIXES))}, packed or not")
        raise UserError("D101", f"{part.name}: unknown format; {why}")
    if suffix in {".csv", ".tsv"} and not _is_json(first):
        return open_csv(part, wanted, options, headers)
    return open_json(part, wanted, options)


def _is_json(first: bytes) -> bool:
    """Tell whether the beginning of a file called CSV is that of objects all the same."""
    start = first.lstrip(b"\xef\xbb\xbf \t\r\n")
    inner = start[1:].lstrip()
    return (start[:1] == b"{" and inner[:1] == b'"') or (start[:1] == b"[" and inner[:1] == b"{")
