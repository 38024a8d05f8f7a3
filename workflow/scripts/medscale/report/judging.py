"""What judges said of blind pairs, in report.html: win rates, strengths, agreement, and the judges."""

from collections.abc import Callable
from typing import Any

from medscale.report.inputs import Inputs
from medscale.report.names import run_names
from medscale.report.texts import (
    Text,
    against,
    both,
    in_percent,
    interval,
    joined,
    number,
    p_value,
    percent,
    say,
    sentences,
    share,
)

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
        "facts": sentences(_facts(found), _dropped(found), _unsaid([name for name in order if name not in said])),
        "runs": _single_seeds(inputs, found),
        "stale": _is_stale(inputs),
        "interval": say("judging.interval", level=percent(found["level"])),
        "criteria": [
            {
                "key": name,
                "name": say(f"judging.{name}"),
                **_criterion(found["criteria"][name], title, 1 - found["level"]),
            }
            for name in said
        ],
        "judges": [_judge(entry) for entry in found["judges"]],
    }


def _facts(found: dict[str, Any]) -> Text:
    counts = {"verdicts": found["verdicts"], "judges": len(found["judges"]), "pairs": found["pairs"]}
    return say("judging.facts", **{name: number(count) for name, count in counts.items()})


def _single_seeds(inputs: Inputs, found: dict[str, Any]) -> Text | None:
    """Return whose answers were shown of the configurations of several seeds, of which judges see one run; or None."""
    several = {run for each in inputs.summary.configurations if each["seeds"] > 1 for run in each["runs"].split()}
    compared = [each for criterion in found["criteria"].values() for each in criterion["comparisons"]]
    judged = {each[side] for each in compared for side in ("a", "b")}
    title = run_names(inputs)
    shown = [run for run in inputs.evaluations if run in judged & several]
    return say("judging.one_seed", list=joined(title(run) for run in shown)) if shown else None


def _titles(inputs: Inputs) -> Callable[[str], Text]:
    title = run_names(inputs)
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
    listed = joined(Text(f"{reason.en} {n}", f"{reason.zh} {n}") for reason, n in reasons)
    return say("judging.dropped", n=number(count), lines=number(found["lines"]), list=listed)


def _unsaid(criteria: list[str]) -> Text | None:
    """Return that nobody said anything by some criteria, or None."""
    return say("judging.unsaid", list=joined(say(f"judging.{name}") for name in criteria)) if criteria else None


def _criterion(found: dict[str, Any], title: Callable[[str], Text], alpha: float) -> dict[str, Any]:
    return {
        "comparisons": [_comparison(entry, title, alpha) for entry in found["comparisons"]],
        "groups": [_group(group, title) for group in found["strengths"]],
        "agreement": sentences(_agreement(found["agreement"]), _position(found["position"])),
    }


def _comparison(entry: dict[str, Any], title: Callable[[str], Text], alpha: float) -> dict[str, Any]:
    """Return one pair: a side is called better where the test of questions and the interval of the rate say so both."""
    low, high = entry["ci"]
    clear = entry["p_holm"] <= alpha and (
        (low > 0.5 and entry["won"] > entry["lost"]) or (high < 0.5 and entry["won"] < entry["lost"])
    )
    won = [_of_judge(name, each) for name, each in entry["by_judge"].items()]
    return {
        "pair": against(title(entry["a"]), title(entry["b"])),
        "state": "better" if clear else "open",
        "words": say("judging.better", run=title(entry["a"] if entry["rate"] > 0.5 else entry["b"]))
        if clear
        else say("judging.not_shown"),
        "rate": in_percent(number(100 * entry["rate"], 1)),
        "interval": interval(100 * low, 100 * high, 1),
        "bar": {"low": round(200 * low, 1), "high": round(200 * high, 1), "middle": round(200 * entry["rate"], 1)},
        "p": p_value(entry["p_holm"]),
        "counts": say(
            "judging.counts", won=entry["won"], even=entry["even"], lost=entry["lost"], identical=entry["identical"]
        ),
        "judges": Text(*(" · ".join(each[side] for each in won) for side in (0, 1))) if len(won) > 1 else None,
    }


def _of_judge(name: str, found: dict[str, Any]) -> Text:
    rate = in_percent(number(100 * found["rate"], 0))
    return Text(f"{name} {rate.en} ({found['questions']})", f"{name} {rate.zh}（{found['questions']}）")


def _group(group: dict[str, Any], title: Callable[[str], Text]) -> dict[str, Any]:
    return {
        "title": say("judging.strengths", reference=title(group["reference"])),
        "rate": say("judging.rate_against", reference=title(group["reference"])),
        "bounded": group["bounded"],
        "rows": [
            {
                "title": title(entry["name"]),
                "strength": number(entry["strength"], 2, sign=True) if entry["ci"] else "0",
                "interval": interval(*entry["ci"], 2, sign=True) if entry["ci"] else "",
                "rate": in_percent(number(100 * entry["rate"], 1)) if entry["ci"] else both("–"),
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
        "first": in_percent(number(100 * place["share"], 0)) if place["share"] is not None else both("–"),
        "interval": interval(*(100 * end for end in place["ci"]), 0) if place["ci"] else "",
        "twice": say("judging.twice", same=entry["same"], n=entry["shown_twice"], place=entry["place"])
        if entry["shown_twice"]
        else say("judging.not_twice"),
    }
