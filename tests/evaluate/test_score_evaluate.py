"""score.py and evaluate.py from the predictions to eval.json."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pyarrow.parquet as pq
import pytest

from medscale.base.errors import UserError
from medscale.base.files import read_json, sha256_file, write_json, write_jsonl
from medscale.evaluate import eval_file as evaluation
from medscale.evaluate import predictions, scoring
from medscale.evaluate.metrics import STANDARD, Pair, score
from places import SCRIPTS

SCORE_COLUMNS = ["id"]
SCORE_COLUMNS += [f"rouge_{n}_{part}" for n in ("1", "2", "l") for part in ("f", "p", "r")]
SCORE_COLUMNS += ["bleu_4", "nll_sum", "n_answer_tokens", "predict_chars", "label_chars", "n_output_tokens"]
TRAINING_KEYS = (
    *("started_at", "finished_at", "seconds", "epochs", "steps", "samples_per_second", "tokens_per_second"),
    *("final_train_loss", "best_validation_loss", "best_step", "resumed_from_step", "micro_batch", "effective_batch"),
    *("trainable_parameters", "peak_memory_gib", "energy_kwh"),
)
INFERENCE_KEYS = (
    *("seconds", "samples_per_second", "output_tokens_per_second", "mean_output_tokens", "batch_size", "precision"),
    "peak_memory_gib",
)
PROVENANCE_KEYS = ("fingerprint", "config_sha256", "train_sha256", "test_sha256", "model_manifest_sha256")
ANSWERS = [
    ("高血压患者应低盐饮食，按时服药。", "高血压病人要低盐饮食，并按时服用降压药。", 30.0, 20, 15),
    (" \n", "多喝水，注意休息。", 24.0, 10, 0),
    ("建议多喝水。\n注意休息。", "建议多喝水，注意休息。", 12.5, 12, 11),
    ("哈哈哈哈哈哈", "及时就医，检查血常规。", 40.0, 8, 6),
]
TEST_ROWS = [
    {"id": f"r{i}", "question": f"问题{i}", "answer": label, "department": None}
    for i, (_, label, *_) in enumerate(ANSWERS)
]


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, SCRIPTS / script, *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )


def prediction_rows() -> list[dict]:
    return [
        {
            "id": f"r{i}",
            "prompt": f"问题{i}",
            "predict": predict,
            "label": label,
            "nll_sum": nll,
            "n_answer_tokens": tokens,
            "n_output_tokens": output,
        }
        for i, (predict, label, nll, tokens, output) in enumerate(ANSWERS)
    ]


def provenance(test: Path) -> dict:
    shas = {key: f"{number}" * 64 for number, key in enumerate(PROVENANCE_KEYS)}
    return {**shas, "fingerprint": "0123456789abcdef", "test_sha256": sha256_file(test)}


HARDWARE = {
    **{"device": "cpu", "gpu_model": None, "cpu": "A CPU", "cores": 2, "memory_gib": 3.8, "driver": None},
    "cuda": None,
}
SOFTWARE = {"python": "3.11.7", "torch": "2.13.0", "transformers": "5.23.0", "peft": "0.19.1", "bitsandbytes": None}


def training_record(test: Path) -> dict:
    return {
        "schema_version": 1,
        "run": "lora_20k",
        "training": {
            **{"started_at": "2026-11-20T08:00:00Z", "finished_at": "2026-11-20T09:00:00Z", "seconds": 3590.2},
            **{"epochs": 1.0, "steps": 1250, "samples_per_second": 5.57, "tokens_per_second": 980.1},
            **{"final_train_loss": 1.8, "best_validation_loss": 1.79, "best_step": 1250, "resumed_from_step": None},
            **{"micro_batch": 4, "effective_batch": 16, "trainable_parameters": 29933568, "energy_kwh": None},
            "peak_memory_gib": {"load": 5.8, "train_allocated": 7.1, "train_reserved": None},
        },
        "hardware": HARDWARE,
        "software": SOFTWARE,
        "provenance": provenance(test),
        "settings": {},
        "events": [],
    }


def inference_record(test: Path, name: str = "lora_20k") -> dict:
    return {
        "schema_version": 1,
        "run": name,
        "inference": {
            **{"seconds": 0.8, "samples_per_second": 5.0, "output_tokens_per_second": 40.0, "mean_output_tokens": 8.0},
            **{"batch_size": 32, "precision": "fp32", "peak_memory_gib": 1.2},
        },
        "hardware": HARDWARE,
        "software": SOFTWARE,
        "provenance": provenance(test) | ({"train_sha256": None} if name == "base" else {}),
    }


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with test.jsonl, predictions.jsonl, scores.parquet, training.json and inference.json of lora_20k."""
    write_jsonl(tmp_path / "test.jsonl", TEST_ROWS)
    write_jsonl(tmp_path / "predictions.jsonl", prediction_rows())
    write_scores(tmp_path)
    write_json(tmp_path / "training.json", training_record(tmp_path / "test.jsonl"))
    write_json(tmp_path / "inference.json", inference_record(tmp_path / "test.jsonl"))
    return tmp_path


