"""A run's own checkpoints: what says that one is whole, which one to resume from, and which are left.

The Trainer writes the files of a checkpoint one by one and in place. When all are on the disk, a mark is written beside
them that holds the size and the SHA-256 of each. What has no mark was being written when its job was killed or the
power was cut; what differs from its mark was damaged since.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import NamedTuple

from medscale.base.disk import sync_folder, sync_tree
from medscale.base.errors import UserError
from medscale.base.files import read_json, remove_folder, sha256_file, write_json

MARK = "complete"
NAMED = re.compile(r"checkpoint-[0-9]+")
OPTIMIZER = "optimizer.pt"
STATE = "trainer_state.json"
FEWEST = 2
"""Checkpoints that are kept at least: should the newest turn out to be damaged, the one before is gone on from."""


class SetAside(NamedTuple):
    """A checkpoint that was renamed out of the way, and why."""

    path: Path
    reason: str


def mark_complete(checkpoint: str | Path) -> None:
    """Say that every file of ``checkpoint`` was written and is on the disk."""
    checkpoint = Path(checkpoint)
    (checkpoint / MARK).unlink(missing_ok=True)
    sync_tree(checkpoint)
    sync_folder(checkpoint.parent)
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    _write_mark(
        checkpoint,
        {
            path.relative_to(checkpoint).as_posix(): {"size": path.stat().st_size, "sha256": sha256_file(path)}
            for path in files
        },
    )


def damage(checkpoint: Path) -> str | None:
    """Return what is wrong with a checkpoint, or None if every file is what its mark says."""
    if not (checkpoint / MARK).is_file():
        return "it was not completely written" if checkpoint.is_dir() else "it is missing"
    try:
        files = {name: (file["size"], file["sha256"]) for name, file in read_json(checkpoint / MARK)["files"].items()}
    except (UserError, KeyError, TypeError, AttributeError):
        return "its mark is damaged"
    for name, (size, sha256) in files.items():
        path = checkpoint / name
        if not path.is_file():
            return f"its file {name} is missing"
        if path.stat().st_size != size:
            return f"its file {name} has {path.stat().st_size} bytes, and {size} were written"
        if sha256_file(path) != sha256:
            return f"its file {name} is not what was written"
    return None


def newest_checkpoint(folder: Path) -> tuple[Path | None, list[SetAside]]:
    """Return the newest checkpoint in ``folder`` that can be gone on from, and those that were set aside.

    What is found not to be whole is kept under another name, for whoever wants to look at it, until the run has a newer
    checkpoint; what was half written, until another takes its place: kills must not fill the disk. So is the best one
    until then, should it be damaged: hours of work are not given up for it, and the best of the later ones is taken.
    """
    for path in folder.glob(".checkpoint-*.gone.tmp"):  # a kill came while it was removed
        shutil.rmtree(path)
    found = checkpoints_in(folder)
    faults = {path: damage(path) for path in found if not (path / MARK).is_file()}
    usable = None
    for path in reversed(found):
        fault = faults.get(path) or damage(path)
        if fault is None:
            usable = path
            break
        faults[path] = fault
    best = best_of(usable) if usable else None
    if best in found and best not in faults and (fault := damage(best)):
        faults[best] = fault
    if faults:
        for path in folder.glob("torn-*"):
            if not (path / MARK).is_file():
                shutil.rmtree(path)
    return usable, [_set_aside(path, fault) for path, fault in faults.items()]


def _set_aside(checkpoint: Path, fault: str) -> SetAside:
    aside = checkpoint.with_name(f"torn-{checkpoint.name}")
    if aside.exists():  # the same step was damaged before
        shutil.rmtree(aside)
    return SetAside(checkpoint.rename(aside), fault)


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints of a run, by their steps, whole or not; a copy under another name is none."""
    return sorted((path for path in folder.glob("checkpoint-*") if NAMED.fullmatch(path.name)), key=_step)


def best_of(checkpoint: Path) -> Path | None:
    """Return the best checkpoint of a run when this one was written; None where none was validated before it."""
    step = read_json(checkpoint / STATE).get("best_global_step")
    return checkpoint.with_name(f"checkpoint-{step}") if step else None


@contextmanager
def foreign_pickles_refused(checkpoint: str | None) -> Iterator[None]:
    """Let it be a `UserError` that a checkpoint holds a pickle which would do more than give tensors and numbers.

    Torch refuses to run it (`weights_only`). The mark is no help against who can write in the folder: he can write it
    too.
    """
    try:
        yield
    except UnpicklingError as error:
        raise UserError(
            "T106",
            f"{checkpoint}: holds a pickle that no training wrote, and it was not run ({str(error).splitlines()[0]}); "
            "find out who can write there, and delete the folder",
        ) from error


def rotate(folder: Path, limit: int) -> None:
    """Remove what is neither among the newest ``limit`` checkpoints nor the best when one of these was written.

    To be called when the newest is marked, and not before: until then the one before it is all that there is.
    """
    found = [path for path in checkpoints_in(folder) if (path / MARK).is_file()]
    kept = set(found[-max(limit, FEWEST) :])
    kept |= {best for path in kept if (best := best_of(path)) is not None}
    for path in found:
        if path not in kept:
            remove_folder(path)
    for path in folder.glob("torn-checkpoint-*"):
        if NAMED.fullmatch(name := path.name.removeprefix("torn-")) and _step(path.with_name(name)) < _step(found[-1]):
            shutil.rmtree(path)


def slim(folder: Path, best: str | None) -> None:
    """Leave of a finished run's checkpoints the newest and the best, without the optimiser's state.

    Should its outputs be lost, the run is finished again from these two without a step; a finished run never goes on.

    Args:
        folder: of the checkpoints.
        best: path of the best one; None where there was no validation.
    """
    newest = max((path for path in checkpoints_in(folder) if (path / MARK).is_file()), key=_step, default=None)
    for path in checkpoints_in(folder):
        if path == newest or (best is not None and path.name == Path(best).name):
            files = read_json(path / MARK)["files"]
            if files.pop(OPTIMIZER, None):
                _write_mark(path, files)  # first: nothing that it names is missing at any time
            (path / OPTIMIZER).unlink(missing_ok=True)
        else:
            remove_folder(path)
    for path in folder.glob("torn-*"):
        shutil.rmtree(path)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def _write_mark(checkpoint: Path, files: dict[str, dict]) -> None:
    write_json(checkpoint / MARK, {"schema_version": 1, "files": files})
