"""Floors: what each of them answers, that it looks at training rows only, and that its files are a run's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.base.files import read_json, read_jsonl, sha256_file, write_jsonl
from medscale.evaluate import floors
from medscale.evaluate.floors import FLOORS
from medscale.evaluate.metrics import STANDARD, Pair, score
from medscale.evaluate.overlap import rouge_words
from places import SCRIPTS

TOPICS = {
    "心血管科": ("高血压患者能吃鸡蛋吗", "高血压患者应低盐饮食，按时服药，定期测量血压。"),
    "内分泌科": ("糖尿病人怎样控制血糖", "糖尿病要控制饮食，坚持运动，监测血糖。"),
    "呼吸科": ("感冒发烧怎么退烧", "感冒多由病毒引起，注意休息，多喝温水。"),
    "消化科": ("胃炎为什么总是反酸", "胃炎患者应规律进餐，少吃辛辣食物。"),
}
TRAIN = [
    {
        "id": f"t{number}{name}",
        "question": f"{question}？病了{number}天。",
        "answer": f"{answer}已经{number}天了。",
        "department": name,
    }
    for number in range(12)
    for name, (question, answer) in TOPICS.items()
]
TEST = [
    {"id": f"r{number}", "question": f"请问{question}，谢谢医生", "answer": answer, "department": name}
    for number, (name, (question, answer)) in enumerate(TOPICS.items())
]
rows = st.lists(
    st.fixed_dictionaries(
        {
            "question": st.text("高血压病，。a 1\n", max_size=8),
            "answer": st.text("多喝水，。 a\n", max_size=8),
            "department": st.sampled_from([None, "", "内科", "外科"]),
        }
    ),
    min_size=1,
    max_size=6,
).map(lambda some: [row | {"id": f"r{number}"} for number, row in enumerate(some)])


def mean_score(texts: list[str], test: list[dict], column: str) -> float:
    return sum(score(Pair(text, row["answer"]), STANDARD)[column] for text, row in zip(texts, test, strict=True)) / len(
        test
    )


@pytest.mark.parametrize("name", FLOORS)
@settings(max_examples=60, database=None)
@given(train=rows, test=rows, seed=st.integers(0, 5))
def test_any_rows_get_one_answer_each_that_depends_on_nothing_hidden(name, train, test, seed):
    """Empty, blank and one-character texts included; and the labels of the test set play no part."""
    answers = FLOORS[name](train, test, seed)
    assert len(answers.texts) == len(test)
    blind = [row | {"answer": "别的"} for row in test]
    assert FLOORS[name](train, blind, seed) == answers
    assert FLOORS[name](train, test[:1], seed).texts == answers.texts[:1]
    if name != "common_words":
        assert set(answers.texts) <= {row["answer"] for row in train}
    json.dumps(answers.chosen, allow_nan=False)


def test_the_fixed_answer_is_the_one_most_like_the_others():
    """Of answers of which most share their words and one shares none, one of the many is taken."""
    train = [{"id": f"t{n}", "question": "问", "answer": f"建议多喝水，注意休息，第{n}天复查。"} for n in range(40)]
    train += [{"id": "stranger", "question": "问", "answer": "the quick brown fox"}]
    for seed in range(5):
        texts = floors.fixed(train, TEST, seed).texts
        assert len(set(texts)) == 1
        assert texts[0].startswith("建议多喝水")


def test_the_fixed_answer_beats_the_mean_training_answer_on_what_it_was_not_chosen_on():
    train = [*TRAIN, *({"id": f"x{n}", "question": "问", "answer": "您好！" + "好" * n} for n in range(20))]
    test = [row | {"id": f"new{number}"} for number, row in enumerate(TRAIN[::3])]
    chosen = mean_score(floors.fixed(train, test, 0).texts, test, "rouge_l_f")
    others = [mean_score([row["answer"]] * len(test), test, "rouge_l_f") for row in train]
    assert chosen > sum(others) / len(others)


def test_common_words_are_the_commonest_and_as_many_as_score_best():
    answers = floors.common_words(TRAIN, TEST, 0)
    words = rouge_words(answers.texts[0])
    assert len(words) == answers.chosen["words"]
    holders = {
        word: sum(word in rouge_words(row["answer"]) for row in TRAIN)
        for row in TRAIN
        for word in rouge_words(row["answer"])
    }
    counts = [holders[word] for word in words]
    assert counts == sorted(holders.values(), reverse=True)[: len(words)]

    ranked = sorted(holders, key=lambda word: (-holders[word], word))
    means = {n: mean_score([" ".join(ranked[:n])] * len(TRAIN), TRAIN, "rouge_1_f") for n in floors.WORD_COUNTS}
    assert means[answers.chosen["words"]] == max(means.values())
    assert answers.chosen["rouge_1_on_training"] == pytest.approx(max(means.values()), abs=1e-3)


def test_a_department_answers_for_itself_and_says_where_it_cannot():
    answers = floors.department(TRAIN, TEST, 7)
    by_answer = {row["answer"]: row["department"] for row in TRAIN}
    assert [by_answer[text] for text in answers.texts] == [row["department"] for row in TEST]
    assert answers.note is None

    strangers = [*TEST, TEST[0] | {"id": "a", "department": "骨科"}, TEST[0] | {"id": "b", "department": None}]
    answers = floors.department(TRAIN, strangers, 7)
    assert [by_answer[text] for text in answers.texts[: len(TEST)]] == [row["department"] for row in TEST]
    assert "2 of 6 test rows" in answers.note

    unknown = [row | {"department": None} for row in TRAIN]
    assert "no department" in floors.department(unknown, TEST, 7).note


def test_the_random_answer_is_random_over_questions_and_seeds():
    many = [TEST[0] | {"id": f"q{number}"} for number in range(200)]
    one, other = floors.department(TRAIN, many, 1).texts, floors.department(TRAIN, many, 2).texts
    assert len(set(one)) == 12
    assert one != other


def test_bm25_finds_the_question_that_shares_rare_words():
    texts = floors.bm25(TRAIN, TEST, 0).texts
    by_answer = {row["answer"]: row["department"] for row in TRAIN}
    assert [by_answer[text] for text in texts] == [row["department"] for row in TEST]
    same = [{**row, "id": f"q{number}"} for number, row in enumerate(TRAIN)]
    assert floors.bm25(TRAIN, same, 0).texts == [row["answer"] for row in TRAIN]


def test_bm25_agrees_with_its_formula():
    """Lucene's BM25 written out: idf = ln(1 + (N - n + ½) / (n + ½)), tf / (tf + k1 (1 - b + b·length/mean))."""
    from math import log

    documents = [floors._question_words(row["question"]) for row in TRAIN]
    mean = sum(map(len, documents)) / len(documents)

    def value(query: list[str], document: list[str]) -> float:
        total = 0.0
        for word in query:
            n, tf = sum(word in other for other in documents), document.count(word)
            idf = log(1 + (len(documents) - n + 0.5) / (n + 0.5))
            total += idf * tf / (tf + 1.5 * (1 - 0.75 + 0.75 * len(document) / mean))
        return total

    for row, text in zip(TEST, floors.bm25(TRAIN, TEST, 0).texts, strict=True):
        values = [value(floors._question_words(row["question"]), document) for document in documents]
        taken = [number for number, other in enumerate(TRAIN) if other["answer"] == text]
        assert max(values[number] for number in taken) == pytest.approx(max(values))