def write_scores(folder: Path) -> None:
    """What score.py does, without the time to start it."""
    table = scoring.score_table(predictions.read_predictions(folder / "predictions.jsonl"), list(STANDARD))
    scoring.write_scores(table, list(STANDARD), folder / "predictions.jsonl", folder / "scores.parquet")


def evaluate(folder: Path, *more: str | Path, name: str = "lora_20k", tuned: bool = True):
    arguments = ["--run", name, "--scores", folder / "scores.parquet", "--inference", folder / "inference.json"]
    arguments += ["--output", folder / "eval.json", "--resamples", "500"]
    if tuned:
        arguments += ["--method", "lora", "--size-label", "20k", "--train-size", "20000", "--seed", "42"]
        arguments += ["--training", folder / "training.json"]
    return run("evaluate.py", *arguments, *more)


def change(path: Path, *keys: str, value: object) -> None:
    """Set one nested value of a JSON file."""
    content = read_json(path)
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    write_json(path, content)


# score.py


def test_score_writes_one_row_a_prediction(tmp_path):
    write_jsonl(tmp_path / "predictions.jsonl", prediction_rows())
    done = run(
        *("score.py", "--predictions", tmp_path / "predictions.jsonl", "--output", tmp_path / "scores.parquet"),
        *("--workers", "2"),
    )
    assert done.returncode == 0, done.stderr
    table = pq.read_table(tmp_path / "scores.parquet")
    assert table.column_names == SCORE_COLUMNS
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == ["r0", "r1", "r2", "r3"]
    for row, (predict, label, nll, tokens, output) in zip(rows, ANSWERS, strict=True):
        expected = score(Pair(predict, label), STANDARD)
        assert {column: row[column] for column in expected} == expected
        assert (row["nll_sum"], row["n_answer_tokens"], row["n_output_tokens"]) == (nll, tokens, output)
    assert [row["predict_chars"] for row in rows] == [16, 0, 12, 6]
    assert [row["label_chars"] for row in rows] == [20, 9, 11, 11]
    assert rows[0]["rouge_1_f"] == 57.1429


def test_several_processes_give_the_same_in_the_same_order(monkeypatch):
    monkeypatch.setattr(scoring, "LEAST_PER_WORKER", 20)
    texts = [("多喝水。" * (i % 7), "建议多喝水，注意休息。"[: i % 11]) for i in range(90)]
    assert scoring.score_texts(texts, list(STANDARD), workers=3) == scoring.score_texts(texts, list(STANDARD))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda row: row.pop("nll_sum"), "line 2: has no nll_sum"),
        (lambda row: row.update(id="r0"), "line 2: the id 'r0' was there before"),
        (lambda row: row.update(predict=None), "line 2: predict is not a text"),
        (lambda row: row.update(n_answer_tokens=-1), "line 2: n_answer_tokens is -1"),
        (lambda row: row.update(n_output_tokens=1.5), "line 2: n_output_tokens is 1.5"),
    ],
)
def test_a_broken_prediction_is_named(tmp_path, spoil, message):
    rows = prediction_rows()
    spoil(rows[1])
    write_jsonl(tmp_path / "predictions.jsonl", rows)
    with pytest.raises(UserError, match=message):
        predictions.read_predictions(tmp_path / "predictions.jsonl")


