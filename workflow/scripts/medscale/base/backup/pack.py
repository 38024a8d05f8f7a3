"""Bringing the finished files of a study into the archive: only what is not there yet, and the index last."""

import errno
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from medscale.base.backup.index import EARLIER, NAME, File, Index, object_path, read_index
from medscale.base.backup.restore_text import RESTORE
from medscale.base.backup.study_folder import StudyFolder
from medscale.base.disk import in_words, require_space
from medscale.base.errors import UserError
from medscale.base.files import atomic_path, read_json, sha256_json, write_text
from medscale.base.progress import Bytes, counted

BLOCK = 2**20
CONFIGURATION = "configuration.yaml"
SOURCES = {"model": "results/data/model.json", "corpus": "results/data/corpus.json"}


def pack(
    study: StudyFolder, archive: Path, rows: list[str], configuration: dict[str, Any], checkpoints: bool = False
) -> None:
    """Back up a study. What an interrupted call has brought is kept, and a call with nothing new writes nothing.

    Files of the archive that the study has no more stay in it, and so does content that it has replaced; the index of
    before is then kept under ``earlier``.

    Args:
        study: where the study lies.
        archive: folder of the archive; made where it is not there.
        rows: names of the rows of the study.
        configuration: the study's, without what is of one machine.
        checkpoints: whether runs that are not trained yet bring their newest checkpoint.

    Raises:
        UserError: nothing is finished, the archive is of another study or damaged, or the disk is too small.
    """
    before = read_index(archive) if (archive / NAME).is_file() else Index()
    names = study.files(rows, checkpoints)
    if not any(name.startswith("results/") for name in names):
        raise UserError(
            "B156", f"{study.results}: nothing is finished yet, so there is nothing to back up; run the study first"
        )
    found = {name: _file(study.path(name)) for name in counted(names, "looking at the study", "files", len(names))}
    made_with = _made_with(study)
    both = made_with.keys() & before.study.keys()  # a backup may be older than the first fetching of one of them
    if other := " and ".join(key for key in SOURCES if key in both and made_with[key] != before.study[key]):
        raise UserError(
            "B157", f"backup.path: {archive} is the backup of a study with another {other}; name another folder"
        )
    records = {name: record for name in _outputs(found) if (record := study.record(name)) is not None}
    index = Index(before.study | made_with, before.files | found, before.records | records, configuration)
    finished = sum(f"results/{row}/eval.json" in found for row in rows)
    with _understandable(archive):
        _bring(study, archive, found)
        changed = [name for name in found if name in before.files and before.files[name].sha256 != found[name].sha256]
        if index.as_json() == before.as_json():
            print(f"{archive}: nothing new; {finished} of {len(rows)} rows are finished and in it")
            return
        if changed:
            kept = archive / EARLIER / f"index-{sha256_json(before.as_json())[:12]}.json"
            before.write(kept)
            print(f"{len(changed)} files are others than before, such as {changed[0]}; {kept} has the index of before")
        write_text(archive / "RESTORE.txt", RESTORE)
        write_text(archive / CONFIGURATION, yaml.safe_dump(configuration, allow_unicode=True, sort_keys=False))
        index.write(archive / NAME)
    print(f"{archive}: {len(index.files)} files; {finished} of {len(rows)} rows are finished and in it")


def _outputs(found: dict[str, File]) -> list[str]:
    """Return the files and the folders above them: either may be an output."""
    parents = {parent.as_posix() for name in found for parent in Path(name).parents}
    return sorted(name for name in {*found, *parents} if "/" in name)


def _file(path: Path) -> File:
    try:
        facts = path.stat()
        digest = hashlib.sha256()
        for block in _blocks(path, facts.st_size):
            digest.update(block)
        return File(digest.hexdigest(), facts.st_size, facts.st_mtime_ns)
    except FileNotFoundError as error:
        raise _changed(path) from error


def _changed(path: Path) -> UserError:
    return UserError("B155", f"{path}: was changed while it was packed; run again when no job writes there")


def _made_with(study: StudyFolder) -> dict[str, str]:
    """Return the digests of the bytes of model and corpus, as far as the study has them."""
    paths = {key: study.path(name) for key, name in SOURCES.items()}
    return {key: read_json(path)["content"] for key, path in paths.items() if path.is_file()}


def _bring(study: StudyFolder, archive: Path, found: dict[str, File]) -> None:
    """Copy what the archive has not, each content once, after telling how much that is."""
    missing = {
        file.sha256: name
        for name, file in found.items()
        if not (there := object_path(archive, file.sha256)).is_file() or there.stat().st_size != file.size
    }
    needed = sum(found[name].size for name in missing.values())
    if missing:
        require_space(archive, needed, "the backup", "let backup.path name a folder on a larger disk")
        print(f"bringing {len(missing)} of {len(found)} files, {in_words(needed)}, to {archive}", flush=True)
    with Bytes("bringing files", needed) as progress:
        for sha256, name in missing.items():
            with atomic_path(object_path(archive, sha256)) as temporary:
                if copy(study.path(name), temporary, found[name].size) != sha256:
                    raise _changed(study.path(name))
            progress.update(found[name].size)
    for name, file in found.items():
        path = study.path(name)
        if study.grows(name) and path.is_file() and path.stat().st_size >= file.size:
            continue
        if not path.is_file() or (path.stat().st_size, path.stat().st_mtime_ns) != (file.size, file.mtime_ns):
            raise _changed(path)


def copy(source: Path, target: Path, size: int | None = None) -> str:
    """Copy the first ``size`` bytes of a file, or all, and return their sha256."""
    digest = hashlib.sha256()
    with open(target, "wb") as writing:
        for block in _blocks(source, sys.maxsize if size is None else size):
            digest.update(block)
            writing.write(block)
    return digest.hexdigest()


def _blocks(path: Path, size: int) -> Iterator[bytes]:
    with open(path, "rb") as reading:
        while block := reading.read(min(BLOCK, size)):
            size -= len(block)
            yield block


@contextmanager
def _understandable(archive: Path) -> Iterator[None]:
    """Turn what a disk refuses into a `UserError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            raise
        raise UserError(
            "B158",
            f"backup.path: {archive} could not be written ({os.strerror(error.errno)}); what has arrived is kept: "
            "mend that, or name another folder, and run again",
        ) from error
