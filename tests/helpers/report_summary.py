"""Made-up files of the summary and of the data stages, in the form that those stages write."""

import random
from pathlib import Path
from typing import Any

import synthetic


def write_text_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a CSV file as pandas does: True and False, empty where None."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = list(rows[0]) if rows else ["metric", "kind", "a", "b", "n_items"]
    lines = [",".join(header)]
    lines += [",".join("" if row[name] is None else str(row[name]) for name in header) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def value_of(evaluation: dict[str, Any], metric: str) -> float | None:
    entry = evaluation["metrics"][metric]
    return entry["f"] if "f" in entry else entry["value"]


def comparisons(evaluations: list[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    """Return comparisons.csv: methods, neighbouring sizes, and each run against base and a floor."""
    tuned = {each["run"]: each for each in evaluations if each["training"] and "_seed" not in each["run"]}
    others = {each["run"]: each for each in evaluations if not each["training"]}
    pairs = [("method", run, run[1:]) for run in tuned if run[0] == "q" and run[1:] in tuned]
    main = [run for run in tuned if tuned[run]["arm"] == "main"]
    neighbours = zip(main[1:], main, strict=False)
    pairs += [("size", a, b) for a, b in neighbours if tuned[a]["method"] == tuned[b]["method"]]
    pairs += [("base", run, "base") for run in tuned]
    pairs += [("floor", run, "floor_bm25") for run in tuned if "floor_bm25" in others]
    pairs += [("control", run, main[-1]) for run in tuned if run not in main]
    rows = []
    for metric in ("nll", "rouge_1", "rouge_2", "rouge_l", "bleu_4"):
        for kind, a, b in pairs:
            one, two = (value_of((tuned | others)[run], metric) for run in (a, b))
            if one is None or two is None:
                continue
            half = (0.02 if metric == "nll" else 0.5) * rng.uniform(0.8, 1.2) * (3 if kind == "method" else 1)
            difference = one - two
            shown = abs(difference) > half
            rows.append(
                {
                    **{"metric": metric, "kind": kind, "a": a, "b": b, "value_a": one, "value_b": two},
                    **{"difference": difference, "lo": difference - half, "hi": difference + half},
                    **{"p": 0.0002 if shown else 0.4, "p_holm": 0.0008 if shown else 0.8, "significant": shown},
                    **{"smallest_detectable": 1.4 * half, "exceeds_smallest_detectable": abs(difference) > 1.4 * half},
                    **{"n_items": 2000, "seeds_a": 1, "seeds_b": 1},
                }
            )
    return rows


def power(items: int) -> list[dict[str, Any]]:
    """Return power.csv."""
    spread = {"nll": 0.31, "rouge_1": 8.4, "rouge_2": 5.1, "rouge_l": 7.9, "bleu_4": 5.6}
    return [
        {"metric": metric, "n_items": n, "paired_sd": sd, "smallest_detectable": round(2.8 * sd / n**0.5, 5)}
        for metric, sd in spread.items()
        for n in sorted({items, 500, 1000, 2000, 5000})
    ]


def scaling_fit(evaluations: list[dict[str, Any]]) -> dict[str, Any]:
    """Return scaling_fit.json: a fitted law from four sizes on, otherwise that there are too few."""
    fits: dict[str, Any] = {}
    for metric in ("nll", "rouge_l"):
        fits[metric] = {}
        for method in dict.fromkeys(each["method"] for each in evaluations if each["training"]):
            here = [each for each in evaluations if each["method"] == method and each["run"].count("_") == 1]
            points = [point(each["train_size"], value_of(each, metric)) for each in here if value_of(each, metric)]
            fitted = len(points) >= 4
            fits[metric][method] = {
                "status": "fitted" if fitted else "too_few_sizes",
                "points": points,
                "law": "power" if fitted else None,
                "laws": LAWS if fitted else {},
                "predictions": [point(size, 2.0) for size in (200_000, 500_000, 1_000_000)] if fitted else [],
                "extrapolated": [point(size, 2.0) for size in (200_000, 500_000)] if fitted else [],
                "one_more": ONE_MORE if fitted else None,
                "sentence": {
                    "en": "Ten times the data lowers the loss by 0.09 nats per token." if fitted else "Too few sizes.",
                    "zh": "数据增加十倍，损失降低 0.09 奈特。" if fitted else "规模太少，无法拟合。",
                },
            }
    return {"schema_version": 1, "metrics": fits}


def point(size: int, value: float) -> dict[str, float]:
    return {"size": size, "value": value, "lo": value - 0.03, "hi": value + 0.03}


LAWS = {
    name: {
        "formula": formula,
        "parameters": {"A": {"value": 3.2, "ci95": [2.1, 5.9]}, "beta": {"value": 0.21, "ci95": [0.13, 0.34]}},
        "held_out_error": error,
        "extrapolated": [point(size, 2.0) for size in (200_000, 500_000)],
        "residual_sd": 0.0042,
    }
    for name, formula, error in (
        ("power", "L = A·D^-β + E", 0.0061),
        ("rectified", "L = B / (D_l + D^β) + E", None),
    )
}
ONE_MORE = {"step": 0.05, "reachable": True, "from_size": 100_000, "to_size": 260_000, "extra_rows": 160_000}
ONE_MORE |= {"ci95": [90_000, 410_000]}


def recommendation(evaluations: list[dict[str, Any]], price: float | None) -> dict[str, Any]:
    """Return recommendation.json: the smallest QLoRA run, or the first run there is."""
    tuned = [each for each in evaluations if each["training"] and each["arm"] == "main" and "_seed" not in each["run"]]
    metric = "nll" if value_of(tuned[0], "nll") is not None else "rouge_l"
    best = (min if metric == "nll" else max)(tuned, key=lambda each: value_of(each, metric))
    chosen = next((each for each in tuned if each["method"] == "qlora"), tuned[0])
    candidates = []
    for each in tuned:
        value, hours = value_of(each, metric), each["training"]["seconds"] / 3600
        apart = value - value_of(best, metric)
        candidates.append(
            {
                **{"run": each["run"], "method": each["method"], "train_size": each["train_size"], "value": value},
                **{"lo": value - 0.02, "hi": value + 0.02, "difference_to_best": apart},
                **{"lo_difference": apart - 0.015, "hi_difference": apart + 0.015, "not_worse": each is chosen},
                **{"train_seconds": each["training"]["seconds"], "gpu_hours": hours, "peak_memory_gib": 3.38},
                **{"energy_kwh": each["training"]["energy_kwh"], "cost": price and hours * price, "pareto": True},
            }
        )
    return {
        "schema_version": 1,
        "verdict": "recommended",
        "metric": metric,
        "margin": 0.02,
        "run": chosen["run"],
        "best": best["run"],
        "sentence": {
            "en": f"{chosen['run']} is the cheapest configuration that is not worse than {best['run']}.",
            "zh": f"{chosen['run']} 是不劣于 {best['run']} 的最便宜配置。",
        },
        "candidates": candidates,
        "price_per_gpu_hour": price,
        "currency": "CNY",
        "warnings": [
            {"kind": "few_items", "en": "The test set is small.", "zh": "测试题数量较少。"},
        ],
    }


def leak_report(questions: list[str]) -> dict[str, Any]:
    """Return leak_report.json of a check that passed."""
    pair = {"test_id": "r0000000", "train_id": "r0009999", "test_question": questions[0], "train_question": "感冒？"}
    return {
        **{"schema_version": 1, "test_questions": len(questions), "training_questions": 100_000},
        **{"training_file": "train_100k.jsonl", "similarity_threshold": 0.6, "ngram": 13, "containment_threshold": 0.8},
        "near": {"count": 0, "share": 0.0, "worst": [{**pair, "similarity": 0.41}]},
        "contained": {"count": 0, "share": 0.0, "worst": [{**pair, "containment": 0.12}]},
        "nearest_similarity": {
            "quantiles": {"0.5": 0.21, "0.9": 0.33, "0.99": 0.44, "1.0": 0.52},
            "histogram": {"edges": [n / 20 for n in range(21)], "counts": [0, 9, 30, 80, 120, 60, 20, 8, 3, *[0] * 11]},
        },
        "equal_answers": {"count": 3, "share": 0.0015},
        "passed": True,
    }


REPORTS: dict[str, Any] = {
    "clean_report.json": {
        **{"schema_version": 1, "read": 1000, "kept": 930},
        "dropped": {"exact_duplicate": 40, "short_answer": 20, "near_duplicate": 9, "unheard_of": 1},
        "masked": {"phone": 3, "wechat": 1},
        "question_characters": {"median": 114},
        "answer_characters": {"median": 72},
    },
    "split_report.json": {
        "sizes": {"test": 24, "validation": 10, "pool": 896},
        "proof": {"rounds": 1, "pairs_compared": 5835, "crossing_pairs": 0},
        "warnings": [],
    },
    "model.json": {
        **{"schema_version": 1, "kind": "model", "source": "modelscope", "id": "Qwen/Qwen2.5-3B-Instruct"},
        **{"revision": "aa8e72537993ba99", "licence": "qwen-research"},
        "files": [{"path": "model.safetensors", "size": 6171926992, "sha256": synthetic.sha("model")}],
    },
    "data.json": {
        **{"schema_version": 1, "kind": "data", "source": "huggingface", "id": "shibing624/medical"},
        **{"revision": "14e3b2", "licence": None},
        "files": [{"path": "finetune/train_zh_0.json", "size": 1000, "sha256": synthetic.sha("data")}],
    },
}
CONFIG = {
    "statistics": {"alpha": 0.05, "power": 0.8},
    "evaluation": {"max_new_tokens": 256},
    "study": {"methods": ["lora", "qlora"]},
}
