"""General texts: read from any file that a corpus may be read from, and drawn by a seed."""

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path

from medscale.base.errors import UserError
from medscale.data.table_files import Broken, open_table, parts_of
from medscale.data.values import NotText, text_of
from medscale.fetch.endings import in_order
from medscale.fetch.manifest import read_manifest, verify


def texts_of(manifest: Path, content: str | None, column: str) -> Iterator[tuple[str, str]]:
    """Yield the place of each text among all rows, as t0000001, and the text; what is empty or broken is passed over.

    Parameters
    ----------
    manifest : the manifest.json of the set; its files are verified first.
    content : what `manifest.content_of` it must be; None, anything.
    column : name of the column of the texts.

    Raises `UserError` where a file has no such column.
    """
    root, number = verify(manifest, content=content), 0
    for name in in_order(entry["path"] for entry in read_manifest(manifest)["files"]):
        for part in parts_of(root / name)[0]:
            table = open_table(part, [column])
            if column not in table.columns:
                raise UserError(
                    "E137",
                    f"{part.name}: has no column {column!r}, as evaluation.retention.column says, but "
                    f"{', '.join(table.columns) or 'none'}; name one of them",
                )
            for record in table.records:
                number += 1
                try:
                    text = "" if isinstance(record, Broken) else (text_of(record.get(column)) or "").strip()
                except NotText:
                    text = ""
                if text:
                    yield f"t{number:07d}", text


def drawn(texts: Iterable[tuple[str, str]], count: int | None, seed: int) -> list[tuple[str, str]]:
    """Return at most ``count`` of the texts, in their order: those with the lowest digest of seed and place.

    Which ones are drawn of a given set does not depend on how many there are behind them that are drawn, too.
    """
    if count is None:
        return list(texts)

    def lot(item: tuple[str, str]) -> str:
        return hashlib.sha256(f"{seed}/{item[0]}".encode()).hexdigest()

    return sorted(heapq.nsmallest(count, texts, key=lot))
