"""The pilot's job: what it chooses, what it reads, what a kill leaves of it, and what a run takes from it."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pilot as pilot_script
from medscale.base.config import resolve
from medscale.base.errors import UserError
from medscale.base.files import read_json, write_json
from medscale.base.identity import pilot_settings
from medscale.fetch.manifest import content_of, read_manifest
from medscale.model.chat import Chat
from medscale.model.tokenizer import load_tokenizer
from medscale.train.pilot import run
from places import SCRIPTS
from sentences import TEXTS

RATES = [0.0001, 0.003, 0.03]
TRAINING = {"learning_rate": "auto", "epochs": 4, "effective_batch": 4, "max_length": 128}


@pytest.fixture(scope="module")
def data(tiny_model, tmp_path_factory):
    """A folder with encoded rows: 8 and 16 to train on, 7 to validate on."""
    folder = tmp_path_factory.mktemp("data")
    chat = Chat(load_tokenizer(tiny_model), None)
    texts = [f"{text}{number}" for number, text in enumerate(TEXTS)]
    for name, count in (("8", 8), ("16", 16), ("validation", 7)):
        samples = [chat.sample(f"第{i}个问题：{texts[i][:6]}", texts[i][: 8 + 2 * i % 23], 128) for i in range(count)]
        table = {"input_ids": [s.input_ids for s in samples], "labels": [s.labels for s in samples]}
        pq.write_table(pa.table(table), folder / f"{name}.parquet")
    return folder


def plan(method="lora", **pilot):
    section = {"rates": RATES, "share": 0.5, "least_steps": 4, "extend": False} | pilot
    config = resolve({"study": {"sizes": [8, 16]}, "training": TRAINING, "pilot": section, "lora": {"dropout": 0.0}})
    return pilot_settings(config, method, "m", "d")


def command(tiny_model, data, folder, settings):
    options = {
        "--method": "lora",
        "--seed": 42,
        "--settings": json.dumps(settings),
        "--micro-batch": json.dumps({"8": 2, "16": "auto"}),
        "--threads": 1,
        "--model": tiny_model,
        "--content": content_of(read_manifest(tiny_model)),
        "--validation": data / "validation.parquet",
        "--kept": folder / "checkpoints" / "lora",
        "--output": folder / "lora.json",
    }
    words = [str(word) for option in options.items() for word in option]
    train = [f"{size}={data / size}.parquet" for size in ("8", "16")]
    return [sys.executable, str(SCRIPTS / "pilot.py"), *words, "--train", *train]


def environment(folder):
    return os.environ | {"MEDSCALE_LOCK_DIR": str(folder / "locks"), "OMP_NUM_THREADS": "1"}


def call(tiny_model, data, folder, settings=None, told=None):
    """Make a pilot in this process; return what it printed, and its file."""
    said, before = io.StringIO(), sys.argv
    sys.argv = command(tiny_model, data, folder, settings or plan())[1:]
    try:
        args = pilot_script.parse_arguments()
        args.largest = args.method
        with (
            contextlib.redirect_stdout(said),
            pytest.raises(UserError, match=told) if told else contextlib.nullcontext(),
        ):
            run(args)
    finally:
        sys.argv = before
    return said.getvalue(), None if told else read_json(folder / "lora.json")


@pytest.fixture(scope="module")
def uninterrupted(tiny_model, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    return folder, *call(tiny_model, data, folder)


def losses(pilot):
    return {
        (label, rate["rate"]): (rate["nll"], rate["curve"], rate["losses"], rate["rows"])
        for label, size in pilot["sizes"].items()
        for rate in size["rates"]
    }


def test_the_lowest_validation_loss_is_chosen(uninterrupted):
    _, _, pilot = uninterrupted
    assert list(pilot["sizes"]) == ["8", "16"]
    for size in pilot["sizes"].values():
        by_rate = {rate["rate"]: rate["nll"] for rate in size["rates"]}
        assert list(by_rate) == RATES
        assert size["chosen"] == min(by_rate, key=by_rate.get)
        assert size["at_edge"] == {RATES[0]: "lower", RATES[-1]: "upper"}.get(size["chosen"])
    assert [size["steps"] for size in pilot["sizes"].values()] == [4, 8], "half of 8 and of 16 steps"
    assert [size["steps_of_a_run"] for size in pilot["sizes"].values()] == [8, 16]


def test_the_loss_is_that_of_the_last_validation_and_of_its_rows(uninterrupted):
    _, _, pilot = uninterrupted
    for size in pilot["sizes"].values():
        for rate in size["rates"]:
            assert rate["curve"][-1][0] == size["steps"]
            assert rate["nll"] == pytest.approx(rate["curve"][-1][1], abs=2e-6)
            assert len(rate["rows"]) == len(size["answer_tokens"]) == 7
            assert rate["nll"] == pytest.approx(sum(rate["rows"]) / sum(size["answer_tokens"]), abs=2e-6)


def test_no_test_row_is_an_input(uninterrupted):
    """The job is told of no test rows, and the rule has none."""
    done = subprocess.run([sys.executable, SCRIPTS / "pilot.py", "--help"], capture_output=True, text=True, check=True)
    assert "--test" not in done.stdout
    rule = (SCRIPTS.parents[1] / "rules" / "pilot.smk").read_text(encoding="utf-8")
    assert "test" not in rule.split("output:")[0].split("rule pilot:")[1]


def test_nothing_is_tried_twice_and_a_further_rate_costs_itself(uninterrupted, tiny_model, data):
    folder, first, before = uninterrupted
    assert first.count("started: lora_") == 6
    again, pilot = call(tiny_model, data, folder)
    assert "started: lora_" not in again
    assert losses(pilot) == losses(before)
    wider, pilot = call(tiny_model, data, folder, plan(rates=[*RATES, 0.01]))
    assert wider.count("started: lora_") == 2
    assert losses(pilot).items() >= losses(before).items()
    kept = [path.name for path in folder.rglob("*") if path.is_dir() and path.name.startswith("checkpoint-")]
    assert kept == [], "no checkpoint is left of what is finished"


def test_a_killed_pilot_goes_on_where_it_was(uninterrupted, tiny_model, data, tmp_path):
    """Killed while the second size is tried, with a checkpoint on the disk: the rest is made, to the same losses."""
    _, _, whole = uninterrupted
    process = subprocess.Popen(
        command(tiny_model, data, tmp_path, plan()), env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    )
    kept = tmp_path / "checkpoints" / "lora"
    while process.poll() is None and not list(kept.glob("16/*/*/checkpoint-*/complete")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "lora.json").exists()
    assert len(list(kept.glob("8/*/*.json"))) == 3
    said, pilot = call(tiny_model, data, tmp_path)
    assert "started: lora_8" not in said
    assert losses(pilot) == losses(whole)
    assert [(label, size["chosen"]) for label, size in pilot["sizes"].items()] == [
        (label, size["chosen"]) for label, size in whole["sizes"].items()
    ]


def test_one_rate_more_where_the_best_is_at_an_end(tiny_model, data, tmp_path):
    said, pilot = call(tiny_model, data, tmp_path, plan(rates=[0.00001, 0.0001], extend=True))
    for size in pilot["sizes"].values():
        assert [rate["rate"] for rate in size["rates"]] == [0.00001, 0.0001, 0.001]
        assert [rate["extended"] for rate in size["rates"]] == [False, False, True]
        assert (size["chosen"], size["at_edge"]) == (0.001, "upper"), "more than one step is not gone"
    assert said.count("lies at the upper end of those tried") == 2


def test_a_rate_that_diverges_is_not_chosen_and_all_of_them_are_an_error(tiny_model, data, tmp_path):
    settings = plan(rates=[0.001, 1.0])
    for size in settings["sizes"].values():  # so that the second is far beyond what a float holds
        size["rates"] = [0.001, 1e30]
    _, pilot = call(tiny_model, data, tmp_path, settings)
    for size in pilot["sizes"].values():
        assert size["chosen"] == 0.001
        assert [rate["nll"] is None for rate in size["rates"]] == [False, True]
        assert "the run has diverged" in size["rates"][1]["diverged"]
    for size in settings["sizes"].values():
        size["rates"] = [1e30, 1e31]
    call(tiny_model, data, tmp_path / "all", settings, told="with lora on 8 rows, training diverged at each")


def test_a_run_takes_the_rate_of_its_size(tiny_model, data, tmp_path):
    write_json(
        tmp_path / "pilot.json",
        {"sizes": {"8": {"size": 8, "chosen": 0.004}, "32": {"size": 32, "chosen": 0.001}}},
    )
    write_json(
        tmp_path / "report.json",
        {"rows_sha256": "0", "prompts_too_long": [], "max_length": 128, "answers_truncated": 0},
    )
    (tmp_path / "test.jsonl").write_text("{}\n", encoding="utf-8")
    settings = plan()["sizes"]["8"]["settings"]
    settings["training"] |= {"learning_rate": "auto", "max_steps": 2}
    made = tmp_path / "run"
    options = {
        **{"--run": "lora_16", "--method": "lora", "--seed": 42, "--settings": json.dumps(settings)},
        **{"--micro-batch": 2, "--fingerprint": "0", "--threads": 1, "--model": tiny_model},
        **{"--content": content_of(read_manifest(tiny_model)), "--train": data / "16.parquet"},
        **{"--train-report": tmp_path / "report.json", "--validation": data / "validation.parquet"},
        **{"--test": tmp_path / "test.jsonl", "--adapter": made / "adapter", "--training": made / "training.json"},
        **{"--train-log": made / "train_log.csv", "--tensorboard": made / "tensorboard"},
        **{"--pilot": tmp_path / "pilot.json", "--size": 16},
    }
    words = [str(word) for option in options.items() for word in option]
    script = [sys.executable, str(SCRIPTS / "finetune.py"), *words]
    subprocess.run(script, env=environment(tmp_path), capture_output=True, text=True, check=True)
    training = read_json(made / "training.json")
    assert training["training"]["learning_rate"] == 0.002, "half way between on a logarithmic line"
    assert training["training"]["learning_rate_from"] == "pilot"
    assert training["settings"]["training"]["learning_rate"] == 0.002
    with open(Path(made / "train_log.csv"), encoding="utf-8") as handle:
        names, *rows = [line.strip().split(",") for line in handle]
    assert max(float(row[names.index("learning_rate")] or 0) for row in rows) == pytest.approx(0.002)
