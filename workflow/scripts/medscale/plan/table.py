"""The plan as a table to read."""

from collections.abc import Callable
from typing import Any

from medscale.plan.cards import spread


def plan_text(plan: dict[str, Any]) -> str:
    """Return plan.md: the machine, a row a run, totals, the settings, sessions, and what the figures rest on.

    Args:
        plan: the content of plan.json.
    """
    computed = ", computed" if plan["computed"] else ""
    lines = [
        *_head(plan),
        f"Lengths of the rows: {plan['lengths']['source']}; on average {plan['lengths']['mean_tokens']:.0f} tokens.",
        "",
        *_runs(plan),
        *_further(plan),
        *_exams(plan),
        "",
        f"## Settings it would choose{computed}",
        "",
        *table(
            ["run", "micro_batch", "checkpointed layers", "precision", "evaluation.batch_size"],
            [_settings(run) for run in plan["runs"]],
        ),
        "",
        f"## Sessions{computed}",
        "",
        *table(
            ["service", "hours a session", "hours a week", "the whole study", "the longest run alone"],
            [_session(name, found) for name, found in plan["sessions"].items()],
        ),
        "",
        "A session that ends cuts a training off at its last checkpoint, from which the same command goes on. "
        + (
            "The sessions are those of both ends of the range."
            if plan["computed"]
            else "The figures hold for this machine: make the plan where the study will run."
        ),
        "",
        "## What the figures rest on",
        "",
        *(f"* {note}" for note in [*plan.get("basis", []), *plan["notes"]]),
    ]
    if plan["price_per_gpu_hour"] is None:
        lines.append("* No price: set `recommendation.price_per_gpu_hour` for the money.")
    return "\n".join(lines) + "\n"


def _head(plan: dict[str, Any]) -> list[str]:
    """Return title and machine."""
    hardware, model = plan["hardware"], plan["model"]
    machine = hardware["gpu_model"] or f"{hardware['cpu']}, {hardware['cores']} cores"
    memory = hardware["gpu_memory_gib"] or hardware["memory_gib"]
    about = f"{machine}, {memory:.0f} GiB; model: {model['name']} ({model['source']})."
    if plan["computed"]:
        return [
            f"# Plan for {machine}: computed, not measured",
            "",
            f"Computed {plan['computed_at']} without the card, for {about}",
        ]
    return ["# Plan", "", f"Measured {plan['measured_at']} on {about}"]


def _runs(plan: dict[str, Any]) -> list[str]:
    """Return the table of the runs; of a card whose figures can be computed, those beside the measured ones."""
    exams = ["exams"] if _examines(plan) else []
    columns = ["run", "steps", "training", "prediction", *exams, "peak memory, GiB", "fits", "energy, kWh"]
    columns.append(_money_title(plan))
    basis = ["basis"] if plan["computed"] else []
    runs = [*plan["pilots"], *plan["runs"]]
    rows = [[*_row(run, bool(exams)), *([run["basis"]] if basis else [])] for run in runs]
    lines = table([*columns, *basis], [*rows, [*_total(plan), *(["computed, not measured"] if basis else [])]])
    if beside := plan.get("beside"):
        lines += ["", f"Computed for this card ({beside['card']}) from declared rates, not measured:", ""]
        lines += table(columns, [_row(run, bool(exams)) for run in [*beside["pilots"], *beside["runs"]]])
    return lines


def _further(plan: dict[str, Any]) -> list[str]:
    """Return a line for the further seeds and one for the runs with general rows, where there are such."""
    lines = []
    trainings = sum(run["train_size"] > 0 for run in plan["runs"])
    for kind, title in (("seeds", "The seeds after the first"), ("mix", "The runs with general rows")):
        found = plan.get("further", {}).get(kind)
        if not found:
            continue
        ends = [
            spread(found[key]) if plan["computed"] and found[key] is not None else None for key in ("seconds", "cost")
        ]
        text = f"{title} are {found['trainings']} of the {trainings} trainings"
        if found["seconds"] is not None:
            text += f" and take {_ranged(found['seconds'], ends[0], duration)} of the time with their answers"
        if found["cost"] is not None:
            text += f", {_ranged(found['cost'], ends[1], number)} {plan['currency']}"
        lines += ["", f"{text}."]
    return lines


def _exams(plan: dict[str, Any]) -> list[str]:
    """Return the table of exams and general texts, and where their sizes are from; nothing where there are none."""
    examined = plan.get("examined", {"sets": [], "not_in_the_plan": {}})
    if not examined["sets"] and not examined["not_in_the_plan"]:
        return []
    lines = ["", f"## Exams and general texts{', computed' if plan['computed'] else ''}", ""]
    if examined["sets"]:
        heads = ["set", "questions or texts", "rows", "passes", "tokens", "time of all models"]
        lines += table(heads, [_exam(each, plan) for each in examined["sets"]])
        lines.append("")
    lines += [f"* {each['name']}: {each['source']}." for each in examined["sets"]]
    lines += [f"* {name} is not in the plan: {why}." for name, why in examined["not_in_the_plan"].items()]
    return lines


