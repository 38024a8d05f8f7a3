"""The record of a run: complete, readable as Markdown whatever the values hold, and plain about what went wrong."""

import itertools
import json
import os
import re
import subprocess
import sys
from urllib.parse import unquote

import pytest
from docutils.core import publish_parts
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, StrictUndefined
from markdown_it import MarkdownIt

import synthetic
from medscale.base.errors import UserError
from medscale.report.records import escape, record_text
from places import ROOT

TROUBLE = [
    {
        "time": "2026-11-20T08:10:00Z",
        "kind": "fallback",
        "message": "out of memory | with micro_batch 4\ntried to allocate 2 GiB",
        "action": "micro_batch 2, more accumulation",
    },
    {
        "time": "2026-11-20T08:40:00Z",
        "kind": "resumed",
        "message": "an earlier process ended at step 500 or later",
        "action": "resumed from step 500",
    },
    {"time": "2026-11-20T08:01:00Z", "kind": "warning", "message": "12 answers are longer than fits", "action": None},
]


def record(events: list[dict] | None = None, plot: str = "loss_curve.png", **changes) -> str:
    parts = {
        "evaluation": synthetic.evaluation("lora", 20_000),
        "training": synthetic.training_record("lora", 20_000, events=events),
        "inference": synthetic.inference_record("lora", 20_000),
    }
    for name, change in changes.items():
        parts[name] |= change
    return record_text(**parts, plot=plot)


