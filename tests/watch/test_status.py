"""`make status`: what is done, runs, waits, failed or goes on, by the files of a study that other processes write."""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medscale.base.config import resolve
from medscale.base.files import write_json
from medscale.base.holders import FOLDER, RECORDS, register
from medscale.base.processes import place
from medscale.watch.study import look
from medscale.watch.table import as_json, show
from places import SCRIPTS
from workflow_runner import SMALL

STEPS = "fine-tuning: 120 of 2,500 steps, loss 2.314, 5,120 tokens/s, 3.1/s, about 13 min left\n"
EVALUATION = {
    "metrics": {"rouge_l": {"f": 21.137}, "nll": {"value": 6.7123}},
    "training": {"seconds": 754.0},
}


class Folder:
    """The folder of a study with lora and qlora on 16 rows, in which files are put as its jobs put them."""

    def __init__(self, path: Path):
        self.path = path
        study = {**SMALL["study"], "sizes": [16], "methods": ["lora", "qlora"]}
        self.written = {**SMALL, "study": study, "evaluation": {**SMALL["evaluation"], "floors": ["fixed"]}}
        self.config = resolve(self.written)

    def put(self, *names: str) -> None:
        for name in names:
            path = self.path / "results" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")

    def log(self, step: str, text: str, ago: float = 0.0) -> None:
        path = self.path / "logs" / "results" / f"{step}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        os.utime(path, (time.time() - ago,) * 2)

    def data(self) -> None:
        """Let all be there that the runs need."""
        self.put("data/model.json", "data/corpus.json", "data/clean.parquet", "data/clean_report.json")
        self.put("data/pool.jsonl", "data/split_report.json", "data/train_16.manifest.json", "data/leak_report.json")
        self.put("data/encoded/validation.json", "data/encoded/train_16.json")

    def done(self, run: str, trained: bool = True) -> None:
        self.put(*(f"{run}/{name}" for name in ("predictions.jsonl", "inference.json", "scores.parquet")))
        if trained:
            self.put(f"{run}/training.json", f"{run}/adapter/adapter_config.json")
        write_json(self.path / "results" / run / "eval.json", EVALUATION)

    def checkpoint(self, run: str, step: int, whole: bool = True, ago: float = 0.0) -> None:
        folder = self.path / "results" / run / "checkpoints" / "0123456789abcdef" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        if whole:
            (folder / "complete").write_text("{}")
            os.utime(folder / "complete", (time.time() - ago,) * 2)

    def snakemake(self, here: bool = True, beat: float = 0.0) -> None:
        """Let a Snakemake work here, or on another machine whose last beat was so many seconds ago."""
        if here:
            register(self.path / RECORDS)
            return
        holder = {"id": "node7-1-aa", "place": ["node7", *place()[1:]], "pid": 1, "process_start": "5"}
        path = self.path / RECORDS / FOLDER / "node7-1-aa.json"
        write_json(path, holder | {"started_at": "2026-01-01T00:00:00Z", "registered": None, "beat": 3})
        os.utime(path, (time.time() - beat,) * 2)

    def look(self):
        return look(self.config, self.path)

    def step(self, name: str):
        return next(step for step in self.look().steps if step.name == name)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def shown(study, tongue="en") -> str:
    screen = io.StringIO()
    show(study, tongue, screen)
    return screen.getvalue()


def test_a_study_that_was_not_begun_says_so(folder):
    study = folder.look()
    assert not study.begun
    assert {step.state for step in study.steps} == {"not begun"}


def test_a_finished_run_shows_what_came_out(folder):
    folder.data()
    folder.done("lora_16")
    row = next(row for row in folder.look().rows if row.name == "lora_16")
    assert row.step.state == "done"
    line = next(line for line in shown(folder.look()).splitlines() if line.startswith("lora_16"))
    assert line.split() == ["lora_16", "done", "13", "min", "21.14", "6.712"]


