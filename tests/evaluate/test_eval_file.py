"""What eval.json is made of: exact values of small tables, and a message for each thing that does not fit."""

import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medscale.base.errors import UserError
from medscale.base.files import sha256_file, write_json, write_jsonl
from medscale.evaluate import eval_file
from medscale.evaluate.bootstrap import mean_interval, ratio_interval
from medscale.evaluate.eval_file import (
    Scores,
    check,
    check_same_predictions,
    check_test_set,
    merged_provenance,
    read_record,
    read_scores,
    summarise,
)

NAN = math.nan
AGAIN = "run the workflow again to make both from the same run"
FACTS = {"predictions_sha256": "p", "metrics": {"m": {"columns": {"f": "m_f", "p": "m_p"}}}}


def scores_of(facts=FACTS, **columns):
    some = {
        "m_f": [10.0, 20.0, 60.0],
        "m_p": [1.0, 1.0, 2.0],
        "nll_sum": [2.0, NAN, 4.0],
        "n_answer_tokens": [1.0, 7.0, 3.0],
        "predict_chars": [0.0, 5.0, 6.0],
        "label_chars": [4.0, 4.0, 1.0],
        "n_output_tokens": [1.0, 2.0, 4.0],
    }
    values = {name: np.array(column) for name, column in (some | columns).items()}
    return Scores([f"r{number}" for number in range(len(values["m_f"]))], values, facts)


def rounded(interval):
    return [round(end, 6) for end in interval]


def test_a_summary_has_means_of_items_and_ratios_of_sums():
    found = summarise(scores_of(), 50, 3)
    assert found == {
        "m": {"f": 30.0, "p": 1.333333, "ci95": rounded(mean_interval([10.0, 20.0, 60.0], 50, 3))},
        "nll": {"value": 1.5, "ci95": rounded(ratio_interval([2.0, 4.0], [1.0, 3.0], 50, 3)), "n": 2},
        "length_ratio": 1.222222,
        "length_ratio_ci95": rounded(ratio_interval([0.0, 5.0, 6.0], [4.0, 4.0, 1.0], 50, 3)),
        "empty_predictions": 1,
    }
    assert found["m"]["ci95"] != summarise(scores_of(), 50, 4)["m"]["ci95"]
    assert found["m"]["ci95"] != summarise(scores_of(), 60, 3)["m"]["ci95"]


def test_every_interval_is_drawn_by_the_seed():
    generator = np.random.default_rng(1)
    columns = {name: generator.random(40) + 0.5 for name in scores_of().columns}
    found = summarise(scores_of(**columns), 50, 3)
    assert found["m"]["ci95"] == rounded(mean_interval(columns["m_f"], 50, 3))
    assert found["nll"]["ci95"] == rounded(ratio_interval(columns["nll_sum"], columns["n_answer_tokens"], 50, 3))
    assert found["length_ratio_ci95"] == rounded(
        ratio_interval(columns["predict_chars"], columns["label_chars"], 50, 3)
    )


def test_what_has_nothing_to_divide_by_is_null():
    found = summarise(scores_of(nll_sum=[NAN] * 3, label_chars=[0.0] * 3), 50, 3)
    assert found["nll"] == {"value": None, "ci95": None, "n": 0}
    assert (found["length_ratio"], found["length_ratio_ci95"]) == (None, None)
    assert summarise(scores_of(n_answer_tokens=[1.0, NAN, NAN]), 50, 3)["nll"] == {"value": 2.0, "ci95": None, "n": 1}


def test_a_table_of_scores_is_read_with_nulls_as_nan(tmp_path):
    table = pa.table({"id": ["a", "b"], "nll_sum": pa.array([1.5, None]), "n_answer_tokens": pa.array([3, None])})
    path = tmp_path / "scores.parquet"
    pq.write_table(table.replace_schema_metadata({"medscale": json.dumps({"metrics": {}, "词": 1})}), path)
    scores = read_scores(path)
    assert (scores.ids, scores.facts) == (["a", "b"], {"metrics": {}, "词": 1})
    assert list(scores.columns) == ["nll_sum", "n_answer_tokens"]
    for name, first in (("nll_sum", 1.5), ("n_answer_tokens", 3.0)):
        np.testing.assert_array_equal(scores.columns[name], [first, NAN])
        assert scores.columns[name].dtype == np.float64


@pytest.mark.parametrize(
    ("ids", "metadata"), [(["a"], None), (["a"], {"other": "{}"}), ([], {"medscale": "{}"})], ids=str
)
def test_what_is_no_table_of_scores_is_refused(tmp_path, ids, metadata):
    path = tmp_path / "scores.parquet"
    pq.write_table(pa.table({"id": pa.array(ids, pa.string())}).replace_schema_metadata(metadata), path)
    with pytest.raises(UserError) as caught:
        read_scores(path)
    assert caught.value.text == f"{path}: not a table of scores, or an empty one; delete it and run score.py again"


