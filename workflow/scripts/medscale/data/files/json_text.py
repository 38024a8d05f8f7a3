"""JSON text that is read piece by piece: values are decoded or passed over without holding the file in memory."""

import json
import re
import sys
from typing import Any, TextIO

from medscale.data.files.text import LONGEST

BLOCK = 1 << 20
_GAP = re.compile(r"[ \t\r\n]*")
_STRUCTURE = re.compile(r'["{}\[\]]')
_IN_STRING = re.compile(r'["\\]')
_SCALAR = re.compile(r"[^,\]}\s]*")
CUT = "the file ends in the middle of a value"
_CONTROL = re.compile(r'"[^"]*[\x00-\x1f][^"]*"')
_SPARE_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)


class JsonProblem(Exception):
    """JSON text that cannot be read: what is wrong, and in which line."""

    def __init__(self, problem: str, line: int, at_end: bool = False) -> None:
        super().__init__(f"line {line}: {problem}")
        self.problem, self.line, self.at_end = problem, line, at_end


class NotDecoded(JsonProblem):
    """A value that is well formed as far as one can see, but nested too deeply, or with a number of too many digits."""


class Oddities:
    """What was met and mended while reading, each told once with how often and where first.

    Attributes
    ----------
    notes : the sentences, kept up to date.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._met: dict[str, list[int]] = {}

    def add(self, what: str, line: int) -> None:
        """Note something that was met in a line."""
        if what not in self._met:
            self._met[what] = [0, line, len(self.notes)]
            self.notes.append("")
        met = self._met[what]
        met[0] += 1
        self.notes[met[2]] = f"{what}: {met[0]} time{'s' * (met[0] > 1)}, first in line {met[1]}"


class Decoder:
    """Decodes JSON as people write it: NaN and Infinity are empty values, a spare comma is no harm.

    A key that stands twice in one object keeps its last value, as everywhere, but it is told.

    Attributes
    ----------
    doubled : whether the last value has such a key.
    """

    def __init__(self, oddities: Oddities) -> None:
        self._oddities = oddities
        self.doubled = False
        told = {"object_pairs_hook": self._object, "parse_constant": lambda name: float("nan")}
        self._json, self._lenient = json.JSONDecoder(**told), json.JSONDecoder(**told, strict=False)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        self.doubled |= len(made) != len(pairs)
        return made

    def at(self, text: str, start: int) -> tuple[Any, int]:
        """Return the value that begins at ``start`` and where it ends; ValueError or RecursionError if it is not whole.

        Whether keys stand twice in it is told by `tell`, once the line is known.
        """
        self.doubled = False
        return self._json.raw_decode(text, start)

    def tell(self, line: int) -> None:
        """Note what was odd about the last value, which stands in this line."""
        if self.doubled:
            self._oddities.add("a key stands twice in one object, of which the last counts", line)

    def whole(self, text: str, line: int) -> Any:
        """Return the one value of a text; ValueError or RecursionError.

        Spare commas before a bracket, and line ends inside strings, are forgiven and told.
        """
        try:
            value, end = self.at(text, _GAP.match(text).end())
        except ValueError:
            mended = _SPARE_COMMA.sub(lambda found: found[1] or "", text)
            self.doubled = False
            value, end = self._lenient.raw_decode(mended, _GAP.match(mended).end())
            if mended != text:
                self._oddities.add("a comma too many before a bracket", line)
            if _CONTROL.search(mended):
                self._oddities.add("a line end or tab inside a string that should be escaped", line)
            text = mended
        if _GAP.match(text, end).end() != len(text):
            raise json.JSONDecodeError("more text after the value", text, end)
        self.tell(line)
        return value


class JsonText:
    """JSON text under a reading position.

    Parameters
    ----------
    handle : the open text.
    """

    def __init__(self, handle: TextIO) -> None:
        self._handle = handle
        self._buffer, self._place = "", 0
        self._line, self._counted = 1, 0  # the line at a place in the buffer, up to which line ends were counted

    @property
    def line(self) -> int:
        """The number of the line at the position, from 1."""
        self._line += self._buffer.count("\n", self._counted, self._place)
        self._counted = self._place
        return self._line

    def peek(self) -> str:
        """Return the next character that is no white space, without passing it; empty at the end."""
        while True:
            self._place = _GAP.match(self._buffer, self._place).end()
            if self._place < len(self._buffer):
                return self._buffer[self._place]
            if not self._more():
                return ""

    def take(self) -> str:
        """Pass the next character that is no white space, and return it."""
        found = self.peek()
        self._place += len(found)
        return found

    def expect(self, mark: str) -> None:
        """Pass a mark that must come next."""
        found = self.peek()
        if found != mark:
            raise JsonProblem(f"expected {mark!r}, found {found!r}" if found else CUT, self.line, not found)
        self._place += 1

    def value(self, decoder: Decoder, longest: int | None = LONGEST) -> Any:
        """Decode the next value and pass it; one of more than ``longest`` characters is refused.

        With None the rest of the file is read at once.
        """
        if longest is None:
            self._more(size=-1)
        self.peek()
        if self._buffer[self._place : self._place + 1] in ("{", "[", '"'):
            try:
                value, end = decoder.at(self._buffer, self._place)
            except (ValueError, RecursionError):
                pass  # cut at the end of the buffer, or wrong: found out below
            else:
                if decoder.doubled:
                    decoder.tell(self.line)
                self._place = end
                return value
        end = self._end_of_value(keep=True, longest=longest)
        text, line = self._buffer[self._place : end], self.line
        try:
            value = decoder.whole(text, line)
        except RecursionError:
            self._place = end
            raise NotDecoded("nested too deeply", line) from None
        except json.JSONDecodeError as error:
            raise JsonProblem(error.msg, line + error.lineno - 1) from error
        except ValueError:
            self._place = end
            digits = sys.get_int_max_str_digits()
            raise NotDecoded(f"a whole number of more than {digits} digits", line) from None
        self._place = end
        return value

    def skip(self) -> None:
        """Pass the next value undecoded."""
        self.peek()
        self._place = self._end_of_value(keep=False, longest=None)

    def _more(self, size: int | None = None) -> bool:
        """Read another block, or with -1 all that is left; what was passed is forgotten."""
        self._line, block = self.line, self._handle.read(BLOCK if size is None else size)
        self._buffer, self._place, self._counted = self._buffer[self._place :] + block, 0, 0
        return bool(block)

    def _grown(self, at: int, keep: bool) -> tuple[int, bool]:
        """Read another block; return where ``at`` is then, and whether there was more. Without ``keep``, pass all."""
        self._place = self._place if keep else at
        at -= self._place
        return at, self._more()

    def _end_of_value(self, keep: bool, longest: int | None) -> int:
        """Return where the next value ends in the buffer, by its brackets and quotes; ``keep`` keeps its text there."""
        begun, at = self.line, self._place
        if self._buffer[at : at + 1] not in ("{", "[", '"'):
            return self._end_of_scalar(begun)
        depth, in_string = 0, False
        while True:
            found = (_IN_STRING if in_string else _STRUCTURE).search(self._buffer, at)
            cut = found is None or (found[0] == "\\" and found.end() == len(self._buffer))
            if cut:
                at, more = self._grown(len(self._buffer) if found is None else found.start(), keep)
                if not more:
                    raise JsonProblem(f"{CUT}, which begins here", begun, at_end=True)
                if longest and at > longest:
                    raise JsonProblem(f"a value of more than {longest:,} characters begins here", begun)
                continue
            mark, at = found[0], found.end()
            if in_string and mark == "\\":
                at += 1
                continue
            if mark == '"':
                in_string = not in_string
            else:
                depth += 1 if mark in "{[" else -1
            if depth <= 0 and not in_string:
                return at

    def _end_of_scalar(self, begun: int) -> int:
        at, more = self._place, True
        while more and (at := _SCALAR.match(self._buffer, at).end()) == len(self._buffer):
            at, more = self._grown(at, keep=True)
            if at > LONGEST:
                raise JsonProblem(f"a value of more than {LONGEST:,} characters begins here", begun)
        if at == self._place:
            there = self._buffer[at : at + 1]
            raise JsonProblem(f"expected a value, found {there!r}" if there else CUT, begun, not there)
        return at
