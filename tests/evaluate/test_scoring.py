"""Scoring without processes: which predictions are refused, how pairs are shared out, what the table holds."""

import json
import math
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medscale.base.errors import UserError
from medscale.base.files import sha256_file, write_jsonl
from medscale.evaluate import bootstrap, floors, metrics, predictions, scoring
from medscale.evaluate.bootstrap import mean_interval, percentile_interval, ratio_interval, resampled_sums
from medscale.evaluate.metrics import Metric, Options, Pair, metric_names
from medscale.evaluate.predictions import read_predictions
from medscale.evaluate.scoring import score_table, score_texts, write_scores

ROW = {
    "id": "a",
    "predict": " 多喝水\n",
    "label": "休息 ",
    "nll_sum": 1.5,
    "n_answer_tokens": 3,
    "n_output_tokens": None,
}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ([1], "not a JSON object"),
        ({key: value for key, value in ROW.items() if key != "label"}, "has no label"),
        ({key: value for key, value in ROW.items() if key != "n_output_tokens"}, "has no n_output_tokens"),
        ({}, "has no id"),
        (ROW | {"id": 1}, "id is not a text"),
        (ROW | {"predict": None}, "predict is not a text"),
        (ROW | {"label": None}, "label is not a text"),
        (ROW | {"nll_sum": "1"}, "nll_sum is 1, but should be null or a finite number from 0 on"),
        (ROW | {"nll_sum": -0.1}, "nll_sum is -0.1, but should be null or a finite number from 0 on"),
        (ROW | {"nll_sum": math.inf}, "nll_sum is inf, but should be null or a finite number from 0 on"),
        (ROW | {"n_answer_tokens": 1.0}, "n_answer_tokens is 1.0, but should be null or a whole number from 0 on"),
        (
            ROW | {"nll_sum": None, "n_answer_tokens": -1},
            "n_answer_tokens is -1, but should be null or a whole number from 0 on",
        ),
        (ROW | {"n_output_tokens": -1}, "n_output_tokens is -1, but should be null or a whole number from 0 on"),
    ],
)
def test_a_prediction_that_cannot_be_scored_is_told(row, problem):
    assert predictions._problem(row) == problem


@pytest.mark.parametrize(
    "row",
    [ROW, ROW | {"nll_sum": 0, "n_answer_tokens": 0}, ROW | {"nll_sum": None, "n_output_tokens": 5}, ROW | {"x": 1}],
)
def test_a_prediction_that_can_be_scored_is_no_problem(row):
    assert predictions._problem(row) is None


def test_predictions_are_refused_with_their_line(tmp_path):
    path = tmp_path / "predictions.jsonl"

    def message():
        with pytest.raises(UserError) as caught:
            read_predictions(path)
        return caught.value.text

    write_jsonl(path, [ROW, ROW | {"id": "b"}])
    assert read_predictions(path) == [ROW, ROW | {"id": "b"}]
    write_jsonl(path, [ROW, ROW | {"id": "b"}, ROW])
    assert message() == f"{path}, line 3: the id 'a' was there before; delete the file and predict again"
    write_jsonl(path, [ROW, {"id": "a"}])
    assert message() == f"{path}, line 2: has no predict; delete the file and predict again"
    path.write_text("")
    assert message() == f"{path}: has no predictions; delete the file and predict again"


@pytest.fixture
def registry(monkeypatch):
    """A registry of two metrics: one for a pair, and one for all pairs at once."""
    monkeypatch.setattr(metrics, "STANDARD", ("length",))
    length = Metric(lambda pair: (len(pair.predict), 1 / 3), lambda: "lengths", parts=("p", "x"))
    place = Metric(
        lambda pairs, options: [(number / options.threads,) for number, _ in enumerate(pairs)],
        lambda options: f"places of {options.bertscore_model}",
        at_once=True,
        option="bertscore_model",
    )
    for table in (metrics.METRICS, scoring.METRICS):
        monkeypatch.setitem(table, "length", length)
        monkeypatch.setitem(table, "place", place)
    yield
    metrics.columns.cache_clear()


@pytest.mark.usefixtures("registry")
def test_metrics_of_one_pair_and_of_all_stand_side_by_side():
    texts = iter([("a", "b"), ("aa", "b"), ("", "b")])
    assert score_texts(texts, ["place", "length"], options=Options("net", 2)) == [
        {"length_p": 1, "length_x": 0.3333, "place": 0.0},
        {"length_p": 2, "length_x": 0.3333, "place": 0.5},
        {"length_p": 0, "length_x": 0.3333, "place": 1.0},
    ]


