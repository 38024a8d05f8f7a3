"""The rows of plain text: one text a line, blank lines between them as one likes."""

from collections.abc import Iterator
from typing import Any

from medscale.data.files.json_rows import open_json
from medscale.data.files.parts import Part, require_readable
from medscale.data.files.records import FileOptions, TableFile
from medscale.data.files.text import encoding_of, lines_of, open_text


def open_plain(part: Part, column: str, options: FileOptions) -> TableFile:
    """Open a .txt file as a table of one column; JSON lines that are called so are read as what they are."""
    if require_readable(part).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b'{"'):
        return open_json(part, [column], options)
    encoding = encoding_of(part, options)
    return TableFile(part.name, "text", encoding, [column], _rows(part, encoding, column), part.packing())


def _rows(part: Part, encoding: str, column: str) -> Iterator[dict[str, Any]]:
    with open_text(part, encoding) as handle:
        for line in lines_of(part, handle):
            if text := line.strip():
                yield {column: text}
