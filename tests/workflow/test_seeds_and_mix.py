"""Further seeds at the largest size and general rows in a control arm: what is added, what stays, and what agrees."""

import csv
import re

import pytest

from medscale.base.files import read_json, read_jsonl
from workflow_runner import Copy

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
PLAIN = {"methods": ["lora"], "sizes": [16, 24], "test_size": 8, "validation_size": 6, "seeds": [1]}
MORE = {"seeds": [1, 2], "seeds_at": ["largest"], "mix": {"source": "demo", "rows": 40, "share": 0.2}}
BRIEF = {"evaluation": {"max_new_tokens": 4, "batch_size": 8, "bootstrap_resamples": 100, "floors": ["fixed"]}}
ADDED = ["lora_24_seed2", "lora_24_mix20", "lora_24_mix20_seed2"]


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_seeds_and_general_rows_are_added_to_a_finished_study_and_every_interval_agrees(tmp_path):
    study = Copy(tmp_path / "copy")
    study.configure(study=PLAIN, training={"epochs": 1, "learning_rate": 0.003, "effective_batch": 8}, **BRIEF)
    study.run()
    results = study.folder / "results"
    first = (results / "lora_24" / "eval.json").read_bytes()

    study.configure(study=PLAIN | MORE, training={"epochs": 1, "learning_rate": 0.003, "effective_batch": 8}, **BRIEF)
    planned = study.plan("--cores", "2", "--resources", "gpu=1")
    assert {rule: planned.get(rule, 0) for rule in ("clean", "split", "subset", "floor")} == dict.fromkeys(
        ("clean", "split", "subset", "floor"), 0
    )
    assert {rule: planned.get(rule, 0) for rule in ("finetune", "predict", "encode", "mix_rows", "mixed_subset")} == {
        **{"finetune": 3, "predict": 3, "encode": 1, "mix_rows": 1, "mixed_subset": 1}
    }
    done = study.run()
    assert (results / "lora_24" / "eval.json").read_bytes() == first
    assert all((results / run / "record.md").is_file() for run in ADDED)

    # The training rows of the mix are those of the size, and general ones, a fifth of all, behind them.
    own, mixed = ((results / "data" / f"train_{part}.jsonl").read_bytes() for part in ("24", "24_mix20"))
    assert mixed.startswith(own)
    rows = list(read_jsonl(results / "data" / "train_24_mix20.jsonl"))
    assert [row["id"][0] for row in rows] == ["r"] * 24 + ["g"] * 6
    steps = {run: read_json(results / run / "training.json")["training"]["steps"] for run in ("lora_24", *ADDED)}
    assert steps["lora_24_mix20"] > steps["lora_24"] == steps["lora_24_seed2"]
    leak = read_json(results / "data" / "leak_report.json")
    general = read_json(results / "data" / "mix.json")["kept"]
    assert (leak["general_questions"], leak["training_questions"]) == (general, 24)

    # Every place that tells the value of a configuration tells the same one.
    summary = results / "summary"
    told = {row["configuration"]: row for row in rows_of(summary / "configurations.csv")}
    assert {name: (row["kind"], row["seeds"]) for name, row in told.items() if name.startswith("lora")} == {
        **{"lora_16": ("tuned", "1"), "lora_24": ("tuned", "2"), "lora_24_mix20": ("control", "2")}
    }
    ends = [float(told["lora_24"][f"nll{end}"]) for end in ("", "_lo", "_hi")]
    candidate = next(
        each for each in read_json(summary / "recommendation.json")["candidates"] if each["run"] == "lora_24"
    )
    assert [candidate[key] for key in ("value", "lo", "hi")] == ends
    points = read_json(summary / "scaling_fit.json")["metrics"]["nll"]["lora"]["points"]
    assert [points[-1][key] for key in ("lo", "hi")] == ends[1:]
    assert points[-1]["value"] == pytest.approx(ends[0], abs=1e-6)
    assert f"{ends[0]:.3f} ±{(ends[2] - ends[1]) / 2:.3f}" in (study.folder / "logs/results/aggregate.log").read_text(
        encoding="utf-8"
    )
    page = (summary / "report.html").read_text(encoding="utf-8")
    assert f"[{ends[1]:.3f}, {ends[2]:.3f}]" in page
    assert "mean of 2 seeds" in page
    assert "20 % general rows" in page
    assert "one of 2 seeds" in (results / "lora_24" / "record.md").read_text(encoding="utf-8")
    assert "one of" not in (results / "lora_16" / "record.md").read_text(encoding="utf-8")
    kinds = [(row["kind"], row["a"], row["b"]) for row in rows_of(summary / "comparisons.csv")]
    assert ("mix", "lora_24_mix20", "lora_24") in kinds
    assert not any(kind == "size" and "mix" in a + b for kind, a, b in kinds)
    single = next(row for row in rows_of(summary / "results_summary.csv") if row["run"] == "lora_24")
    ci95 = read_json(results / "lora_24" / "eval.json")["metrics"]["nll"]["ci95"]
    assert [float(single["nll_lo"]), float(single["nll_hi"])] == ci95
    assert re.search(r"Nothing to be done|Complete", done.stdout) or done.returncode == 0

    # Without general rows again, nothing of the trainings that are left is stale.
    study.configure(study=PLAIN, training={"epochs": 1, "learning_rate": 0.003, "effective_batch": 8}, **BRIEF)
    back = study.plan("--cores", "2", "--resources", "gpu=1")
    assert not back.keys() & {"finetune", "predict", "encode", "clean", "split"}
