"""Lists, as Huatuo has them: `questions`, several wordings of one question, and `answers`, several answers to it."""

from collections.abc import Collection

from medscale.data.columns import Columns
from medscale.data.layouts.fields import Fields, Layout


def _find(found: Collection[str], columns: Columns, why: str) -> Fields | None:
    if not {"questions", "answers"} <= set(found):
        return None
    why = f"{why}'questions' and 'answers'"
    return Fields("lists", why, ("questions",), "answers", columns.department, columns.history, columns.system)


LISTS = Layout("lists", "'questions' and 'answers'", _find)
