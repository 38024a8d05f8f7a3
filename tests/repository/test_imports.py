"""Jobs import what they use: scripts run for real on tiny inputs, and what they have imported at their end."""

import json
import os
import subprocess
import sys

import pytest

import synthetic
from medscale.base.files import write_json, write_jsonl, write_text
from noted_imports import SLOW, USES, noted, noting
from places import ROOT, SCRIPTS
from report_files import Study

NF4 = {"quant_type": "nf4", "double_quant": True}
SETTINGS = {
    "evaluation": {"engine": "transformers", "max_samples": None, "max_new_tokens": 4, "batch_size": 2},
    **{"chat": {"system_prompt": None, "template": "plain"}, "quantization": NF4, "precision": "fp32"},
    "max_length": 64,
}


@pytest.fixture
def notebook(tmp_path):
    """The folder of a torchvision that was built for another torch, as an installation into a notebook's leaves it."""
    folder = tmp_path / "notebook"
    metadata = "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.27.1\n"
    write_text(
        folder / "torchvision" / "__init__.py", "raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    write_text(folder / "torchvision-0.27.1.dist-info" / "METADATA", metadata)
    return folder


@pytest.fixture
def run(tmp_path, notebook):
    """Return the function that runs a script and returns what it was and what it imported of `SLOW`."""

    def run_script(script: str, *arguments) -> tuple[str, set[str]]:
        folder = tmp_path / "noted"
        environment = noting(folder) | {"MEDSCALE_LOCK_DIR": str(tmp_path / "locks")}
        environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], str(notebook)])
        command = [sys.executable, SCRIPTS / script, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        (job,) = noted(folder)
        return job

    return run_script


def test_the_broken_torchvision_breaks_what_imports_it(notebook):
    code = "from transformers import AutoModelForCausalLM, Qwen2ForCausalLM"
    environment = os.environ | {"PYTHONPATH": str(notebook)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "Could not import module" in done.stderr


def test_every_script_has_its_entry():
    scripts = {path.stem for path in SCRIPTS.glob("*.py")}
    assert {job.split()[0] for job in USES} == scripts - {"plan", "ask"}  # ask.py is no job
    assert set().union(*USES.values()) <= SLOW


@pytest.mark.parametrize("method", ["base", "lora", "qlora"])
def test_a_prediction_imports_what_its_method_needs(method, tiny_model, tmp_path, run):
    """Bitsandbytes, at half of the time before the first answer, only for 4 bits; PEFT only for an adapter."""
    arguments = ["--run", method, "--method", method, "--settings", json.dumps(SETTINGS), "--fingerprint", "0" * 16]
    if method != "base":
        from medscale.model.loading import add_adapter, load_base

        lora = {"r": 2, "alpha": 4, "dropout": 0.0, "target_modules": ["q_proj"], "use_rslora": False}
        add_adapter(load_base(tiny_model.parent, "lora", NF4, "fp32"), lora, seed=1).save_pretrained(
            tmp_path / "adapter"
        )
        arguments += ["--adapter", tmp_path / "adapter"]
    write_jsonl(tmp_path / "test.jsonl", [{"id": "1", "question": "头痛怎么办", "answer": "休息"}])
    arguments += ["--model", tiny_model, "--test", tmp_path / "test.jsonl"]
    arguments += ["--output", tmp_path / "predictions.jsonl", "--inference", tmp_path / "inference.json"]
    job, imported = run("predict.py", *arguments)
    assert job == f"predict {method}"
    assert imported <= USES[job]
    assert ("bitsandbytes" in imported) == (method == "qlora")


def test_a_record_imports_no_more_than_its_picture_needs(tmp_path, run):
    (tmp_path / "train_log.csv").write_text(synthetic.train_log("lora", 20_000), encoding="utf-8")
    write_json(tmp_path / "eval.json", synthetic.evaluation("lora", 20_000))
    write_json(tmp_path / "training.json", synthetic.training_record("lora", 20_000))
    write_json(tmp_path / "inference.json", synthetic.inference_record("lora", 20_000))
    inputs = [f"--{name}={tmp_path / name}.json" for name in ("eval", "training", "inference")]
    inputs.append(f"--train-log={tmp_path / 'train_log.csv'}")
    job, imported = run("record.py", *inputs, "--output", tmp_path / "record.md", "--plot", tmp_path / "loss.png")
    assert imported == USES[job] == {"numpy", "matplotlib"}


def test_the_report_imports_neither_pandas_nor_what_drew_the_plots(tmp_path, run):
    arguments = Study(tmp_path / "study", items=3).arguments
    job, imported = run("report.py", *arguments[arguments.index("--summary") :])
    assert imported <= USES[job]


def test_a_subset_imports_nothing(tmp_path, run):
    write_jsonl(tmp_path / "pool.jsonl", [{"id": "1", "department": None}])
    job, imported = run(
        *("subset.py", "--pool", tmp_path / "pool.jsonl", "--size", "1"),
        *("--output", tmp_path / "train.jsonl", "--manifest", tmp_path / "train.json"),
    )
    assert imported == USES[job] == set()
