"""The manifest of a fetched model or data set: which files it has, their sizes and sha256, and where they came from.

A manifest is a function of the files and their origin alone (no times, no folder of this machine), so that fetching the
same thing again writes the same bytes and rebuilds nothing. Where files lie that stay in the user's own folder is noted
beside it.
"""

import fnmatch
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from medscale.base.disk import sync_tree
from medscale.base.errors import UserError
from medscale.base.files import read_json, sha256_file, sha256_json, write_json
from medscale.base.progress import Bytes
from medscale.fetch.endings import ending, in_order

SCHEMA_VERSION = 1
NAME = "manifest.json"
NOTE = "fetched.json"
LOCATION = "location.json"
BOOKKEEPING = ".medscale"  # hidden folder beside the manifest: partial files, locks, what was asked for
KEYS = {"schema_version", "kind", "source", "id", "revision", "files", "licence"}
SAYINGS = ("README*", "LICENSE*", "LICENCE*", "NOTICE*", "configuration.json")
"""Files of a model that no result depends on; the hubs differ in them (configuration.json is ModelScope's own)."""


def write_manifest(
    folder: str | os.PathLike,
    *,
    kind: str,
    source: str,
    id: str | None = None,
    revision: str | None = None,
    root: str | os.PathLike | None = None,
    licence: str | None = None,
    files: Iterable[str] | None = None,
    skipped: Iterable[str] = (),
) -> Path:
    """Hash the files of a model or data set and write ``folder/manifest.json``.

    Parameters
    ----------
    folder : where the manifest goes; the files lie there too unless ``root`` is given.
    kind : "model" or "data".
    source : "modelscope", "huggingface", "local", "tiny", "file" or "demo".
    id, revision : name on the hub and the commit that was fetched; None where there is none. For files that stay where
        they are, ``id`` is the name of their folder or file.
    root : absolute folder of files that stay where they are (sources "local" and "file"); default None, ``folder``.
    licence : the licence as the source states it; default None, not stated.
    files : paths relative to the root; default every file below it that is not hidden, except the manifest.
    skipped : what lies among the files and is no part of the corpus, each with the reason; default nothing.

    Returns the manifest's path.
    """
    base = Path(folder if root is None else root)
    found = set(_visible_files(base) if files is None else (Path(name).as_posix() for name in files))
    names = in_order(found) if kind == "data" else sorted(found)
    sizes = {name: (base / name).stat().st_size for name in names}
    entries = []
    with Bytes("reading the fetched files", sum(sizes.values())) as progress:
        for name, size in sizes.items():
            entries.append({"path": name, "size": size, "sha256": sha256_file(base / name)})
            progress.update(size)
    path = Path(folder) / NAME
    if root is None:  # before the manifest says so, they are on the disk; what is the user's own was long before
        sync_tree(base)
    relocate(path, root)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "source": source,
        "id": id,
        "revision": revision,
        "files": entries,
        "licence": licence,
    }
    write_json(path, manifest | ({"skipped": list(skipped)} if skipped else {}))
    return path


def read_manifest(path: str | os.PathLike) -> dict:
    """Read a manifest; one that is missing, broken or of another schema version is a `UserError`."""
    if not Path(path).is_file():
        raise UserError(
            "F109",
            f"{path}: no such file. If fetched files were deleted, run again with --forcerun fetch_model fetch_data",
        )
    manifest = read_json(path)
    if not isinstance(manifest, dict) or not manifest.keys() >= KEYS or manifest["schema_version"] != SCHEMA_VERSION:
        raise UserError("F110", f"{path}: not a manifest of version {SCHEMA_VERSION}; delete it and fetch again")
    return manifest


def relocate(path: str | os.PathLike, root: str | os.PathLike | None) -> None:
    """Note where the files of the manifest at ``path`` lie: in ``root``, or beside it where that is None."""
    note = Path(path).parent / BOOKKEEPING / LOCATION
    if root is None:
        note.unlink(missing_ok=True)
    else:
        write_json(note, {"root": str(Path(root).absolute())})


def root_of(path: str | os.PathLike) -> Path:
    """Return the folder that holds the files of the manifest at ``path``, without looking at the files."""
    note = Path(path).parent / BOOKKEEPING / LOCATION
    return Path(read_json(note)["root"]) if note.is_file() else Path(path).parent


