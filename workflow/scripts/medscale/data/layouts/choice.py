"""Which layout a file has: that of the configured columns, one that its columns show, or the one that was set."""

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError
from medscale.data.columns import Columns
from medscale.data.files.records import Known
from medscale.data.layouts.alpaca import ALPACA
from medscale.data.layouts.fields import Fields
from medscale.data.layouts.lists import LISTS
from medscale.data.layouts.messages import COLUMNS as MESSAGES_COLUMNS
from medscale.data.layouts.messages import MESSAGES
from medscale.data.layouts.sharegpt import COLUMNS as SHAREGPT_COLUMNS
from medscale.data.layouts.sharegpt import SHAREGPT
from medscale.data.values import is_null, structured

RECOGNISED = (MESSAGES, SHAREGPT, LISTS, ALPACA)
_HISTORY = ["history", "histories", "chat_history", "dialogue_history", "dialog_history", "conversation_history"]
_HISTORY += ["previous_turns", "历史", "历史对话", "对话历史"]
_SYSTEM = ["system", "system_prompt", "系统", "系统提示"]
_TURNS = [*MESSAGES_COLUMNS, *SHAREGPT_COLUMNS]
_PARTS = ["instruction", "input", "context", "contexts", "background", "上下文", "背景", "指令", "输入", "tools"]
MEANINGFUL = frozenset([*_HISTORY, *_SYSTEM, *_TURNS, *_PARTS])
"""Columns without which a question may say something else: one of them that holds something is used or is named."""


