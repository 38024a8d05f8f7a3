"""Opening files whatever they are packed in: a part is one file of rows, alone or a member of an archive.

How a file is packed is told by its first bytes, not by its name. Unpacking is a stream of bounded memory.
"""

import bz2
import gzip
import io
import lzma
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import pyarrow as pa

from medscale.base.errors import UserError
from medscale.fetch.corpus_files import divide
from medscale.fetch.endings import COMPRESSIONS, ending

PACKED = {
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
_ZIP = tuple(magic for magic, kind in PACKED.items() if kind == "zip")
FOREIGN = {
    b"\xd0\xcf\x11\xe0": "an Office file (.xls, .doc); save it as CSV (UTF-8)",
    b"SQLite format 3": "a database; export the table as CSV",
    b"%PDF": "a PDF; bring its rows into CSV or JSON lines",
    b"Rar!": "a RAR archive; unpack it and name the folder",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it and name the folder",
    b"\x80\x04\x95": "a pickle of Python objects; save its rows as JSON lines",
    b"\x80\x03": "a pickle of Python objects; save its rows as JSON lines",
}
IN_ITS_PLACE = {
    b"version https://git-lfs": "a pointer of Git LFS and not the file; run `git lfs pull`",
    b"<!DOCTYPE html": "a web page and not data; download the file again",
    b"<html": "a web page and not data; download the file again",
}
"""What a download that went wrong leaves under the name of the file."""
ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, pa.ArrowException)
"""What the libraries raise where packed bytes are damaged, cut or locked."""

DEEPEST = 3
BOMB_RATIO = 300
BOMB_BYTES = 1 << 30
"""A text packs to a tenth, a very repetitive one to a hundredth; what unpacks to more than this is no corpus."""


@dataclass(frozen=True)
class Part:
    """A file of rows.

    Attributes
    ----------
    path : the file on disk.
    member : its place in a ZIP archive and the name that it has there; None where it is the whole file.
    """

    path: Path
    member: tuple[int, str] | None = None

    @property
    def name(self) -> Path:
        """Its path for people, the member's name included."""
        return self.path / self.member[1] if self.member else self.path

    def open(self) -> BinaryIO:
        """Open the bytes that it holds, unpacked; what goes wrong there is a `UserError` that names it."""
        return self._unpacked()[0]

    def packing(self) -> str | None:
        """Return how it is packed, outermost first, or None."""
        handle, packed = self._unpacked()
        handle.close()
        return ", ".join(packed) or None

    def ending(self) -> str:
        """Return the suffix of what it holds, in small letters; empty where the name does not tell."""
        suffix = "." + ending(self.name.name).partition(".")[2].partition(".")[0]
        return "" if suffix in COMPRESSIONS | {"."} else suffix

    def spooled(self) -> IO[bytes]:
        """Return its bytes as a file to be read at any place: itself, or an unpacked copy without a name."""
        if self.packing() is None:
            return open(self.path, "rb")
        copy = tempfile.TemporaryFile()  # noqa: SIM115
        with self.open() as handle:
            while block := handle.read(1 << 20):
                copy.write(block)
        copy.seek(0)
        return copy

    def _unpacked(self) -> tuple[BinaryIO, list[str]]:
        handle: BinaryIO = open(self.path, "rb")  # noqa: SIM115
        packed: list[str] = []
        size = self.path.stat().st_size
        for _ in range(DEEPEST):
            first = _first(handle)
            kind = next((kind for magic, kind in PACKED.items() if first.startswith(magic)), None)
            if kind is None or (kind == "bz2" and first[4:10] != b"1AY&SY"):
                return handle, packed
            if kind == "zip" and (packed or self.member is None):
                raise UserError("D117", f"{self.name}: an archive inside an archive; unpack it and name the folder")
            handle = self._guarded(handle, kind, size)
            packed.append(kind)
        raise UserError("D117", f"{self.name}: packed {DEEPEST} times over or more; unpack it")

    def _guarded(self, handle: BinaryIO, kind: str, size: int) -> BinaryIO:
        return io.BufferedReader(_Guarded(self, handle, kind, size), 1 << 17)

    def reader(self, handle: BinaryIO, kind: str) -> BinaryIO:
        """Return the library's reader of packed bytes."""
        if kind == "gz":
            return gzip.GzipFile(fileobj=handle)
        if kind == "bz2":
            return bz2.BZ2File(handle)
        if kind == "xz":
            return lzma.LZMAFile(handle)
        if kind == "zst":
            return pa.CompressedInputStream(pa.PythonFile(handle, mode="r"), "zstd")
        archive = zipfile.ZipFile(handle)
        return archive.open(archive.infolist()[self.member[0]])


