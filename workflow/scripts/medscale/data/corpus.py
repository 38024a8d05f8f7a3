"""The raw corpus: every row of the fetched files, in order and numbered, with the columns that the study asks for."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from medscale.base.errors import UserError
from medscale.data.columns import Columns
from medscale.data.layouts.choice import Wanted, choose, headers, refuse_unused
from medscale.data.layouts.context import LOOKED_AT, note_used, require_history, require_system
from medscale.data.layouts.fields import Fields
from medscale.data.raw_rows import RawRow
from medscale.data.table_files import Broken, FileOptions, Part, TableFile, open_table, parts_of
from medscale.data.values import from_csv, structured
from medscale.fetch.endings import SUFFIXES, in_order
from medscale.fetch.manifest import read_manifest, verify


class Corpus:
    """The data files that a manifest lists, checked, and read as one stream of rows.

    Parameters
    ----------
    manifest : path of the manifest.json; its files are verified first.
    columns : the mapping of columns.
    content : what `manifest.content_of` it must be; default None, anything.
    options : what the configuration says of files; default, all is found out.

    Attributes
    ----------
    files : after `rows` has ended, one dict a file: path, format, encoding, compression, dialect, notes, rows.
    layouts : likewise: path, layout, and because of what it was taken; which columns are history and system, and what
        stands there first.
    skipped : what lay among the user's own files or in a packed one and is not read, such as a licence, each with the
        reason in brackets.
    """

    def __init__(
        self, manifest: Path, columns: Columns, content: str | None = None, options: FileOptions | None = None
    ) -> None:
        self._columns, self._options = columns, options or FileOptions()
        self._root = verify(manifest, content=content)
        told = read_manifest(manifest)
        # All of them were chosen, by `own_corpus` or `select`: one that was named as it is counts, whatever its suffix.
        names = in_order(entry["path"] for entry in told["files"])
        self.skipped = list(told.get("skipped", []))
        self._parts: list[Part] = []
        for name in names:
            parts, skipped = parts_of(self._root / name)
            self._parts += parts
            self.skipped += [f"{name}/{one}" for one in skipped]
        self.files: list[dict] = []
        self.layouts: list[dict] = []
        if not names:
            raise UserError(
                "D109",
                f"{manifest}: lists no data file; name one in {columns.section}.file or {columns.section}.path "
                f"({', '.join(sorted(SUFFIXES))}, packed or not)",
            )

    def rows(self, limit: int | None = None) -> Iterator[RawRow]:
        """Yield the rows of all files in the manifest's order, at most ``limit`` of them (default: all).

        Raises `UserError` where a file lacks a column that the mapping names, listing the columns it has.
        """
        number = 0
        for part in self._parts:
            if number == limit:
                return
            table = open_table(part, Wanted(self._columns), self._options, headers(self._columns))
            fields = choose(self._columns, table.columns, table.path)
            department = self._department_of(part)
            name = part.name.relative_to(self._root).as_posix()
            entry = {
                "path": name,
                "format": table.format,
                "encoding": table.encoding,
                "compression": table.compression,
                "dialect": table.dialect,
                "notes": table.notes,
                "rows": 0,
            }
            layout: dict = {"path": name, "layout": fields.layout, "because": fields.why}
            self.layouts.append(layout)
            self.files.append(entry)
            left = None if limit is None else limit - number
            records = itertools.islice(table.records, left)
            first = list(itertools.islice(records, LOOKED_AT))
            require_system(first, fields, table.path, self._columns)
            for record in itertools.chain(first, records):
                number += 1
                entry["rows"] += 1
                row = self._row(number, record, fields, table)
                if row.broken is None:
                    note_used(layout, fields, record)
                yield row if department is None or row.broken else replace(row, department=department)

    def _department_of(self, part: Part) -> str | None:
        """Return the department that a file's folder names, or None where columns tell it."""
        level = self._options.department_folder
        if level is None:
            return None
        folders = part.name.relative_to(self._root).parts[:-1]
        if part.member:  # the archive itself is no folder
            folders = tuple(name for name in folders if name != part.path.name)
        if len(folders) < level:
            raise UserError(
                "D137",
                f"data.department_folder is {level}, but {part.name} lies in {len(folders)} folders below "
                f"{self._root}; name the folder above those of the departments in data.path, or set "
                "data.department_folder: null",
            )
        return folders[-level]

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
        if fields.layout == "lists":  # which a CSV file has as text
            question, answer = tuple(map(structured, question)), structured(answer)
        if fields.history is not None:
            require_history(history, fields.history, table.path, number, self._columns)
        is_dialogue = fields.dialogue is not None
        return RawRow(number, question, answer, department, None, history, system, dialogue, is_dialogue)