def _exam(each: dict[str, Any], plan: dict[str, Any]) -> list[str]:
    times = [run["examine_seconds_by_set"].get(each["name"]) for run in plan["runs"] if run["fits"]]
    taken = sum(times) if times and None not in times else None
    ends = spread(taken) if plan["computed"] and taken is not None else None
    counts = [f"{each[key]:,}" for key in ("count", "rows", "passes", "tokens")]
    return [each["name"], *counts, _ranged(taken, ends, duration)]


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a Markdown table, its columns aligned so that it reads well as plain text too."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    line = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    cells = [[row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)] for row in rows]
    title = [head[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(head[1:], widths[1:], strict=True)]
    return ["| " + " | ".join(part) + " |" for part in (title, line, *cells)]


def duration(seconds: float | None) -> str:
    """Return a time in the unit that suits it.

    >>> duration(75.2), duration(4000), duration(None)
    ('1 min 15 s', '1 h 07 min', '–')
    """
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def number(value: float | None, digits: int = 2) -> str:
    """Return a figure, or a dash where it was not measured."""
    return "–" if value is None else f"{value:.{digits}f}"


def _money_title(plan: dict[str, Any]) -> str:
    return f"money, {plan['currency']}"


def _examines(plan: dict[str, Any]) -> bool:
    return any(run.get("examine_seconds") is not None for run in plan["runs"])


def _row(run: dict[str, Any], exams: bool) -> list[str]:
    reserved = run["peak_memory_gib"]["reserved"]
    memory = number(run["peak_memory_gib"]["allocated"])
    if run["ranges"] is not None and (training := run["peak_memory_gib"].get("training")):
        memory += f" (training {training:.2f})"
    memory += f" / {reserved:.2f} reserved" if reserved is not None else ""
    ranges = run["ranges"] or {}
    return [
        run["run"],
        "–" if run["steps"] is None else f"{run['steps']:,}",
        _ranged(run["train_seconds"], ranges.get("train_seconds"), duration),
        _ranged(run["predict_seconds"], ranges.get("predict_seconds"), duration),
        *([_ranged(run.get("examine_seconds"), ranges.get("examine_seconds"), duration)] if exams else []),
        memory,
        "yes" if run["fits"] else "NO",
        number(run["energy_kwh"], 3),
        _ranged(run["cost"], ranges.get("cost"), number),
    ]


def _total(plan: dict[str, Any]) -> list[str]:
    sums, ranges = plan["totals"], {}
    for name in ("train_seconds", "predict_seconds", "examine_seconds", "cost"):
        if plan["computed"] and sums.get(name) is not None:
            ranges[name] = spread(sums[name])
    return [
        "all" if all(run["fits"] for run in plan["runs"]) else "all that fit",
        "",
        _ranged(sums["train_seconds"], ranges.get("train_seconds"), duration),
        _ranged(sums["predict_seconds"], ranges.get("predict_seconds"), duration),
        *([_ranged(sums["examine_seconds"], ranges.get("examine_seconds"), duration)] if _examines(plan) else []),
        "",
        "yes" if all(run["fits"] for run in plan["runs"]) else "NO",
        number(sums["energy_kwh"], 3),
        _ranged(sums["cost"], ranges.get("cost"), number),
    ]


def _ranged(value: float | None, ends: list[float] | None, form: Callable[[float | None], str]) -> str:
    """Return a figure, of a computed one its range alone."""
    return form(value) if ends is None else f"{form(ends[0])} to {form(ends[1])}"


def _settings(run: dict[str, Any]) -> list[str]:
    chosen = run["settings"]
    keys = ("micro_batch", "checkpointed_layers", "precision", "evaluation_batch_size")
    return [run["run"], *("–" if chosen.get(key) is None else str(chosen[key]) for key in keys)]


def _session(name: str, found: dict[str, Any]) -> list[str]:
    week = found["hours_per_week"]
    return [
        name,
        f"{found['hours']:g}",
        "–" if week is None else f"{week:g}",
        *(_packings(found[part], found.get(f"{part}_at_most"), week is not None) for part in ("study", "longest_run")),
    ]


def _packings(least: dict[str, Any] | None, most: dict[str, Any] | None, weekly: bool) -> str:
    texts = dict.fromkeys(_packing(packing, weekly) for packing in (least, most) if packing or least is None)
    return " to ".join(texts)


def _packing(packing: dict[str, Any] | None, weekly: bool) -> str:
    if packing is None:
        return "not known"
    if packing["sessions"] is None:
        return f"does not fit: {packing['too_long']} is longer than a session"
    text = f"{packing['sessions']} session{'s' * (packing['sessions'] > 1)}"
    if weekly:
        text += f" in {packing['weeks']} week{'s' * (packing['weeks'] > 1)}"
    return text