def test_a_running_training_shows_step_loss_speed_and_what_is_left(folder):
    folder.data()
    folder.snakemake()
    folder.log("finetune_lora_16", "started: lora_16 on cpu\n" + STEPS)
    step = folder.step("finetune_lora_16")
    assert (step.state, step.told.line.done, step.told.line.total) == ("running", 120, 2500)
    line = next(line for line in shown(folder.look()).splitlines() if line.startswith("lora_16"))
    assert "120 of 2,500 steps, loss 2.314, 5,120 tokens/s" in line
    assert "13 min" in line


def test_a_running_pilot_shows_the_rate_that_it_tries_and_runs_wait_for_it(folder):
    auto = {**folder.written, "training": {**SMALL["training"], "learning_rate": "auto"}}
    folder.config = resolve(auto | {"study": {**SMALL["study"], "sizes": [16], "methods": ["lora"]}})
    folder.data()
    folder.snakemake()
    folder.log("pilot_lora", "16 rows, rate 0.0003: 12 of 50 steps, loss 2.314, 3.1/s, about 12 s left\n")
    step = folder.step("pilot_lora")
    assert (step.state, step.told.line.done, step.told.line.total) == ("running", 12, 50)
    assert str(step.told.line).startswith("16 rows, rate 0.0003: 12 of 50 steps")
    waiting = folder.step("finetune_lora_16")
    assert (waiting.state, waiting.waits_for) == ("waiting", ("pilot_lora",))
    folder.put("pilot/lora.json")
    assert folder.step("pilot_lora").state == "done"
    size = {"chosen": 3e-4, "fixed": None, "at_edge": "upper", "rates": [{"rate": 3e-4, "nll": 2.4}]}
    write_json(folder.path / "results" / "pilot" / "lora.json", {"sizes": {"16": size}})
    stream = io.StringIO()
    show(folder.look(), "en", stream)
    told = "best learning rate 0.0003 on 16 rows (the largest that was tried: a larger one may be better)"
    assert [line.split("done")[1].strip() for line in stream.getvalue().splitlines() if "pilot_lora" in line] == [told]
    steps = {step["step"]: step["best_learning_rates"] for step in as_json(folder.look())["steps"]}
    assert (steps["pilot_lora"], steps["clean"]) == ({"16": 3e-4}, None)


def test_while_it_validates_the_steps_are_shown(folder):
    folder.data()
    folder.snakemake()
    folder.log("finetune_lora_16", STEPS + "validation: 300 of 1,000 batches, 50/s, about 14 s left\n")
    assert folder.step("finetune_lora_16").told.line.unit == "steps"


def test_a_step_that_says_nothing_more_is_told_to_be_silent(folder):
    folder.data()
    folder.snakemake(here=False)
    path = folder.path / RECORDS / FOLDER / "node7-1-aa.json"
    write_json(path, json.loads(path.read_text()) | {"registered": int((time.time() - 7200) * 1e9)})
    folder.log("finetune_lora_16", STEPS, ago=1200)
    assert folder.step("finetune_lora_16").state == "running"
    assert "none for 20 min" in shown(folder.look())


def test_a_failed_run_says_why_in_one_line(folder):
    folder.data()
    error = "error: loss is nan at step 3: the run has diverged. Lower training.learning_rate [T101]\n"
    folder.log("finetune_lora_16", STEPS + error + "device cpu: held from a to b\n", ago=3600)
    step = folder.step("finetune_lora_16")
    assert step.state == "failed"
    assert step.told.error.endswith("Lower training.learning_rate [T101]")
    said = shown(folder.look()).splitlines()
    assert said[-1] == f"finetune_lora_16: failed: {step.told.error} (log: logs/results/finetune_lora_16.log)"
    assert next(line for line in said if line.startswith("lora_16 ")).split() == [
        "lora_16",
        "failed",
        "finetune",
        "see",
        "below",
    ]


def test_a_terminal_gets_frames_and_colour(folder, monkeypatch):
    folder.data()
    folder.done("lora_16")
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    show(folder.look(), "en", screen)
    assert "\x1b[32mdone" in screen.getvalue()
    assert "──" in screen.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = io.StringIO()
    plain.isatty = lambda: True
    show(folder.look(), "en", plain)
    assert "\x1b[32m" not in plain.getvalue()


