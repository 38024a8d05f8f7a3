"""The recommendation in report.html, and what the runs took: time, memory, energy, money."""

from collections.abc import Callable
from typing import Any

from medscale.report.answers import kind_of
from medscale.report.inputs import Inputs
from medscale.report.names import names, run_names
from medscale.report.tables import Cell, Column, Row, figure
from medscale.report.texts import (
    Text,
    both,
    duration,
    interval,
    known,
    metric,
    number,
    say,
    sentences,
    significant,
)


def answer(inputs: Inputs) -> dict[str, Any]:
    """Return the answer of the study: the verdict, the sentence, the rule, the figures behind it, the warnings."""
    found = inputs.summary.recommendation
    each = metric(found["metric"])
    candidates = {candidate["run"]: candidate for candidate in found["candidates"]}
    chosen = candidates.get(found.get("run"))
    return {
        "verdict": found["verdict"],
        "sentence": both(found["sentence"]),
        "rule": say("answer.rule", metric=each.name, margin=f"{found['margin']:g}", unit=_unit(each.unit)),
        "tiles": _tiles(inputs, chosen, found) if chosen else [],
        "warnings": [both(warning) for warning in found["warnings"]],
    }


def _unit(unit: Text) -> Text:
    """Return a unit without the arrow that says which direction is better."""
    return Text(unit.en.rstrip(" ↓↑"), unit.zh.rstrip(" ↓↑"))


