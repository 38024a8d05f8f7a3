"""What report.html tells of exams and general texts: tables a set, differences to the base model, warnings."""

from typing import Any

from medscale.data.exams.subjects import chinese_name
from medscale.report.answers import kind_of
from medscale.report.facts import count_list, reason
from medscale.report.inputs import Inputs
from medscale.report.tables import (
    FEWEST_ITEMS,
    Cell,
    Column,
    Row,
    comparison_blocks,
    detectable_from,
    figure,
    level,
    too_few_resamples,
)
from medscale.report.texts import Metric, Text, both, interval, known, number, p_value, run_title, say, sentences

RETENTION = "retention"
EXTRAS = ("value_without_leaks", "value_calibrated", "value_permuted", "consistent")


def knowledge(inputs: Inputs) -> dict[str, Any] | None:
    """Return the section's sets, each with its table, its parts and what is to be said of it; None where none is."""
    rows = inputs.summary.knowledge
    if not rows:
        return None
    sets = [_set(inputs, name, [row for row in rows if row["metric"] == name]) for name in _names(rows)]
    calibrated = any(row["value_calibrated"] is not None for row in rows)
    parts = [row for row in rows if row["scope"] != "all"]
    notes = [
        say("knowledge.note", level=level(inputs)),
        *[say("knowledge.calibrated_note")] * calibrated,
        *[say("knowledge.parts_note")] * bool(parts),
        *[say("knowledge.single_note")] * any(row["n_items"] == 1 for row in parts),
    ]
    tables = comparison_blocks(
        inputs, inputs.summary.knowledge_comparisons, {name: _metric(name) for name in _names(rows)}
    )
    return {"sets": sets, "comparisons": tables, "note": sentences(*notes)}


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["metric"] for row in rows))


def _metric(name: str) -> Metric:
    if name == RETENTION:
        return Metric(name, say("knowledge.retention"), say("knowledge.nats"), True, 3)
    return Metric(name, name, say("metric.points_unit"), False, 1)