def tables(text: str) -> dict[str, list[list[str]]]:
    """Return the cells of all tables below each heading, as a reader of the rendered page sees them."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for before, token in itertools.pairwise(tokens):
        if token.type == "inline":
            seen = "".join(child.content for child in token.children)
            if before.type == "heading_open":
                heading = seen
            elif before.type in ("td_open", "th_open"):
                found[heading][-1].append(seen)
        elif token.type == "tr_open":
            found.setdefault(heading, []).append([])
    return found


def section(text: str, heading: str) -> dict[str, str]:
    return {row[0]: row[1] for row in tables(text)[heading]}


def test_start_end_and_durations():
    facts = section(record(), "Record of run lora_20k")
    assert facts["Started (UTC)"] == "2026-11-20T08:00:00Z"
    assert facts["Finished (UTC)"] == "2026-11-20T09:30:12Z"
    assert facts["From start to end, pauses included"] == "1 h 30 min"
    assert facts["Training time, validation included"] == "20 min 50 s"
    assert (facts["Method"], facts["Training rows"], facts["Seed"]) == ("lora", "20,000", "42")


def test_metrics_stand_with_their_intervals():
    metrics = synthetic.evaluation("lora", 20_000)["metrics"]
    rows = {row[0]: row[1:] for row in tables(record())["Result"]}
    rouge = metrics["rouge_l"]
    low, high = rouge["ci95"]
    assert rows["ROUGE-L, points of 100"] == [
        *(f"{rouge['f']:.2f}", f"{low:.2f} … {high:.2f}", f"{rouge['p']:.2f}", f"{rouge['r']:.2f}")
    ]
    assert rows["NLL, nats per answer token (lower is better)"][0] == f"{metrics['nll']['value']:.4f}"
    assert rows["Length of the answers by that of the references"] == ["0.913"]
    assert rows["Empty answers"] == ["0"]


def test_a_metric_added_later_is_shown_too():
    chrf = {"value": 21.5, "ci95": [20.25, 22.75]}
    text = record(evaluation={"metrics": synthetic.evaluation("lora", 20_000)["metrics"] | {"chrf": chrf}})
    assert ["chrf, points of 100", "21.50", "20.25 … 22.75", "", ""] in tables(text)["Result"]


def test_peak_memory_of_each_phase_and_how_it_was_measured():
    facts = section(record(), "Peak memory")
    assert facts["Loading the model"] == "5.81"
    assert facts["Training, allocated"] == "7.12"
    assert facts["Training, reserved by the allocator"] == "7.6"
    assert facts["Inference"] == "7.9"
    training = synthetic.training("lora", 20_000)
    peaks = {"load": 1.5, "train_allocated": 2.5, "train_reserved": None, "kind": "resident set of the process (CPU)"}
    text = record(training={"training": training | {"peak_memory_gib": peaks}})
    assert section(text, "Peak memory")["Training, reserved by the allocator"] == "–"
    assert "resident set of the process (CPU)" in text


def test_settings_data_hardware_and_software():
    text = record()
    settings = section(text, "Settings")
    assert settings["training.learning_rate"] == "0.0002"
    assert settings["lora.target_modules"] == '"all-linear"'
    assert settings["training.early_stopping_patience"] == "null"
    data = section(text, "Data and provenance")
    provenance = synthetic.provenance("lora_20k")
    assert data["Training rows"] == "20,000"
    assert data["Test rows"] == "2,000"
    assert data["Training rows, SHA-256"] == provenance["train_sha256"]
    assert data["Test rows, SHA-256"] == provenance["test_sha256"]
    machine = section(text, "Hardware and software")
    assert machine["gpu_model"] == "Tesla T4"
    assert machine["torch"] == "2.13.0"
    assert machine["bitsandbytes"] == "–"


def test_prediction_on_another_machine_is_shown_beside_training():
    hardware = synthetic.HARDWARE | {"gpu_model": "NVIDIA H200"}
    rows = tables(record(inference={"hardware": hardware}))["Hardware and software"]
    assert ["gpu_model", "Tesla T4", "NVIDIA H200"] in rows


def test_each_event_stands_with_its_time_and_what_was_done():
    rows = tables(record(events=synthetic.EVENTS + TROUBLE))["What happened on the way"][1:]
    assert [row[1] for row in rows] == ["started", "warning", "fallback", "resumed", "finished"], "in order of time"
    assert rows[2] == [
        "2026-11-20T08:10:00Z",
        "fallback",
        "out of memory | with micro_batch 4 tried to allocate 2 GiB",
        "micro_batch 2, more accumulation",
    ]
    assert rows[1][3] == "–"


def test_nothing_unusual_is_said_in_words():
    for events in (synthetic.EVENTS, []):
        text = record(events=events)
        assert "## What happened on the way\n\nNothing unusual.\n" in text
    started_twice = [synthetic.EVENTS[0], *synthetic.EVENTS]
    assert "Nothing unusual." not in record(events=started_twice)


def test_missing_measurements_show_a_dash():
    evaluation = synthetic.evaluation("lora", 20_000)
    metrics = evaluation["metrics"] | {"nll": {"value": None, "ci95": None}, "length_ratio": None}
    training = synthetic.training("lora", 20_000) | {"seconds": None, "finished_at": None, "peak_memory_gib": None}
    text = record(evaluation={"metrics": metrics}, training={"training": training})
    assert {row[0]: row[1] for row in tables(text)["Result"]}["NLL, nats per answer token (lower is better)"] == "–"
    assert section(text, "Record of run lora_20k")["Finished (UTC)"] == "–"
    assert section(text, "Peak memory")["Loading the model"] == "–"
    assert not re.search(r"\b(None|nan)\b", text)


def test_files_of_different_runs_are_refused():
    with pytest.raises(UserError, match="different fingerprints"):
        record(inference={"provenance": synthetic.provenance("qlora_20k")})


@given(st.text() | st.text(alphabet="|\\`*_[]()<>&~$#!-+.1a字 \n\r\t\u2028"))
def test_any_text_is_shown_as_it_is_in_one_cell(text):
    cell = escape(text)
    rendered = tables(f"# T\n\n| a | b |\n| --- | --- |\n| x{cell}x | end |\n")["T"][1]
    plain = re.sub(r"[\s\x00-\x1f\x7f]+", " ", text).strip()
    assert rendered == [f"x{plain}x", "end"]


def test_program_writes_a_record_whose_picture_is_found(tmp_path):
    home = tmp_path / "results" / "lora_20k"
    synthetic.write_run(tmp_path / "results", synthetic.evaluation("lora", 20_000), synthetic.train_log("lora", 20_000))
    (home / "training.json").write_text(json.dumps(synthetic.training_record("lora", 20_000)), encoding="utf-8")
    (home / "inference.json").write_text(json.dumps(synthetic.inference_record("lora", 20_000)), encoding="utf-8")
    inputs = {
        "eval": "eval.json",
        "training": "training.json",
        "train-log": "train_log.csv",
        "inference": "inference.json",
    }
    options = [part for name, file in inputs.items() for part in (f"--{name}", home / file)]
    outputs = ["--output", home / "record.md", "--plot", tmp_path / "plots of runs" / "loss_curve.png"]
    command = [sys.executable, ROOT / "workflow/scripts/record.py", *options, *outputs]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "MPLBACKEND": "TkAgg"}
    )
    assert done.returncode == 0, done.stderr
    text = (home / "record.md").read_text(encoding="utf-8")
    tokens = itertools.chain(*(token.children or [] for token in MarkdownIt("commonmark").parse(text)))
    (link,) = [token.attrs["src"] for token in tokens if token.type == "image"]
    assert (home / unquote(link)).read_bytes().startswith(b"\x89PNG")


CAPTIONS = sorted((ROOT / "workflow" / "report").glob("*.rst"))


def test_there_is_a_caption_for_each_result_of_the_report():
    assert {path.stem for path in CAPTIONS} >= {
        *("workflow", "results_summary", "data_scale_comparison", "method_comparison", "loss_curves", "record")
    }


@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
def test_captions_are_valid_and_name_the_run(path):
    snakemake = {"wildcards": {"tuned": "qlora_100k"}, "config": {}}
    text = (
        Environment(undefined=StrictUndefined).from_string(path.read_text(encoding="utf-8")).render(snakemake=snakemake)
    )
    html = publish_parts(text, writer="html", settings_overrides={"halt_level": 2, "report_level": 2})["html_body"]
    assert len(html) > 100
    if path.stem == "record":
        assert "qlora_100k" in html


def test_exams_and_general_texts_stand_in_the_record_of_a_run_that_has_them():
    exam = {"accuracy": 41.25, "ci95": [36.5, 46.2], "n": 400, "chance": 25.0, "contaminated": 12}
    exam["accuracy_without_leaks"] = {"accuracy": 40.1, "ci95": [35.0, 45.0], "n": 388}
    retention = {"value": 1.23456, "ci95": [1.2, 1.3], "n": 40, "n_tokens": 900}
    rows = tables(record(evaluation={"exams": {"cmexam": exam}, "retention": retention}))["Exams and general texts"]
    assert rows[1] == [
        "cmexam, right answers in points of 100",
        "41.25",
        "36.50 … 46.20",
        "400",
        "25.0",
        "40.10 without 12",
    ]
    assert rows[2][:2] == ["General texts, NLL in nats a token", "1.2346"]
    exam |= {"contaminated": 400, "accuracy_without_leaks": {"accuracy": None, "ci95": None, "n": 0}}
    assert tables(record(evaluation={"exams": {"cmexam": exam}}))["Exams and general texts"][1][-1] == "all 400 leaked"
    assert "Exams and general texts" not in tables(record())
