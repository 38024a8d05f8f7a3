"""The rows of a JSON file, whatever its layout: see `json_layout` for which there are."""

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from medscale.base.errors import UserError
from medscale.data.files.json_layout import Layout, descend, find_layout, members
from medscale.data.files.json_text import CUT, Decoder, JsonProblem, JsonText, NotDecoded, Oddities
from medscale.data.files.parts import Part
from medscale.data.files.records import Broken, FileOptions, TableFile, Wanted
from medscale.data.files.text import encoding_of, lines_of, open_text

ROWS_FOR_COLUMNS = 100
"""JSON has no header, so the columns are those that the first rows have among them."""
_BETWEEN = re.compile(r"[\s,]*")
_PYTHON = re.compile(r"[\s\[{]*[\[{]\s*'")


def open_json(part: Part, wanted: Wanted, options: FileOptions) -> TableFile:
    """Open a JSON file; see `table_files.open_table`."""
    encoding = encoding_of(part, options)
    with open_text(part, encoding) as handle:
        if _PYTHON.match(handle.read(4096)):
            raise UserError(
                "D130", f"{part.name}: has single quotes, as Python prints its objects; write it with json.dump"
            )
    layout = find_layout(part, encoding, wanted, options)
    oddities = Oddities()
    rows = {"lines": _lines, "objects": _objects, "list": _list, "values": _values}.get(layout.kind, _columns)
    records = rows(part, encoding, layout, oddities)
    first = list(itertools.islice(records, ROWS_FOR_COLUMNS))
    columns = list(dict.fromkeys(name for record in first if isinstance(record, dict) for name in record))
    if not columns:
        raise UserError(
            "D102",
            f"{part.name}: no JSON object in the first {ROWS_FOR_COLUMNS} rows; expected an object a line, or a list "
            "of objects",
        )
    kind = "jsonl" if layout.kind in ("lines", "objects") else "json"
    records = itertools.chain(first, records)
    return TableFile(
        *(part.name, kind, encoding, columns, records, part.packing()), {"layout": layout.told}, oddities.notes
    )


def _lines(part: Part, encoding: str, layout: Layout, oddities: Oddities) -> Iterator[dict | Broken]:
    decoder = Decoder(oddities)
    with open_text(part, encoding, newline="\n") as handle:
        for number, line in enumerate(lines_of(part, handle), 1):
            text = line.strip()
            if text:
                yield from _objects_of(text, number, decoder, oddities)


def _objects_of(text: str, number: int, decoder: Decoder, oddities: Oddities) -> Iterator[dict | Broken]:
    """Yield what one line holds: one object, as a rule, maybe with a comma behind it; or several without a line end."""
    place = 0
    while place < len(text):
        try:
            value, end = decoder.at(text, place)
            decoder.tell(number)
            after = _BETWEEN.match(text, end).end()
            if after < len(text) and not (isinstance(value, dict) and text[after] == "{"):
                raise ValueError(f"more text after the value, at column {end + 1}")
        except (ValueError, RecursionError) as error:
            rest, after = text[place:], len(text)
            try:
                value = decoder.whole(rest.removesuffix(","), number)
            except (ValueError, RecursionError):
                yield Broken("bad_json", _explained(error, number), rest)
                return
        else:
            if after < len(text):
                oddities.add("several objects in one line", number)
            elif "," in text[end:]:
                oddities.add("a comma after the row", number)
        yield _object(value, number, text[place:])
        place = after


def _explained(error: Exception, line: int) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {line}: {error.msg}, at column {error.colno}"
    return f"line {line}: {'nested too deeply' if isinstance(error, RecursionError) else error}"


def _objects(part: Part, encoding: str, layout: Layout, oddities: Oddities) -> Iterator[dict | Broken]:
    """Yield objects that stand one after another, each over several lines or all in one."""
    decoder, done = Decoder(oddities), 0
    with open_text(part, encoding) as handle:
        text = JsonText(handle)
        while mark := text.peek():
            if mark == ",":
                text.take()
                continue
            with _told(part, done):
                row = _row(text, decoder)
            yield row
            done += 1