def test_nan_and_an_empty_file_are_refused(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text(json.dumps(prediction_rows()[0] | {"nll_sum": float("nan")}), encoding="utf-8")
    with pytest.raises(UserError, match="line 1: nll_sum is nan"):
        predictions.read_predictions(path)
    path.write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="has no predictions"):
        predictions.read_predictions(path)


def test_an_unknown_extra_metric_ends_with_one_line(tmp_path):
    write_jsonl(tmp_path / "predictions.jsonl", prediction_rows())
    done = run(
        *("score.py", "--predictions", tmp_path / "predictions.jsonl", "--output", tmp_path / "scores.parquet"),
        *("--extra-metrics", '["meteor"]'),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: evaluation.extra_metrics: no metric is called 'meteor'")
    assert done.stderr.endswith(" [C103]\n")
    assert not (tmp_path / "scores.parquet").exists()


# evaluate.py


def test_eval_json_has_every_key(study):
    done = evaluate(study, "--predictions", study / "predictions.jsonl", "--test", study / "test.jsonl")
    assert done.returncode == 0, done.stderr
    result = read_json(study / "eval.json")
    assert {key: result[key] for key in ("run", "method", "size_label", "train_size", "seed", "n_test")} == {
        **{"run": "lora_20k", "method": "lora", "size_label": "20k", "train_size": 20000, "seed": 42},
        "n_test": 4,
    }
    for name in ("rouge_1", "rouge_2", "rouge_l"):
        assert set(result["metrics"][name]) == {"f", "p", "r", "ci95"}
    assert set(result["metrics"]["bleu_4"]) == {"value", "ci95"}
    assert set(TRAINING_KEYS) <= set(result["training"])
    assert set(INFERENCE_KEYS) <= set(result["inference"])
    assert set(PROVENANCE_KEYS) == set(result["provenance"])
    assert result["provenance"] == read_json(study / "training.json")["provenance"]
    assert result["training"] == read_json(study / "training.json")["training"]
    assert result["hardware"] == HARDWARE
    assert result["software"]["torch"] == "2.13.0"
    assert "jieba" in result["scorer"]["rouge_1"]


def test_values_are_plain_means_and_ratios_of_sums(study):
    assert evaluate(study).returncode == 0
    metrics = read_json(study / "eval.json")["metrics"]
    scores = [score(Pair(predict, label), STANDARD) for predict, label, *_ in ANSWERS]
    for name in ("rouge_1", "rouge_2", "rouge_l"):
        for part in ("f", "p", "r"):
            assert metrics[name][part] == pytest.approx(sum(item[f"{name}_{part}"] for item in scores) / 4, abs=1e-6)
        assert metrics[name]["ci95"][0] <= metrics[name]["f"] <= metrics[name]["ci95"][1]
    assert metrics["bleu_4"]["value"] == pytest.approx(sum(item["bleu_4"] for item in scores) / 4, abs=1e-6)
    assert metrics["nll"]["value"] == pytest.approx((30 + 24 + 12.5 + 40) / (20 + 10 + 12 + 8))
    assert metrics["nll"]["ci95"][0] < metrics["nll"]["value"] < metrics["nll"]["ci95"][1]
    assert metrics["length_ratio"] == pytest.approx((16 + 0 + 12 + 6) / (20 + 9 + 11 + 11), abs=1e-6)
    assert metrics["empty_predictions"] == 1


def test_the_same_input_gives_the_same_bytes(study):
    assert evaluate(study).returncode == 0
    first = (study / "eval.json").read_bytes()
    assert evaluate(study).returncode == 0
    assert (study / "eval.json").read_bytes() == first


def test_the_base_model_has_no_training(study):
    write_json(study / "inference.json", inference_record(study / "test.jsonl", "base"))
    done = evaluate(study, "--method", "base", name="base", tuned=False)
    assert done.returncode == 0, done.stderr
    result = read_json(study / "eval.json")
    assert result["training"] is None
    assert (result["size_label"], result["train_size"], result["seed"]) == (None, None, None)
    assert result["provenance"]["train_sha256"] is None
    assert result["provenance"]["test_sha256"] == sha256_file(study / "test.jsonl")
    assert result["hardware"] == HARDWARE


def test_a_floor_has_no_model_and_no_likelihood(study):
    nothing = {"nll_sum": None, "n_answer_tokens": None, "n_output_tokens": None}
    write_jsonl(study / "predictions.jsonl", (row | nothing for row in prediction_rows()))
    write_scores(study)
    record = inference_record(study / "test.jsonl", "floor_fixed")
    write_json(study / "inference.json", record | {"inference": None})
    done = evaluate(study, "--method", "floor_fixed", name="floor_fixed", tuned=False)
    assert done.returncode == 0, done.stderr
    result = read_json(study / "eval.json")
    assert result["inference"] is None
    assert result["metrics"]["nll"] == {"value": None, "ci95": None, "n": 0}
    assert result["metrics"]["rouge_1"]["f"] > 0


def test_nll_is_over_the_items_where_it_was_measured(study):
    rows = prediction_rows()
    rows[3] |= {"nll_sum": None, "n_answer_tokens": None}
    write_jsonl(study / "predictions.jsonl", rows)
    write_scores(study)
    summary = evaluation.summarise(evaluation.read_scores(study / "scores.parquet"), 100, 0)
    assert summary["nll"]["value"] == pytest.approx(66.5 / 42, abs=1e-6)
    assert summary["nll"]["n"] == 3


def test_one_item_has_values_without_intervals(study):
    write_jsonl(study / "predictions.jsonl", prediction_rows()[:1])
    write_scores(study)
    summary = evaluation.summarise(evaluation.read_scores(study / "scores.parquet"), 100, 0)
    assert summary["rouge_1"]["f"] == 57.1429
    assert [summary[name]["ci95"] for name in (*STANDARD, "nll")] == [None] * 5


@pytest.mark.parametrize(
    ("file", "keys", "value", "message"),
    [
        ("inference.json", ("provenance", "fingerprint"), "f" * 16, "predictions of another training"),
        ("inference.json", ("provenance", "test_sha256"), "f" * 64, "provenance.test_sha256"),
        ("inference.json", ("inference", "mean_output_tokens"), 55.5, "different predictions"),
        ("inference.json", ("run",), "lora_50k", "is of the run lora_50k, not of lora_20k"),
        ("training.json", ("run",), "qlora_20k", "is of the run qlora_20k, not of lora_20k"),
        ("training.json", ("training", "seconds"), -1, "training.seconds: -1 is less than the minimum"),
        ("training.json", ("training", "started_at"), "20 Nov 2026", "training.started_at"),
        ("training.json", ("training",), {}, "training: 'started_at' is a required property"),
    ],
)
def test_parts_that_do_not_belong_together_end_with_one_message(study, file, keys, value, message):
    change(study / file, *keys, value=value)
    done = evaluate(study)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (study / "eval.json").exists()


def test_scores_of_other_predictions_are_refused(study):
    rows = prediction_rows()
    rows[0]["predict"] = "多喝水。"
    write_jsonl(study / "predictions.jsonl", rows)
    done = evaluate(study, "--predictions", study / "predictions.jsonl")
    assert done.returncode == 1
    assert "the scores are of other predictions" in done.stderr


def test_scores_of_another_test_set_are_refused(study):
    scores = evaluation.read_scores(study / "scores.parquet")
    facts = provenance(study / "test.jsonl")
    evaluation.check_test_set(scores, facts, study / "test.jsonl")
    write_jsonl(study / "other.jsonl", [row | {"id": f"s{row['id']}"} for row in TEST_ROWS])
    with pytest.raises(UserError, match="made on another test set"):
        evaluation.check_test_set(scores, facts, study / "other.jsonl")
    with pytest.raises(UserError, match="r0 is not in the test set"):
        evaluation.check_test_set(scores, facts | {"test_sha256": None}, study / "other.jsonl")


def test_training_is_asked_for_exactly_where_there_was_one(study):
    done = evaluate(study, "--method", "base")
    assert done.returncode == 1
    assert "leave --training out" in done.stderr
    done = evaluate(study, "--method", "qlora", tuned=False)
    assert done.returncode == 1
    assert "give --training" in done.stderr


def test_a_foreign_parquet_file_is_refused(study):
    pq.write_table(pq.read_table(study / "scores.parquet").replace_schema_metadata(None), study / "scores.parquet")
    done = evaluate(study)
    assert done.returncode == 1
    assert "not a table of scores" in done.stderr


# The schema


@pytest.fixture(scope="module")
def valid(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("valid")
    write_jsonl(folder / "test.jsonl", TEST_ROWS)
    write_jsonl(folder / "predictions.jsonl", prediction_rows())
    write_scores(folder)
    training, inference = training_record(folder / "test.jsonl"), inference_record(folder / "test.jsonl")
    return {
        **{"schema_version": 1, "run": "lora_20k", "method": "lora", "size_label": "20k", "train_size": 20000},
        **{"seed": 42, "n_test": 4},
        "metrics": evaluation.summarise(evaluation.read_scores(folder / "scores.parquet"), 100, 0),
        "training": training["training"],
        "inference": inference["inference"],
        "hardware": HARDWARE,
        "software": SOFTWARE,
        "provenance": training["provenance"],
    }


def required_keys() -> list[tuple[str, ...]]:
    top = ("schema_version", "run", "method", "size_label", "train_size", "seed", "n_test", "metrics", "training")
    top += ("inference", "hardware", "software", "provenance")
    metrics = ("rouge_1", "rouge_2", "rouge_l", "bleu_4", "nll", "length_ratio", "empty_predictions")
    keys = [(key,) for key in top]
    keys += [("metrics", key) for key in metrics]
    keys += [("metrics", name, part) for name in ("rouge_1", "rouge_2", "rouge_l") for part in ("f", "p", "r", "ci95")]
    keys += [("metrics", name, part) for name in ("bleu_4", "nll") for part in ("value", "ci95")]
    keys += [("training", key) for key in TRAINING_KEYS]
    keys += [("training", "peak_memory_gib", key) for key in ("load", "train_allocated", "train_reserved")]
    keys += [("inference", key) for key in INFERENCE_KEYS]
    return keys + [("provenance", key) for key in PROVENANCE_KEYS]


@pytest.mark.parametrize("keys", required_keys(), ids=".".join)
def test_the_schema_requires_each_key(valid, keys):
    evaluation.check(valid)
    result = copy.deepcopy(valid)
    place = result
    for key in keys[:-1]:
        place = place[key]
    del place[keys[-1]]
    with pytest.raises(UserError, match=f"'{keys[-1]}' is a required property"):
        evaluation.check(result)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("metrics", "rouge_1", "f"), 100.5),
        (("metrics", "rouge_1", "f"), None),
        (("metrics", "rouge_2", "p"), float("nan")),
        (("training", "final_train_loss"), float("inf")),
        (("metrics", "rouge_l", "ci95"), [1.0]),
        (("metrics", "bleu_4", "ci95"), [-1.0, 3.0]),
        (("metrics", "nll", "value"), -0.1),
        (("metrics", "empty_predictions"), 1.5),
        (("training",), None),
        (("training", "peak_memory_gib", "load"), "5 GiB"),
        (("training", "finished_at"), "2026-11-20T09:00:00+08:00"),
        (("n_test",), 0),
        (("provenance", "train_sha256"), "abc"),
        (("train_size",), None),
    ],
)
def test_the_schema_refuses_impossible_values(valid, keys, value):
    result = copy.deepcopy(valid)
    place = result
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    with pytest.raises(UserError, match="is not a valid eval"):
        evaluation.check(result)


