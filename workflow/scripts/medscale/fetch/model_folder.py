"""Which folder the path of a model means, itself or a snapshot in a hub's cache, and what that model is called."""

import os
from pathlib import Path

from medscale.base.errors import UserError

DEPTH, NAMED = 5, 5  # folders below that are looked into, and that a message names


def model_folder(found: Path) -> Path:
    """Return the folder with the model's files.

    Raises:
        UserError: it lies in a folder below, and which of them is meant is open.
    """
    if (found / "config.json").is_file() or any(found.glob("*.safetensors")):
        return found
    snapshots = found / "snapshots"
    if snapshots.is_dir():
        there = sorted(path for path in snapshots.iterdir() if path.is_dir())
        note = found / "refs" / "main"
        main = snapshots / note.read_text(encoding="utf-8").strip() if note.is_file() else None
        if main in there:
            return main
        if len(there) == 1:
            return there[0]
        names = ", ".join(f"snapshots/{path.name}" for path in there) or "none"
        raise UserError(
            "F116",
            f"model.path: {found} is a hub's cache of one model and has several snapshots, or none ({names}); name the "
            "folder of one of them",
        )
    below = models_below(found)
    if below:
        names = ", ".join(below[:NAMED]) + (f" and {len(below) - NAMED} more" if len(below) > NAMED else "")
        raise UserError(
            "F116", f"model.path: {found} holds no model itself, but folders below it do: {names}; name one of them"
        )
    return found


def models_below(folder: Path) -> list[str]:
    """Return the folders below that hold a model or a hub's cache of one, relative to ``folder``."""
    found = []
    for place, folders, files in os.walk(folder):
        part = Path(place).relative_to(folder)
        if part.parts and ("config.json" in files or "snapshots" in folders):
            found.append(part.as_posix())
            folders.clear()
        elif len(part.parts) >= DEPTH:
            folders.clear()
        folders.sort()
    return sorted(found)


def identity(folder: Path) -> tuple[str, str | None]:
    """Return the name of a model that lies in ``folder``, and its commit where a hub's cache tells it.

    What a hub's client keeps has the repository in its path: models--OWNER--NAME/snapshots/COMMIT of Hugging Face,
    OWNER/NAME of ModelScope with ___ in the place of dots.
    """
    above = folder.parent.parent.name
    if folder.parent.name == "snapshots" and above.startswith("models--"):
        return above.removeprefix("models--").replace("--", "/"), folder.name
    if "___" in folder.name:
        return f"{folder.parent.name}/{folder.name.replace('___', '.')}", None
    return folder.name, None
