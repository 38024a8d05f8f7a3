"""The text of a part: its encoding, and its lines, none of which may fill the memory."""

import io
from collections.abc import Iterator
from typing import TextIO

from medscale.base.errors import UserError
from medscale.data.files.parts import Part
from medscale.data.files.records import FileOptions
from medscale.data.text_encoding import CODECS, detect_encoding, require_encoding

LONGEST = 1 << 24
"""Characters of a line or field; a longer one is no text of a patient or doctor."""


def encoding_of(part: Part, options: FileOptions) -> str:
    """Return the encoding of a part: the one that the configuration says, if it fits, or the one that is found."""
    said = options.encoding
    if said is None:
        return detect_encoding(part, part.name, options.key("encoding"))
    require_encoding(part, said, part.name)
    return said


def open_text(part: Part, encoding: str, newline: str = "") -> TextIO:
    """Open a part as text, without the byte order mark; line ends stay as they are."""
    handle = io.TextIOWrapper(part.open(), encoding=CODECS.get(encoding, encoding), newline=newline)
    if encoding == "gb18030" and handle.read(1) != "\ufeff":
        handle.close()
        return io.TextIOWrapper(part.open(), encoding=encoding, newline=newline)
    return handle


def lines_of(part: Part, handle: TextIO) -> Iterator[str]:
    """Yield the lines with their ends; one that is far too long is a `UserError` that names it."""
    number = 0
    while line := handle.readline(LONGEST):
        number += 1
        if len(line) == LONGEST:
            raise UserError(
                "D132",
                f"{part.name}: line {number} is longer than {LONGEST:,} characters, which no row is; mend the file",
            )
        yield line
