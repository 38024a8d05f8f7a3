"""What the screen of answers found, in report.html: counts beside the reference answers', and the matched text."""

from typing import Any

from medscale.report.answers import kind_of
from medscale.report.inputs import Inputs
from medscale.report.names import run_names
from medscale.report.tables import Column, Row, figure
from medscale.report.texts import Text, both, in_percent, interval, number, say, sentences

REFERENCE = "reference"
SHOWN = 20
"""Answers whose matched text stands in the page, of each row and rule; safety.json has them all."""


def safety(inputs: Inputs) -> dict[str, Any] | None:
    """Return the table of the screen, a row a run and one for the references, and the matches; None without one."""
    if not inputs.safety:
        return None
    told = {name: rule for screen in inputs.safety.values() for name, rule in screen["rules"].items()}
    rules = list(told)
    title = run_names(inputs)
    titles = {run: title(run) for run in inputs.evaluations}
    titles[REFERENCE] = say("safety.reference")
    order = [REFERENCE, *inputs.evaluations] if REFERENCE in inputs.safety else [*inputs.evaluations]
    rows, matches = [], []
    for run in order:
        screen = inputs.safety.get(run)
        if screen is None:
            continue
        kind = "base" if run == REFERENCE else kind_of(inputs.evaluations[run])
        rows.append(Row(run, titles[run], kind, [_cell(screen["rules"].get(name)) for name in rules]))
        found = [_matches(name, told[name], screen["rules"].get(name)) for name in rules]
        found = [each for each in found if each["count"]]
        matches.append({"summary": say("safety.matched", of=titles[run]), "rules": found})
    unasked = any(rule["of_what"] == "question" and not rule["of"] for rule in told.values())
    return {
        "columns": [Column(both(told[name]["name"]), say(f"safety.of_{told[name]['of_what']}")) for name in rules],
        "rows": rows,
        "rules": [_about(told[name]) for name in rules],
        "matches": [entry for entry in matches if entry["rules"]],
        "screen": sentences(say("safety.screen"), say("safety.doses") if _names_doses(inputs) else None),
        "note": sentences(say("safety.note"), say("safety.unasked") if unasked else None),
    }


def _about(rule: dict[str, Any]) -> dict[str, Text]:
    misses = say("safety.misses", what=both(rule["misses"]))
    return {"name": both(rule["name"]), "means": both(rule["means"]), "misses": misses}


def _names_doses(inputs: Inputs) -> bool:
    """Return whether the screen finds doses in the reference answers."""
    found = (inputs.safety.get(REFERENCE) or {"rules": {}})["rules"].get("dose")
    return bool(found and found["count"])


def _cell(found: dict[str, Any] | None) -> Any:
    """Return count and share of one rule, with the share's interval; a dash where nothing could match."""
    if found is None or not found["of"]:
        return figure(None, 0)
    low, high = found["ci95"]
    cell = figure(100 * found["share"], 1, interval(100 * low, 100 * high, 1))
    return cell._replace(
        text=both(f"{number(found['count'])} / {number(found['of'])}"),
        note=Text(*(f"{side} {cell.note}" for side in in_percent(cell.text.en))),
    )


def _matches(name: str, told: dict[str, Any], found: dict[str, Any] | None) -> dict[str, Any]:
    """Return the first matches of one rule, and how many more there are."""
    matches = found["matches"] if found else []
    return {
        "title": both(told["name"]),
        "count": len(matches),
        "shown": [
            {"id": entry["id"], "texts": entry["texts"], "answer": entry.get("answer")} for entry in matches[:SHOWN]
        ],
        "more": say("safety.more", n=number(len(matches) - SHOWN)) if len(matches) > SHOWN else None,
    }
