"""What general rows among the training rows did: each run with such beside the same run without, and the base model."""

from typing import Any

from medscale.base.study import mix_of, mixed_rows
from medscale.report.answers import kind_of
from medscale.report.facts import count_list
from medscale.report.inputs import Inputs
from medscale.report.tables import Cell, Column, Row, figure
from medscale.report.texts import Text, both, interval, metric, number, run_title, say, share

SHOWN = ("nll", "rouge_l")


def mix(inputs: Inputs) -> dict[str, Any] | None:
    """Return the table of the runs with general rows and what became of these rows; None where there is no such run."""
    configurations = {each["configuration"]: each for each in inputs.summary.configurations}
    with_mix = {name: percent for name in configurations if (percent := mix_of(name)) is not None}
    if not with_mix:
        return None
    places = {(each["method"], each["train_size"]): name for name, each in configurations.items() if _plain(each)}
    wanted = ["base"] if "base" in configurations else []
    for name in with_mix:
        each = configurations[name]
        wanted += [places[place] for place in [(each["method"], each["train_size"])] if place in places] + [name]
    wanted = list(dict.fromkeys(wanted))
    retained = any(_retention(inputs, configurations[name]).value is not None for name in wanted)
    metrics = [metric(key) for key in SHOWN if any(configurations[name].get(key) is not None for name in wanted)]
    columns = [Column(both(each.name), each.unit) for each in metrics]
    columns += [Column(say("mix.retention"), say("metric.nll_unit"))] if retained else []
    rows = []
    for name in wanted:
        each, evaluation = configurations[name], inputs.evaluations[name]
        cells = [figure(each.get(m.key), m.digits, _interval(each, m.key, m.digits)) for m in metrics]
        cells += [_retention(inputs, each)] if retained else []
        title = run_title(evaluation)
        if each["seeds"] > 1:
            mean = say("run.mean", n=number(each["seeds"]))
            title = Text(f"{title.en} · {mean.en}", f"{title.zh} · {mean.zh}")
        rows.append(Row(name, title, kind_of(evaluation), cells, evaluation.get("arm") == "control"))
    (percent, *_) = with_mix.values()
    # mix.json was not made anew where a larger mix takes more of the same rows
    needed = max(mixed_rows(int(configurations[name]["train_size"]), percent) for name in with_mix)
    return {
        "columns": columns,
        "rows": rows,
        "lead": say("mix.lead", percent=percent),
        "notes": [say("mix.retention_note")] if retained else [say("mix.no_retention")],
        "data": _data(inputs.mix, needed),
    }


def _plain(configuration: dict[str, Any]) -> bool:
    return configuration["kind"] == "tuned"


def _interval(configuration: dict[str, Any], key: str, digits: int) -> str:
    return interval(configuration.get(f"{key}_lo"), configuration.get(f"{key}_hi"), digits)


def _retention(inputs: Inputs, configuration: dict[str, Any]) -> Cell:
    """Return the NLL of the general texts with its interval, over texts and, where there are several, seeds."""
    if configuration.get("retention") is not None:
        return figure(configuration["retention"], 3, _interval(configuration, "retention", 3))
    found = [inputs.evaluations[run].get("retention") or {} for run in configuration["runs"].split()]
    values = [each["value"] for each in found if each.get("value") is not None]
    if not values:
        return figure(None, 3)
    ends = (found[0].get("ci95") or (None, None)) if len(found) == 1 else (None, None)
    return figure(sum(values) / len(values), 3, interval(*ends, 3))


def _data(report: dict[str, Any] | None, needed: int) -> Text | None:
    """Return what became of the general rows, how many the largest mix takes, and under which licence they stand."""
    if report is None:
        return None
    read, kept, dropped = report["read"], report["kept"], report["dropped"]
    return say(
        "mix.data",
        read=number(read),
        kept=number(kept),
        share=share(kept / read if read else None),
        needed=number(needed),
        dropped=count_list(dropped) if dropped else say("mix.nothing"),
        licence=both(report["licence"]) if report["licence"] else say("licences.not_stated"),
    )