def test_scores_are_of_the_predictions_they_were_made_from(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text("{}\n")
    check_same_predictions(scores_of(FACTS | {"predictions_sha256": sha256_file(path)}), {}, path)
    check_same_predictions(scores_of(), {}, None)
    with pytest.raises(UserError) as caught:
        check_same_predictions(scores_of(), {}, path)
    assert caught.value.text == f"{path}: the scores are of other predictions; {AGAIN}"


@pytest.mark.parametrize("told", [None, 7 / 3, 7 / 3 + 0.0099, 7 / 3 - 0.0099])
def test_the_mean_length_may_differ_by_rounding(told):
    check_same_predictions(scores_of(), {"inference": {"mean_output_tokens": told}}, None)
    check_same_predictions(scores_of(), {"inference": None}, None)


def test_lengths_that_were_not_measured_are_not_compared():
    scores = scores_of(n_output_tokens=[1.0, NAN, 4.0])
    check_same_predictions(scores, {"inference": {"mean_output_tokens": 99.0}}, None)


@pytest.mark.parametrize("told", [2.35, 2.31, 0.0])
def test_another_mean_length_is_refused(told):
    with pytest.raises(UserError) as caught:
        check_same_predictions(scores_of(), {"inference": {"mean_output_tokens": told}}, None)
    assert caught.value.text == (
        f"the scored answers have 2.33 tokens on average, but inference.json says {told}: "
        f"scores and inference are of different predictions; {AGAIN}"
    )


def test_scores_are_of_the_first_rows_of_their_test_set(tmp_path):
    path = tmp_path / "test.jsonl"

    def problem(*ids, sha256=None):
        write_jsonl(path, [{"id": name} for name in ids])
        try:
            check_test_set(scores_of(), {"test_sha256": sha256}, path)
        except UserError as error:
            return error.text

    assert problem("r0", "r1", "r2") is None
    assert problem("r0", "r1", "r2", "r3") is None
    assert problem("r0", "r1", "r2", "r3", sha256=sha256_file(path)) is None
    assert (
        problem("r0", "r1", "r2", sha256="other") == f"{path}: the predictions were made on another test set; {AGAIN}"
    )
    assert problem("r0", "r2", "r1") == f"{path}: the scores are of another test set (the order differs); {AGAIN}"
    assert problem("r0", "x") == f"{path}: the scores are of another test set (r1 is not in the test set); {AGAIN}"


def test_provenance_is_joined_and_must_agree():
    first = {"provenance": {"fingerprint": "f", "train_sha256": None, "other": "x"}}
    second = {"provenance": {"fingerprint": "f", "train_sha256": "t"}}
    keys = ("fingerprint", "config_sha256", "train_sha256", "test_sha256", "model_manifest_sha256")
    nothing = dict.fromkeys(keys)
    assert merged_provenance([]) == nothing
    joined = nothing | {"fingerprint": "f", "train_sha256": "t"}
    assert merged_provenance([first, second]) == merged_provenance([second, first]) == joined
    with pytest.raises(UserError) as caught:
        merged_provenance([second, {"provenance": {"train_sha256": "u"}}])
    assert caught.value.text == (
        "provenance.train_sha256: t in training.json, u in inference.json: "
        "these are predictions of another training; run predict.py and score.py again"
    )


def test_a_record_is_of_its_run_and_whole(tmp_path):
    path = tmp_path / "training.json"
    whole = {"run": "lora_1k", "hardware": {}, "software": {}, "provenance": {}}
    write_json(path, whole)
    assert read_record(path, "lora_1k") == whole
    with pytest.raises(UserError) as caught:
        read_record(path, "base")
    assert caught.value.text == f"{path}: is of the run lora_1k, not of base; give the file of this run"
    for key in whole:
        write_json(path, {name: value for name, value in whole.items() if name < key or name > key})
        with pytest.raises(UserError) as caught:
            read_record(path, "lora_1k")
        assert caught.value.text == f"{path}: has no {key}; delete it and let the workflow make it again"


def test_every_problem_of_a_result_is_named_in_order(monkeypatch, tmp_path):
    schema = {
        "type": "object",
        "required": ["run"],
        "properties": {
            "run": {"type": "string"},
            "metrics": {"properties": {"b": {"type": "number"}, "a": {"items": {"maximum": 9}}}},
        },
    }
    monkeypatch.setattr(eval_file, "SCHEMA", tmp_path / "schema.json")
    write_json(eval_file.SCHEMA, schema)
    check({"run": "词", "metrics": {"b": 1.5, "a": [1, 2.0]}, "more": None})
    with pytest.raises(UserError) as caught:
        check({"metrics": {"b": "x", "a": [1, 10, -math.inf], "c": {"d": NAN}}})
    assert caught.value.text.split("\n") == [
        "the result is not a valid eval.json:",
        "  - eval.json: 'run' is a required property",
        "  - metrics.a.1: 10 is greater than the maximum of 9",
        "  - metrics.b: 'x' is not of type 'number'",
        "  - metrics.a.2: is not a finite number",
        "  - metrics.c.d: is not a finite number",
    ]
