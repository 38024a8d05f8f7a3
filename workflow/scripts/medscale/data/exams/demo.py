"""The demo's exam: facts of the tracked table, from which questions are made when the training rows are there."""

from collections.abc import Collection

from medscale.data.exams.fields import Fields, Format

COLUMNS = ("condition", "aliases", "department", "field", "fact")


def _find(found: Collection[str], subject: str, why: str) -> Fields | None:
    return Fields("demo", f"{why}'condition' and 'fact'", (), (), None) if set(COLUMNS) <= set(found) else None


DEMO = Format("demo", "'condition', 'field' and 'fact'", _find)
