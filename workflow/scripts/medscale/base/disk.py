"""What is on the disk for good: files and folders are flushed, and room is asked for before it is needed.

A system keeps in memory what was written, and the names of files too, and writes both to the disk when it pleases. A
power cut in between leaves names without content, or content without a name. So who says that a file is whole first has
the file written out, and then the folder that holds its name.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from medscale.base.errors import UserError
from medscale.base.machine import GIB
from medscale.base.scarcity import full_disk

NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""What file systems answer that cannot flush a folder, as some of networks; they keep the order themselves."""
NOT_OURS = (*NO_FOLDER_SYNC, errno.EACCES, errno.EPERM, errno.EIO)
"""What a folder above the study may answer; who made it vouches for it."""


def sync_file(path: str | os.PathLike) -> None:
    """Return when the bytes of a file are on the disk."""
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())


def sync_folder(path: str | os.PathLike) -> None:
    """Return when the names in a folder are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)


def sync_tree(folder: str | os.PathLike) -> None:
    """Return when a folder is on the disk with all that it holds; its own name is not yet."""
    for place, _, files in os.walk(folder, topdown=False):
        for name in files:
            sync_file(Path(place) / name)
        sync_folder(place)


def make_folder(folder: str | os.PathLike) -> None:
    """Make a folder and those above it, as far as they are missing, and have all their names on the disk.

    Also where it is there: who made it, such as Snakemake, may not have flushed it.
    """
    folder = Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    _sync_names(folder, folder.stat().st_ino)


@cache
def _sync_names(folder: Path, inode: int) -> None:
    """Have the names of a folder and of those above it on the disk; once in a process, for as long as it is the same.

    A folder that may not be read is none that was made just now.
    """
    for above in folder.parents:
        if not os.access(above, os.R_OK):
            return
        try:
            sync_folder(above)
        except OSError as error:
            ours = above == folder.parent or above.is_relative_to(Path.cwd())
            if ours or error.errno not in NOT_OURS:
                raise


def existing(folder: str | os.PathLike) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    folder = Path(folder).absolute()
    return folder if folder.is_dir() else existing(folder.parent)


def require_space(folder: str | os.PathLike, needed: int, what: str, remedy: str) -> None:
    """Raise `UserError` where a disk has less room than something will take.

    Args:
        folder: where it will go; may be missing yet.
        needed: bytes.
        what: that takes them, the subject of the message.
        remedy: what can be done, beside making room.
    """
    free = shutil.disk_usage(existing(folder)).free
    if needed > free:
        raise UserError(
            "F103",
            f"{folder}: {what} needs {in_words(needed)} and {in_words(free)} are free there; free some space, or "
            f"{remedy}",
        )


@contextmanager
def full_disk_named(folder: str | os.PathLike, what: str, needed: int | None = None) -> Iterator[None]:
    """Let an error of the block that says that the disk is full be a `UserError` that names the folder.

    Args:
        folder: where the block writes.
        what: that is written, for the message.
        needed: its bytes, where they are known; default None.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of any kind: libraries have errors of their own for it
        reason = full_disk(error)
        if reason is None:
            raise
        free = shutil.disk_usage(existing(folder)).free
        takes = f" takes {in_words(needed)} and" if needed else ""
        raise UserError(
            "B107",
            f"{folder}: {what}{takes} could not be written: {reason}, {in_words(free)} are free there; free some space "
            "and run the same command again, which goes on from what is finished",
        ) from error


def in_words(size: int) -> str:
    """Return a number of bytes for people.

    >>> in_words(2 * 1024**3), in_words(3_500_000), in_words(12)
    ('2.0 GiB', '3.3 MiB', '12 bytes')
    """
    if size >= GIB / 10:
        return f"{size / GIB:.1f} GiB"
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size} bytes"
