"""Alpaca: instruction, input and output, the turns before in `history`, a system text in `system`."""

from collections.abc import Collection

from medscale.data.columns import Columns
from medscale.data.layouts.fields import Fields, Layout


def _find(found: Collection[str], columns: Columns, why: str) -> Fields | None:
    if not {"instruction", "output"} <= set(found):
        return None
    question = tuple(name for name in ("instruction", "input") if name in found)
    why = f"{why}'instruction' and 'output'"
    return Fields("alpaca", why, question, "output", columns.department, columns.history, columns.system)


ALPACA = Layout("alpaca", "'instruction' and 'output'", _find)