def test_a_defect_of_ours_shows_the_last_line_of_its_traceback(folder):
    folder.data()
    trace = "Traceback (most recent call last):\n  File \"x.py\", line 1, in <module>\nKeyError: 'id'\n"
    folder.log("predict_base", trace, ago=3600)
    assert folder.step("predict_base").told.error == "KeyError: 'id'"


def test_what_failed_before_this_call_is_not_told_as_its_own(folder):
    folder.data()
    folder.log("finetune_lora_16", "error: broken [T101]\n", ago=3600)
    folder.snakemake()
    assert folder.step("finetune_lora_16").state == "waiting"


def test_an_interrupted_training_says_from_which_step_it_goes_on(folder):
    folder.data()
    folder.checkpoint("lora_16", 40, ago=60)
    folder.checkpoint("lora_16", 60, ago=30)
    folder.checkpoint("lora_16", 80, whole=False)
    folder.log("finetune_lora_16", STEPS, ago=3600)
    step = folder.step("finetune_lora_16")
    assert (step.state, step.resumes) == ("stopped", 60)
    assert "resumes from step 60" in shown(folder.look())
    assert "将从第 60 步续训" in shown(folder.look(), "zh")


def test_a_job_that_goes_on_without_its_snakemake_runs(folder):
    folder.data()
    folder.log("finetune_lora_16", STEPS, ago=20)
    assert folder.step("finetune_lora_16").state == "running"


def test_what_waits_for_the_card_says_who_has_it(folder):
    folder.data()
    folder.snakemake()
    folder.log("finetune_lora_16", STEPS)
    held = "waiting for the device: another job holds /tmp/medscale-0-cpu.lock\n"
    folder.log("finetune_qlora_16", held)
    for name in ("finetune_qlora_16", "predict_base"):
        step = folder.step(name)
        assert (step.state, step.waits_for) == ("waiting", ("finetune_lora_16",))
    assert "for the card, which finetune_lora_16 has" in shown(folder.look())


def test_what_waits_for_the_card_of_a_stranger_says_what_is_known(folder):
    folder.data()
    folder.snakemake()
    folder.log("predict_base", "waiting for the device: another job holds /tmp/medscale-0-cpu.lock\n")
    assert "for another job holds /tmp/medscale-0-cpu.lock" in shown(folder.look())


def test_brackets_are_shown_as_they_are(folder):
    folder.data()
    folder.snakemake()
    folder.log("predict_base", "waiting for the device: another job holds /tmp/[bold]/x.lock\n")
    assert "/tmp/[bold]/x.lock" in shown(folder.look())


def test_what_waits_for_a_step_names_it(folder):
    folder.put("data/model.json", "data/corpus.json")
    folder.snakemake()
    folder.log("clean", "cleaning: 12,000 records, 900/s\n")
    assert folder.step("split").waits_for == ("clean",)
    assert folder.step("finetune_lora_16").waits_for == ("encode_train_16", "encode_validation")
    text = shown(folder.look())
    assert "for encode_train_16, encode_validation" in text
    assert "cleaning: 12,000 records, 900/s" in text


def test_a_run_with_general_rows_waits_for_them_and_a_further_seed_stands_where_it_is_trained(folder):
    mix = {"source": "demo", "share": 0.2}
    study = {**folder.written["study"], "sizes": [16, 32], "seeds": [1, 2], "seeds_at": ["largest"], "mix": mix}
    folder.config = resolve(folder.written | {"study": study})
    folder.put("data/model.json", "data/corpus.json")
    folder.snakemake()
    folder.log("clean", "cleaning: 12,000 records, 900/s\n")
    assert folder.step("finetune_lora_32_mix20").waits_for == ("encode_train_32_mix20", "encode_validation")
    assert folder.step("encode_train_32_mix20").waits_for == ("mixed_subset_32_mix20",)
    assert folder.step("mixed_subset_32_mix20").waits_for == ("mix_rows", "subset_32")
    names = [row.name for row in folder.look().rows]
    assert "lora_32_mix20_seed2" in names
    assert "lora_32_seed2" in names
    assert "lora_16_seed2" not in names


