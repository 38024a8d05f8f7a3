"""CMMLU: a column an option, and a file a subject."""

from collections.abc import Collection

from medscale.data.exams.fields import Fields, Format
from medscale.data.exams.subjects import SUBJECTS

COLUMNS = ("Question", "A", "B", "C", "D")


def _find(found: Collection[str], subject: str, why: str) -> Fields | None:
    if not set(COLUMNS) <= set(found) or (why and subject not in SUBJECTS["cmmlu"]):
        return None
    answer = "Answer" if "Answer" in found else None
    why = f"{why}'Question', 'A' to 'D'" + (f", and the file is of the subject {subject}" if why else "")
    return Fields("cmmlu", why, ("Question",), ("A", "B", "C", "D"), answer, by_file=True, as_written=True)


CMMLU = Format("cmmlu", "'Question', 'A', 'B', 'C', 'D' and 'Answer'", _find, split="test")
