"""The whole workflow for real on a tiny study: what it makes, what makes it stale, what survives a kill."""

import csv
import itertools
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from medscale.base.parallel import available_cores
from noted_imports import USES, noted
from workflow_runner import Copy

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
RUNS = ["lora_16", "lora_32", "qlora_16", "qlora_32"]
FLOORS = ["floor_fixed", "floor_common_words", "floor_department", "floor_bm25"]
ON_REQUEST = {"backup", "check_config", "export", "status", "judge_export", "judge_import"}
ON_REQUEST |= {"fetch_set", "exam_questions", "exam_leak", "retention_texts", "mix_rows", "mixed_subset"}
ON_REQUEST |= {job for job in USES if job.startswith(("examine ", "pilot "))}
TRAINER = "workflow/scripts/medscale/train/trainer.py"
SCORER = "workflow/scripts/medscale/evaluate/overlap.py"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A copy of the repository in which the small study has run."""
    folder = tmp_path_factory.mktemp("study")
    copy = Copy(folder / "repo", imports=folder / "imports")
    copy.first_output = copy.run().stdout
    return copy


@pytest.fixture
def study(finished):
    """The finished study, whose code and configuration the test may change."""
    yield finished
    finished.restore()


def test_everything_promised_is_there(finished):
    results = finished.folder / "results"
    for run in RUNS:
        for name in (
            "adapter/adapter_model.safetensors",
            "training.json",
            "train_log.csv",
            "predictions.jsonl",
            "inference.json",
            "scores.parquet",
            "eval.json",
            "record.md",
            "loss_curve.png",
        ):
            assert (results / run / name).stat().st_size > 0, f"{run}/{name}"
        assert list((results / run / "tensorboard").rglob("events.out.tfevents.*"))
    for row in ("base", *FLOORS):
        assert (results / row / "eval.json").exists()
    tables = ("results_summary.csv", "comparisons.csv", "power.csv", "scaling_fit.json", "recommendation.json")
    plots = ("data_scale_comparison.png", "method_comparison.png", "loss_curves.png", "scaling.png", "pareto.png")
    for name in (*tables, *plots, "report.html"):
        assert (results / "summary" / name).stat().st_size > 0, name


def test_the_results_hang_together(finished):
    results = finished.folder / "results"
    table = pd.read_csv(results / "summary" / "results_summary.csv")
    assert table["run"].tolist() == [*RUNS, "base", *sorted(FLOORS)]
    for run in RUNS:
        evaluation = json.loads((results / run / "eval.json").read_text(encoding="utf-8"))
        assert evaluation["n_test"] == 8
        assert evaluation["train_size"] == int(run.split("_")[1])
        assert evaluation["training"]["steps"] == 2 * evaluation["train_size"] // 8
        assert evaluation["training"]["energy_kwh"] is None
        assert "CPU" in evaluation["training"]["peak_memory_gib"]["kind"]
        fingerprint = evaluation["provenance"]["fingerprint"]
        assert (results / run / "checkpoints" / fingerprint).is_dir()
        row = table[table["run"] == run].iloc[0]
        assert row["rouge_l"] == pytest.approx(evaluation["metrics"]["rouge_l"]["f"])
        with open(results / run / "train_log.csv", encoding="utf-8") as handle:
            assert [row for row in csv.DictReader(handle) if row["loss"]]
    fingerprints = {json.loads((results / run / "eval.json").read_text())["provenance"]["fingerprint"] for run in RUNS}
    assert len(fingerprints) == 4


def test_the_same_rows_train_both_methods_and_subsets_are_nested(finished):
    data = finished.folder / "results" / "data"
    small, large = ((data / f"train_{size}.jsonl").read_text(encoding="utf-8") for size in (16, 32))
    assert large.startswith(small)
    assert small.count("\n") == 16
    report = json.loads((data / "clean_report.json").read_text(encoding="utf-8"))
    assert report["read"] == 300 == report["kept"] + sum(report["dropped"].values())


def test_gpu_jobs_did_not_overlap(finished):
    held = held_intervals(finished)
    assert len(held) == 4 + 5
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(sorted(held)))


def test_jobs_import_what_they_use(finished):
    jobs = noted(finished.imports)
    assert {job for job, _ in jobs} == set(USES) - ON_REQUEST
    assert [(job, imported - USES[job]) for job, imported in jobs if imported - USES[job]] == []


def held_intervals(*copies):
    """Return when the GPU jobs of the copies held the device, from their logs."""
    pattern = re.compile(r"device cpu: held from (\S+) to (\S+)")
    logs = [log for copy in copies for log in (copy.folder / "logs").rglob("*.log") if log.name[:3] in ("fin", "pre")]
    return [pattern.search(log.read_text(encoding="utf-8")).groups() for log in logs]


def test_a_second_call_does_nothing(study):
    assert study.plan() == {}


def test_comments_docstrings_and_formatting_rebuild_nothing(study):
    study.edit(TRAINER, '"""Fine-tuning', '# A remark.\n"""Another title: fine-tuning')
    study.edit("workflow/scripts/finetune.py", "import argparse\n", "import argparse  # the command line\n\n")
    study.edit("rules/train.smk", "rule finetune:", "# A remark.\nrule finetune:")
    assert study.plan() == {}


