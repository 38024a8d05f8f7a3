"""The raw corpus: every row of the fetched files, in order and numbered, with the columns that the study asks for."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from medscale.base.errors import UserError
from medscale.data.columns import Columns
from medscale.data.layouts.choice import Wanted, choose, refuse_unused
from medscale.data.layouts.fields import Fields
from medscale.data.raw_rows import RawRow
from medscale.data.table_files import SUFFIXES, Broken, TableFile, open_table
from medscale.data.values import from_csv
from medscale.fetch.manifest import read_manifest, verify


class Corpus:
    """The data files that a manifest lists, checked, and read as one stream of rows.

    Parameters
    ----------
    manifest : path of the manifest.json; its files are verified first.
    columns : the mapping of columns.
    content : what `manifest.content_of` it must be; default None, anything.

    Attributes
    ----------
    files : after `rows` has ended, one dict a file: path, format, encoding, rows.
    layouts : likewise: path, layout, and because of what it was taken.
    skipped : files of the manifest that are no data files by their suffix, such as a licence.
    """

    def __init__(self, manifest: Path, columns: Columns, content: str | None = None) -> None:
        self._columns = columns
        self._root = verify(manifest, content=content)
        names = [entry["path"] for entry in read_manifest(manifest)["files"]]
        self._names = [name for name in names if Path(name).suffix.lower() in SUFFIXES]
        self.skipped = [name for name in names if name not in self._names]
        self.files: list[dict] = []
        self.layouts: list[dict[str, str]] = []
        if not self._names:
            raise UserError(f"{manifest}: lists no data file ({', '.join(sorted(SUFFIXES))}), only {names}")

    def rows(self, limit: int | None = None) -> Iterator[RawRow]:
        """Yield the rows of all files in the manifest's order, at most ``limit`` of them (default: all).

        Raises `UserError` where a file lacks a column that the mapping names, listing the columns it has.
        """
        number = 0
        for name in self._names:
            if number == limit:
                return
            table = open_table(self._root / name, Wanted(self._columns))
            fields = choose(self._columns, table.columns, table.path)
            entry = {"path": name, "format": table.format, "encoding": table.encoding, "rows": 0}
            self.layouts.append({"path": name, "layout": fields.layout, "because": fields.why})
            self.files.append(entry)
            left = None if limit is None else limit - number
            for record in itertools.islice(table.records, left):
                number += 1
                entry["rows"] += 1
                yield self._row(number, record, fields, table)

    def _row(self, number: int, record: dict | Broken, fields: Fields, table: TableFile) -> RawRow:
        if isinstance(record, Broken):
            return RawRow(number, (), None, None, record)
        if table.format == "csv":
            record = {name: from_csv(value) for name, value in record.items()}
        refuse_unused(record, fields, self._columns, table.path, number)
        question = tuple(record.get(name) for name in fields.question)
        answer, department, history, system, dialogue = (
            None if name is None else record.get(name)
            for name in (fields.answer, fields.department, fields.history, fields.system, fields.dialogue)
        )
        is_dialogue = fields.dialogue is not None
        return RawRow(number, question, answer, department, None, history, system, dialogue, is_dialogue)
