"""By what a file of a corpus is read, and the order of such files: what a manifest's digest depends on.

Kept apart from all else that is said of corpora, so that training does not depend on that.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

SUFFIXES = {".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather"}
COMPRESSIONS = {".gz", ".zip", ".xz", ".zst", ".bz2"}
UNREAD = {
    *(".docx", ".doc", ".wps", ".odt", ".rtf", ".txt"),
    *(".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".et", ".xml"),
    *(".sql", ".db", ".sqlite", ".sqlite3", ".mdb"),
    *(".rar", ".7z", ".tar", ".tgz"),
    *(".pkl", ".pickle", ".npy", ".npz", ".pt"),
}
"""Of kinds that are not read; `corpus_files.REFUSED` says what to do with each."""


def ending(name: str) -> str:
    """Return by what a file is read: its suffix, and the one before it too if the last says how it is compressed.

    >>> ending("内科.v2/a.CSV"), ending("a.jsonl.gz"), ending("b.zip")
    ('.csv', '.jsonl.gz', '.zip')
    """
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS and len(suffixes) > 1:
        inner = suffixes[-2] if suffixes[-2] in SUFFIXES | UNREAD else ""
        return inner + suffixes[-1]
    return suffixes[-1] if suffixes else ""


def in_order(names: Iterable[str]) -> list[str]:
    """Return paths in the order in which their rows count: by folder and name, numbers by their value.

    >>> in_order(["b/a", "a10", "a2.csv", "b"])
    ['a2.csv', 'a10', 'b', 'b/a']
    """

    def key(name: str) -> tuple:
        # Some file systems take letters with accents apart; that must not change the order.
        parts = unicodedata.normalize("NFC", name).split("/")
        numbered = [
            [(int(p), "") if p.isdecimal() and p.isascii() else (-1, p) for p in pieces(part)] for part in parts
        ]
        return numbered, name

    def pieces(part: str) -> list[str]:
        return [piece for piece in re.split(r"([0-9]+)", part) if piece]

    return sorted(names, key=key)