@pytest.mark.usefixtures("registry")
def test_the_table_of_scores_and_its_facts(tmp_path):
    rows = [ROW, ROW | {"id": "b", "predict": " \n", "nll_sum": None, "n_answer_tokens": None, "n_output_tokens": 7}]
    table = score_table(rows, ["length", "place"], options=Options("net"))
    assert table.to_pydict() == {
        "id": ["a", "b"],
        "length_p": [5.0, 2.0],
        "length_x": [0.3333, 0.3333],
        "place": [0.0, 1.0],
        "nll_sum": [1.5, None],
        "n_answer_tokens": [3, None],
        "predict_chars": [3, 0],
        "label_chars": [2, 2],
        "n_output_tokens": [None, 7],
    }
    floats = {"length_p", "length_x", "place", "nll_sum"}
    kinds = {"id": pa.string(), **dict.fromkeys(floats, pa.float64())}
    assert {field.name: field.type for field in table.schema} == {
        name: kinds.get(name, pa.int64()) for name in table.column_names
    }
    path = tmp_path / "predictions.jsonl"
    path.write_text("x")
    write_scores(table, ["length", "place"], path, tmp_path / "scores.parquet", Options("网"))
    found = pq.read_table(tmp_path / "scores.parquet")
    assert found.equals(table)
    assert "网".encode() in found.schema.metadata[b"medscale"]
    assert json.loads(found.schema.metadata[b"medscale"]) == {
        "schema_version": 1,
        "predictions_sha256": sha256_file(path),
        "metrics": {
            "length": {"columns": {"p": "length_p", "x": "length_x"}, "signature": "lengths"},
            "place": {"columns": {"value": "place"}, "signature": "places of 网"},
        },
    }


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(("count", "asked", "used"), [(9, 4, 2), (9, 2, 2), (7, 4, None), (100, 1, None), (12, 4, 3)])
def test_processes_are_used_where_there_are_enough_pairs_for_each(monkeypatch, count, asked, used):
    started = []

    class Pool:
        def __init__(self, workers, mp_context):
            started.append((workers, mp_context.get_start_method()))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def map(self, function, texts, chunksize):
            started.append(chunksize)
            return map(function, texts)

    loaded = []
    monkeypatch.setattr(scoring, "LEAST_PER_WORKER", 4)
    monkeypatch.setattr(scoring, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(scoring, "segmenter", lambda: loaded.append(True))
    found = score_texts([("a" * n, "") for n in range(count)], ["length"], workers=asked)
    assert [values["length_p"] for values in found] == list(range(count))
    assert started == ([(used, "fork"), 1] if used else [])
    assert loaded == ([True] if used else [])


@pytest.mark.usefixtures("registry")
def test_names_of_metrics_are_taken_once_and_what_they_need_is_asked_for(monkeypatch):
    assert metric_names(["place", "length", "place"], Options("net")) == ["length", "place"]
    with pytest.raises(UserError) as caught:
        metric_names(["place"])
    assert caught.value.text == (
        "evaluation.bertscore_model: is null, but place needs it; set it or take place out of evaluation.extra_metrics"
    )
    monkeypatch.setattr(metrics, "find_spec", lambda name: None)
    with pytest.raises(UserError) as caught:
        metric_names(["chrf"])
    assert caught.value.text == (
        "evaluation.extra_metrics: chrf needs the package sacrebleu, which is not installed; "
        "run `pip install sacrebleu` in this environment or take chrf out of the list"
    )


def test_an_unknown_metric_is_told_with_all_that_may_be_asked_for():
    with pytest.raises(UserError) as caught:
        metric_names(["x"])
    assert caught.value.text == (
        "evaluation.extra_metrics: no metric is called 'x'; choose from chrf, sacrebleu_zh, bertscore"
    )


def test_signatures_and_columns_of_the_standard_metrics():
    rouge = f"rouge_chinese 1.0.3 as in LLaMA-Factory, words of jieba {metrics.version('jieba')} in default mode"
    bleu = "nltk sentence_bleu as in LLaMA-Factory, characters, smoothing method 3"
    assert [metrics.signature(name, Options()) for name in metrics.STANDARD] == [rouge, rouge, rouge, bleu]
    assert metrics.columns("rouge_l") == ["rouge_l_f", "rouge_l_p", "rouge_l_r"]
    assert metrics.columns("bleu_4") == ["bleu_4"]
    assert Pair("多喝水，休息", "头痛").words == (["多喝水", "，", "休息"], ["头痛"])


def test_a_process_that_has_scored_nothing_says_the_signatures():
    """Where several processes score, the one that writes the table has not."""
    for cached in (metrics._sacrebleu_chrf, metrics._sacrebleu_zh):
        cached.cache_clear()
    chrf, bleu = (metrics.signature(name, Options()) for name in ("chrf", "sacrebleu_zh"))
    assert chrf.startswith("mean over sentences of nrefs:1|case:mixed|eff:yes|nc:6|nw:0|")
    assert bleu.startswith("mean over sentences of nrefs:1|case:mixed|eff:yes|tok:zh|")


def counted(items, resamples, seed):
    """Draw as the bootstrap says it does, and count."""
    draws = np.random.Generator(np.random.PCG64(seed)).integers(0, items, size=(resamples, items))
    return np.array([[(row == item).sum() for item in range(items)] for row in draws])


def test_resampled_sums_are_those_of_the_drawn_items():
    values = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    assert resampled_sums(values, 7, 3).tolist() == (counted(3, 7, 3) @ values).tolist()
    assert resampled_sums([1, 2, 4], 7, 3).tolist() == (counted(3, 7, 3) @ values[:, :1]).tolist()


@pytest.mark.parametrize(("block", "sizes"), [(9, [3, 3, 1]), (8, [2, 2, 2, 1]), (1, [1] * 7), (21, [7]), (1000, [7])])
def test_so_many_resamples_are_drawn_at_once(monkeypatch, block, sizes):
    monkeypatch.setattr(bootstrap, "BLOCK", block)
    blocks = list(bootstrap._resample_counts(3, 7, 3))
    assert [len(counts) for counts in blocks] == sizes
    assert np.concatenate(blocks).tolist() == counted(3, 7, 3).tolist()


def test_intervals_of_small_samples_by_hand():
    assert percentile_interval(range(101), 0.9) == (pytest.approx(5.0), pytest.approx(95.0))
    assert percentile_interval(range(101)) == (pytest.approx(2.5), pytest.approx(97.5))
    sums = counted(2, 2000, 0) @ np.array([[1.0, 2.0], [5.0, 4.0]])
    assert mean_interval([1, 5]) == percentile_interval(sums[:, 0] / 2)
    assert mean_interval([1, 5, 9]) == mean_interval([1, 5, 9], 2000, 0, 0.95)
    assert mean_interval([1, 5], level=0.4) == percentile_interval(sums[:, 0] / 2, 0.4)
    assert ratio_interval([1, 5], [2, 4]) == percentile_interval(sums[:, 0] / sums[:, 1])
    assert ratio_interval([1, 5], [2, 4], level=0.4) == percentile_interval(sums[:, 0] / sums[:, 1], 0.4)
    fewer = counted(2, 30, 7) @ np.array([[1.0, 0.5], [5.0, 0.25]])
    assert mean_interval([1, 5], 30, 7) == percentile_interval(fewer[:, 0] / 2)
    assert ratio_interval([1, 5], [0.5, 0.25], 30, 7) == percentile_interval(fewer[:, 0] / fewer[:, 1])


def number_of(name, seed):
    return floors._number(name, seed)


def test_a_random_number_is_a_function_of_seed_and_id():
    assert number_of("r1", 0) == 4337847633868111087
    assert len({number_of(name, seed) for name in ("r1", "词") for seed in (0, 1)}) == 4


def test_a_sample_is_in_the_order_of_those_numbers():
    rows = [{"id": f"r{n}"} for n in range(9)]
    expected = sorted(rows, key=lambda row: number_of(row["id"], 3))[:4]
    assert floors._sample(rows, 4, 3) == expected
    random.Random(1).shuffle(rows)
    assert floors._sample(rows, 4, 3) == expected
    assert len(floors._sample(rows, 99, 3)) == 9


def test_the_fixed_answer_is_chosen_on_one_half_by_the_other(monkeypatch):
    monkeypatch.setattr(floors, "CANDIDATES", 2)
    answers = {"a": "多喝水", "b": "休息", "c": "多喝水 休息", "d": "休息 休息"}
    rows = [{"id": name, "answer": text} for name, text in answers.items()]
    first, second, *references = floors._sample(rows, 4, 5)
    means = {
        row["id"]: sum(
            floors.rouge_l(floors.rouge_words(row["answer"]), floors.rouge_words(other["answer"]))[0]
            for other in references
        )
        / 2
        for row in (first, second)
    }
    best = max(means, key=means.get)
    found = floors.fixed(rows, [{}, {}], 5)
    assert found == floors.Answers(
        [answers[best]] * 2, {"train_id": best, "rouge_l_on_training": round(means[best], 4), "candidates": 2}, None
    )


def test_the_answers_that_are_tried_are_drawn_by_the_seed(monkeypatch):
    monkeypatch.setattr(floors, "CANDIDATES", 1)
    rows = [{"id": str(n), "answer": f"{n}"} for n in range(50)]
    for seed in range(3):
        assert floors.fixed(rows, [{}], seed).chosen["train_id"] == floors._sample(rows, 1, seed)[0]["id"]
        assert floors.fixed(rows, [{}], seed).chosen["candidates"] == 1
    monkeypatch.setattr(floors, "COUNTED_ANSWERS", 1)
    for seed in range(3):
        drawn = floors._sample(rows, 1, seed)[0]["answer"]
        assert floors.common_words(rows, [{}], seed).texts == [drawn]


def test_blank_lines_are_no_common_word_and_the_commonest_stand_first():
    rows = [{"id": str(n), "answer": "\n\n头痛 发热"} for n in range(3)] + [{"id": "x", "answer": "\n\n发热"}]
    assert floors.common_words(rows, [{}], 0).texts == ["发热 头痛"]


def test_the_only_answer_is_measured_against_itself():
    found = floors.fixed([{"id": "a", "answer": "多喝水"}], [{}], 0)
    assert found.texts == ["多喝水"]
    assert found.chosen == {"train_id": "a", "rouge_l_on_training": 100.0, "candidates": 1}


def test_common_words_by_hand(monkeypatch):
    monkeypatch.setattr(floors, "WORD_COUNTS", (1, 2, 50))
    rows = [
        {"id": str(n), "answer": text} for n, text in enumerate(["休息", "休息 休息 喝水", "喝水 休息", "\n\n头痛"])
    ]
    found = floors.common_words(rows, [{}], 0)
    assert found.texts == ["休息 喝水"]
    assert found.chosen["words"] == 2
    assert found.chosen["answers_counted"] == 4
    # F against {休息}, {休息, 喝水} twice and {头痛}: 2/3, 1, 1 and 0.
    assert found.chosen["rouge_1_on_training"] == pytest.approx(100 * (2 / 3 + 2) / 4, abs=1e-3)


def test_no_more_answers_are_counted_and_compared_than_need_be(monkeypatch):
    monkeypatch.setattr(floors, "COUNTED_ANSWERS", 3)
    monkeypatch.setattr(floors, "CANDIDATES", 1)
    compared = []
    rouge_n = floors.rouge_n
    monkeypatch.setattr(floors, "rouge_n", lambda *told: compared.append(told) or rouge_n(*told))
    rows = [{"id": str(n), "answer": "休息"} for n in range(9)]
    assert floors.common_words(rows, [{}], 0).chosen["answers_counted"] == 3
    assert [told[2] for told in compared] == [1, 1]


def test_an_answer_of_the_department_is_picked_by_number():
    train = [{"id": f"t{n}", "answer": f"内{n}", "department": "内科"} for n in range(5)]
    train += [{"id": "x", "answer": "外", "department": "外科"}, {"id": "y", "answer": "无"}]
    test = [
        {"id": "r1", "department": "内科"},
        {"id": "r2", "department": "外科"},
        {"id": "r3"},
        {"id": "r4", "department": "骨科"},
    ]
    everything = [row["answer"] for row in train]
    assert floors.department(train, test, 3) == floors.Answers(
        [everything[number_of("r1", 3) % 5], "外", *(everything[number_of(name, 3) % 7] for name in ("r3", "r4"))],
        {"departments": 2, "from_any_department": 2},
        "2 of 4 test rows have no department, or one without training rows: "
        "their answers are those of any training row",
    )
    assert floors.department(train, test[:2], 3).note is None
    nothing = floors.department([{"id": "a", "answer": "无", "department": ""}], test[:1], 3)
    assert nothing.note == "the training rows name no department: each answer is that of any training row"
    assert nothing.chosen == {"departments": 0, "from_any_department": 1}


def test_the_nearest_question_by_its_words_whatever_their_case():
    import bm25s

    train = [
        {"question": "，。", "answer": "甲"},
        {"question": "做B超吗", "answer": "乙"},
        {"question": "头痛！头痛", "answer": "丙"},
    ]
    found = floors.bm25(train, [{"question": "b超？"}, {"question": "头痛"}, {"question": "，"}], 0)
    assert found.texts == ["乙", "丙", "甲"]
    library = f"bm25s {bm25s.__version__}"
    assert found.chosen == {"method": "lucene", "k1": 1.5, "b": 0.75, "library": library}
    assert found.note == "1 of 3 test questions share no word with any training question"
    assert floors.bm25(train[1:], [{"question": "头痛"}], 0).note is None
    assert floors.bm25(train[:1], [{"question": "头痛"}], 0).texts == ["甲"]
    assert floors._question_words("CT 3.5，？\n") == ["ct", "3.5"]
