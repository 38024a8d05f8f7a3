"""A run's own checkpoints: which one to resume from, and which are torn."""

from pathlib import Path

MARK = "complete"


def mark_complete(checkpoint: str | Path) -> None:
    """Say that every file of ``checkpoint`` was written. The Trainer writes them one by one and in place."""
    (Path(checkpoint) / MARK).touch()


def newest_checkpoint(folder: Path) -> tuple[Path | None, list[Path]]:
    """Return the newest complete checkpoint in ``folder``, and the torn ones, which are renamed out of the way.

    A checkpoint that was being written when its job was killed has no mark. It is kept under another name, so that
    nothing is deleted that somebody may want to look at.
    """
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    complete = [path for path in found if (path / MARK).exists()]
    torn = []
    for path in found:
        if path not in complete:
            number = len(list(folder.glob(f"torn-{path.name}-*")))
            torn.append(path.rename(folder / f"torn-{path.name}-{number}"))
    return (complete[-1] if complete else None), torn
