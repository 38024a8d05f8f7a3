"""Where the rows of a JSON file are: a line each, in a list, in a list under a key, or in an object of columns.

A file that is one object is surveyed once, in bounded memory. Where it could be read in two ways, both are named and
the configuration decides.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from medscale.base.errors import UserError
from medscale.data.files.json_text import Decoder, JsonProblem, JsonText, Oddities
from medscale.data.files.parts import Part
from medscale.data.files.records import FileOptions, Wanted
from medscale.data.files.text import LONGEST, open_text

_KINDS = {"{": "object", "[": "list"}
_LINES = 100
_KEYS = 50


@dataclass(frozen=True)
class Layout:
    """How the rows lie in a JSON file.

    Attributes
    ----------
    kind : "lines", "objects" (one after another), "list", "values" (of an object whose keys are the rows' names),
        "columns" (objects by row), "lists" (columns as lists) or "split" (names, then rows without names).
    told : the same for the report.
    path : the keys that lead to the list or object.
    """

    kind: str
    told: str
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Member:
    """A member of an object: its kind, "object", "list" or "scalar", and that of what it holds first, "" for nothing.

    ``keys`` are the first keys of an object.
    """

    path: tuple[str, ...]
    kind: str
    first: str = ""
    keys: list[str] = field(default_factory=list)


def find_layout(part: Part, encoding: str, wanted: Wanted, options: FileOptions) -> Layout:
    """Return where the rows of a JSON file are; `UserError` where that cannot be told.

    Parameters
    ----------
    part, encoding : the file.
    wanted : names of the columns that are looked for; None where any will do.
    options : what the configuration says, of which the key that the rows stand under counts here.
    """
    with open_text(part, encoding, newline="\n") as handle:
        pieces = iter(lambda: handle.readline(LONGEST), "")
        start = next((line.strip() for line in pieces if line.strip()), "")
        is_object = _is_object(start)
        more = any(line.strip() for line in pieces)
    if start.startswith("["):
        return Layout("list", "a list of rows")
    lines = Layout("lines", "a row a line")
    if not start.startswith("{") or (is_object and more):
        return lines
    if not is_object and _mostly_objects(part, encoding):
        return lines
    found: list[Member] = []
    try:
        with open_text(part, encoding) as handle:
            text = JsonText(handle)
            for member in _survey(text):
                found.append(member)
            if text.peek() in ("{", ","):
                return lines if _has_rows(start) else Layout("objects", "objects one after another")
    except JsonProblem as error:
        if more and not start.endswith(("[", "{", ",")) and _any_object(part, encoding):
            return lines
        rows = [member for member in found if (member.kind, member.first) == ("list", "object")]
        if error.at_end and len(rows) == 1:
            return _under(rows[0])  # reading tells how many rows there are before the cut
        raise UserError(
            "D105",
            f"{part.name}: {'cut' if error.at_end else 'broken'} JSON before any row was read ({error}); "
            "mend the file, or fetch it again",
        ) from error
    return _of_object(part, found, wanted, options)


def members(text: JsonText, decoder: Decoder) -> Iterator[str]:
    """Yield the keys of the object that comes next; who asks for the next key must have passed the value."""
    text.expect("{")
    while text.peek() != "}":
        if text.peek() != '"':
            raise JsonProblem("expected a key in double quotes", text.line, not text.peek())
        key = text.value(decoder)
        text.expect(":")
        yield key
        if text.peek() != ",":
            break
        text.take()
    text.expect("}")


def descend(text: JsonText, path: tuple[str, ...], decoder: Decoder) -> None:
    """Go to the value that keys lead to."""
    for key in path:
        for name in members(text, decoder):
            if name == key:
                break
            text.skip()
        else:
            raise JsonProblem(f"no key {key!r}", text.line)


def _survey(text: JsonText) -> Iterator[Member]:
    """Yield the members of the object that comes next, and the lists and objects of rows in its members."""
    decoder = Decoder(Oddities())
    for key in members(text, decoder):
        kind = _KINDS.get(text.peek(), "scalar")
        if kind == "object":
            yield from _inside(text, decoder, key)
        elif kind == "list":
            text.take()
            first = "" if text.peek() == "]" else _KINDS.get(text.peek(), "scalar")
            yield Member((key,), kind, first)
            _rest_of_list(text)
        else:
            text.skip()
            yield Member((key,), kind)


def _inside(text: JsonText, decoder: Decoder, key: str) -> Iterator[Member]:
    first, keys, lists = "", [], []
    for place, name in enumerate(members(text, decoder)):
        kind = _KINDS.get(text.peek(), "scalar")
        if place == 0:
            first = kind
        if len(keys) < _KEYS:
            keys.append(name)
        if kind == "list":
            text.take()
            if text.peek() == "{":
                lists.append(Member((key, name), "list", "object"))
            _rest_of_list(text)
        else:
            text.skip()
    yield Member((key,), "object", first, keys)
    yield from lists[:20]


def _rest_of_list(text: JsonText) -> None:
    while text.peek() != "]":
        if text.peek() == ",":
            text.take()
        else:
            text.skip()
    text.take()


def _of_object(part: Part, found: list[Member], wanted: Wanted, options: FileOptions) -> Layout:
    """Return the layout of a file that is one object."""
    rows_key, key = options.rows_key, options.key("rows_key")
    top = [member for member in found if len(member.path) == 1]
    by_path = {".".join(member.path): member for member in found}
    if rows_key is not None:
        if rows_key not in by_path:
            raise UserError(
                "D128",
                f"{part.name}: {key}: no {rows_key!r}; there are {', '.join(by_path)}; "
                "set it to one of these, or to null",
            )
        return _under(by_path[rows_key])
    names, columns = {member.path[0] for member in top}, set(wanted or ())
    kinds = {member.kind for member in top}
    lists_of_values = kinds == {"list"} and all(member.first != "object" for member in top)
    if columns and columns <= names:
        if kinds == {"object"} and all(member.first in ("scalar", "") for member in top):
            return Layout("columns", "columns, each an object of its values by row")
        return _LISTS if lists_of_values and len(top) > 1 else _ONE
    if names in ({"columns", "index", "data"}, {"columns", "data"}) and by_path["data"].first in ("list", ""):
        return Layout("split", "the names of the columns, and lists of values")
    if names == {"schema", "data"}:
        return _under(by_path["data"])
    rows = [member for member in found if member.kind == "list" and member.first == "object"]
    if kinds <= {"object", "scalar"} and not rows:
        rows = [member for member in top if member.kind == "object" and member.first == "object"]
        if len(rows) == len(top) and rows:
            return _by_name(part, top, columns)
    known = [member.path[0] for member in rows if wanted is not None and member.path[0] in wanted]
    if known and part.name.suffix.lower() != ".json":
        return _ONE  # a line, of which one column holds a list of objects, such as the turns of a dialogue
    if known and len(rows) == 1:
        raise UserError(
            "D127",
            f"{part.name}: may be one row with a list in its column {known[0]!r}, or have its rows there; set "
            f"{key}: {known[0]} for rows, or put brackets around the one row",
        )
    if len(rows) == 1:
        return _under(rows[0])
    if rows:
        paths = [".".join(member.path) for member in rows]
        if len(set(paths)) < len(paths):
            raise UserError("D129", f"{part.name}: has a list of rows under {paths[0]!r} twice; mend the file")
        raise UserError(
            "D127",
            f"{part.name}: may have its rows under {' or '.join(map(repr, paths))}; say which in {key}",
        )
    if kinds == {"object"} and len(top) > 1:
        return _by_name(part, top, columns)
    if lists_of_values and len(top) > 1:
        return _LISTS
    return _ONE


_ONE = Layout("objects", "one row")
_LISTS = Layout("lists", "columns, each a list of its values")


def _under(member: Member) -> Layout:
    path = ".".join(member.path)
    if member.kind == "list":
        return Layout("list", f"a list of rows under {path!r}", member.path)
    return Layout("values", f"an object of rows under {path!r}", member.path)


def _by_name(part: Part, top: list[Member], columns: set[str]) -> Layout:
    """Return the layout of an object of objects: rows by name, or columns by row."""
    by_row = Layout("columns", "columns, each an object of its values by row")
    by_name = Layout("values", "an object of rows by name")
    outer, inner = [member.path[0] for member in top], top[0].keys
    if columns & set(inner):
        return by_name
    if (columns and columns <= set(outer)) or all(name.isdecimal() for name in inner):
        return by_row
    if all(name.isdecimal() for name in outer):
        return by_name
    raise UserError(
        "D126",
        f"{part.name}: an object of objects, which may be rows ({', '.join(outer[:5])}) with the columns "
        f"{', '.join(inner[:5])}, or columns with rows of these names; write it as a list of rows",
    )


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line.removesuffix(","), strict=False), dict)
    except (ValueError, RecursionError):
        return False


def _has_rows(line: str) -> bool:
    """Tell whether a line holds whole objects, one after another."""
    try:
        value, end = json.JSONDecoder().raw_decode(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and line[end:].lstrip(", ").startswith("{") and len(line) < LONGEST


def _head(part: Part, encoding: str) -> list[str]:
    with open_text(part, encoding, newline="\n") as handle:
        lines = iter(lambda: handle.readline(LONGEST), "")
        return list(itertools.islice((line.strip() for line in lines if line.strip()), _LINES))


def _mostly_objects(part: Part, encoding: str) -> bool:
    lines = [line for line in _head(part, encoding) if not line.endswith(",")]
    return sum(map(_is_object, lines)) > len(lines) / 2


def _any_object(part: Part, encoding: str) -> bool:
    return any(map(_is_object, _head(part, encoding)))