def test_the_schema_is_a_schema():
    schema = read_json(evaluation.SCHEMA)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_further_keys_are_welcome(valid):
    evaluation.check(valid | {"note": "more", "training": valid["training"] | {"precision": "bf16"}})


EXAM = {"scored_by": "letter", "prompt": "plain", "normalise": None, "permutations": 1, "description": None}


def examined(folder: Path, name: str = "lora_20k") -> list[str | Path]:
    """Write what examine.py and the leak check write, and return the options of evaluate.py for it."""
    from medscale.evaluate.exam_answers import Answered, write_answers, write_texts
    from medscale.evaluate.exam_prompts import asked

    answers = []
    for number, answer in enumerate("AABB"):
        options = {"A": "休息", "B": "手术"}
        question = {"id": f"q{number}", "question": "问", "options": options, "answer": answer, "multiple": False}
        question |= {"subject": "内科" if number < 3 else None, "measures": "medicine", "seen": None}
        answers.append(Answered("cmexam", question, 0, asked(question, EXAM)[0], [-0.5, -1.0]))
    write_answers(folder / "exams.parquet", answers, {"cmexam": EXAM})
    write_texts(folder / "retention.parquet", [("t1", 12.0, 10), ("t2", 30.0, 20)])
    facts = {key: value for key, value in provenance(folder / "test.jsonl").items() if key != "test_sha256"}
    examination = {"seconds": 3.0, "precision": "fp32", "peak_memory_gib": None}
    record = {"run": name, "hardware": HARDWARE, "software": SOFTWARE, "provenance": facts}
    write_json(folder / "examination.json", record | {"examination": examination})
    write_json(folder / "leak.json", {"exam": "cmexam", "n": 4, "contaminated": 1, "ids": ["q1"]})
    told = [f"--{name}={folder / name}.parquet" for name in ("exams", "retention")]
    return [*told, f"--examination={folder / 'examination.json'}", "--leaks", folder / "leak.json"]