def test_bm25_takes_the_first_of_equals_and_says_what_matches_nothing():
    train = [{"id": str(n), "question": "高血压怎么办", "answer": f"答{n}"} for n in range(9)]
    test = [{"id": "a", "question": "高血压", "answer": ""}, {"id": "b", "question": "xyz", "answer": ""}]
    answers = floors.bm25(train, test, 0)
    assert answers.texts == ["答0", "答0"]
    assert "1 of 2 test questions" in answers.note


def test_a_new_floor_is_one_function(monkeypatch):
    monkeypatch.setitem(FLOORS, "first", lambda train, test, seed: floors.Answers([train[0]["answer"]] * len(test), {}))
    assert FLOORS["first"](TRAIN, TEST, 0).texts == [TRAIN[0]["answer"]] * 4


# floor.py


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, SCRIPTS / script, *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )


def floor(folder: Path, name: str, *more: str) -> subprocess.CompletedProcess:
    write_jsonl(folder / "train.jsonl", TRAIN)
    write_jsonl(folder / "test.jsonl", TEST)
    return run(
        *("floor.py", "--floor", name, "--run", f"floor_{name}", "--train", folder / "train.jsonl"),
        *("--test", folder / "test.jsonl", "--output", folder / "predictions.jsonl"),
        *("--inference", folder / "inference.json", *more),
    )


