"""Processes and where they run: which one is meant by a number, whether it is still there, and the jobs of one."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from medscale.base.temporary import host_name, process_exists

PROC = Path("/proc")
UNKNOWN = "unknown"  # a process of that number is there, and the system does not say since when


def place() -> list[str]:
    """Return where this process runs: two processes see each other's numbers if, and only if, these are equal.

    A container has numbers of its own, also where it carries its host's name; after a restart all numbers are new.
    """
    boot, namespace = PROC / "sys/kernel/random/boot_id", PROC / "self/ns/pid"
    return [
        host_name(),
        boot.read_text(encoding="ascii").strip() if boot.is_file() else str(psutil.boot_time()),
        os.readlink(namespace) if namespace.is_symlink() else "",
    ]


def start_of(pid: int) -> str | None:
    """Return what tells a process from a later one of the same number, `UNKNOWN`, or None where there is none.

    On Linux that is its start in ticks since the machine's; the time of day would move when the clock is set. A process
    that has ended and whose parent has not asked for its exit status is none.
    """
    if not process_exists(pid):
        return None
    try:
        if (PROC / "self/stat").is_file():
            state, *fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
            return None if state in (b"Z", b"X") else fields[18].decode()
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except (FileNotFoundError, PermissionError, psutil.AccessDenied):
        return UNKNOWN  # /proc may hide the processes of others
    except (ProcessLookupError, psutil.NoSuchProcess):
        return None  # it has ended since


def end_processes(chosen: Callable[[dict[str, str]], bool], seconds: float = 30.0) -> tuple[list[int], list[int]]:
    """Kill the processes of this user and machine that are chosen by the environment that they were started with.

    This process and those that it came from are spared.

    Parameters
    ----------
    chosen : gets the environment of a process, empty where it cannot be read.
    seconds : how long to wait for their end; default 30.

    Returns the numbers of those that ended and of those that did not.
    """
    passed_over = {process.pid for process in psutil.Process().parents()} | {os.getpid()}
    ended: list[int] = []
    remaining: list[int] = []
    # Again until none is found: a process may start another while it is looked for.
    while found := [
        process for process in psutil.process_iter() if process.pid not in passed_over and chosen(_environment(process))
    ]:
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        gone, alive = psutil.wait_procs(found, timeout=seconds)
        ended += [process.pid for process in gone]
        remaining += [process.pid for process in alive]
        passed_over |= {process.pid for process in found}
    return sorted(ended), sorted(remaining)


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):  # it has ended, or is another user's
        return {}
