"""Who holds a study's folder: the lock of a Snakemake that is gone is removed, that of a living one is left alone.

Snakemake's lock, `.snakemake/locks/*.lock`, says which files it is about and not whose it is, so after a kill nobody
can tell whether somebody still works there. Hence each Snakemake of this workflow keeps a file of its own in
`.snakemake/medscale-holders`, with its machine, its process and a number that rises while it lives. A newcomer reads
the files of the others. A lock that was written in the life of one that is gone, and of none that lives, is removed. A
lock that was written in the life of none is a stranger's (another workflow in the same folder) and is left alone. (One
that a stranger wrote meanwhile cannot be told from that of the dead: give another workflow another folder.)

The jobs of one that was killed alone go on. The newcomer ends those on its own machine before it starts the same jobs;
those on others end by themselves (`orphans`).
"""

import atexit
import errno
import json
import os
import secrets
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError
from medscale.base.events import now
from medscale.base.files import write_json
from medscale.base.orphans import VARIABLE, end_with_successor, replaced, successor_mark
from medscale.base.processes import UNKNOWN, end_processes, place, start_of
from medscale.base.temporary import remove_leftovers, temporary_beside

RECORDS = Path(".snakemake")
FOLDER = "medscale-holders"
BEAT = 10.0  # seconds: rare enough for a mounted drive that sends each change over the network
PATIENCE = 6 * BEAT  # a holder on another machine is gone if no beat came for so long
SLACK = 3 * BEAT  # a lock may be so much younger than the last beat of its holder
JOB_SECONDS = 1.0  # between two looks of a cluster job's Snakemake: it must end before it cleans up after its job
LEAVE_SECONDS = 10.0  # for which an ending process waits for a beat that hangs
KEPT = 30 * 86400.0  # seconds for which it is told who was found dead, to jobs that still run elsewhere
NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True)
class Holder:
    """A main process of Snakemake, as its own file tells of it.

    Attributes
    ----------
    id : names its file; never used twice.
    place, pid, process_start : see `processes`.
    started_at : UTC, for people.
    registered, last_beat : nanoseconds, by the clock that stamps the files of this folder; clocks of machines differ.
    beat : rises while it lives.
    """

    id: str
    place: list[str]
    pid: int
    process_start: str
    started_at: str
    registered: int | None = None
    beat: int = 0
    last_beat: int | None = None

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.place[0]}, started {self.started_at}"


@dataclass(frozen=True)
class Lock:
    """A lock of Snakemake, as it was when it was looked at: another may take its name later."""

    path: Path
    inode: int
    written: int

    @classmethod
    def at(cls, path: Path) -> "Lock":
        state = path.stat()
        return cls(path, state.st_ino, state.st_mtime_ns)


def hold_folder(workflow: Any) -> None:
    """Register this Snakemake in the study's folder, after removing the lock of one that is gone.

    Called while the Snakefile is read, which is before Snakemake looks at its lock. The jobs of a cluster, which read
    the Snakefile too, are no holders; one whose Snakemake was replaced ends here, before it removes what the other has
    made. A dry run takes no lock and changes nothing. Other calls that take none
    (``--unlock``, ``--summary``, ``--lint``) cannot be told from a run at this time. They do no harm: no lock is older
    than who wrote it, so they stand in nobody's way. Snakemake's lock in a database (``--persistence-backend db``) is
    not looked at.

    Parameters
    ----------
    workflow : Snakemake's workflow.
    """
    if not workflow.is_main_process:
        end_with_successor(JOB_SECONDS)
        return
    if workflow.output_settings.dryrun or VARIABLE in _held:
        return
    try:
        registration = register(RECORDS.absolute())
    except OSError as error:
        # Who may not write here takes no lock either; where Snakemake needs to write, it says so itself.
        if error.errno in NOT_WRITABLE:
            return
        raise
    _held.add(VARIABLE)
    os.environ[VARIABLE] = str(registration)
    settle(RECORDS.absolute(), registration.stem)


