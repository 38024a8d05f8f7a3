"""Bringing an archive back into a study: all of it is checked before the first file is written."""

import os
from pathlib import Path
from typing import Any

from medscale.base.backup.index import File, Index, object_path, read_index, what_is_wrong
from medscale.base.backup.pack import CONFIGURATION, copy
from medscale.base.backup.study_folder import StudyFolder
from medscale.base.disk import in_words, require_space
from medscale.base.errors import UserError
from medscale.base.files import atomic_path, sha256_file
from medscale.base.progress import Bytes

TOLD = 5


def unpack(study: StudyFolder, archive: Path, configuration: dict[str, Any]) -> None:
    """Bring back what an archive holds. Files that are there with the same content stay; others are never overwritten.

    Args:
        study: where the study lies.
        archive: folder of the archive.
        configuration: the study's, without what is of one machine; what differs from the archive's is told.

    Raises:
        UserError: the archive is damaged or leads elsewhere, a file with other content is in the way, or the disk is
            too small. Nothing was written then.
    """
    index = read_index(archive)
    wrong = [
        f"{object_path(archive, file.sha256)} ({name}) {what}"
        for name, file in index.files.items()
        if (what := what_is_wrong(archive, file))
    ]
    if wrong:
        raise UserError(
            "B152", f"the backup is not whole, so nothing was restored: {_listed(wrong)}. Take another copy of it"
        )
    missing = _missing(study, index)
    needed = sum(file.size for file in missing.values())
    require_space(study.results, needed, "what is restored", "let paths.results name a folder on a larger disk")
    print(f"restoring {len(missing)} of {len(index.files)} files, {in_words(needed)}, from {archive}", flush=True)
    # Snakemake's records come first: without its file, one says nothing, and a file without one counts as finished.
    for name, record in index.records.items():
        if not study.path(name).exists() or study.record(name) is None:
            study.write_record(name, record)
    with Bytes("restoring files", needed) as progress:
        for name, file in missing.items():
            with atomic_path(study.path(name)) as temporary:
                if copy(object_path(archive, file.sha256), temporary) != file.sha256:
                    raise UserError(
                        "B155", f"{object_path(archive, file.sha256)}: changed meanwhile; run the same again"
                    )
                os.utime(temporary, ns=(file.mtime_ns, file.mtime_ns))
            progress.update(file.size)
    print(f"{archive}: restored; {len(index.files) - len(missing)} files were there already")
    _compare(archive, index.configuration, configuration)


def _missing(study: StudyFolder, index: Index) -> dict[str, File]:
    """Return the files that are not there; `UserError` if something else is in the place of one."""
    missing, others = {}, []
    for name, file in index.files.items():
        path = study.path(name)
        root = Path(study.key(name.partition("/")[0] + "/")).resolve()
        if not path.parent.resolve().is_relative_to(root):
            raise UserError(
                "B160", f"{path}: a link on the way leads out of {root}; nothing was restored. Remove the link"
            )
        blocked = next((parent for parent in path.parents if parent.exists() and not parent.is_dir()), None)
        if blocked is not None:
            others.append(str(blocked))
        elif not os.path.lexists(path):
            missing[name] = file
        elif not path.is_file() or path.stat().st_size != file.size or sha256_file(path) != file.sha256:
            others.append(str(path))
    if others:
        raise UserError(
            "B159",
            f"{len(others)} files are here with other content, so nothing was restored: {_listed(others)}. "
            "Move or delete them, or set paths.results to another folder",
        )
    return missing


def _compare(archive: Path, kept: dict[str, Any], given: dict[str, Any]) -> None:
    """Tell which sections of the configuration are others than those of the archive, if any are."""
    sections = [name for name in kept.keys() | given.keys() if kept.get(name) != given.get(name)]
    if sections:
        print(
            f"the configuration differs from that of the backup in {', '.join(sorted(sections))}, so some of this may "
            f"be made anew; to go on with that of the backup, add --configfile {archive / CONFIGURATION}"
        )


def _listed(items: list[str]) -> str:
    return ", ".join(items[:TOLD]) + (f", and {len(items) - TOLD} more" if len(items) > TOLD else "")
