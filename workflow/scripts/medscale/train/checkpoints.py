"""A run's own checkpoints: which one to resume from, which are torn, and what is left of them in the end."""

import shutil
from pathlib import Path

MARK = "complete"


def mark_complete(checkpoint: str | Path) -> None:
    """Say that every file of ``checkpoint`` was written. The Trainer writes them one by one and in place."""
    (Path(checkpoint) / MARK).touch()


def newest_checkpoint(folder: Path) -> tuple[Path | None, list[Path]]:
    """Return the newest complete checkpoint in ``folder``, and the torn ones, which are renamed out of the way.

    A checkpoint that was being written when its job was killed has no mark. It is kept under another name, for whoever
    wants to look at it, until another takes its place: kills must not fill the disk.
    """
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    complete = [path for path in found if (path / MARK).exists()]
    torn = [path for path in found if path not in complete]
    if torn:
        for path in folder.glob("torn-*"):
            shutil.rmtree(path)
    torn = [path.rename(folder / f"torn-{path.name}") for path in torn]
    return (complete[-1] if complete else None), torn


def slim(folder: Path, best: str | None) -> None:
    """Leave of a finished run's checkpoints the newest and the best, without the optimiser's state.

    Should its outputs be lost, the run is finished again from these two without a step; a finished run never goes on.

    Args:
        folder: of the checkpoints.
        best: path of the best one; None where there was no validation.
    """
    newest, _ = newest_checkpoint(folder)
    for path in folder.glob("checkpoint-*"):
        if path == newest or (best is not None and path.name == Path(best).name):
            (path / "optimizer.pt").unlink(missing_ok=True)
        else:
            shutil.rmtree(path)
    for path in folder.glob("torn-*"):
        shutil.rmtree(path)
