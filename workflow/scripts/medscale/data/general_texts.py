"""General texts: read from any file that a corpus may be read from, or from plain text, and drawn by a seed."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError
from medscale.data.files.plain import open_plain
from medscale.data.table_files import Broken, FileOptions, open_table, parts_of
from medscale.data.values import NotText, text_of, without_half_pairs
from medscale.fetch.endings import in_order
from medscale.fetch.manifest import read_manifest, verify


def texts_of(
    manifest: Path,
    content: str | None,
    column: str,
    counts: Counter | None = None,
    options: FileOptions | None = None,
) -> Iterator[tuple[str, str]]:
    """Yield the place of each text among all rows, as t0000001, and the text; what is empty or broken is passed over.

    Parameters
    ----------
    manifest : the manifest.json of the set; its files are verified first.
    content : what `manifest.content_of` it must be; None, anything.
    column : name of the column of the texts.
    counts : gets how many rows were read, are texts (``kept``), ``empty``, ``broken`` and ``no_text``.
    options : what the configuration says of files; default, all is found out.

    Raises `UserError` where a file has no such column.
    """
    options = options or FileOptions(section="evaluation.retention")
    root, number = verify(manifest, content=content), 0
    counts = Counter() if counts is None else counts
    for name in in_order(entry["path"] for entry in read_manifest(manifest)["files"]):
        for part in parts_of(root / name, plain=True)[0]:
            is_plain = part.ending() == ".txt"
            table = open_plain(part, column, options) if is_plain else open_table(part, [column], options)
            if column not in table.columns:
                raise UserError(
                    "E137",
                    f"{part.name}: has no column {column!r}, as evaluation.retention.column says, but "
                    f"{', '.join(table.columns) or 'none'}; name one of them",
                )
            for record in table.records:
                number += 1
                text, reason = _text(record, column)
                counts.update(["read", reason])
                if text:
                    yield f"t{number:07d}", text


def _text(record: dict[str, Any] | Broken, column: str) -> tuple[str, str]:
    """Return the text of a row, or an empty one, and what became of the row."""
    if isinstance(record, Broken):
        return "", "broken"
    try:
        text = without_half_pairs(text_of(record.get(column)) or "").strip()
    except NotText:
        return "", "no_text"
    return text, "kept" if text else "empty"


def drawn(texts: Iterable[tuple[str, str]], count: int | None, seed: int) -> list[tuple[str, str]]:
    """Return at most ``count`` of the texts, in their order: those with the lowest digest of seed and place.

    Which ones are drawn of a given set does not depend on how many there are behind them that are drawn, too.
    """
    if count is None:
        return list(texts)

    def lot(item: tuple[str, str]) -> str:
        return hashlib.sha256(f"{seed}/{item[0]}".encode()).hexdigest()

    return sorted(heapq.nsmallest(count, texts, key=lot))