@pytest.mark.parametrize(("beat", "works"), [(5, True), (3600, False)])
def test_a_snakemake_of_another_machine_works_while_its_heart_beats(folder, beat, works):
    folder.data()
    folder.snakemake(here=False, beat=beat)
    text = shown(folder.look())
    assert ("pid 1 on node7" in text) == works
    assert ("no snakemake works here" in text) != works


def test_nothing_is_written(folder):
    folder.data()
    folder.done("lora_16")
    folder.log("finetune_qlora_16", STEPS)
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.path.rglob("*"))
    as_json(folder.look())
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.path.rglob("*")) == before


def call(folder: Folder, *words: str, **environment: str) -> subprocess.CompletedProcess:
    write_json(folder.path / "study.json", folder.written)  # JSON is YAML
    command = [sys.executable, SCRIPTS / "status.py", "--configfile", "study.json", *words]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    return subprocess.run(command, cwd=folder.path, env=clean | environment, capture_output=True, text=True)


def test_the_program_prints_json_for_programs(folder):
    folder.data()
    folder.done("lora_16")
    folder.log("finetune_qlora_16", STEPS)
    found = json.loads(call(folder, "--json").stdout)
    rows = {row["run"]: row["state"] for row in found["rows"]}
    assert rows == {"lora_16": "done", "qlora_16": "running", "base": "not begun", "floor_fixed": "not begun"}
    step = next(step for step in found["steps"] if step["step"] == "finetune_qlora_16")
    assert (step["done"], step["total"], step["values"]["loss"], step["seconds_left"]) == (120, 2500, 2.314, 780.0)


def test_the_program_prints_plain_text_into_a_pipe_and_speaks_as_lang_does(folder):
    folder.data()
    folder.done("lora_16")
    english, chinese = call(folder), call(folder, LANG="zh_CN.UTF-8")
    assert "\x1b" not in english.stdout + chinese.stdout
    assert "12 of 29 steps are done; no snakemake works here" in english.stdout
    assert "已完成" in chinese.stdout
    assert call(folder, "--language", "en", LANG="zh_CN.UTF-8").stdout == english.stdout


def test_without_results_the_program_says_what_to_call(folder):
    done = call(folder)
    assert done.returncode == 0
    assert done.stdout == "results: nothing has been made yet. Begin with: snakemake --cores 4 --resources gpu=1\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--config", "study"], "[B170]"),
        (["--configfile", "absent.yaml"], "[B171]"),
        (["--config", "study={sizes: [1"], "[B172]"),
        (["--config", "study={sizes: none}"], "study.sizes"),
    ],
)
def test_a_wrong_call_is_named(folder, words, said):
    done = call(folder, *words)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_slow_is_imported():
    code = "import sys; sys.argv = ['status.py', '--help']\nimport status, sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert not {"torch", "pandas", "numpy", "snakemake", "transformers"} & set(done.stdout.split())


def test_exams_are_steps_of_the_models_and_not_of_the_floors(folder):
    exams = {"demo": {"source": "demo"}}
    study = {
        **folder.written,
        "evaluation": {**folder.written["evaluation"], "exams": exams, "retention": {"source": "demo"}},
    }
    steps = {step.name: step for step in look(resolve(study), folder.path).steps}
    assert {"fetch_exam_demo", "exam_questions_demo", "exam_leak_demo", "fetch_retention", "retention_texts"} <= set(
        steps
    )
    assert {name for name in steps if name.startswith("examine_")} == {
        "examine_lora_16",
        "examine_qlora_16",
        "examine_base",
    }
    assert {"examine_base", "exam_leak_demo", "score_base"} <= set(steps["evaluate_base"].needs)
    assert "exam_leak_demo" not in steps["evaluate_floor_fixed"].needs