class _Guarded(io.RawIOBase):
    """Unpacked bytes: errors name the part, and what grows beyond measure is stopped."""

    def __init__(self, part: Part, handle: BinaryIO, kind: str, size: int) -> None:
        self._name, self._packed, self._kind, self._size, self._given = part.name, handle, kind, size, 0
        try:
            self._reader = part.reader(handle, kind)
        except ERRORS as error:
            raise self._told(error) from error

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._reader.close()
            self._packed.close()
        super().close()

    def readinto(self, buffer: memoryview) -> int:
        try:
            block = self._reader.read(len(buffer))
        except ERRORS as error:
            raise self._told(error) from error
        self._given += len(block)
        if self._given > BOMB_BYTES and self._given > BOMB_RATIO * self._size:
            raise UserError(
                "D119",
                f"{self._name}: {self._size:,} bytes unpack to more than {BOMB_RATIO} times as many, which no corpus "
                "does; if it is meant, unpack it and name the unpacked file",
            )
        buffer[: len(block)] = block
        return len(block)

    def _told(self, error: Exception) -> UserError:
        if isinstance(error, UserError):
            return error
        text = str(error)
        if "password" in text or "encrypted" in text:
            return UserError(
                "D118", f"{self._name}: is encrypted; unpack it with its password and name the unpacked file"
            )
        if isinstance(error, NotImplementedError):
            return UserError("D117", f"{self._name}: packed in a way that is not read ({text}); unpack it")
        said = f"{type(error).__name__}: {text}" if text else type(error).__name__
        return UserError(
            "D122",
            f"{self._name}: cut or damaged {self._kind} after {self._given:,} unpacked bytes ({said}); fetch it again",
        )


def parts_of(path: Path, plain: bool = False) -> tuple[list[Part], list[str]]:
    """Return the files of rows in a file: itself, or the members of a ZIP archive in order; and what is passed over.

    ``plain`` says whether .txt files are among them.

    Raises `UserError` for a file that holds no rows, by its first bytes, and for an archive that cannot be listed.
    """
    with open(path, "rb") as handle:
        if not _first(handle).startswith(_ZIP):
            return [Part(path)], []
        try:
            members = zipfile.ZipFile(handle).infolist()
        except ERRORS as error:
            raise UserError("D122", f"{path}: cut or damaged ZIP archive ({error}); fetch it again") from error
    names: dict[str, int] = {}
    twice = []
    for place, member in enumerate(members):
        if not member.is_dir():
            name = _name_of(member)
            twice += [f"{name} (stands twice; the later one is read)"] * (name in names)
            names[name] = place
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise UserError("D101", f"{path}: a spreadsheet or document, whatever its name says; save it as CSV (UTF-8)")
    try:
        taken, skipped = divide(names, plain)
    except UserError as error:
        raise UserError(error.code, f"{path}: holds {error.text}") from None
    taken_parts = [Part(path, (names[name], name)) for name in taken if members[names[name]].file_size]
    skipped += twice + [f"{name} (empty)" for name in taken if not members[names[name]].file_size]
    locked = [part for part in taken_parts if members[part.member[0]].flag_bits & 1]
    if locked:
        raise UserError(
            "D118", f"{locked[0].name}: is encrypted; unpack it with its password and name the unpacked file"
        )
    if not taken_parts:
        raise UserError(
            "D109",
            f"{path}: holds no file with rows, only {', '.join(skipped) or 'nothing'}; "
            "pack files of JSON lines, JSON, CSV or Parquet into it",
        )
    return taken_parts, skipped


def require_readable(part: Part) -> bytes:
    """Return the first bytes of a part, unpacked; `UserError` where they are those of something that is not read."""
    with part.open() as handle:
        first = handle.peek(512)[:512]
    start = first.lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, what in (FOREIGN | IN_ITS_PLACE).items():
        if start.startswith(magic) or start[: len(magic)].lower() == magic.lower():
            if magic in FOREIGN:
                raise UserError("D101", f"{part.name}: is {what}")
            raise UserError("D116", f"{part.name}: is {what}")
    if first[257:262] == b"ustar":
        raise UserError("D101", f"{part.name}: a tar archive; unpack it and name the folder")
    return first


def _first(handle: BinaryIO) -> bytes:
    return handle.peek(16)[:16]


def _name_of(member: zipfile.ZipInfo) -> str:
    """Return a member's name. Chinese Windows keeps it in GBK, which zipfile takes for code page 437."""
    name = member.filename
    if not member.flag_bits & 0x800:
        try:
            raw = name.encode("cp437")
        except UnicodeEncodeError:
            return name.replace("\\", "/")
        for encoding in ("utf-8", "gb18030"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    return name.replace("\\", "/")