def test_touched_files_rebuild_nothing(study):
    for path in [*study.folder.rglob("*.py"), *study.folder.rglob("*.smk"), *study.folder.rglob("*.json*")]:
        path.touch()
    assert study.plan() == {}


def test_a_changed_trainer_retrains_and_fetches_nothing(study):
    study.edit(TRAINER, "GROUP = 32", "GROUP = 16")
    plan = study.plan()
    assert plan["finetune"] == 4
    assert plan["predict"] == 4
    assert not plan.keys() & {"fetch_model", "fetch_data", "clean", "split", "subset", "encode"}


def test_a_changed_scorer_only_scores_again(study):
    path = study.folder / SCORER
    path.write_text(path.read_text(encoding="utf-8") + "\nUNUSED = 1\n", encoding="utf-8")
    plan = study.plan()
    assert plan.pop("score") == plan.pop("evaluate") == 9
    # The fixed answer of a floor is chosen by its scores, and floors cost no GPU.
    assert plan == {"floor": 4, "safety": 4, "aggregate": 1, "record": 4, "report": 1}


def test_a_changed_learning_rate_retrains_the_runs_that_use_it(study):
    study.configure(overrides={"qlora": {"training": {"learning_rate": 0.001}}})
    plan = study.plan()
    assert plan["finetune"] == plan["predict"] == 2
    study.configure(training={"learning_rate": 0.001})
    assert study.plan()["finetune"] == 4


def test_another_micro_batch_retrains_nothing(study):
    study.configure(training={"micro_batch": 2})
    assert study.plan() == {}


def test_another_place_for_the_losses_retrains_nothing(study):
    study.configure(training={"offline": True, "report_to": []})
    assert study.plan() == {}


def test_another_language_of_the_pictures_draws_them_and_computes_nothing_else(study):
    study.configure(plots={"language": "zh", "vector": ["svg"]})
    assert study.plan() == {"aggregate": 1, "record": 4, "report": 1}


def test_vllm_answers_anew_for_what_it_can_run(study):
    """Which is the base model and the two LoRA runs, not the two of QLoRA."""
    study.configure(evaluation={"engine": "vllm"})
    plan = study.plan()
    assert plan["predict"] == 3
    assert "finetune" not in plan


def test_another_way_to_judge_only_judges_again(study):
    study.configure(statistics={"alpha": 0.1}, recommendation={"margin": 0.5, "price_per_gpu_hour": 2})
    assert study.plan() == {"aggregate": 1, "report": 1}


def test_a_control_trains_that_run_only(study):
    study.configure(study={"sizes": [16, 32], "controls": [{"method": "lora", "size": 16, "epochs": 4}]})
    plan = study.plan()
    assert plan["finetune"] == plan["predict"] == 1
    assert not plan.keys() & {"subset", "encode", "floor"}


def test_one_more_size_trains_that_size_only(study):
    study.configure(study={"sizes": [16, 24, 32]})
    plan = study.plan()
    assert plan["finetune"] == 2
    assert plan["subset"] == 1


def test_a_failed_retrain_leaves_no_old_result_standing(tmp_path, finished):
    copy = Copy(tmp_path / "repo")
    target = "results/lora_16/eval.json"
    copy.run(target, "--cores", "2", "--resources", "gpu=1")
    assert copy.plan(target) == {}

    copy.configure(lora={"target_modules": ["nonsense"]})
    refused = copy.run(target, "--cores", "2", "--resources", "gpu=1", check=False)
    assert refused.returncode == 1
    assert "lora.target_modules: " in refused.stdout
    assert "no linear layer called nonsense" in refused.stdout
    assert (copy.folder / target).is_file()

    copy.configure(lora={"r": 3})
    copy.edit(
        "workflow/scripts/finetune.py", "def main() -> None:\n", 'def main() -> None:\n    raise SystemExit("no")\n'
    )
    failed = copy.run(target, "--cores", "2", "--resources", "gpu=1", check=False)
    assert failed.returncode == 1
    assert copy.plan(target)["finetune"] == 1

    copy.restore()
    copy.configure()
    assert copy.plan(target) != {}
    copy.run(target, "--cores", "2", "--resources", "gpu=1")
    assert copy.plan(target) == {}
    again, first = (c.folder / "results/lora_16/predictions.jsonl" for c in (copy, finished))
    assert again.read_bytes() == first.read_bytes(), "two runs with one seed must predict the same bytes"