def _list(part: Part, encoding: str, layout: Layout, oddities: Oddities) -> Iterator[dict | Broken]:
    """Yield the elements of a list, at the top or under a key."""
    decoder, done = Decoder(oddities), 0
    with open_text(part, encoding) as handle:
        text = JsonText(handle)
        with _told(part, 0):
            descend(text, layout.path, decoder)
            text.expect("[")
        first = True
        while True:
            with _told(part, done):
                commas = 0
                while text.peek() == ",":
                    text.take()
                    commas += 1
                if commas > int(not first) or (commas and text.peek() == "]"):
                    oddities.add("a comma too many between rows", text.line)
                if text.peek() == "]":
                    text.take()
                    if layout.path and text.peek() not in (",", "}"):
                        raise JsonProblem(CUT, text.line, not text.peek())
                    if layout.path or not text.peek():
                        return
                    oddities.add("another list after the end of the list", text.line)
                    text.expect("[")
                    first = True
                    continue
                if not (first or commas) and text.peek():
                    raise JsonProblem("no comma or bracket after an element", text.line)
                row = _row(text, decoder)
            yield row
            done, first = done + 1, False


def _values(part: Part, encoding: str, layout: Layout, oddities: Oddities) -> Iterator[dict | Broken]:
    """Yield the values of an object whose keys number or name its rows."""
    decoder, done = Decoder(oddities), 0
    with open_text(part, encoding) as handle:
        text = JsonText(handle)
        with _told(part, 0):
            descend(text, layout.path, decoder)
        for _ in members(text, decoder):
            with _told(part, done):
                row = _row(text, decoder)
            yield row
            done += 1


def _row(text: JsonText, decoder: Decoder) -> dict | Broken:
    try:
        value = text.value(decoder)
    except NotDecoded as error:
        return Broken("bad_json", str(error), "")
    return _object(value, text.line)


def _object(value: Any, line: int, text: str | None = None) -> dict | Broken:
    """Return a value that is an object, as a row must be, or what it is instead, as it stands in the file if told."""
    if isinstance(value, dict):
        return value
    return Broken("bad_json", f"line {line}: not an object", text or json.dumps(value, ensure_ascii=False))


def _columns(part: Part, encoding: str, layout: Layout, oddities: Oddities) -> Iterator[dict | Broken]:
    """Yield the rows of a table that is kept by columns, as pandas does; the file is read as a whole."""
    with open_text(part, encoding) as handle, _told(part, 0):
        table = JsonText(handle).value(Decoder(oddities), longest=None)
    if layout.kind == "split":
        names = table["columns"]
        for place, row in enumerate(table["data"], 1):
            if not isinstance(row, list) or len(row) != len(names):
                count = len(row) if isinstance(row, list) else "no"
                detail = f"row {place}: {count} values where there are {len(names)} columns"
                yield Broken("bad_json", detail, json.dumps(row, ensure_ascii=False))
            else:
                yield dict(zip(names, row, strict=True))
    elif layout.kind == "lists":
        lengths = {name: len(values) for name, values in table.items()}
        if len(set(lengths.values())) > 1:
            raise UserError(
                "D131", f"{part.name}: its columns are lists of different lengths ({lengths}); mend the file"
            )
        yield from (dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True))
    else:
        keys = dict.fromkeys(key for column in table.values() for key in column)
        yield from ({name: column.get(key) for name, column in table.items()} for key in keys)


@contextmanager
def _told(part: Part, done: int) -> Iterator[None]:
    """Turn a syntax error into one for the user: after it nothing says where the next row begins."""
    try:
        yield
    except JsonProblem as error:
        what = "cut JSON" if error.at_end else "broken JSON"
        todo = "fetch the file again, or mend it" if error.at_end else "mend the file"
        raise UserError("D105", f"{part.name}: {what} after {done} rows ({error}); {todo}") from error