def test_exams_and_general_texts_stand_in_eval_json(study):
    done = evaluate(study, *examined(study))
    assert done.returncode == 0, done.stderr
    result = read_json(study / "eval.json")
    exam = result["exams"]["cmexam"]
    assert (exam["accuracy"], exam["n"], exam["chance"], exam["measures"]) == (50, 4, 50, "medicine")
    assert exam["ci95"] == pytest.approx([15.0036, 84.9964], abs=1e-3)
    assert exam["by_subject"]["内科"]["n"] == 3
    assert exam["accuracy_without_leaks"]["n"] == 3
    assert exam["contaminated"] == 1
    assert result["retention"]["value"] == pytest.approx(42 / 30)
    assert (result["retention"]["n"], result["retention"]["n_tokens"]) == (2, 30)
    assert result["examination"]["seconds"] == 3.0


def test_a_study_without_exams_has_none(study):
    assert evaluate(study).returncode == 0
    result = read_json(study / "eval.json")
    assert (result["exams"], result["retention"], result["examination"]) == ({}, None, None)


def test_a_leak_check_of_other_questions_is_refused(study):
    options = examined(study)
    change(study / "leak.json", "ids", value=["q9"])
    done = evaluate(study, *options)
    assert done.returncode == 1
    assert "E138" in done.stderr
    assert "cmexam" in done.stderr


def test_an_examination_of_another_training_is_refused(study):
    options = examined(study)
    change(study / "examination.json", "provenance", "fingerprint", value="fedcba9876543210")
    done = evaluate(study, *options)
    assert done.returncode == 1
    assert "E116" in done.stderr
