"""What report.html tells of the data, the leak check, the files and versions, the licences and the limits."""

import json
from collections.abc import Callable
from typing import Any

from medscale.report.inputs import Inputs
from medscale.report.names import run_names
from medscale.report.texts import Text, both, joined, known, number, say, sentences, share

PERMISSIVE = ("apache-2.0", "mit", "bsd", "cc0", "cc-by-4.0", "cc-by-3.0", "odc-by", "unlicense")
NON_COMMERCIAL = ("qwen-research", "-nc", "non-commercial", "noncommercial", "research-only")
DIGESTS = ("fingerprint", "config_sha256", "train_sha256", "test_sha256", "model_manifest_sha256")
FEW_ITEMS = 1000


def cleaning(inputs: Inputs) -> dict[str, Any]:
    """Return what became of the rows of the corpus, most frequent reason first."""
    report, split = inputs.clean, inputs.split
    read = report["read"]
    reasons = sorted(report["dropped"].items(), key=lambda item: (-item[1], item[0]))
    rows = [(say("cleaning.kept"), report["kept"], "kept"), *((reason(key), count, "") for key, count in reasons)]
    masked = [(reason(key), n) for key, n in report["masked"].items() if n]
    medians = {name: (report.get(f"{name}_characters") or {}).get("median") for name in ("question", "answer")}
    sizes, proof = split["sizes"], split["proof"]
    return {
        "equation": say(
            "cleaning.equation",
            read=number(read),
            kept=number(report["kept"]),
            dropped=number(sum(report["dropped"].values())),
        ),
        "rows": [
            {
                "title": title,
                "count": number(count),
                "share": share(count / read),
                "width": _width(count, read),
                "kind": kind,
            }
            for title, count, kind in rows
        ]
        if read
        else [],
        "notes": sentences(
            *_dialogues(report),
            say(
                "cleaning.split",
                **{name: number(sizes[name]) for name in ("test", "validation", "pool")},
                crossing=number(proof["crossing_pairs"]),
                compared=number(proof["pairs_compared"]),
            ),
            None
            if None in medians.values()
            else say("cleaning.lengths", **{name: number(each) for name, each in medians.items()}),
            say("cleaning.masked", list=_list(masked)) if masked else None,
        ),
        "warnings": [both(warning) for warning in split.get("warnings", [])],
    }


def _dialogues(report: dict[str, Any]) -> list[Text]:
    """Return how many samples the kept rows give, and which turns give none, where there are dialogues."""
    samples, turns = report.get("samples", report["kept"]), report.get("turns_dropped") or {}
    told = [say("cleaning.samples", samples=number(samples))] if samples != report["kept"] else []
    if turns:
        told.append(say("cleaning.turns", list=_list([(reason(key), n) for key, n in turns.items()])))
    return told


def reason(key: str) -> Text:
    """Return why a row is dropped, in words."""
    if known(f"reason.{key}"):
        return say(f"reason.{key}")
    kind, _, field = key.rpartition("_")
    if field in ("question", "answer") and known(f"reason.{kind}"):
        text = say(f"reason.{kind}", field=say(f"reason.{field}"))
        return Text(text.en[0].upper() + text.en[1:], text.zh)
    return both(key)


def count_list(counts: dict[str, int], named: Callable[[str], Text] = reason) -> Text:
    """Return reasons with their counts in words, the most frequent first."""
    return _list([(named(key), count) for key, count in sorted(counts.items(), key=lambda item: -item[1])])


def _list(items: list[tuple[Text, int]]) -> Text:
    return joined(Text(f"{title.en} {number(n)}", f"{title.zh} {number(n)}") for title, n in items)


def _width(part: float, whole: float) -> float:
    """Return the width of a bar of 100, wide enough to be seen."""
    return round(max(100 * part / whole, 0.6 if part else 0), 2) if whole else 0


def leak(inputs: Inputs) -> dict[str, Any]:
    """Return the leak check: its counts, its histogram as bars of 100 × 40, its nearest pairs."""
    report = inputs.leak
    near, contained, equal = report["near"], report["contained"], report["equal_answers"]
    counts = report["nearest_similarity"]["histogram"]["counts"]
    edges = report["nearest_similarity"]["histogram"]["edges"]
    quantiles = report["nearest_similarity"]["quantiles"]
    near_text = say("leak.near", threshold=f"{report['similarity_threshold']:g}")
    contained_text = say("leak.contained", ngram=report["ngram"], threshold=f"{report['containment_threshold']:g}")
    checks = [(near_text, near), (contained_text, contained), (say("leak.equal"), equal)]
    if "minhash" in report:
        found = report["minhash"]["count"]
        checks.insert(1, (say("leak.minhash"), {"count": found, "share": found / report["test_questions"]}))
    highest = max(counts, default=0)
    return {
        "passed": report["passed"],
        "lead": _compared(report),
        "checks": [
            {"title": title, "count": number(entry["count"]), "share": share(entry["share"])} for title, entry in checks
        ],
        "bars": [
            {
                "x": round(100 * place / len(counts), 2),
                "width": round(92 / len(counts), 2),
                "height": round(36 * count / highest, 2) if highest else 0,
                "over": edges[place] >= report["similarity_threshold"],
            }
            for place, count in enumerate(counts)
        ],
        "axis": say("leak.histogram_axis", count=number(highest)),
        "ends": [f"{edge:g}" for edge in (edges[0], edges[-1])],
        "caption": say(
            "leak.quantiles", median=number(quantiles.get("0.5"), 2), highest=number(quantiles.get("1.0"), 2)
        ),
        "worst": [
            *(_pair(pair, "similarity") for pair in near["worst"]),
            *(_pair(pair, "containment") for pair in contained["worst"]),
        ],
    }


