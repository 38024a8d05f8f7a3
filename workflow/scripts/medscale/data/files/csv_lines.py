"""The lines of a CSV file as records: strict first, and where that fails, no line is lost but the one that fails."""

import csv
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from medscale.data.files.records import Broken

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", "，": "full-width comma"}
# A backslash escape is a quote, another backslash or a line end; the backslash of `\\n` is text.
_ESCAPE = re.compile(r'\\([\\"])')
_ESCAPED_END = re.compile(r"\\(\r\n|\r|\n)")
# Stand for what is escaped while the csv module reads; no decoded text holds half a surrogate pair.
_BACKSLASH, _QUOTE = "\udc80", "\udc81"

DOUBT = 100
"""Good rows after which the end of a broken one, a line such as ``第三行",b``, is not looked for any more."""


@dataclass(frozen=True)
class Dialect:
    """How a file is written; ``header`` is the number of the line that the names begin on, from 1."""

    delimiter: str
    quote_escape: str
    header: int
    space_after_delimiter: bool = False

    def told(self) -> dict[str, Any]:
        """Return it for the report; a space after each delimiter is told where there is one."""
        told = asdict(self) | {"delimiter": DELIMITERS.get(self.delimiter, self.delimiter)}
        return told if self.space_after_delimiter else {n: v for n, v in told.items() if n != "space_after_delimiter"}

    @property
    def format(self) -> dict[str, Any]:
        """What the csv module is told."""
        return {"delimiter": self.delimiter, "skipinitialspace": self.space_after_delimiter}

    def shielded(self, line: str) -> str:
        """Return a line in which no escaped quote is a quote any more."""
        if self.quote_escape == "double" or "\\" not in line:
            return line
        return _ESCAPE.sub(lambda found: _QUOTE if found[1] == '"' else _BACKSLASH, line)

    def unshielded(self, field: str) -> str:
        """Return a field as it was meant. ``\\N`` alone is what databases write for no value."""
        if field == "\\N":
            return ""
        if self.quote_escape == "double":
            return field
        if "\\" in field:
            field = _ESCAPED_END.sub(r"\1", field)
        return field.replace(_QUOTE, '"').replace(_BACKSLASH, "\\")

    def restored(self, line: str) -> str:
        """Return a shielded line as it stands in the file."""
        return line.replace(_QUOTE, '\\"').replace(_BACKSLASH, "\\\\")


class Lines:
    """The lines of a CSV file, of which some can be given back.

    Parameters
    ----------
    lines, dialect : the lines as they stand in the file, and how it is written.
    first : the number in the file of the first of them.
    multiline : whether a quoted field may go over several lines.

    Attributes
    ----------
    taken : the lines of the last record.
    number : the number of its first line in the file, from 1.
    """

    def __init__(self, lines: Iterator[str], dialect: Dialect, first: int = 1, multiline: bool = True) -> None:
        self._lines, self._dialect, self._multiline = lines, dialect, multiline
        self._returned: list[str] = []
        self._doubt = 0  # so many good rows until the rest of a row that could not be read is no longer expected
        self._next_number = first
        self.taken: list[str] = []
        self.number = 0
        self._reader = self._fresh()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.pop() if self._returned else self._dialect.shielded(next(self._lines))
        self._next_number += 1
        self.taken.append(line)
        return line

    def text(self) -> str:
        """Return the text of the last record as it stands in the file, without its line end."""
        return self._dialect.restored("".join(self.taken)).rstrip("\r\n")

    def _fresh(self) -> Iterator[list[str]]:
        return csv.reader(self, strict=True, **self._dialect.format)

    def strict_record(self) -> list[str] | None:
        """Return the fields of the next record, None where it cannot be read, [] at the end of the file.

        After a failure only its first line is given up.
        """
        while True:
            self.taken, self.number = [], self._next_number
            try:
                fields = next(self._reader, None)
            except csv.Error:
                self._give_back()
                return None
            if fields is None:
                return []
            if fields:
                return [self._dialect.unshielded(field) for field in fields]

    def next_record(self, width: int) -> list[str] | Broken | None:
        """Return the next record's fields, [] for a blank line, a `Broken`, or None at the end of the file.

        Parameters
        ----------
        width : how many fields a row should have; 0 while that is not known.
        """
        self.taken, self.number = [], self._next_number
        doubtful = bool(self._returned or self._doubt)
        try:
            fields = next(self._reader, None)
        except csv.Error as error:
            problem = str(error)
        else:
            if fields is None:
                return None
            if doubtful and "".join(self.taken).count('"') % 2:
                self._doubt = 0
                return Broken("bad_csv", f"line {self.number}: part of a row that could not be read", self.text())
            if len(self.taken) > 1 and (not self._multiline or (len(fields) != width and self._swallowed(width))):
                problem = "a quote is opened and never closed"
            else:
                self._doubt = max(0, self._doubt - (len(fields) == width))
                return [self._dialect.unshielded(field) for field in fields]
        self._give_back()
        self._doubt = DOUBT
        return self._mended(self.taken[0], width) or Broken("bad_csv", f"line {self.number}: {problem}", self.text())

    def _give_back(self) -> None:
        """Take up again all lines of the last record but its first."""
        self._returned += reversed(self.taken[1:])
        self._next_number -= len(self.taken) - 1
        self.taken = self.taken[:1]
        self._reader = self._fresh()

    def _swallowed(self, width: int) -> bool:
        """Tell whether several lines of a record with a wrong number of fields are rows by themselves."""
        whole = 0
        for line in self.taken[1:]:
            fields = next(csv.reader([line], **self._dialect.format), [])
            whole += len(fields) == width and line.count('"') % 2 == 0
            if whole > 1:
                return True
        return False

    def _mended(self, line: str, width: int) -> list[str] | None:
        """Return the fields of a line with stray quotes, if it can be read so that it has the right number of them."""
        fields = _relaxed(line.rstrip("\r\n"), self._dialect.delimiter)
        if fields is None or len(fields) != width:
            if line.count('"') % 2:
                return None
            fields = next(csv.reader([line], **self._dialect.format), [])
        return [self._dialect.unshielded(field) for field in fields] if width in (0, len(fields)) else None


def _relaxed(text: str, delimiter: str) -> list[str] | None:
    """Return the fields of a line in which only a quote before a delimiter or the end closes a field.

    So ``"他说"你好"走了",b`` has two, with the inner quotes as text. None where a quote is never closed so.
    """
    fields, place = [], 0
    while True:
        if text.startswith('"', place):
            end = place + 1
            while True:
                end = text.find('"', end)
                if end < 0:
                    return None
                after = text[end + 1 : end + 2]
                if after in ("", delimiter):
                    break
                end += 2 if after == '"' else 1
            fields.append(text[place + 1 : end].replace('""', '"'))
            place = end + 1
        else:
            end = text.find(delimiter, place)
            end = len(text) if end < 0 else end
            fields.append(text[place:end])
            place = end
        if place >= len(text):
            return fields
        place += 1
