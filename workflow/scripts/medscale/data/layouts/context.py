"""The columns that stand before a question, its history and its system text: whether they are what they are taken for.

Medical tables have columns of the same names that mean other things: `history`, what a patient had before (既往史), and
`system`, which organs a question is about (循环系统).
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError
from medscale.data.columns import Columns
from medscale.data.files.records import Broken
from medscale.data.layouts.fields import Fields
from medscale.data.layouts.history import are_unspoken
from medscale.data.text_cleaning import is_placeholder
from medscale.data.values import described, is_null, structured

LOOKED_AT = 100
"""Rows at a file's beginning by which a column of system texts is judged."""
_WORD = re.compile(r"[^。，！？；：、,.!?;:\n]{1,24}")
_TO_A_MODEL = re.compile(
    r"[你您请]|助手|助理|医生|大夫|专家|模型|机器人|回答|\b(you|your|please|assistant|doctor|expert|ai|bot|answer)\b",
    re.IGNORECASE,
)
_LIST = re.compile(r"\s*\[\s*[\"'\[{]")
_EXAMPLE = 60


def is_nothing(value: Any) -> bool:
    """Tell whether a value of such a column stands for nothing: null, an empty text or list, 无, 暂无."""
    if isinstance(value, str):
        return is_placeholder(value) or structured(value) in ([], {})
    return is_null(value) or (isinstance(value, list | tuple | dict) and not value)


def require_history(value: Any, column: str, path: Path, number: int, columns: Columns) -> None:
    """See that a history is one of turns; `UserError` where it is no list, nor text that holds one, or a list of texts
    of which nothing says who speaks: question and answer by turns, or what a patient had before.

    A text that begins like a list of texts, lists or objects is one that is broken, which costs its row alone.
    """
    found = structured(value)
    if is_nothing(value) or (isinstance(found, list | tuple) and not are_unspoken(found)):
        return
    if isinstance(found, str) and _LIST.match(found):
        return
    key = columns.section + (".columns.history" if columns.section == "data" else "")
    told = f"{key}: {path}, record {number}: the column {column!r} holds no turns before the question but "
    told += f"{described(value)[:90]}. "
    if columns.section == "data":
        told += f"Leave it out with {key}: null, or, where it belongs to the question, add {column!r} to "
        told += "data.columns.question too"
    else:
        told += _without(column, columns)
    raise UserError("D140", f"{told}; where these are turns, write them as pairs")


def _without(column: str, columns: Columns) -> str:
    """Return how a column is left out of a set for which no key can say so."""
    return (
        f"Save the file without it, or, where it belongs to the question, under another name than {column!r}, which "
        f"{columns.section}.columns.question then names too"
    )


def require_system(records: Iterable[Mapping[str, Any] | Broken], fields: Fields, path: Path, columns: Columns) -> None:
    """See that the column `system` has texts for a model; `UserError` where most of the first ones are category words.

    Such a word has at most 24 characters and no punctuation, and no text there says 你, 请, 助手, 医生 or the like.
    What stands in a column of another name was named on purpose, and is believed.
    """
    if fields.system != "system":
        return
    values = [record.get("system") for record in records if not isinstance(record, Broken)]
    texts = [value.strip() for value in values if isinstance(value, str) and not is_nothing(value)]
    words = [text for text in texts if _WORD.fullmatch(text)]
    if len(words) <= len(texts) / 2 or any(map(_TO_A_MODEL.search, texts)):
        return
    shown = ", ".join(map(repr, list(dict.fromkeys(words))[:3]))
    key = columns.section + (".columns.system" if columns.section == "data" else "")
    told = f"{key}: {path}: the column 'system' has no texts for a model but words such as {shown}, which would stand "
    told += "in place of chat.system_prompt. "
    if columns.section == "data":
        told += f"Leave it out with {key}: null, adding 'system' to data.columns.question where it belongs to the "
        told += f"question; if it is meant, give the column another name and set {key} to that"
    else:
        told += _without("system", columns)
    raise UserError("D141", told)


def note_used(entry: dict[str, Any], fields: Fields, record: Mapping[str, Any]) -> None:
    """Note in a file's entry which columns are history and system, each with the first example that holds something."""
    for role, column in (("history", fields.history), ("system", fields.system)):
        if role not in entry and column is not None and not is_nothing(record.get(column)):
            entry[role] = {"column": column, "example": str(record[column])[:_EXAMPLE]}