def test_a_killed_training_resumes_its_own_checkpoint(tmp_path):
    copy = Copy(tmp_path / "repo")
    copy.configure(study={"sizes": [64]}, training={"epochs": 12, "eval_interval": 0.05})
    copy.served = False
    target = ["results/lora_64/training.json", "--cores", "2", "--resources", "gpu=1"]
    process = subprocess.Popen(
        copy.command(*target),
        cwd=copy.folder,
        env=copy.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(lambda: list(copy.folder.glob("results/lora_64/checkpoints/*/checkpoint-*/complete")), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    copy.run(*target)
    training = json.loads((copy.folder / "results/lora_64/training.json").read_text(encoding="utf-8"))
    assert training["training"]["resumed_from_step"] > 0
    assert training["training"]["steps"] == 96
    assert [event["kind"] for event in training["events"] if event["kind"] != "warning"] == [
        "started",
        "resumed",
        "finished",
    ]


def wait_for(condition, process, seconds=300):
    """Wait until a condition holds while the process runs."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the process ended too early"
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def test_two_snakemake_processes_share_one_device(tmp_path, finished):
    """Two studies at once, each with room for two GPU jobs: the lock keeps every GPU job alone."""
    copies = [Copy(tmp_path / name) for name in ("a", "b")]
    for copy in copies:
        copy_results(finished, copy)
    processes = [
        subprocess.Popen(
            copy.command(
                "results/base/predictions.jsonl",
                "results/lora_16/predictions.jsonl",
                "--allowed-rules",
                "predict",
                "--cores",
                str(2 * available_cores()),
                "--set-threads",
                f"predict={available_cores()}",  # of a CPU without cards each takes all
                "--resources",
                "gpu=2",
            ),
            cwd=copy.folder,
            env=copy.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for copy in copies
    ]
    assert [process.wait() for process in processes] == [0, 0]
    held = held_intervals(*copies)
    assert len(held) == 4
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(sorted(held)))
    waits = [
        log for copy in copies for log in copy.folder.rglob("*.log") if "waiting for the device" in log.read_text()
    ]
    assert waits, "no job had to wait, so this test showed nothing"


def copy_results(source: Copy, target: Copy) -> None:
    """Give a copy the data, the model and one adapter of a finished study, but none of its predictions."""
    for part in ("resources/models", "resources/data", "results/data", "results/lora_16"):
        subprocess.run(["cp", "-a", "--parents", part, target.folder], cwd=source.folder, check=True)
    (target.folder / "results/lora_16/predictions.jsonl").unlink()
    (target.folder / "results/lora_16/inference.json").unlink()


@pytest.mark.slurm
def test_the_study_runs_through_a_cluster_executor(tmp_path, finished):
    pytest.importorskip("snakemake_executor_plugin_cluster_generic", reason="the cluster plugin is not installed")
    copy = Copy(tmp_path / "repo")
    submit = tmp_path / "submit.sh"
    submit.write_text(f'#!/bin/sh\nbash "$1" > {tmp_path}/job.log 2>&1 < /dev/null &\necho $!\n')
    submit.chmod(0o755)
    copy.run(
        "results/lora_16/eval.json",
        "results/qlora_16/eval.json",
        "--executor",
        "cluster-generic",
        "--cluster-generic-submit-cmd",
        str(submit),
        "--jobs",
        "2",
        "--seconds-between-status-checks",
        "1",
        "--resources",
        "gpu=1",
    )
    for run in ("lora_16", "qlora_16"):
        there, here = (c.folder / "results" / run / "predictions.jsonl" for c in (finished, copy))
        assert there.read_bytes() == here.read_bytes()


def test_the_real_corpus_goes_through_without_touching_code(tmp_path):
    path = os.environ.get("MEDSCALE_REAL_CSV")
    if not path:
        pytest.skip(
            "MEDSCALE_REAL_CSV is not set: it names a CSV of real patient questions (department,title,ask,answer)"
        )
    copy = Copy(tmp_path / "repo")
    copy.configure(data={"source": "file", "path": str(Path(path).resolve())}, study={"test_size": 20})
    copy.run("results/qlora_32/eval.json", "--cores", "2", "--resources", "gpu=1")
    report = json.loads((copy.folder / "results/data/clean_report.json").read_text(encoding="utf-8"))
    with open(path, encoding="gb18030", newline="") as handle:
        assert report["read"] == sum(1 for _ in csv.DictReader(handle))
    assert report["read"] == report["kept"] + sum(report["dropped"].values())
    evaluation = json.loads((copy.folder / "results/qlora_32/eval.json").read_text(encoding="utf-8"))
    assert evaluation["n_test"] == 20
    assert evaluation["metrics"]["nll"]["value"] > 0


def test_snakemakes_own_report(finished):
    finished.run("--report", "report.html")
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    assert "results_summary.csv" in page
    assert "loss_curves.png" in page
