"""What a disk holds after a power cut at any step of a program: what was flushed, and perhaps more, but not all of it.

Use it around code that runs in this process::

    with Disk(folder) as disk:
        work(folder)
    for cut in disk.cuts:
        cut.restore(tmp_path / "after")

The functions of `os` that flush, rename and remove are watched; before each of them the power is cut. Three things may
then be on the disk:

* ``flushed``: content as of the last fsync of each file, names as of the last fsync of each folder;
* ``names``: all names as they are, but content as of the last fsync; of a file that was never flushed nothing, a half,
  or zeros in its length, in turns, as file systems leave it that write names before content;
* ``all``: all that was written, which is what a kill leaves.

What libraries in C and Rust write is seen, since content is read from the disk; their own renames and removals are no
steps, but seen at the next one. Not modelled are torn sectors within what was flushed, disks that lie about flushing,
and orders in between, in which some of the unflushed names are there and others are not.
"""

import hashlib
import itertools
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

STEPS = ("fsync", "fdatasync", "rename", "replace", "unlink", "remove", "mkdir", "rmdir", "truncate", "ftruncate")
Tree = dict[str, bytes | None]  # the content of each file by its path, and None for a folder


@dataclass(frozen=True)
class Cut:
    """A state of the disk: before which step, what was on the disk, and the files."""

    step: int
    before: str
    kind: str
    tree: Tree

    def restore(self, folder: Path) -> Path:
        """Write the state into a new folder."""
        folder.mkdir()
        for name, content in sorted(self.tree.items()):
            if content is None:
                (folder / name).mkdir()
            else:
                (folder / name).write_bytes(content)
        return folder

    def holds(self, name: str) -> dict[str, bytes | None]:
        """Return the file of that name, or the files below the folder of that name."""
        return {path: found for path, found in self.tree.items() if path == name or path.startswith(f"{name}/")}


class Disk:
    """Watches a folder; what lies there at the beginning is on the disk.

    Attributes:
        cuts: the different states that a power cut could have left, in the order in which they came about.
        end: the files at the end.
        flushed: those that are on the disk for good then.
        flushed: those that are on the disk for good then.
    """

    def __init__(self, root: Path):
        self.root = Path(os.path.realpath(root))
        self.cuts: list[Cut] = []
        self.end: Tree = {}
        self.flushed: Tree = {}
        self._contents: dict[int, bytes] = {}  # of files that were flushed, by their inode
        self._names: dict[int, dict[str, int]] = {}  # of folders that were flushed: the inode of each name
        self._held: dict[int, int] = {}  # open for as long as this lives, or the number would be given to another
        self._kinds: dict[int, bool] = {}  # whether an inode is a folder
        self._seen: set[bytes] = set()
        self._step = 0
        self._busy = False

    def __enter__(self) -> "Disk":
        for place, folders, files in os.walk(self.root, topdown=False):
            for name in (*files, *folders):
                self._flush(os.path.join(place, name))
            self._flush(place)
        self._patches = [patch.object(os, name, self._watched(name, getattr(os, name))) for name in STEPS]
        for active in self._patches:
            active.start()
        return self

    def __exit__(self, *exception: object) -> None:
        for active in self._patches:
            active.stop()
        self._cut("the end")
        self.end = self._current(lambda inode, content: content)
        self.flushed = dict(self._flushed(os.lstat(self.root).st_ino, ""))
        for handle in self._held.values():
            os.close(handle)

    def _watched(self, name: str, own: Callable) -> Callable:
        def step(*args: object, **options: object) -> object:
            if self._busy or (name in ("fsync", "fdatasync") and self._below(args[0]) is None):
                return own(*args, **options)
            self._cut(f"{name} {self._told(args[0])}")
            result = own(*args, **options)
            if name in ("fsync", "fdatasync"):
                self._flush(self._below(args[0]))
            return result

        return step

    def _below(self, handle: int) -> str | None:
        path = os.readlink(f"/proc/self/fd/{handle}")
        return path if path == str(self.root) or path.startswith(f"{self.root}/") else None

    def _told(self, what: object) -> str:
        path = os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else os.fsdecode(what)
        return os.path.relpath(path, self.root) if os.path.isabs(path) else path

    def _flush(self, path: str) -> None:
        inode = self._hold(path)
        if self._kinds[inode]:
            self._names[inode] = {name: self._hold(os.path.join(path, name)) for name in os.listdir(path)}
        else:
            self._contents[inode] = Path(path).read_bytes()

    def _hold(self, path: str) -> int:
        found = os.lstat(path)
        if found.st_ino not in self._held:
            self._held[found.st_ino] = os.open(path, os.O_RDONLY)
            self._kinds[found.st_ino] = stat.S_ISDIR(found.st_mode)
        return found.st_ino

    def _cut(self, before: str) -> None:
        """Note what would be left if the power were cut now."""
        self._busy = True
        self._step += 1
        never = (lambda content: b"", lambda content: content[: len(content) // 2], lambda content: bytes(len(content)))
        unflushed = never[self._step % 3]
        states = {
            "flushed": dict(self._flushed(os.lstat(self.root).st_ino, "")),
            "names": self._current(
                lambda inode, content: self._contents[inode] if inode in self._contents else unflushed(content)
            ),
            "all": self._current(lambda inode, content: content),
        }
        for kind, tree in states.items():
            digest = hashlib.sha256(repr(sorted(tree.items())).encode()).digest()
            if digest not in self._seen:
                self._seen.add(digest)
                self.cuts.append(Cut(self._step, before, kind, tree))
        self._busy = False

    def _flushed(self, inode: int, place: str) -> Iterator[tuple[str, bytes | None]]:
        for name, child in self._names.get(inode, {}).items():
            if self._kinds[child]:
                yield f"{place}{name}", None
                yield from self._flushed(child, f"{place}{name}/")
            else:
                yield f"{place}{name}", self._contents.get(child, b"")

    def _current(self, content_of: Callable[[int, bytes], bytes]) -> Tree:
        tree: Tree = {}
        for place, folders, files in os.walk(self.root):
            for name in itertools.chain(folders, files):
                path = Path(place) / name
                inside = path.relative_to(self.root).as_posix()
                tree[inside] = None if path.is_dir() else content_of(os.lstat(path).st_ino, path.read_bytes())
        return tree
