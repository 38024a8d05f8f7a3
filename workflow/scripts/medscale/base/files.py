"""Reading and writing the workflow's files: whole or not at all, and always UTF-8."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medscale.base.disk import full_disk_named, make_folder, sync_file, sync_folder, sync_tree
from medscale.base.errors import UserError
from medscale.base.temporary import remove_leftovers, temporary_beside


def nameable(path: str) -> bool:
    """Tell whether a rule may name the file: Snakemake takes braces for a wildcard, and lists of files have lines."""
    return not re.search(r"[{}\x00-\x1f\x7f]", path)


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its name only when the block ends without an error.

    The temporary file is on the disk before the rename, and the rename before this returns: a power cut leaves the old
    file or the new one, never half of one, and takes back nothing that was built on the new one. What killed writers of
    the same file have left is removed.

    Raises:
        UserError: the disk is full; the old file is as it was.
    """
    path = Path(path)
    make_folder(path.parent)
    remove_leftovers(path.parent, path.stem)
    temporary = temporary_beside(path)
    try:
        with full_disk_named(path.parent, path.name):
            yield temporary
            sync_file(temporary)
            os.replace(temporary, path)
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder`` that takes its name, in place of what is there, when the block ends.

    All of it is on the disk before it does. A cut or a kill between leaves the old folder, none, or the new one whole.
    """
    folder = Path(folder)
    make_folder(folder.parent)
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # what a killed writer left
    temporary.mkdir()
    try:
        with full_disk_named(folder.parent, folder.name):
            yield temporary
            sync_tree(temporary)
            remove_folder(folder)
            temporary.rename(folder)
            sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_folder(folder: str | os.PathLike) -> None:
    """Remove a folder, if it is there, all at once: it is renamed first, so that no kill leaves a part of it."""
    folder = Path(folder)
    away = folder.with_name(f".{folder.name}.gone.tmp")
    shutil.rmtree(away, ignore_errors=True)  # of a killed process
    if folder.is_dir():
        folder.rename(away)
        shutil.rmtree(away)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write ``text`` as UTF-8 with ``\\n`` line ends, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; NaN and infinity are refused, since JSON has none."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike) -> Any:
    """Read one JSON file; a missing or broken file is a `UserError` that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError("B101", f"{path}: no such file") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(
            "B102", f"{path}: not a JSON file ({error}); delete it and let the workflow make it again"
        ) from error


def write_jsonl(path: str | os.PathLike, rows: Iterable[dict]) -> int:
    """Write one JSON object a line, atomically, and return how many."""
    count = 0
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as handle:
        for row in rows:
            handle.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            count += 1
    return count


def read_jsonl(path: str | os.PathLike) -> Iterator[dict]:
    """Yield the objects of a JSON-lines file; a broken line is a `UserError` with its number."""
    with open(path, encoding="utf-8", newline="\n") as handle:
        for number, line in enumerate(handle, 1):
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError("B103", f"{path}, line {number}: not a JSON object ({error})") from error


def count_lines(path: str | os.PathLike) -> int:
    """Return how many lines a file has."""
    with open(path, "rb") as handle:
        return sum(1 for _ in handle)


def sha256_file(path: str | os.PathLike) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """Return the hexadecimal SHA-256 of a JSON value, independent of the order of its keys."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
