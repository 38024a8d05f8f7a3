"""Which encoding a text file has: strict UTF-8 first, GB18030 next, and no guessing after that."""

import codecs
import os

from medscale.base.errors import UserError

_CHUNK = 1 << 20


def detect_encoding(path: str | os.PathLike) -> str:
    """Read a whole text file once and return the encoding that fits every byte of it.

    GB18030 accepts most byte sequences, UTF-8 Chinese among them, so UTF-8 is tried first, and a file that is UTF-8 but
    for a few damaged bytes is refused rather than read as GB18030, which would turn all of it into gibberish.

    Parameters
    ----------
    path : the file.

    Returns "utf-8", "utf-8-sig" (a byte order mark stands first) or "gb18030".

    Raises `UserError` that names the file, the offset in bytes and the line where neither encoding fits.
    """
    utf8_error = _first_error(path, "utf-8")
    if utf8_error is None:
        with open(path, "rb") as handle:
            return "utf-8-sig" if handle.read(3) == codecs.BOM_UTF8 else "utf-8"
    if _looks_like_utf8(path, utf8_error):
        raise UserError(
            "D107",
            f"{path}: damaged UTF-8 at byte {utf8_error} (line {_line_of(path, utf8_error)}), "
            "though the text around it is UTF-8; mend or remove that line, or fetch the file again",
        )
    gb18030_error = _first_error(path, "gb18030")
    if gb18030_error is None:
        return "gb18030"
    raise UserError(
        "D108",
        f"{path}: neither UTF-8 (fails at byte {utf8_error}, line {_line_of(path, utf8_error)}) "
        f"nor GB18030 (fails at byte {gb18030_error}, line {_line_of(path, gb18030_error)}); "
        "save the file as UTF-8, or mend that line",
    )


def _first_error(path: str | os.PathLike, encoding: str) -> int | None:
    """Return the offset of the first byte that ``encoding`` refuses, or None where it accepts the whole file."""
    position, pending = 0, b""
    with open(path, "rb") as handle:
        while True:
            chunk = handle.read(_CHUNK)
            block = pending + chunk
            try:
                consumed = _decoded_length(block, encoding, final=not chunk)
            except UnicodeDecodeError as error:
                return position + error.start
            if not chunk:
                return None
            position, pending = position + consumed, block[consumed:]


def _decoded_length(block: bytes, encoding: str, final: bool) -> int:
    """Return how many bytes of ``block`` are whole characters; a last, unfinished one is left unless ``final``."""
    decoder = codecs.getincrementaldecoder(encoding)()
    decoder.decode(block, final)
    return len(block) - len(decoder.getstate()[0])


def _looks_like_utf8(path: str | os.PathLike, error: int) -> bool:
    """Tell whether the text around the first UTF-8 error is UTF-8 otherwise: at most one bad byte to ten characters."""
    with open(path, "rb") as handle:
        handle.seek(max(0, error - _CHUNK // 2))
        text = handle.read(_CHUNK).decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(character > "\x7f" for character in text) - bad
    return good > 10 * bad


def _line_of(path: str | os.PathLike, offset: int) -> int:
    """Return the number of the line, from 1, that holds the byte at ``offset``."""
    lines = 1
    with open(path, "rb") as handle:
        while offset > 0:
            chunk = handle.read(min(_CHUNK, offset))
            lines += chunk.count(b"\n")
            offset -= len(chunk)
    return lines
