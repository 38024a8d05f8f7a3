"""Many short texts in a file instead of in memory, and their fingerprints."""

import hashlib
import itertools
import os
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np

DIGEST_BYTES = 16


class TextStore(Sequence[str]):
    """A sequence of texts that only grows; memory holds eight bytes a text, and an unnamed file the rest.

    Texts are read by system calls and not through a memory map, so that they never count as memory of the process. The
    file has no name: it is gone when the process is, however it ends.

    Parameters
    ----------
    folder : where the file is.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it lives as long as the store)
        weakref.finalize(self, self._file.close)
        self._ends = array("q", [0])

    def extend(self, texts: Iterable[str]) -> None:
        """Append texts."""
        self.extend_bytes([text.encode() for text in texts])

    def extend_bytes(self, texts: Sequence[bytes]) -> None:
        """Append texts that are encoded in UTF-8 already."""
        end = self._ends[-1]
        for text in texts:
            end += len(text)
            self._ends.append(end)
        self._file.write(b"".join(texts))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index):
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError("a part of the texts must be without gaps")
            if stop <= start:
                return []
            block, base = self._read(start, stop), self._ends[start]
            ends = self._ends[start : stop + 1]
            return [block[a - base : b - base].decode() for a, b in itertools.pairwise(ends)]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._read(index, index + 1).decode()

    def bytes_of(self, index: int) -> bytes:
        """Return one text in UTF-8."""
        return self._read(index, index + 1)

    def _read(self, start: int, stop: int) -> bytes:
        self._file.flush()
        position, end, parts = self._ends[start], self._ends[stop], []
        while position < end:
            # One call reads at most 2 GiB.
            parts.append(os.pread(self._file.fileno(), end - position, position))
            position += len(parts[-1])
        return b"".join(parts)


def digest(text: str) -> bytes:
    """Return 16 bytes that stand for a text: two texts with the same ones do not come about by chance."""
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


def first_occurrences(digests: np.ndarray) -> np.ndarray:
    """Return for each digest the place where it stands first.

    Parameters
    ----------
    digests : uint8 of shape ``(n, 16)``.

    Returns int64 of shape ``(n,)``.
    """
    halves = np.ascontiguousarray(digests).view(np.uint64).reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))  # stable: equal ones stay in their order
    ordered = halves[order]
    starts = np.ones(len(order), bool)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    result = np.empty(len(order), np.int64)
    result[order] = order[np.flatnonzero(starts)][np.cumsum(starts) - 1]
    return result


class GrowingArray:
    """Rows of one shape and type in one block of memory that grows in place, never held twice."""

    def __init__(self, shape: tuple[int, ...], dtype: type) -> None:
        self._shape = shape
        self._block = np.empty((0, *shape), dtype)
        self._length = 0

    def extend(self, rows: np.ndarray) -> None:
        """Append rows."""
        needed = self._length + len(rows)
        if needed > len(self._block):
            # By an eighth at a time; large blocks are moved by the kernel, without a copy.
            self._block.resize((max(needed, len(self._block) * 9 // 8, 4096), *self._shape), refcheck=False)
        self._block[self._length : needed] = rows
        self._length = needed

    def keep(self, places: np.ndarray) -> None:
        """Keep the rows at these places, in rising order, and forget the others."""
        for start in range(0, len(places), 4096):
            some = places[start : start + 4096]
            self._block[start : start + len(some)] = self._block[some]
        self._length = len(places)

    @property
    def rows(self) -> np.ndarray:
        """The rows, as a view that must not be held while more are added."""
        return self._block[: self._length]
