"""The table of results: its rows, its columns, its order, and what it says of things that were not measured."""

import csv
import hashlib
import random
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import synthetic
from made_up_configurations import made_up_configurations
from medscale.base.errors import UserError
from medscale.base.files import read_json, sha256_file
from medscale.report.evaluations import duration, match_logs, read_evaluations
from medscale.report.summary import summary_table, table_text, write_table
from places import ROOT

HEADER = (
    "experiment,run,method,train_size,seed,rouge_1,rouge_1_lo,rouge_1_hi,rouge_2,rouge_2_lo,rouge_2_hi,"
    "rouge_l,rouge_l_lo,rouge_l_hi,bleu_4,bleu_4_lo,bleu_4_hi,nll,nll_lo,nll_hi,"
    "train_seconds,peak_memory_gib,samples_per_second,energy_kwh,epochs,arm"
)
SIX_RUNS = ["lora_20k", "lora_50k", "lora_100k", "qlora_20k", "qlora_50k", "qlora_100k"]


def study(**options) -> list[dict]:
    methods = options.get("methods", ("lora", "qlora"))
    runs = [
        synthetic.evaluation(method, size, seed, synthetic.run_name(method, size, seed))
        for method in methods
        for size in options.get("sizes", synthetic.SIX)
        for seed in options.get("seeds", (42,))
    ]
    return [*runs, synthetic.evaluation("base"), synthetic.evaluation("floor", run="floor_fixed")]


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_made_up_results_are_like_real_ones():
    schema = read_json(ROOT / "workflow" / "schemas" / "eval.schema.json")
    for evaluation in study():
        Draft202012Validator(schema).validate(evaluation)


