"""C-Eval: a column an option, and a file a subject; the answers of its test part are not public."""

from collections.abc import Collection

from medscale.data.exams.fields import Fields, Format
from medscale.data.exams.subjects import SUBJECTS

COLUMNS = ("question", "A", "B", "C", "D")


def _find(found: Collection[str], subject: str, why: str) -> Fields | None:
    if not set(COLUMNS) <= set(found) or (why and subject not in SUBJECTS["ceval"]):
        return None
    answer = "answer" if "answer" in found else None
    why = f"{why}'question', 'A' to 'D'" + (f", and the file is of the subject {subject}" if why else "")
    return Fields("ceval", why, ("question",), ("A", "B", "C", "D"), answer, by_file=True, as_written=True)


CEVAL = Format("ceval", "'question', 'A', 'B', 'C', 'D' and 'answer'", _find, split="val")