class Wanted(Collection[str]):
    """The columns of a file that a reader has to hand over: those that are used, and those that are looked after.

    What it lists are the configured ones, by which a reader knows a header.
    """

    def __init__(self, columns: Columns) -> None:
        known = (name for layout in RECOGNISED for name in layout.shown_by.split("'")[1::2])
        optional = (columns.history, columns.system, columns.conversation)
        self._configured = columns.names
        self._names = {*columns.names, *known, *(name for name in optional if name is not None)}

    def __contains__(self, name: object) -> bool:
        return name in self._names or is_meaningful(str(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._configured)

    def __len__(self) -> int:
        return len(self._configured)


def choose(columns: Columns, found: Collection[str], path: Path) -> Fields:
    """Return where the samples of a file are.

    With ``auto``, a file that has the configured columns is read by them, as ever; one that has none of them by the
    layout that its columns show.

    Parameters
    ----------
    columns : the configuration.
    found : the columns of the file.
    path : of the file, for messages.

    Raises `UserError` where the file lacks a column that its layout or the configuration names, and does not see those
    of ``data.ignore``.
    """
    found = [name for name in found if name not in columns.ignore]
    unused = {name: None for name in ("history", "system") if getattr(columns, name) in columns.ignore}
    columns = replace(columns, **unused)
    configured = (*columns.question, columns.answer)
    if columns.layout == "columns" or (columns.layout == "auto" and all(name in found for name in configured)):
        why = "data.layout" if columns.layout == "columns" else "it has the configured columns"
        fields = Fields("columns", why, columns.question, *columns.single)
    elif _is_default(columns) and "output" in found and any(name in found for name in columns.question):
        there, absent = sorted(columns.question, key=found.__contains__, reverse=True)
        fields = Fields(
            "alpaca", f"it has {there!r} and 'output', but no {absent!r}", columns.question, *columns.single
        )
        found = [*found, absent]  # which may stand in later rows of a JSON file; where it does not, it is empty
    elif columns.layout == "auto":
        fields = None if any(name in found for name in configured) else _recognised(columns, found)
    else:
        layout = next(each for each in RECOGNISED if each.name == columns.layout)
        fields = layout.find(found, columns, "data.layout, and it has ")
        if fields is None:
            shown = repr(columns.conversation) if columns.conversation and "messages" in columns.layout else None
            raise UserError(
                "D138",
                f"data.layout = {columns.layout}: {path} has no column {shown or layout.shown_by}; "
                f"its columns are {_listed(found)}; set data.layout: auto, or columns and data.columns",
            )
    missing = [name for name in _required(fields, columns) if name not in found]
    if fields is None or missing:
        shown = _recognised(columns, found)
        hint = f"; if it is of the layout {shown.layout}, set data.layout: {shown.layout}" if shown else ""
        hint = hint if columns.section == "data" else ""  # the others have no such key
        raise UserError(
            "D110",
            f"{columns.section}.columns: {path} has no column {_listed(missing)}; its columns are "
            f"{_listed(found)}{hint}",
        )
    return fields


def headers(columns: Columns) -> Sequence[Known]:
    """Return what knows the header of a CSV file: all configured columns, else those of a layout that it may have."""

    def is_readable(found: Collection[str]) -> bool:
        try:
            choose(columns, found, Path())
        except UserError:
            return False
        return True

    return set(columns.names).issubset, is_readable


def _is_default(columns: Columns) -> bool:
    """Tell whether question and answer are the columns that nobody had to name, of which `input` is often absent."""
    return (columns.layout, columns.question, columns.answer) == ("auto", ("instruction", "input"), "output")


def _recognised(columns: Columns, found: Collection[str]) -> Fields | None:
    attempts = (layout.find(found, columns, "it has no configured column, but ") for layout in RECOGNISED)
    return next((fields for fields in attempts if fields is not None), None)


def _required(fields: Fields | None, columns: Columns) -> Iterable[str]:
    """Return the columns that a file must have: history and system only where the configuration names its own."""
    if fields is None:
        return columns.names
    own = [name for name in (fields.history, fields.system) if name not in (None, "history", "system")]
    return [*fields.question, *(name for name in (fields.answer, fields.department, *own) if name is not None)]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


@functools.lru_cache(maxsize=64)
def _read(fields: Fields) -> set[str]:
    return fields.names


@functools.lru_cache(maxsize=4096)
def is_meaningful(name: str) -> bool:
    """Tell whether a column of this name may change what a question means."""
    return _plain(name) in MEANINGFUL


def refuse_unused(record: Mapping[str, Any], fields: Fields, columns: Columns, path: Path, number: int) -> None:
    """See that nothing which changes the meaning of a question is left out in silence.

    Raises `UserError` where a column of `MEANINGFUL` holds something and is neither used nor ignored.
    """
    for name in filter(is_meaningful, record):
        if name in _read(fields) or name in columns.ignore or _is_ignored(name, columns) or _empty(record[name]):
            continue
        raise UserError(
            "D139",
            f"{columns.section}: {path}, record {number}: the column {name!r} is not used, holds "
            f"{str(record[name])[:60]!r}, and may change what the question means. {_use(name, columns.section)}",
        )


def _is_ignored(name: str, columns: Columns) -> bool:
    """Tell whether a column was set to null, which leaves it out."""
    return (name, columns.history) == ("history", None) or (name, columns.system) == ("system", None)


def _use(name: str, section: str) -> str:
    """Return what to do about a column that is not used."""
    plain = _plain(name)
    if section == "data":
        used = f"as one of data.columns.question, in the order in which they are to be read: [{name}, …]"
        if plain in _HISTORY:
            used = f"data.columns.history: {name}"
        if plain in _SYSTEM:
            used = f"data.columns.system: {name}"
        if plain in _TURNS:
            used = f"data.columns.conversation: {name}, with data.layout: sharegpt"
        return f"Use it ({used}), or leave it out with data.ignore: [{name}]"
    for known, names in (("history", _HISTORY), ("system", _SYSTEM)):
        if plain in names:
            return f"Call it {known} in the file, or save the file without it"
    if plain in _TURNS:
        return "Save the file without it"
    return (
        f"Use it (as one of {section}.columns.question, in the order in which they are to be read: [{name}, …]), or "
        "save the file without it"
    )


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _empty(value: Any) -> bool:
    value = structured(value)
    return is_null(value) or not (str(value).strip() if isinstance(value, str) else value)