def _compared(report: dict[str, Any]) -> Text:
    """Return what was compared: general rows are counted apart, and are all those of which the mixes take some."""
    told = {"test": number(report["test_questions"]), "training": number(report["training_questions"])}
    general = report.get("general_questions")
    if general is None:
        return say("leak.lead", **told)
    return say("leak.lead_general", **told, general=number(general))


def _pair(pair: dict[str, Any], measure: str) -> dict[str, Any]:
    return {
        "test": pair["test_question"],
        "training": pair["train_question"],
        "ids": f"{pair['test_id']} / {pair['train_id']}",
        "measure": say(f"leak.{measure}"),
        "value": number(pair[measure], 2),
    }


def provenance(inputs: Inputs) -> dict[str, Any]:
    """Return the sources, machines, versions and digests."""
    runs, title = inputs.evaluations, run_names(inputs)
    scorer = next((each["scorer"] for each in runs.values() if each.get("scorer")), {})
    return {
        "sources": [_source(say("provenance.model"), inputs.model), _source(say("provenance.data"), inputs.data)],
        "hardware": _shared(inputs, "hardware"),
        "software": _shared(inputs, "software"),
        "columns": [say(f"provenance.{name}") for name in DIGESTS],
        "digests": [
            {"title": title(run), "digests": [each["provenance"].get(name) or "–" for name in DIGESTS]}
            for run, each in runs.items()
        ],
        "scorer": scorer,
        "config": json.dumps(inputs.config, ensure_ascii=False, indent=2),
    }


def _source(title: Text, manifest: dict[str, Any]) -> dict[str, Any]:
    made = manifest["source"] in ("tiny", "demo")
    name = manifest["id"]
    return {
        "title": title,
        "name": say("provenance.made_here") if made or not name else both(name),
        "source": manifest["source"],
        "revision": manifest["revision"] or "–",
        "files": [{**file, "size": number(file["size"])} for file in manifest["files"]],
    }


def _shared(inputs: Inputs, part: str) -> list[dict[str, Any]]:
    """Return the different machines, or sets of versions, each with the runs that it holds for."""
    groups: dict[str, dict[str, Any]] = {}
    title = run_names(inputs)
    for run, each in inputs.evaluations.items():
        if each.get(part):
            group = groups.setdefault(json.dumps(each[part], sort_keys=True), {"facts": each[part], "runs": []})
            group["runs"].append(title(run))
    return [
        {
            "runs": joined(group["runs"]),
            "facts": {name: value for name, value in group["facts"].items() if value is not None},
        }
        for group in groups.values()
    ]


def licences(inputs: Inputs) -> dict[str, Any]:
    """Return the licence of the model and of the corpus, with what it means; whether the corpus is other people's."""
    parts = ((say("provenance.model"), inputs.model), (say("provenance.data"), inputs.data))
    entries = [
        {
            "title": title,
            "name": _source(title, manifest)["name"],
            "licence": _licence(manifest),
            "meaning": say(f"licences.{_meaning(manifest)}"),
        }
        for title, manifest in parts
    ]
    return {"entries": entries, "quotes": inputs.data["source"] != "demo"}


def _licence(manifest: dict[str, Any]) -> Text:
    if manifest["licence"]:
        return both(manifest["licence"])
    return say("licences.not_needed" if manifest["source"] in ("tiny", "demo") else "licences.not_stated")


def _meaning(manifest: dict[str, Any]) -> str:
    if manifest["source"] in ("tiny", "demo"):
        return "made_here"
    if not manifest["licence"]:
        return "unstated"
    name = str(manifest["licence"]).lower().replace("_", "-").replace(" ", "-")
    if any(mark in name for mark in NON_COMMERCIAL):
        return "non_commercial"
    return "permissive" if name.startswith(PERMISSIVE) else "other"


def limits(inputs: Inputs) -> list[Text]:
    """Return the limits that hold for this study."""
    runs, config = inputs.evaluations.values(), inputs.config
    items = len(inputs.answers.ids)
    devices = {(each.get("hardware") or {}).get("device") for each in runs if each.get("training")}
    tokens = config.get("evaluation", {}).get("max_new_tokens")
    texts = [
        ("demo", {}, inputs.model["source"] in ("tiny", "demo") or inputs.data["source"] == "demo"),
        ("overlap", {}, True),
        ("one_seed", {}, len({each.get("seed") for each in runs} - {None}) <= 1),
        ("few_items", {"items": number(items)}, items < FEW_ITEMS),
        ("one_model", {}, True),
        ("cut", {"tokens": tokens}, tokens is not None),
        ("leak", {}, True),
        ("personal", {}, True),
        ("cpu", {}, "cpu" in devices),
    ]
    return [say(f"limits.{key}", **values) for key, values, holds in texts if holds]
