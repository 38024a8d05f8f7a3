"""A file that grows by a line at a time, and of which each line says by itself whether it is whole."""

import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medscale.base.disk import full_disk_named, make_folder, sync_folder

SYNC_SECONDS = 5.0
"""A line is written out to the disk when it is so long since the last one was: on some drives that takes a while."""


class CheckedLines:
    """JSON values, one a line, each with a sum over its bytes.

    What a kill or a power cut left at the end that is not whole is cut off when the file is opened. A kill costs no
    line that was added; a power cut costs those of the last `SYNC_SECONDS`.

    Args:
        path: of the file; it need not exist.

    Attributes:
        values: those that were found, oldest first.
    """

    def __init__(self, path: Path):
        self.path = path
        make_folder(path.parent)
        whole = list(_whole_lines(path.read_bytes())) if path.is_file() else []
        self.values: list[Any] = [value for value, _ in whole]
        with full_disk_named(path.parent, path.name), open(path, "ab") as handle:
            handle.truncate(whole[-1][1] if whole else 0)
        sync_folder(path.parent)
        self._synced = time.monotonic()

    def add(self, value: Any) -> None:
        """Append a value.

        Raises:
            UserError: the disk is full; the lines before are as they were.
        """
        line = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
        with full_disk_named(self.path.parent, self.path.name), open(self.path, "ab") as handle:
            handle.write(b"%08x %s\n" % (zlib.crc32(line), line))
            if time.monotonic() - self._synced > SYNC_SECONDS:
                handle.flush()
                os.fsync(handle.fileno())
                self._synced = time.monotonic()


def _whole_lines(content: bytes) -> Iterator[tuple[Any, int]]:
    """Yield the values until the first line that is not whole, each with the place where its line ends."""
    end = 0
    while (newline := content.find(b"\n", end)) >= 0:
        told, _, line = content[end:newline].partition(b" ")
        if told != b"%08x" % zlib.crc32(line):
            return
        end = newline + 1
        yield json.loads(line), end