def test_csv_has_exactly_the_promised_columns_and_one_row_a_run(tmp_path):
    write_table(summary_table(study()), tmp_path / "table.csv")
    text = (tmp_path / "table.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == HEADER
    rows = rows_of(tmp_path / "table.csv")
    assert [row["run"] for row in rows] == [*SIX_RUNS, "base", "floor_fixed"]
    assert [row["experiment"] for row in rows] == [f"EXP-0{n}" for n in range(1, 7)] + ["", ""]
    assert [row["train_size"] for row in rows] == ["20000", "50000", "100000"] * 2 + ["", ""]
    assert [row["seed"] for row in rows] == ["42"] * 6 + ["", ""]


ONE_SEED = {
    "csv": "20fe13d3d0afc2b7",
    "text": "8db5ebd889c99077",
}


def test_a_study_of_one_seed_has_the_table_that_it_always_had_to_the_byte(tmp_path):
    evaluations = study()
    table = summary_table(evaluations)
    write_table(table, tmp_path / "table.csv")
    assert sha256_file(tmp_path / "table.csv")[:16] == ONE_SEED["csv"]
    text = table_text(table, made_up_configurations(evaluations))
    assert text == table_text(table)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == ONE_SEED["text"]


def test_several_seeds_have_their_mean_before_the_runs_with_the_interval_that_plots_and_sentence_have():
    evaluations = study(methods=("lora",), sizes=(20_000,), seeds=(42, 7, 9))
    table, configurations = summary_table(evaluations), made_up_configurations(evaluations)
    before = table.copy()
    lines = table_text(table, configurations).splitlines()
    pd.testing.assert_frame_equal(table, before)
    row = configurations.iloc[0]
    assert "lora_20k, mean of 3 seeds" in lines[2]
    assert f"{row['nll']:.3f} ±{(row['nll_hi'] - row['nll_lo']) / 2:.3f}" in lines[2]
    runs = [each["training"]["seconds"] for each in evaluations if each["training"]]
    assert duration(sum(runs) / 3) in lines[2]
    assert sum("seed" in line for line in lines[:-2]) == 3
    assert "it is one seed" in lines[-1]


def test_values_are_those_of_eval_json(tmp_path):
    evaluation = synthetic.evaluation("qlora", 50_000)
    write_table(summary_table([evaluation]), tmp_path / "table.csv")
    (row,) = rows_of(tmp_path / "table.csv")
    metrics = evaluation["metrics"]
    for name, headline in (("rouge_1", "f"), ("rouge_2", "f"), ("rouge_l", "f"), ("bleu_4", "value"), ("nll", "value")):
        assert float(row[name]) == metrics[name][headline]
        assert [float(row[f"{name}_lo"]), float(row[f"{name}_hi"])] == metrics[name]["ci95"]
    assert float(row["train_seconds"]) == evaluation["training"]["seconds"]
    assert float(row["peak_memory_gib"]) == evaluation["training"]["peak_memory_gib"]["train_allocated"]
    assert float(row["samples_per_second"]) == evaluation["inference"]["samples_per_second"]
    assert float(row["energy_kwh"]) == evaluation["training"]["energy_kwh"]


def test_not_measured_is_an_empty_cell_and_never_zero(tmp_path):
    evaluation = synthetic.evaluation("lora", 20_000)
    evaluation["metrics"]["nll"] = {"value": None, "ci95": None}
    evaluation["metrics"]["rouge_2"]["ci95"] = None
    evaluation["training"]["energy_kwh"] = None
    evaluation["training"]["peak_memory_gib"] = None
    evaluation["inference"] = None
    write_table(summary_table([evaluation]), tmp_path / "table.csv")
    (row,) = rows_of(tmp_path / "table.csv")
    empty = {name for name, cell in row.items() if cell == ""}
    assert empty == {
        *("nll", "nll_lo", "nll_hi", "rouge_2_lo", "rouge_2_hi"),
        *("energy_kwh", "peak_memory_gib", "samples_per_second"),
    }


@given(st.randoms(use_true_random=False))
def test_order_of_the_files_does_not_matter(rng: random.Random):
    evaluations = study(seeds=(42, 7))
    shuffled = list(evaluations)
    rng.shuffle(shuffled)
    pd.testing.assert_frame_equal(summary_table(shuffled), summary_table(evaluations))


def test_further_seeds_do_not_renumber_the_first(tmp_path):
    table = summary_table(study(seeds=(42, 7, 9)))
    assert table["run"][:6].tolist() == SIX_RUNS
    assert table["experiment"][:6].tolist() == [f"EXP-0{n}" for n in range(1, 7)]
    assert table["run"][6:12].tolist() == [f"{run}_seed7" for run in SIX_RUNS]
    assert table["experiment"].dropna().is_unique
    assert table["experiment"].notna().sum() == 18


def test_controls_follow_and_renumber_nothing():
    control = synthetic.evaluation("lora", 20_000, run="lora_20k_5epochs") | {"arm": "control"}
    table = summary_table([control, *study()])
    assert table["run"][:7].tolist() == [*SIX_RUNS, "lora_20k_5epochs"]
    assert table["experiment"][6] == "EXP-07"
    assert table["arm"].fillna("").tolist() == [*["main"] * 6, "control", "", ""]


def test_one_method_is_numbered_from_one():
    table = summary_table(study(methods=("qlora",)))
    assert table["experiment"].dropna().tolist() == ["EXP-01", "EXP-02", "EXP-03"]


def test_a_missing_key_is_named_with_its_run():
    evaluation = synthetic.evaluation("lora", 20_000)
    del evaluation["metrics"]["bleu_4"]
    with pytest.raises(UserError, match=r"lora_20k.*metrics\.bleu_4"):
        summary_table([evaluation])


def test_a_log_belongs_to_the_run_in_its_folder(tmp_path):
    evals, logs = synthetic.write_study(tmp_path)
    random.Random(1).shuffle(logs)
    matched = match_logs(read_evaluations(evals), logs)
    assert set(matched) == set(SIX_RUNS)
    assert all(path.parent.name == run for run, path in matched.items())


def test_a_folder_may_have_another_name_than_its_run(tmp_path):
    path = synthetic.write_run(tmp_path, synthetic.evaluation("lora", 20_000), "step,loss,eval_loss\n")
    moved = path.parent.rename(tmp_path / "copied from the cluster")
    assert match_logs(read_evaluations([moved / "eval.json"]), [moved / "train_log.csv"]) == {
        "lora_20k": moved / "train_log.csv"
    }


def test_a_log_without_its_evaluation_is_refused(tmp_path):
    evals, logs = synthetic.write_study(tmp_path, sizes=(20_000, 50_000))
    with pytest.raises(UserError, match="lora_50k"):
        match_logs(read_evaluations([path for path in evals if path.parent.name != "lora_50k"]), logs)


def test_a_run_given_twice_is_refused(tmp_path):
    first = synthetic.write_run(tmp_path / "a", synthetic.evaluation("lora", 20_000))
    second = synthetic.write_run(tmp_path / "b", synthetic.evaluation("lora", 20_000))
    with pytest.raises(UserError, match="run lora_20k was given already"):
        read_evaluations([first, second])


def test_terminal_table_is_aligned_and_says_what_was_not_measured():
    lines = table_text(summary_table(study())).splitlines()
    assert len({len(line) for line in lines[1:-1]}) == 1, "rows of different width"
    assert "EXP-06" in lines[7]
    assert "100,000" in lines[7]
    assert "±" in lines[7]
    base = next(line for line in lines if " base " in line)
    assert base.split()[-1] == "–"


def test_an_interval_that_is_uneven_is_told_by_its_ends():
    table = summary_table(study(methods=("lora",), sizes=(20_000,)))
    table = table.assign(exam_e=[0.0, 50.0] + [None] * (len(table) - 2), exam_e_lo=0.0, exam_e_hi=32.4)
    table.loc[1, ["exam_e_lo", "exam_e_hi", "nll"]] = 40.0, 60.0, -0.0001
    lines = table_text(table).splitlines()
    assert "0.0 [0.0, 32.4]" in lines[2], "no accuracy is below zero"
    assert "50.0 ±10.0" in lines[3]
    assert "-0.000" not in lines[3]
    assert lines[-1].startswith("± is half the width of the 95 % interval, [ ] its ends")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (312, "5 min 12 s"),
        (3599.7, "1 h 00 min"),
        (5400, "1 h 30 min"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text
