"""CMB-Exam: the options in an object, and a column that says whether several are right.

The answers of its test part stand in a file of their own and are found by `id`.
"""

from collections.abc import Collection

from medscale.data.exams.fields import Fields, Format

COLUMNS = ("exam_type", "exam_class", "question", "option")
_SUBJECT = ("exam_subject", "exam_class", "exam_type")


def _find(found: Collection[str], subject: str, why: str) -> Fields | None:
    if not set(COLUMNS) <= set(found):
        return None
    told = next((name for name in _SUBJECT if name in found), None)
    answer, kind, key = (name if name in found else None for name in ("answer", "question_type", "id"))
    return Fields("cmb", f"{why}'exam_type' and 'option'", ("question",), ("option",), answer, told, kind=kind, key=key)


CMB = Format("cmb", "'exam_type', 'exam_class', 'question' and 'option'", _find, split="test")
