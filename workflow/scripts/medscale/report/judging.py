"""What judges said of blind pairs, in report.html: win rates, strengths, agreement, and the judges."""

from collections.abc import Callable
from typing import Any

from medscale.report.inputs import Inputs
from medscale.report.tables import names
from medscale.report.texts import Text, interval, number, p_value, percent, say, share

REFERENCE = "reference"
LOW_ALPHA = 0.667
"""Krippendorff's own limit below which he would draw no conclusion."""


def judging(inputs: Inputs) -> dict[str, Any] | None:
    """Return what verdicts.json says, a block a criterion, the overall verdict first; None where nobody judged."""
    found = inputs.verdicts
    if found is None:
        return None
    title = _titles(inputs)
    order = sorted(found["criteria"], key=lambda name: name != "overall")
    said = [name for name in order if found["criteria"][name]["comparisons"]]
    return {
        "facts": say(
            "judging.facts",
            verdicts=number(found["verdicts"]),
            judges=number(len(found["judges"])),
            pairs=number(found["pairs"]),
        ),
        "stale": _is_stale(inputs),
        "dropped": _dropped(found),
        "interval": say("judging.interval", level=percent(found["level"])),
        "criteria": [
            {
                "key": name,
                "name": say(f"judging.{name}"),
                **_criterion(found["criteria"][name], title, 1 - found["level"]),
            }
            for name in said
        ],
        "unsaid": _unsaid([name for name in order if name not in said]),
        "judges": [_judge(entry) for entry in found["judges"]],
    }


def _titles(inputs: Inputs) -> Callable[[str], Text]:
    title = names(inputs)
    return lambda name: say("judging.reference") if name == REFERENCE else title(name)


def _is_stale(inputs: Inputs) -> bool:
    """Return whether the verdicts are of other answers than the report's."""
    now = {run: scores.facts["predictions_sha256"] for run, scores in inputs.answers.scores.items()}
    return any(now.get(run) != digest for run, digest in inputs.verdicts["predictions"].items())


def _dropped(found: dict[str, Any]) -> Text | None:
    count = sum(found["dropped"].values())
    if not count:
        return None
    reasons = [(say(f"judging.dropped_{reason}"), n) for reason, n in found["dropped"].items()]
    both_sides = [", ".join(f"{reason[side]} {n}" for reason, n in reasons) for side in (0, 1)]
    return say("judging.dropped", n=number(count), lines=number(found["lines"]), list=Text(*both_sides))


def _unsaid(criteria: list[str]) -> Text | None:
    """Return that nobody said anything by some criteria, or None."""
    names = [say(f"judging.{name}") for name in criteria]
    listed = Text(", ".join(name.en for name in names), "、".join(name.zh for name in names))
    return say("judging.unsaid", list=listed) if names else None


def _criterion(found: dict[str, Any], title: Callable[[str], Text], alpha: float) -> dict[str, Any]:
    return {
        "comparisons": [_comparison(entry, title, alpha) for entry in found["comparisons"]],
        "groups": [_group(group, title) for group in found["strengths"]],
        "agreement": _agreement(found["agreement"]),
        "position": _position(found["position"]),
    }


def _comparison(entry: dict[str, Any], title: Callable[[str], Text], alpha: float) -> dict[str, Any]:
    """Return one pair: a side is called better where the test of questions and the interval of the rate say so both."""
    low, high = entry["ci"]
    clear = entry["p_holm"] <= alpha and (
        (low > 0.5 and entry["won"] > entry["lost"]) or (high < 0.5 and entry["won"] < entry["lost"])
    )
    won = [
        f"{name} {number(100 * each['rate'], 0)} % ({each['questions']})" for name, each in entry["by_judge"].items()
    ]
    return {
        "a": title(entry["a"]),
        "b": title(entry["b"]),
        "state": "better" if clear else "open",
        "words": say("judging.better", run=title(entry["a"] if entry["rate"] > 0.5 else entry["b"]))
        if clear
        else say("judging.not_shown"),
        "rate": number(100 * entry["rate"], 1),
        "interval": interval(100 * low, 100 * high, 1),
        "bar": {"low": round(200 * low, 1), "high": round(200 * high, 1), "middle": round(200 * entry["rate"], 1)},
        "p": p_value(entry["p_holm"]),
        "counts": say(
            "judging.counts", won=entry["won"], even=entry["even"], lost=entry["lost"], identical=entry["identical"]
        ),
        "judges": " · ".join(won) if len(won) > 1 else "",
    }


def _group(group: dict[str, Any], title: Callable[[str], Text]) -> dict[str, Any]:
    return {
        "reference": title(group["reference"]),
        "bounded": group["bounded"],
        "rows": [
            {
                "title": title(entry["name"]),
                "strength": number(entry["strength"], 2, sign=True) if entry["ci"] else "0",
                "interval": interval(*entry["ci"], 2, sign=True) if entry["ci"] else "",
                "rate": number(100 * entry["rate"], 1) if entry["ci"] else "–",
                "rate_interval": interval(*(100 * end for end in entry["rate_ci"]), 1) if entry["rate_ci"] else "",
            }
            for entry in group["configurations"]
        ],
    }


def _agreement(found: dict[str, Any] | None) -> Text:
    """Return the sentence on how far the judges agree."""
    if found is None:
        return say("judging.one_judge")
    equal, units = share(found["equal"]), number(found["units"])
    if found["alpha"] is None:
        return say("judging.alpha_undefined", equal=equal, units=units)
    low = say("judging.alpha_low") if found["alpha"] < LOW_ALPHA else Text("", "")
    ends = interval(*found["ci"], 2) if found["ci"] else say("judging.no_interval")
    return say(
        "judging.alpha",
        alpha=number(found["alpha"], 2),
        interval=ends,
        equal=equal,
        units=units,
        judges=found["judges"],
        low=low,
    )


def _position(found: dict[str, Any]) -> Text | None:
    if found["share"] is None:
        return say("judging.no_position")
    low, high = found["ci"]
    key = "judging.position" if low <= 0.5 <= high else "judging.position_biased"
    return say(
        key, share=number(100 * found["share"], 0), interval=interval(100 * low, 100 * high, 0), n=found["decided"]
    )


def _judge(entry: dict[str, Any]) -> dict[str, Any]:
    place = entry["position"]
    return {
        "judge": entry["judge"],
        "verdicts": number(entry["verdicts"]),
        "first": f"{number(100 * place['share'], 0)} %" if place["share"] is not None else "–",
        "interval": interval(*(100 * end for end in place["ci"]), 0) if place["ci"] else "",
        "twice": say("judging.twice", same=entry["same"], n=entry["shown_twice"], place=entry["place"])
        if entry["shown_twice"]
        else say("judging.not_twice"),
    }
