"""Which encoding a text file has: what every byte fits and its characters bear out, and no guessing after that."""

import codecs
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from medscale.base.errors import UserError

_CHUNK = 1 << 20
_SAMPLE = 1 << 16
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks; those of UTF-32 begin as those of UTF-16 do, so they come first."""
CODECS = {"big5": "cp950", "utf-8": "utf-8-sig"}
"""The codec that reads an encoding, where it has another name."""
# What Latin and Greek letters stand for among Chinese or English words: units, doses, names.
_WESTERN = re.compile("[\u00a0-\u00ff\u0391-\u03c9\u2000-\u22ff]")


class Openable(Protocol):
    """A source of bytes that can be opened again and again, such as a path."""

    def open(self) -> BinaryIO: ...


class _OnDisk:
    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)

    def open(self) -> BinaryIO:
        return open(self.path, "rb")

    def __str__(self) -> str:
        return str(self.path)


def detect_encoding(
    path: str | os.PathLike | Openable, name: str | os.PathLike | None = None, key: str | None = "data.encoding"
) -> str:
    """Read a whole text file once and return the encoding that fits every byte of it.

    A byte order mark decides. GB18030 accepts most byte sequences, UTF-8 Chinese and Big5 among them, so UTF-8 is tried
    first, and a file that is UTF-8 but for a few damaged bytes is refused rather than read as GB18030, which would turn
    all of it into gibberish. Of GB18030 and Big5 that one is taken whose characters are the common ones.

    Parameters
    ----------
    path : the file, or a source of bytes.
    name : what messages call it; default the path.
    key : where the configuration can say the encoding, for messages; None where it cannot.

    Returns "utf-8", "utf-8-sig" (a byte order mark stands first), "utf-16", "utf-32", "gb18030" or "big5".

    Raises `UserError` that names the file, the offset in bytes and the line where no encoding fits.
    """
    source = _OnDisk(path) if isinstance(path, str | os.PathLike) else path
    name = str(source) if name is None else name
    first = next(_blocks(source), b"")
    marked = next((encoding for mark, encoding in MARKS.items() if first.startswith(mark)), None)
    if marked and marked != "utf-8-sig":
        require_encoding(source, marked, name)
        return marked
    zeros = first[:_SAMPLE:2].count(0), first[1:_SAMPLE:2].count(0)
    if max(zeros) > max(3, 20 * min(zeros), len(first[:_SAMPLE]) // 20):
        raise UserError(
            "D134",
            f"{name}: {sum(zeros)} of its first {len(first[:_SAMPLE])} bytes are zero, every other one, as in UTF-16 "
            "without a byte order mark; save it as UTF-8",
        )
    utf8_error = _first_error(source, "utf-8")
    if utf8_error is None:
        return "utf-8-sig" if marked else _utf8_or_chance(source, name, key)
    if marked or _looks_like_utf8(source, utf8_error):
        raise UserError(
            "D107",
            f"{name}: damaged UTF-8 at byte {utf8_error} (line {_line_of(source, utf8_error)}), "
            "though the text around it is UTF-8; mend or remove that line, or fetch the file again",
        )
    gb18030_error = _first_error(source, "gb18030")
    if _looks_like_big5(source) and _first_error(source, "cp950") is None:
        return "big5"
    if gb18030_error is None:
        return "gb18030"
    raise UserError(
        "D108",
        f"{name}: neither UTF-8 (fails at byte {utf8_error}, line {_line_of(source, utf8_error)}) "
        f"nor GB18030 (fails at byte {gb18030_error}, line {_line_of(source, gb18030_error)}); "
        "save the file as UTF-8, or mend that line" + (f", or set {key}" if key else ""),
    )


def require_encoding(path: str | os.PathLike | Openable, encoding: str, name: str | os.PathLike) -> None:
    """Raise `UserError` with the offset of the first byte that ``encoding`` refuses, if there is one."""
    source = _OnDisk(path) if isinstance(path, str | os.PathLike) else path
    error = _first_error(source, CODECS.get(encoding, encoding))
    if error is not None:
        raise UserError("D135", f"{name}: is no {encoding.upper()} at byte {error}; mend the file, or save it as UTF-8")


def _blocks(source: Openable) -> Iterator[bytes]:
    with source.open() as handle:
        while block := handle.read(_CHUNK):
            yield block


def _first_error(source: Openable, encoding: str) -> int | None:
    """Return the offset of the first byte that ``encoding`` refuses, or None where it accepts the whole file."""
    decoder = codecs.getincrementaldecoder(encoding)()
    position = 0
    pending = 0  # bytes of an unfinished character that the decoder holds
    for block in _blocks(source):
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            return position - pending + error.start
        position += len(block)
        pending = len(decoder.getstate()[0])
    try:
        decoder.decode(b"", True)
    except UnicodeDecodeError as error:
        return position - pending + error.start
    return None


def _utf8_or_chance(source: Openable, name: str | os.PathLike, key: str | None) -> str:
    """Return "utf-8", or "gb18030" for a file whose few Chinese characters happen to be UTF-8 too.

    Two bytes of GB18030 may be one letter of UTF-8, as in «模», which is «ģ» there. So a file without any Chinese under
    UTF-8 is looked at again: Latin and Greek letters that stand alone are meant; others are Chinese if that reading
    gives common characters.
    """
    text = ""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for block in _blocks(source):
        decoded = decoder.decode(block)
        if not decoded.isascii():
            if re.search("[\u0800-\U0010ffff]", decoded):
                return "utf-8"
            text += "".join(re.findall("[\x00-\x7f]?[\u0080-\u07ff]+", decoded))[: _SAMPLE - len(text)]
    runs = re.findall("[\u0080-\u07ff]+", text)
    if not runs or all(len(run) == 1 and _WESTERN.fullmatch(run) for run in runs):
        return "utf-8"
    if _first_error(source, "gb18030") is not None:
        return "utf-8"
    share = _common_share("".join(runs).encode(), "gb18030")
    if share <= 0.5:
        return "utf-8"
    if share >= 0.9 and not all(_WESTERN.fullmatch(letter) for letter in "".join(runs)):
        return "gb18030"
    shown = runs[0].encode()
    raise UserError(
        "D136",
        f"{name}: may be UTF-8 («{shown.decode()}») or GB18030 («{shown.decode('gb18030', 'replace')}»); "
        + (f"say which in {key}" if key else "save it as UTF-8 with a byte order mark"),
    )


def _common_share(content: bytes, encoding: str) -> float:
    """Return which share of the double bytes are those of the common characters, by their place in the old tables."""
    lead = (0xB0, 0xD7) if encoding == "gb18030" else (0xA4, 0xC6)
    pairs = re.findall(rb"[\x81-\xfe][\x30-\xfe]", content)
    common = [pair for pair in pairs if lead[0] <= pair[0] <= lead[1] and (encoding != "gb18030" or pair[1] >= 0xA1)]
    marks = [pair for pair in pairs if pair[0] in ((0xA1, 0xA3) if encoding == "gb18030" else (0xA1, 0xA2, 0xA3))]
    return len(common) / max(1, len(pairs) - len(marks))


def _looks_like_big5(source: Openable) -> bool:
    """Tell whether the first characters that are not ASCII are common in Big5 and not in GB18030."""
    content = b""
    for block in _blocks(source):
        content += b" ".join(re.findall(rb"[\x81-\xfe](?:[\x30-\xfe])|[\x80-\xff]", block))
        if len(content) > _SAMPLE:
            break
    pairs = content.replace(b" ", b"")
    return _common_share(pairs, "big5") > 0.9 and _common_share(pairs, "gb18030") < 0.7


def _looks_like_utf8(source: Openable, error: int) -> bool:
    """Tell whether the text around the first UTF-8 error is UTF-8 otherwise: at most one bad byte to ten characters."""
    left = max(0, error - _CHUNK // 2)
    with source.open() as handle:
        while left > 0 and (passed := handle.read(min(_CHUNK, left))):
            left -= len(passed)
        content = b""
        while len(content) < _CHUNK and (block := handle.read(_CHUNK - len(content))):
            content += block
    text = content.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(character > "\x7f" for character in text) - bad
    return good > 10 * bad


def _line_of(source: Openable, offset: int) -> int:
    """Return the number of the line, from 1, that holds the byte at ``offset``."""
    lines = 1
    for block in _blocks(source):
        lines += block[: max(0, offset)].count(b"\n")
        offset -= len(block)
        if offset <= 0:
            break
    return lines