def _tiles(inputs: Inputs, chosen: dict[str, Any], found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the figures of the recommended configuration; what was not measured, or took nothing, is left out."""
    each, title = metric(found["metric"]), names(inputs)
    digits, nothing = each.digits, both("")
    difference = say("answer.difference", best=title(found["best"]))
    apart = number(chosen["difference_to_best"], digits, sign=True)
    span = interval(chosen["lo_difference"], chosen["hi_difference"], digits, sign=True)
    if chosen["run"] == found["best"]:
        difference, apart, span = say("answer.difference", best=title(found["best"])), "0", say("answer.is_best")
    hours = chosen.get("gpu_hours")
    hours = nothing if hours is None else say("answer.gpu_hours", hours=significant(hours))
    cost = chosen.get("cost")
    currency = found.get("currency") or ""
    tiles = [
        (say("answer.configuration"), title(chosen["run"]), nothing, True),
        (
            say("answer.quality", metric=each.name, unit=each.unit),
            number(chosen["value"], digits),
            interval(chosen["lo"], chosen["hi"], digits),
            True,
        ),
        (difference, apart, span, chosen["difference_to_best"] is not None),
        (say("answer.time"), duration(chosen.get("train_seconds")), hours, bool(chosen.get("train_seconds"))),
        (
            say("answer.memory"),
            f"{number(chosen.get('peak_memory_gib'), 2)} GiB",
            nothing,
            chosen.get("peak_memory_gib") is not None,
        ),
        (say("answer.cost"), f"{number(cost, 2)} {currency}", nothing, bool(cost)),
    ]
    return [{"title": one, "value": two, "note": three} for one, two, three, shown in tiles if shown]


def candidates(inputs: Inputs) -> dict[str, Any]:
    """Return the table of the configurations that were considered; columns that none has are left out."""
    found = inputs.summary.recommendation
    each, title = metric(found["metric"]), names(inputs)
    currency = found.get("currency") or ""
    columns: list[tuple[Column, Callable[[dict[str, Any]], Cell]]] = [
        (
            Column(both(each.name), each.unit),
            lambda c: figure(c["value"], each.digits, interval(c["lo"], c["hi"], each.digits)),
        ),
        (Column(say("costs.to_best"), say("costs.simultaneous")), lambda c: _to_best(c, each.digits)),
        (Column(say("costs.not_worse")), lambda c: _truth(c["not_worse"], "costs.holds", "costs.not_shown")),
        (Column(say("costs.pareto")), lambda c: _truth(c.get("pareto"), "costs.on_front", None)),
        (Column(say("costs.gpu_hours")), lambda c: _amount(c.get("gpu_hours"))),
        (Column(say("costs.allocated"), both("GiB")), lambda c: figure(c.get("peak_memory_gib"), 2)),
        (Column(say("costs.energy"), both("kWh")), lambda c: _amount(c.get("energy_kwh"))),
        (Column(say("costs.cost"), both(currency)), lambda c: figure(c.get("cost"), 2)),
    ]
    evaluations = inputs.evaluations
    places = {run: place for place, run in enumerate(evaluations)}
    chosen = sorted(found["candidates"], key=lambda candidate: places.get(candidate["run"], len(places)))
    table = [[cell(candidate) for _, cell in columns] for candidate in chosen]
    kept = [place for place in range(len(columns)) if any(cells[place].value is not None for cells in table)]
    rows = []
    for candidate, cells in zip(chosen, table, strict=True):
        run = candidate["run"]
        kind = kind_of(evaluations[run]) if run in evaluations else str(candidate.get("method"))
        rows.append(Row(run, title(run), kind, [cells[place] for place in kept]))
    price = found.get("price_per_gpu_hour")
    note = say("costs.no_price") if price is None else say("costs.price", price=f"{price:g}", currency=currency)
    if price is not None and not any(candidate.get("cost") for candidate in found["candidates"]):
        note = say("costs.no_gpu")
    return {
        "columns": [columns[place][0] for place in kept],
        "rows": rows,
        "note": note,
        "recommended": found.get("run"),
    }


def _amount(value: float | None) -> Cell:
    """Return a cell with three digits, whatever the size: hours and kWh span from the demo to weeks."""
    return Cell(both(significant(value)), value=value)


def _to_best(candidate: dict[str, Any], digits: int) -> Cell:
    value = candidate["difference_to_best"]
    span = interval(candidate["lo_difference"], candidate["hi_difference"], digits, sign=True)
    return Cell(both(number(value, digits, sign=True)), span, value)


def _truth(value: bool | None, yes: str, no: str | None) -> Cell:
    if value is None:
        return figure(None, 0)
    return Cell(say(yes) if value else say(no) if no else both(""), value=float(value))


def cost_table(inputs: Inputs) -> dict[str, Any]:
    """Return what each run took: a column is left out where no run has it."""
    columns = [
        (Column(say("costs.train_seconds")), lambda e: _time(_at(e, "training", "seconds"))),
        (Column(say("costs.allocated"), both("GiB")), lambda e: figure(_peak(e, "train_allocated"), 2)),
        (Column(say("costs.reserved"), both("GiB")), lambda e: figure(_peak(e, "train_reserved"), 2)),
        (Column(say("costs.load"), both("GiB")), lambda e: figure(_peak(e, "load"), 2)),
        (Column(say("costs.energy"), both("kWh")), lambda e: _amount(_at(e, "training", "energy_kwh"))),
        (Column(say("costs.train_speed"), say("costs.samples_per_second")), _speed("training")),
        (Column(say("costs.micro_batch")), lambda e: figure(_at(e, "training", "micro_batch"), 0)),
        (Column(say("costs.predict_speed"), say("costs.answers_per_second")), _speed("inference")),
        (Column(say("costs.predict_memory"), both("GiB")), lambda e: figure(_at(e, "inference", "peak_memory_gib"), 2)),
    ]
    runs = {run: each for run, each in inputs.evaluations.items() if each.get("training") or each.get("inference")}
    table = [[cell(evaluation) for evaluation in runs.values()] for _, cell in columns]
    kept = [place for place, cells in enumerate(table) if any(cell.value is not None for cell in cells)]
    title = run_names(inputs)
    rows = [
        Row(run, title(run), kind_of(each), [table[place][number] for place in kept], each.get("arm") == "control")
        for number, (run, each) in enumerate(runs.items())
    ]
    kinds = {(_at(each, "training", "peak_memory_gib") or {}).get("kind") for each in runs.values()} - {None}
    return {
        "columns": [columns[place][0] for place in kept],
        "rows": rows,
        "note": sentences(*(_memory_kind(kind) for kind in sorted(map(str, kinds))), *_meaning(runs)),
    }


def _memory_kind(kind: str) -> Text:
    """Return how memory was measured; what the training calls it stands in its files in English."""
    key = "costs.kind_" + ("cuda" if kind == "cuda" else "cpu" if kind.endswith("(CPU)") else "")
    return say("costs.memory_kind", kind=say(key) if known(key) else kind)


def _meaning(runs: dict[str, Any]) -> list[Text]:
    """Return a sentence on what the peaks of the trainings tell; none on a CPU, which is given no such settings."""
    found = {
        (training["checkpointed_layers"], training["micro_batch"])
        for each in runs.values()
        if (each.get("hardware") or {}).get("device") == "cuda"
        and (training := each.get("training"))
        and training.get("checkpointed_layers") is not None
    }
    if len(found) > 1:
        return [say("costs.memory_differs")]
    return [say("costs.memory_meaning", layers=layers, rows=rows) for layers, rows in found]


def _at(evaluation: dict[str, Any], section: str, key: str) -> float | None:
    return (evaluation.get(section) or {}).get(key)


def _peak(evaluation: dict[str, Any], key: str) -> float | None:
    return (_at(evaluation, "training", "peak_memory_gib") or {}).get(key)


def _time(seconds: float | None) -> Cell:
    return Cell(duration(seconds), value=seconds)


def _speed(section: str) -> Callable[[dict[str, Any]], Cell]:
    return lambda evaluation: figure(_at(evaluation, section, "samples_per_second"), 2)
