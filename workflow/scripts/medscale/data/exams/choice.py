"""Which format a file of an exam has: the one that is set, or the one that its columns and its name show."""

from collections.abc import Collection, Iterable, Sequence

from medscale.base.errors import UserError
from medscale.data.exams import columns
from medscale.data.exams.ceval import CEVAL
from medscale.data.exams.cmb import CMB
from medscale.data.exams.cmexam import CMEXAM
from medscale.data.exams.cmmlu import CMMLU
from medscale.data.exams.demo import DEMO
from medscale.data.exams.fields import Fields, Reading
from medscale.data.files.records import Known
from medscale.data.table_files import TableFile

KNOWN = (DEMO, CMB, CMEXAM, CMMLU, CEVAL)
SPLIT_OF = {format.name: format.split for format in KNOWN}


def choose(reading: Reading, table: TableFile, subject: str) -> Fields:
    """Return where the questions of a file are.

    Parameters
    ----------
    reading : the configuration.
    table : the file.
    subject : what the file's name says its subject is.

    Raises `UserError` that says what was looked for and what the file has.
    """
    found, path = table.columns, table.path
    # What stands above the header of a CSV file is taken for it where no column is named to find it by.
    header = f"; or, if these are no names of columns, set {reading.files.key('header')} to the number of their line"
    header = header if table.format == "csv" else ""
    named = _named(reading)
    if missing := [name for name in named if name not in found]:
        raise UserError(
            "D153",
            f"{reading.where}.columns: {path} has no column {_listed(missing)}; its columns are {_listed(found)}"
            f"{header}",
        )
    fields = _read_as(reading, found, subject)
    if fields is None and reading.format not in ("auto", "columns"):
        known = next(each for each in KNOWN if each.name == reading.format)
        other = _recognised(reading, found, subject)
        hint = f"; it looks like {other.format}: set format: {other.format}, or auto" if other else ""
        raise UserError(
            "D152",
            f"{reading.where}.format = {known.name}: {path} has not the columns {known.shown_by}; "
            f"its columns are {_listed(found)}{hint}",
        )
    if fields is None:
        formats = "; ".join(f"{each.name}: {each.shown_by}" for each in KNOWN if each is not DEMO)
        raise UserError(
            "D151",
            f"{reading.where}: {path} is no exam that is known. Looked for {formats}; and for {columns.SHOWN_BY}. "
            f"Its columns are {_listed(found)}; name them in {reading.where}.columns, or name other files"
            f"{header}",
        )
    own = {"question": reading.question, "options": reading.options, "answer": reading.answer}
    own["subject"] = reading.subject
    fields = fields._replace(**{key: value for key, value in own.items() if value})
    return fields._replace(by_file=fields.by_file and not reading.subject)


def headers(reading: Reading, subject: str) -> Sequence[Known]:
    """Return what knows the header of an exam's CSV file: the columns that are named, then those of known exams.

    One that lacks a named column counts too, so that what is said of it names its own columns.
    """
    named = set(_named(reading))
    return (
        lambda found: named <= set(found) and _read_as(reading, found, subject) is not None,
        *([named.issubset] if named else []),
        lambda found: _recognised(Reading(), found, subject) is not None,
        is_answer_file,
    )


def _named(reading: Reading) -> tuple[str, ...]:
    return (*reading.question, *reading.options, *filter(None, (reading.answer, reading.subject)))


def _read_as(reading: Reading, found: Collection[str], subject: str) -> Fields | None:
    """Return where the questions are in columns, by the format that is set or that they show; None for none."""
    if reading.format == "auto":
        return _recognised(reading, found, subject)
    if reading.format == "columns":
        return columns.find(found, reading, "")
    return next(each for each in KNOWN if each.name == reading.format).find(found, subject, "")


def _recognised(reading: Reading, found: Collection[str], subject: str) -> Fields | None:
    if not (reading.question or reading.options):
        for each in KNOWN:
            if fields := each.find(found, subject, "it has "):
                return fields
    return columns.find(found, reading, "it has ")


def is_answer_file(found: Collection[str]) -> bool:
    """Tell whether a file has but answers, by the ids of questions that stand in another one."""
    return {"id", "answer"} <= set(found) and not {"question", "option", "options", "A"} & set(found)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
