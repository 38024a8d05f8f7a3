"""CMExam: the options of a question in one column, as lines in its CSV and as a list of key and value in its JSON.

Of its five annotations, which the test part alone has, the clinical department is the subject.
"""

from collections.abc import Collection

from medscale.data.exams.fields import Fields, Format

COLUMNS = ("Question", "Options", "Answer")
_DEPARTMENT = ("Clinical Department", "Clinical department", "Medical Discipline", "Subject")


def _find(found: Collection[str], subject: str, why: str) -> Fields | None:
    if not set(COLUMNS) <= set(found):
        return None
    department = next((name for name in _DEPARTMENT if name in found), None)
    return Fields(
        "cmexam", f"{why}'Question', 'Options' and 'Answer'", ("Question",), ("Options",), "Answer", department
    )


CMEXAM = Format("cmexam", "'Question', 'Options' and 'Answer'", _find, split="test")
