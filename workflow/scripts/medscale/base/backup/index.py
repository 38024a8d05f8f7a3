"""The archive of a study: ``objects/ab/abcd…`` are files named by their sha256, ``index.json`` says what they are.

A file of the study is called by its place in the study, ``results/…`` or ``logs/…``, wherever these folders lie on a
machine. The index carries a digest of itself. It is replaced last, so that an archive is always that of a whole backup.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError
from medscale.base.files import read_json, sha256_file, sha256_json, write_json
from medscale.base.safe_names import colliding, unsafe

SCHEMA_VERSION = 1
NAME = "index.json"
EARLIER = "earlier"
STAMP = ".snakemake_timestamp"
"""The hidden file in a folder that is an output: its time counts as that of the folder."""
ROOTS = ("results", "logs")
STRANGE = "No MedScale writes that: take a backup that one has made"


@dataclass(frozen=True)
class File:
    """A file of the study: its content, its size in bytes and the time of its last change, in nanoseconds."""

    sha256: str
    size: int
    mtime_ns: int


@dataclass
class Index:
    """What an archive holds.

    Attributes:
        study: digests of the bytes of model and corpus.
        files: by place in the study.
        records: what Snakemake noted of each output, by place in the study; see `records`.
        configuration: the study's, without what is of one machine.
    """

    study: dict[str, str] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    configuration: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the index as the file holds it."""
        value = {
            "schema_version": SCHEMA_VERSION,
            "study": self.study,
            "files": {name: vars(file) for name, file in sorted(self.files.items())},
            "records": dict(sorted(self.records.items())),
            "configuration": self.configuration,
        }
        return value | {"sha256": sha256_json(value)}

    def write(self, path: Path) -> None:
        """Write the index to ``path``."""
        write_json(path, self.as_json())


def read_index(archive: Path) -> Index:
    """Read the index of an archive; one that is missing, damaged or names files that may not be is a `UserError`."""
    path = archive / NAME
    if not path.is_file():
        raise UserError(
            "B151", f"backup.path: {archive} holds no backup, because it has no {NAME}; name the folder of one"
        )
    try:
        value = read_json(path)
    except UserError as error:
        raise _damaged(path, "it is cut or no JSON") from error
    if not isinstance(value, dict) or value.pop("sha256", None) != sha256_json(value):
        raise _damaged(path, "its digest is not its own")
    if value["schema_version"] != SCHEMA_VERSION:
        raise UserError(
            "B154",
            f"{path}: is of version {value['schema_version']}, and this MedScale reads {SCHEMA_VERSION}; restore "
            "it with the MedScale that made it",
        )
    index = Index(
        value["study"],
        {name: File(**file) for name, file in value["files"].items()},
        value["records"],
        value["configuration"],
    )
    _refuse_names(path, index)
    return index


def object_path(archive: Path, sha256: str) -> Path:
    """Return where the archive keeps the content of that digest."""
    return archive / "objects" / sha256[:2] / sha256


def what_is_wrong(archive: Path, file: File) -> str | None:
    """Read the content of a file in the archive; say what is wrong with it, or None."""
    path = object_path(archive, file.sha256)
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != file.size:
        return f"has {path.stat().st_size:,} bytes instead of {file.size:,}"
    return None if sha256_file(path) == file.sha256 else "is damaged: its sha256 is not its name"


def _damaged(path: Path, why: str) -> UserError:
    return UserError(
        "B152",
        f"{path}: is damaged ({why}), so nothing was done. Take another copy of the folder, or put an index of "
        f"{EARLIER}/ in its place",
    )


def _refuse_names(path: Path, index: Index) -> None:
    """Raise `UserError` if a name of the index could lead elsewhere: an archive may come from anybody."""
    for name in [*index.files, *index.records]:
        root, _, rest = name.partition("/")
        reason = unsafe(rest.removesuffix(f"/{STAMP}")) if root in ROOTS else "it is neither of results nor of logs"
        if reason:
            raise UserError("B153", f"{path}: names the file {name!r}, and {reason}; nothing was done. {STRANGE}")
    for name, file in index.files.items():
        if len(file.sha256) != 64 or not set(file.sha256) <= set("0123456789abcdef"):
            raise UserError("B153", f"{path}: what it says of {name} is no sha256; nothing was done. {STRANGE}")
    twins = colliding(index.files)
    if twins:
        raise UserError(
            "B153", f"{path}: {twins[0]} and {twins[1]} are one file on some systems; nothing was done. {STRANGE}"
        )
