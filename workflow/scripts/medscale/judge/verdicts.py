"""verdicts.json: what all judges said, by criterion: win rates, strengths, agreement, the bias of the position."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from medscale.base.plurals import how_many
from medscale.compare.holm import holm
from medscale.judge.agreement import agreement, consistency, position
from medscale.judge.pairs import ASKED, OVERALL
from medscale.judge.strengths import strengths
from medscale.judge.verdict_files import EQUAL, FIRST, Read, Verdict
from medscale.judge.win_rates import (
    LOSS,
    TIE,
    WIN,
    Opinion,
    Outcomes,
    outcomes_of,
    question_weights,
    win_rate,
    win_rate_draws,
    win_rate_interval,
)
from medscale.report.embedding import writable

SCHEMA_VERSION = 1
BASE = "base"


def verdicts_of(read: Read, key: Mapping[str, Any], resamples: int, seed: int, alpha: float) -> dict[str, Any]:
    """Return verdicts.json.

    Parameters
    ----------
    read : from `verdict_files.read_verdicts`, with one verdict at least.
    key : contents of key.json.
    resamples, seed : draws of the intervals.
    alpha : 1 − level of the intervals.
    """
    opinions = {criterion: list(opinions_of(read.verdicts, key["pairs"], criterion)) for criterion in ASKED}
    items = sorted({item for pair in key["compared"] for item in pair["items"]})
    weights = question_weights(items, resamples, seed)
    reference = BASE if any(BASE in (pair["a"], pair["b"]) for pair in key["compared"]) else key["compared"][0]["a"]
    criteria = {}
    for criterion, said in opinions.items():
        outcomes = outcomes_of(said, key["compared"])
        criteria[criterion] = {
            "comparisons": comparisons(outcomes, said, weights, seed, alpha),
            "strengths": strengths([each for each in outcomes if each.judged], weights, seed, alpha, reference),
            "agreement": agreement(said, weights, alpha),
            "position": position(said, weights, alpha),
        }
    return {
        "schema_version": SCHEMA_VERSION,
        "set": key["set"],
        "level": 1 - alpha,
        "resamples": resamples,
        "seed": seed,
        "pairs": len(key["pairs"]),
        "lines": read.lines,
        "verdicts": len(read.verdicts),
        "dropped": read.dropped,
        "rejected": [entry | {"file": writable(entry["file"])} for entry in read.rejected],
        "incomplete": read.incomplete,
        "unknown_keys": read.unknown_keys,
        "unknown_values": read.unknown_values,
        "judges": judges(read.verdicts, opinions[OVERALL], weights, alpha),
        "criteria": criteria,
        "comments": comments(read.verdicts, key["pairs"]),
        "predictions": key["predictions"],
    }


def opinions_of(verdicts: Iterable[Verdict], pairs: Mapping[str, Any], criterion: str) -> Iterable[Opinion]:
    """Yield what the verdicts say of configurations by one criterion."""
    for verdict in verdicts:
        said = verdict.said.get(criterion)
        if said is None:
            continue
        for role in pairs[verdict.pair]:
            first = role["first"] == role["a"]
            score = TIE if said == EQUAL else WIN if (said == FIRST) == first else LOSS
            about = (role["a"], role["b"], role["item"])
            yield Opinion(*about, verdict.judge, score, first, role["repeated"], verdict.pair)


def comparisons(
    outcomes: Sequence[Outcomes],
    opinions: Sequence[Opinion],
    weights: Mapping[str, np.ndarray],
    seed: int,
    alpha: float,
) -> list[dict[str, Any]]:
    """Return the win rate of a against b for each pair of configurations that was judged, with Holm's p over them."""
    found = []
    for each in outcomes:
        if not each.judged:
            continue
        scores, rates = each.scores, by_judge(each, opinions)
        wins, losses = int((scores > TIE).sum()), int((scores < TIE).sum())
        interval = win_rate_interval(each, win_rate_draws(each, weights, seed), alpha)
        found.append(
            {
                "a": each.a,
                "b": each.b,
                "rate": win_rate(each),
                "ci": list(interval),
                "p": float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0,
                "questions": each.judged,
                "identical": int(each.identical.sum()),
                "won": wins,
                "even": each.judged - wins - losses,
                "lost": losses,
                "by_judge": rates,
            }
        )
    corrected = holm(np.array([entry["p"] for entry in found])) if found else []
    return [entry | {"p_holm": float(p)} for entry, p in zip(found, corrected, strict=True)]


def by_judge(outcomes: Outcomes, opinions: Sequence[Opinion]) -> dict[str, dict[str, float]]:
    """Return each judge's own win rate of a, identical answers left out, and of how many questions it is."""
    scores: dict[str, dict[str, list[float]]] = {}
    for each in opinions:
        if (each.a, each.b) == (outcomes.a, outcomes.b):
            scores.setdefault(each.judge, {}).setdefault(each.item, []).append(each.score)
    return {
        judge: {"rate": float(np.mean([np.mean(said) for said in items.values()])), "questions": len(items)}
        for judge, items in sorted(scores.items())
    }


def judges(
    verdicts: Sequence[Verdict], opinions: Sequence[Opinion], weights: Mapping[str, np.ndarray], alpha: float
) -> list[dict[str, Any]]:
    """Return for each judge the number of verdicts, and how place and repetition went, by the overall verdict."""
    found = []
    for name in sorted({verdict.judge for verdict in verdicts}):
        own = [opinion for opinion in opinions if opinion.judge == name]
        count = sum(verdict.judge == name for verdict in verdicts)
        found.append({"judge": name, "verdicts": count, "position": position(own, weights, alpha), **consistency(own)})
    return found


def comments(verdicts: Iterable[Verdict], pairs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what judges wrote beside their verdicts, with the configurations that it is of."""
    found = []
    for verdict in verdicts:
        if verdict.comment.strip():
            role = pairs[verdict.pair][0]
            other = role["b"] if role["first"] == role["a"] else role["a"]
            shown = {"item": role["item"], "answer_1": role["first"], "answer_2": other}
            said = {"comment": writable(verdict.comment)}  # a half character of it must not stop the import
            found.append({"judge": verdict.judge, "pair": verdict.pair, **shown, **said})
    return found


def told(result: Mapping[str, Any]) -> list[str]:
    """Return the lines that the import ends with."""
    lines = [
        f"{how_many(result['lines'], 'line')} read: {how_many(result['verdicts'], 'verdict')} of "
        f"{how_many(len(result['judges']), 'judge')}"
    ]
    lines += [f"  not used, {reason}: {count}" for reason, count in result["dropped"].items()]
    lines += [f"  line {entry['line']} of {entry['file']}: {entry['reason']}" for entry in result["rejected"][:10]]
    for kind, called in (("unknown_keys", "no criterion"), ("unknown_values", "neither 1, 2 nor equal")):
        lines += [f"  not used, {called}: {name!r}, {how_many(count, 'time')}" for name, count in result[kind].items()]
    if result["incomplete"]:
        lines.append(f"  {how_many(result['incomplete'], 'verdict leaves', 'verdicts leave')} out a criterion")
    for entry in result["criteria"][OVERALL]["comparisons"]:
        low, high = entry["ci"]
        lines.append(
            f"{entry['a']} wins {100 * entry['rate']:.1f} % [{100 * low:.1f}, {100 * high:.1f}] against {entry['b']}, "
            f"{how_many(entry['questions'] + entry['identical'], 'question')}"
        )
    return lines