def _set(inputs: Inputs, name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one exam, or the general texts."""
    whole = [row for row in rows if row["scope"] == "all"]
    first = whole[0]
    parts = [
        {"title": say(f"knowledge.by_{scope}"), "table": _parts(inputs, [row for row in rows if row["scope"] == scope])}
        for scope in ("measures", "subject")
        if any(row["scope"] == scope for row in rows)
    ]
    smallest = first["smallest_detectable"]
    largest = _largest(inputs, name, smallest)
    told = {"items": number(first["n_items"]), "smallest": detectable_from(smallest, _metric(name))}
    told["largest"] = detectable_from(largest, _metric(name))
    ends = "" if largest is None else "_some_none" if name != RETENTION and largest > 100 else "_up_to"
    if name == RETENTION:
        lead, detectable = say("knowledge.retention_lead", **told), say(f"knowledge.detectable_nats{ends}", **told)
    else:
        lead = say("knowledge.exam_lead", chance=number(first["chance"], 1), items=told["items"])
        detectable = say(f"knowledge.detectable{ends}", **told)
    small = _too_few(name, whole, too_few_resamples(inputs))
    if smallest is None:
        detectable = None
    return {
        "title": say("knowledge.retention") if name == RETENTION else both(name),
        "lead": sentences(lead, None if small else detectable, _leaks(inputs, name)),
        "notes": [say(f"knowledge.{small}{ends if small == 'too_small' else ''}", **told)] if small else [],
        "rows": _rows((inputs.exams or {}).get(name)),
        "table": _table(inputs, name, whole),
        "parts": parts,
    }


def _largest(inputs: Inputs, name: str, smallest: float | None) -> float | None:
    """Return what is detectable of the pair of which the set tells least; None where no interval is wider than usual.

    ``smallest`` is the set's own, a median: beside it may stand intervals that reach farther.
    """
    rows = [row for row in inputs.summary.knowledge_comparisons if row["metric"] == name and row["lo"] is not None]
    if smallest is None or all(row["hi"] - row["lo"] <= 2 * smallest for row in rows):
        return None
    return max(row["smallest_detectable"] for row in rows)


def _too_few(name: str, rows: list[dict[str, Any]], few_resamples: bool) -> str | None:
    """Return the key of what is to be said of a set that tells little or nothing of differences, or None."""
    first = rows[0]
    if first["n_items"] == 1:
        return "one_text" if name == RETENTION else "one_question"
    if name == RETENTION:
        if not any(row["base_difference"] is not None and row["base_lo"] is None for row in rows):
            return None
        if first["n_items"] < FEWEST_ITEMS:
            return "few_texts"
        return "few_resamples" if few_resamples else "unlike_texts"
    if not first["too_small"]:
        return None
    return "no_rank" if first["smallest_detectable"] is None or first["smallest_detectable"] > 100 else "too_small"


def _rows(account: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what became of the rows of an exam's files, with the first of those that are no questions."""
    if account is None or not account["dropped"]:
        return None
    told = {"read": number(account["read"]), "kept": number(account["kept"])}
    shown = [
        {
            "place": say("knowledge.row", file=row["file"], row=number(row["row_of_file"])),
            "reason": _reason(row["reason"]),
            "cells": [row["question"], row["options"], row["answer"]],
        }
        for row in account["examples"]
    ]
    return {
        "account": sentences(
            say("knowledge.rows", **told, list=count_list(account["dropped"], _reason)),
            say("knowledge.rejected", file=account["rejected"]["file"]),
        ),
        "shown": shown,
    }


def _reason(key: str) -> Text:
    """Return why a row is no question: some words of the corpus mean other things in an exam."""
    return say(f"exam_reason.{key}") if known(f"exam_reason.{key}") else reason(key)


def _table(inputs: Inputs, name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the configurations with their value, their difference to the base model, and further accuracies."""
    each = _metric(name)
    extras = [key for key in EXTRAS if any(row[key] is not None for row in rows)]
    if all(row["n_without_leaks"] == row["n_items"] for row in rows):
        extras = [key for key in extras if key != "value_without_leaks"]
    value = say("knowledge.nll") if name == RETENTION else say("knowledge.right")
    columns = [Column(value, each.unit), Column(say("knowledge.against_base")), Column(say("comparisons.p"))]
    columns += [Column(say(f"knowledge.{key}")) for key in extras]
    best = (min if each.lower_is_better else max)(row["value"] for row in rows)
    found = []
    for row in rows:
        evaluation = inputs.evaluations[row["name"]]
        cells = [figure(row["value"], each.digits, interval(row["lo"], row["hi"], each.digits), row["value"] == best)]
        cells += [_difference(row, each.digits), Cell(both(p_value(row["base_p_holm"])), "", row["base_p_holm"])]
        cells += [figure(row[key], each.digits, _items(row, key)) for key in extras]
        control = evaluation.get("arm") == "control"
        found.append(Row(row["name"], run_title(evaluation), kind_of(evaluation), cells, control))
    return {"columns": columns, "rows": found}


def _items(row: dict[str, Any], key: str) -> str:
    return f"n = {number(row['n_without_leaks'])}" if key == "value_without_leaks" and row[key] is not None else ""


def _difference(row: dict[str, Any], digits: int) -> Cell:
    """Return the difference to the base model, marked where it holds after the correction."""
    ends = interval(row["base_lo"], row["base_hi"], digits, sign=True)
    mark = " *" if row["base_significant"] else ""
    return Cell(both(number(row["base_difference"], digits, sign=True) + mark), ends, row["base_difference"])


def _parts(inputs: Inputs, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a table of parts: a row a part and a column a configuration, with the differences to the base model."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    by_place = {(row["subject"], row["name"]): row for row in rows}
    columns = [Column(say("knowledge.questions")), Column(say("knowledge.guessing"))]
    columns += [Column(run_title(inputs.evaluations[name])) for name in names]
    parts = dict.fromkeys(row["subject"] for row in rows)
    # Medicine and the rest, or the demo's two halves; else the words are the exam's own.
    known_parts = rows[0]["scope"] == "measures" or {*parts} == {"seen", "unseen"}
    found = []
    for part in parts:
        first = by_place[part, names[0]]
        cells = [figure(first["n_items"], 0), figure(first["chance"], 1)]
        for name in names:
            row = by_place[part, name]
            mark = "" if row["base_significant"] is not True else " ↑" if row["base_difference"] > 0 else " ↓"
            cells.append(Cell(both(number(row["value"], 1) + mark), interval(row["lo"], row["hi"], 1), row["value"]))
        title = say(f"knowledge.part_{part}") if known_parts else Text(part, chinese_name(None, part) or part)
        found.append({"title": title, "cells": cells})
    return {"columns": columns, "rows": found}


def _leaks(inputs: Inputs, name: str) -> Text | None:
    """Return how many questions of an exam the training rows hold, or None where that was not looked for."""
    entries = [(each.get("exams") or {}).get(name) or {} for each in inputs.evaluations.values()]
    checked = [entry for entry in entries if entry.get("contaminated") is not None]
    if not checked:
        return None
    count = checked[0]["contaminated"]
    if not count:
        return say("knowledge.no_leaks")
    return say("knowledge.all_leaked" if count == checked[0]["n"] else "knowledge.leaks", count=number(count))
