"""What report.html tells of the learning rates that the pilots tried."""

from typing import Any

from medscale.report.inputs import Inputs
from medscale.report.tables import level
from medscale.report.texts import METHODS, Text, both, duration, interval, joined, number, say


def rates(inputs: Inputs) -> dict[str, Any] | None:
    """Return the choice, the warnings and every rate; None where there was no pilot."""
    entries = inputs.summary.rates
    if not entries:
        return None
    auto = any(entry["fixed"] is None for entry in entries)
    return {
        "lead": say(
            "rates.lead" if auto else "rates.lead_fixed", margin=number(entries[0]["margin"], 3), level=level(inputs)
        ),
        "rows": [_row(entry) for entry in entries],
        "warnings": [text for entry in entries for text in _warnings(entry)],
        "few": any(rate["difference"] and rate["lo"] is None for entry in entries for rate in entry["rates"]),
        "taken": _taken(inputs) if auto else None,
    }


def _name(entry: dict[str, Any]) -> Text:
    return both(f"{METHODS.get(entry['method'], entry['method'])}\u00a0·\u00a0{entry['label']}")


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    within = entry["within"]
    return {
        "name": _name(entry),
        "steps": say("rates.steps", steps=number(entry["steps"]), whole=number(entry["steps_of_a_run"])),
        "time": say("rates.time", time=duration(entry["seconds"])),
        "within": say(
            "rates.within", rates=f"{within[0]:g}" if len(within) == 1 else f"{within[0]:g} … {within[-1]:g}"
        ),
        "rates": [
            {
                "rate": f"{rate['rate']:g}",
                "best": rate["rate"] == entry["chosen"],
                "fixed": rate["rate"] == entry["fixed"],
                "text": say("rates.diverged") if rate["nll"] is None else both(number(rate["nll"], 4)),
                "note": _loss(rate) if rate["difference"] else None,
            }
            for rate in entry["rates"]
        ],
    }


def _loss(rate: dict[str, Any]) -> str:
    return f"{number(rate['difference'], 4, sign=True)} {interval(rate['lo'], rate['hi'], 4, sign=True)}"


def _warnings(entry: dict[str, Any]) -> list[Text]:
    """Return what is wrong with the rate of one method and size."""
    found, name = [], _name(entry)
    fixed = next((rate for rate in entry["rates"] if rate["rate"] == entry["fixed"]), None)
    if entry["verdict"] in ("far", "unsure"):
        key = f"rates.{entry['verdict']}" if fixed["nll"] is not None else "rates.far_diverged"
        lost = "" if fixed["nll"] is None else _loss(fixed)
        found.append(say(key, name=name, fixed=f"{entry['fixed']:g}", best=f"{entry['chosen']:g}", lost=lost))
    if entry["at_edge"]:
        found.append(say(f"rates.edge_{entry['at_edge']}", name=name, best=f"{entry['chosen']:g}"))
    return found


def _taken(inputs: Inputs) -> Text | None:
    """Return the rate that each run trained with, of those whose pilot chose it."""
    found = []
    for run, evaluation in inputs.evaluations.items():
        training = evaluation.get("training") or {}
        if training.get("learning_rate_from") == "pilot":
            found.append(f"{run} {training['learning_rate']:g}")
    return say("rates.taken", list=joined(found)) if found else None