_held: set[str] = set()


def register(records: Path, beat: float = BEAT) -> Path:
    """Write a file that says that this process holds the folder, and keep it up until the process ends.

    Parameters
    ----------
    records : Snakemake's folder, `.snakemake`; it need not exist.
    beat : seconds between two beats; default 10.

    Returns the file.
    """
    where, pid = place(), os.getpid()
    holder = Holder(
        id=f"{where[0]}-{pid}-{secrets.token_hex(4)}",
        place=where,
        pid=pid,
        process_start=start_of(pid) or UNKNOWN,
        started_at=now(),
    )
    path = records / FOLDER / f"{holder.id}.json"
    holder = replace(holder, last_beat=_write(path, holder))
    holder = replace(holder, registered=holder.last_beat)
    _write(path, holder)
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(path, holder, beat, stop), name="holder", daemon=True)
    heart.start()
    atexit.register(_leave, path, pid, heart, stop)
    return path


def _write(path: Path, holder: Holder) -> int:
    """Write a registration, whole or not at all, and return its time."""
    write_json(path, {name: value for name, value in asdict(holder).items() if name != "last_beat"})
    return path.stat().st_mtime_ns


def _beat(path: Path, holder: Holder, seconds: float, stop: threading.Event) -> None:
    while not stop.wait(seconds):
        if replaced(path):
            # It stood still for too long, as a computer that slept does. Were it to go on, it would end by removing the
            # lock of the other and what its own jobs had begun to write.
            print("medscale: another snakemake took this one for dead and goes on; this one ends", file=sys.stderr)
            sys.stderr.flush()
            os._exit(1)
        holder = replace(holder, beat=holder.beat + 1)
        with suppress(OSError, UserError):  # a full disk, a drive that is away: the next beat may come through
            _write(path, holder)


def _leave(path: Path, pid: int, heart: threading.Thread, stop: threading.Event) -> None:
    if os.getpid() == pid:  # not in a child that was forked
        stop.set()
        heart.join(LEAVE_SECONDS)
        path.unlink(missing_ok=True)


def settle(records: Path, own: str, patience: float = PATIENCE) -> None:
    """Remove the locks and the registrations of holders that are gone, end their jobs here, and say so in one line.

    Parameters
    ----------
    records : Snakemake's folder.
    own : id of this process's registration.
    patience : seconds for which holders on other machines are watched; default 60.

    Raises `UserError` if a job of one that is gone cannot be ended.
    """
    # The locks before the holders: whoever wrote one of these was registered by then, or has ended.
    locks = read_locks(records / "locks")
    others = [holder for holder in read_holders(records / FOLDER) if holder.id != own]
    dead, alive = judge(others, records / FOLDER, patience)
    ended = sum(_end_jobs(holder) for holder in dead)
    theirs = left_behind(locks, dead, alive)
    removed = sum(_remove(lock, temporary_beside(records / FOLDER / lock.path.name)) for lock in theirs)
    for holder in dead:
        path = records / FOLDER / f"{holder.id}.json"
        if any(_in_life(lock, holder) for lock in locks if lock not in theirs):
            successor_mark(
                path
            ).touch()  # a lock may be this one's or that of one who lives: whoever comes later will see
            continue
        with suppress(FileNotFoundError):  # another newcomer was faster
            path.replace(successor_mark(path))
    _forget(records / FOLDER)
    if removed or ended:
        who = "; ".join(map(str, dead))
        parts = ["its lock was removed"] * bool(removed)
        parts += [f"{ended} of its processes that went on {'were' if ended > 1 else 'was'} ended"] * bool(ended)
        print(f"medscale: a snakemake is gone ({who}): {' and '.join(parts)}", file=sys.stderr, flush=True)