def content_of(manifest: dict) -> str:
    """Return the SHA-256 of what a manifest's files are to a result, wherever they lie and wherever they came from.

    Of a model count the names and bytes of the files that it is loaded from. Of a corpus count the bytes of its files
    in their order and the endings by which they are read, but not their names; where there are several, also the
    folders that they lie in, which may name departments.
    """
    if manifest["kind"] == "model":
        files = [
            entry for entry in manifest["files"] if not any(fnmatch.fnmatchcase(entry["path"], s) for s in SAYINGS)
        ]
        return sha256_json(sorted([entry["path"], entry["sha256"]] for entry in files))
    files = [[ending(entry["path"]), entry["sha256"]] for entry in manifest["files"]]
    if len(files) > 1:
        folders = [PurePosixPath(entry["path"]).parent.as_posix() for entry in manifest["files"]]
        files = [[*file, *([] if folder == "." else [folder])] for file, folder in zip(files, folders, strict=True)]
    return sha256_json(files)


def fetched_for(path: str | os.PathLike) -> dict | None:
    """Return the request that the files at ``path`` were fetched for, or None where that is not known."""
    note = Path(path).parent / BOOKKEEPING / NOTE
    return read_json(note).get("request") if note.is_file() else None


def verify(path: str | os.PathLike, deep: bool = True, skip: tuple[str, ...] = (), content: str | None = None) -> Path:
    """Check every file of a manifest and return the folder that holds them.

    Parameters
    ----------
    path : the manifest.json.
    deep : compare the sha256 of each file (about a second a GiB); False compares only sizes. Default True.
    skip : endings of files of which only sizes are compared; default none.
    content : what `content_of` the manifest must be; default None, anything.

    Raises `UserError` that names the first file that is missing or changed, and what to do.
    """
    path, manifest, root = Path(path), read_manifest(path), root_of(path)
    if content is not None and content_of(manifest) != content:
        raise UserError(
            "F111",
            f"{path}: holds another {manifest['kind']} than this study is made with, maybe put there by another study. "
            f"Run again with --forcerun fetch_{manifest['kind']}, or give each study a paths.resources of its own",
        )
    total = sum(entry["size"] for entry in manifest["files"])
    with Bytes(f"checking the files of {path.parent.name}", total) as progress:
        for entry in manifest["files"]:
            _verify(path, root / entry["path"], entry, deep and not entry["path"].endswith(skip))
            progress.update(entry["size"])
    return root


def _verify(path: Path, file: Path, entry: dict, deep: bool) -> None:
    if not file.is_file():
        raise UserError("F112", f"{file}: named in {path}, but there is no such file; {_remedy(path)}")
    size = file.stat().st_size
    if size != entry["size"]:
        raise UserError("F112", f"{file}: has {size} bytes, {path} says {entry['size']}; {_remedy(path)}")
    if deep and sha256_file(file) != entry["sha256"]:
        raise UserError("F112", f"{file}: its sha256 is not the one in {path}; {_remedy(path)}")


def remember(path: str | os.PathLike, request: dict) -> None:
    """Note beside the manifest at ``path`` what was asked for, which it does not say itself (a branch, a seed).

    The manifest is noted too: Snakemake deletes a job's outputs before it starts the job.
    """
    write_json(Path(path).parent / BOOKKEEPING / NOTE, {"request": request, "manifest": read_manifest(path)})


def is_current(path: str | os.PathLike, request: dict) -> bool:
    """Say whether what lies at ``path`` answers ``request``: its files verify, and there are no others.

    A manifest that is gone is put back, so that a machine without network need not fetch again what it has.
    """
    if fetched_for(path) != request:
        return False
    folder = Path(path).parent
    manifest = read_json(folder / BOOKKEEPING / NOTE)["manifest"]
    names = {entry["path"] for entry in manifest["files"]}
    if root_of(path) == folder and names != set(_visible_files(folder)):
        return False
    if not Path(path).is_file() or read_json(path) != manifest:
        write_json(path, manifest)
    try:
        verify(path)
    except UserError as error:
        print(f"fetching again: {error}")
        Path(path).unlink()
        return False
    return True


def _remedy(path: Path) -> str:
    if root_of(path) == path.parent:
        return f"delete {path} and fetch again: only what is damaged is downloaded anew"
    return f"put the file back, or, if the change is meant, delete {path} and run again"


def _visible_files(base: Path) -> list[str]:
    names = (file.relative_to(base) for file in base.rglob("*") if file.is_file())
    return [name.as_posix() for name in names if name.name != NAME and not any(p.startswith(".") for p in name.parts)]