def test_a_floor_is_scored_and_evaluated_like_any_run(tmp_path):
    done = floor(tmp_path, "bm25", "--max-samples", "null", "--seed", "3")
    assert done.returncode == 0, done.stderr
    predictions = list(read_jsonl(tmp_path / "predictions.jsonl"))
    assert [row["id"] for row in predictions] == [row["id"] for row in TEST]
    assert predictions[0]["prompt"] == TEST[0]["question"]
    assert predictions[0]["label"] == TEST[0]["answer"]
    assert {predictions[0][key] for key in ("nll_sum", "n_answer_tokens", "n_output_tokens")} == {None}

    done = run(*("score.py", "--predictions", tmp_path / "predictions.jsonl", "--output", tmp_path / "scores.parquet"))
    assert done.returncode == 0, done.stderr
    done = run(
        *("evaluate.py", "--run", "floor_bm25", "--method", "floor_bm25", "--scores", tmp_path / "scores.parquet"),
        *("--inference", tmp_path / "inference.json", "--predictions", tmp_path / "predictions.jsonl"),
        *("--test", tmp_path / "test.jsonl", "--resamples", "100", "--output", tmp_path / "eval.json"),
    )
    assert done.returncode == 0, done.stderr
    result = read_json(tmp_path / "eval.json")
    assert result["metrics"]["rouge_l"]["f"] > 50
    assert result["metrics"]["nll"]["value"] is None
    assert result["training"] is None
    assert result["inference"] is None
    assert result["provenance"]["train_sha256"] == sha256_file(tmp_path / "train.jsonl")
    assert result["provenance"]["test_sha256"] == sha256_file(tmp_path / "test.jsonl")


def test_a_floor_loads_no_model_library(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", TRAIN)
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['floor.py', '--floor', 'bm25', '--run', 'floor_bm25', '--train', r'{tmp_path}/rows.jsonl', "
        f"'--test', r'{tmp_path}/rows.jsonl', '--output', r'{tmp_path}/p.jsonl', '--inference', r'{tmp_path}/i.json']\n"
        f"runpy.run_path(r'{SCRIPTS / 'floor.py'}', run_name='__main__')\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(SCRIPTS)}, text=True,
                          capture_output=True)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_max_samples_takes_the_first_questions(tmp_path):
    assert floor(tmp_path, "department", "--max-samples", "2").returncode == 0
    assert [row["id"] for row in read_jsonl(tmp_path / "predictions.jsonl")] == ["r0", "r1"]


def test_files_without_rows_or_keys_are_named(tmp_path):
    floor(tmp_path, "fixed")
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    common = ("floor.py", "--floor", "fixed", "--run", "floor_fixed", "--output", tmp_path / "p.jsonl", "--inference")
    done = run(*common, tmp_path / "i.json", "--train", tmp_path / "empty.jsonl", "--test", tmp_path / "test.jsonl")
    assert done.returncode == 1
    assert "empty.jsonl: has no rows" in done.stderr
    write_jsonl(tmp_path / "broken.jsonl", [TRAIN[0], {"id": "x", "question": "问"}])
    done = run(*common, tmp_path / "i.json", "--train", tmp_path / "broken.jsonl", "--test", tmp_path / "test.jsonl")
    assert done.returncode == 1
    assert "line 2: has no answer" in done.stderr
