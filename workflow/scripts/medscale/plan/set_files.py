"""The files of a set for the plan: the user's own where they lie, fetched or not; else what was fetched."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from medscale.base.errors import UserError
from medscale.base.settings import AskedSet
from medscale.fetch.manifest import NAME
from medscale.fetch.sources import OWN, own_path, point_to_own


class SetFiles(NamedTuple):
    """What a plan can read of a set.

    Attributes:
        manifest: of its files; None where there are none yet.
        called: what they are, in words, with a verb behind it in the plural.
        unread: why the user's own files are not to be had; None where they are, or where the set is another's.
    """

    manifest: Path | None
    called: str = "the fetched files"
    unread: str | None = None


@contextmanager
def files_of_set(asked: AskedSet, fetched: str | None) -> Iterator[SetFiles]:
    """Yield the files of a set; what has to be written to read the user's own is gone afterwards.

    Args:
        asked: the set, and what the configuration says of it.
        fetched: the manifest.json of what was fetched; it may not exist.
    """
    there = SetFiles(Path(fetched) if fetched and Path(fetched).is_file() else None)
    if asked.settings["source"] not in OWN:
        yield there
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            own = own_path(asked.kind, asked.settings["path"], asked.key)
            point_to_own(asked.kind, own, Path(folder) / NAME)
            found = SetFiles(Path(folder) / NAME, f"the files of {asked.key}.path")
        except UserError as error:
            found = there if there.manifest else there._replace(unread=str(error))
        yield found
