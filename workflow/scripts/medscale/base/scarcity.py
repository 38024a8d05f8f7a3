"""Whether an error says that disk or memory did not suffice: every library has words of its own for it."""

from __future__ import annotations  # envs/install.py is called by older Pythons too

import errno
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from medscale.base.machine import GIB

DISK = {
    errno.ENOSPC: ("No space left on device", "no space is left"),
    errno.EDQUOT: ("Disk quota exceeded", "the quota is used up"),
    errno.EFBIG: ("File too large", "a file would grow larger than its file system or a limit (ulimit -f) allows"),
}
"""Numbers of the system, its own words for them, and ours."""
TORCH_FILE = "inline_container.cc"  # where torch writes its archives; of a full disk it tells nothing else
TORCH_MEMORY = "DefaultCPUAllocator: can't allocate memory"


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def full_disk(error: BaseException) -> str | None:
    """Return in words what the disk has too little of, if that is what an error says, else None."""
    for part in chain(error):
        for number, (system, ours) in DISK.items():
            # Of the libraries in Rust and C++ there are only the system's words.
            if getattr(part, "errno", None) == number or system in str(part):
                return ours
        if isinstance(part, RuntimeError) and TORCH_FILE in str(part) and "unexpected pos" in str(part):
            return "a file could not be written to its end, most likely because no space is left"
    return None


def no_memory(error: BaseException) -> str | None:
    """Return what was asked of the memory in vain, if that is what an error says, else None."""
    for part in chain(error):
        if isinstance(part, MemoryError) or getattr(part, "errno", None) == errno.ENOMEM:
            return str(part) or "an allocation failed"
        if isinstance(part, RuntimeError) and TORCH_MEMORY in str(part):
            return str(part).split(TORCH_MEMORY)[1].lstrip(": ").splitlines()[0]
    return None


def disk_advice(error: BaseException) -> str | None:
    """Return what to tell a user of an error that says that the disk did not suffice, else None."""
    if reason := full_disk(error):
        folders = _folders(error)
        free = ", ".join(f"{shutil.disk_usage(folder).free / GIB:.2f} GiB free in {folder}" for folder in folders)
        return f"{reason} on a disk ({free}); free some space and run the same command again"
    return None


def memory_advice(error: BaseException) -> str | None:
    """Return what to tell a user of an error that says that the main memory did not suffice, else None."""
    if reason := no_memory(error):
        return (
            f"the main memory does not suffice ({reason}); {memory()}. End what else uses it, raise the limit of the "
            "job, or lower what the stage works on, such as study.sizes or training.max_length; then run the same "
            "command again"
        )
    return None


def _folders(error: BaseException) -> list[Path]:
    """Return the folder of the file that an error names, or where it may have been; the nearest that is there."""
    named = [getattr(part, "filename", None) for part in chain(error)]
    named = [name for name in named if isinstance(name, (str, bytes, os.PathLike)) and name]  # a number is an open file
    folders = [Path(os.fsdecode(named[0])).absolute().parent] if named else [Path.cwd(), Path(tempfile.gettempdir())]
    return [next(place for place in (folder, *folder.parents) if place.is_dir()) for folder in folders]


def memory() -> str:
    """Return in words how much memory there is and what limits this process."""
    said = f"this machine has {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / GIB:.1f} GiB"
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        said += f", and this process may have {limit / GIB:.1f} (ulimit -v)"
    return said