def read_locks(folder: Path) -> list[Lock]:
    """Return Snakemake's locks in a folder, which may be missing."""
    found = []
    for path in sorted(folder.glob("*.lock")):
        with suppress(FileNotFoundError):  # removed meanwhile
            found.append(Lock.at(path))
    return found


def read_holders(folder: Path) -> list[Holder]:
    """Return the registrations in a folder; a file that is none, or was being written, is left out."""
    found = []
    for path in sorted(folder.glob("[!.]*.json")):
        with suppress(FileNotFoundError, ValueError, TypeError):  # it ended meanwhile; no JSON; other keys
            text, last_beat = path.read_text(encoding="utf-8"), path.stat().st_mtime_ns
            holder = Holder(**json.loads(text), last_beat=last_beat)
            found.append(replace(holder, registered=holder.registered or last_beat))
    return found


def judge(holders: Iterable[Holder], folder: Path, patience: float) -> tuple[list[Holder], list[Holder]]:
    """Return which holders are dead and which live; those that end in an orderly way meanwhile are neither.

    On this machine the process decides. Of another, a beat that comes within ``patience`` seconds says that it lives.
    """
    here = place()
    dead, alive, watched = [], [], []
    for holder in holders:
        if holder.place != here:
            watched.append(holder)
            continue
        start = start_of(holder.pid)
        if start is not None and UNKNOWN in (start, holder.process_start):
            watched.append(holder)
        else:
            (alive if start == holder.process_start else dead).append(holder)
    if watched:
        print(
            f"medscale: watching for up to {patience:g} s whether another snakemake still works in this folder "
            f"({'; '.join(map(str, watched))})",
            file=sys.stderr,
            flush=True,
        )
    end = time.monotonic() + patience
    while watched and time.monotonic() < end:
        time.sleep(min(1.0, patience / 10))
        present = {holder.id: holder for holder in read_holders(folder)}
        watched = [holder for holder in watched if holder.id in present]
        alive += [holder for holder in watched if present[holder.id].beat != holder.beat]
        watched = [holder for holder in watched if present[holder.id].beat == holder.beat]
    return dead + watched, alive


def left_behind(locks: Iterable[Lock], dead: Iterable[Holder], alive: Iterable[Holder]) -> list[Lock]:
    """Return the locks that one of the dead can have written and none of the living can.

    A life begins with the registration.
    """
    return [
        lock
        for lock in locks
        if any(_in_life(lock, holder) for holder in dead)
        and not any(holder.registered <= lock.written for holder in alive)
    ]


def _in_life(lock: Lock, holder: Holder) -> bool:
    """Return whether a dead holder can have written a lock: its life ended with its last beat, or somewhat later."""
    return holder.registered <= lock.written <= holder.last_beat + SLACK * 1e9


def _remove(lock: Lock, aside: Path) -> bool:
    """Remove a lock if it is still the one that was looked at.

    Two newcomers may be at it, and the faster one may hold a lock of its own under the same name already. So the file
    is taken away first, looked at, and given back where it is another.
    """
    try:
        lock.path.rename(aside)
    except FileNotFoundError:
        return False
    same = replace(Lock.at(aside), path=lock.path) == lock
    if not same and not lock.path.exists():
        aside.rename(lock.path)
    aside.unlink(missing_ok=True)
    return same


def _end_jobs(holder: Holder) -> int:
    # By the name of the registration, not by its path: the study may have been moved since.
    ended, remaining = end_processes(lambda environment: Path(environment.get(VARIABLE, "")).stem == holder.id)
    if remaining:
        numbers = ", ".join(map(str, remaining))
        raise UserError(
            "B111",
            f"jobs of a snakemake that is gone ({holder}) still run and cannot be ended (pid {numbers}); "
            "end them, or wait for them, and call again",
        )
    return len(ended)


def _forget(folder: Path) -> None:
    """Remove what is of no use any more: half-written files of the dead, and old notes of who was found dead."""
    remove_leftovers(folder)
    for path in folder.glob("*.gone"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > KEPT:
                path.unlink()
