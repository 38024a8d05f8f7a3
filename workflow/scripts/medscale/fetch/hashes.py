"""SHA-256 of files that lie outside the study, remembered: gigabytes are read once and not at every call."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from medscale.base.errors import UserError
from medscale.base.files import read_json, sha256_file, write_json

KEPT = 2000
"""Files remembered; the oldest are forgotten first."""
LARGE = 2**30
"""Bytes from which on the reader is told why it takes a while."""


class Hashes:
    """The hashes of files by what the file system knows of them, in a small file of their own.

    A file is known again by inode, size and the times of its last change, wherever it was moved to: who writes to it
    changes these times. No path is kept, and no number of a device: each node of a cluster numbers a shared disk anew.

    Args:
        path: where the hashes are remembered.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._known: dict[str, str] | None = None

    def sha256(self, file: Path) -> str:
        """Return the hexadecimal SHA-256 of ``file``; links are followed. `UserError` if it may not be read."""
        if self._known is None:
            self._known = self._read()
        try:
            facts = file.stat()
            key = f"{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}:{facts.st_ctime_ns}"
            if key not in self._known:
                if facts.st_size >= LARGE:
                    print(f"reading {file} once, to know its content", file=sys.stderr, flush=True)
                self._known[key] = sha256_file(file)
                with suppress(OSError, UserError):  # may only be read, or is full: computed again the next time
                    write_json(self.path, dict(list(self._known.items())[-KEPT:]))
        except PermissionError as error:
            raise UserError("B106", f"{error.filename} may not be read; change its permissions") from error
        return self._known[key]

    def _read(self) -> dict[str, str]:
        try:
            known = read_json(self.path) if self.path.is_file() else {}
        except UserError:  # torn: what it held can be computed again
            return {}
        return known if isinstance(known, dict) else {}
