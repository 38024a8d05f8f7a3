"""Names of files that are being written, and the removal of those whose writer is gone."""

import glob
import os
import platform
import re
import time
from contextlib import suppress
from pathlib import Path

NAME = re.compile(r"\..+\.(?P<host>[A-Za-z0-9-]+)-(?P<pid>\d+)\.tmp(\.[^.]+)?")
OLD = 86400.0  # seconds: nobody writes one file for so long


def host_name() -> str:
    """Return this machine's name, fit for a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9-]", "-", platform.node()) or "localhost"


def temporary_beside(path: Path) -> Path:
    """Return a hidden name beside ``path`` that says which process writes there.

    It keeps the suffix, because some writers choose their format by it.
    """
    return path.with_name(f".{path.stem}.{host_name()}-{os.getpid()}.tmp{path.suffix}")


def remove_leftovers(folder: Path, stem: str | None = None) -> None:
    """Remove temporary files in ``folder`` whose writers were killed.

    A writer of this machine is asked for by its number. That of another machine cannot be: its file goes after a day.

    Parameters
    ----------
    folder : may be missing.
    stem : of the one file whose leftovers are meant; default None, of every file.
    """
    beginning = "" if stem is None else f"{glob.escape(stem)}."
    for path in folder.glob(f".{beginning}*.tmp*"):
        named = NAME.fullmatch(path.name)
        if named is None:
            continue
        with suppress(FileNotFoundError):  # its writer was there after all, or another removed it
            gone = named["host"] == host_name() and not process_exists(int(named["pid"]))
            if gone or time.time() - path.stat().st_mtime > OLD:
                path.unlink()


def process_exists(pid: int) -> bool:
    """Return whether this machine has a process of that number, whoever it belongs to."""
    try:
        os.kill(pid, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True
