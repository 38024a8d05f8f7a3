"""The check for leaks: exact counts, planted leaks found and named, and nothing that makes it stumble."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.base.files import read_json, write_jsonl
from medscale.data.near import leak_check
from medscale.data.near.leak_check import LEAST_CHARACTERS, Thresholds, check
from medscale.data.near.leak_search import Containment, MinHash, Similarity
from medscale.data.near.shingles import comparable
from places import SCRIPTS

texts = st.lists(st.text("甲乙丙ab ，\n", max_size=14), min_size=1, max_size=7)
LONG = "孩子昨天晚上开始发烧到三十九度，吃了布洛芬退下去了，今天早上又烧起来，请问医生需要去医院验血吗"


def rows(questions: list[str], letter: str) -> list[dict]:
    return [{"id": f"{letter}{n}", "question": text, "answer": f"{letter}答{n}"} for n, text in enumerate(questions)]


def ngrams(text: str, length: int) -> set[str]:
    return {text[start : start + length] for start in range(max(1, len(text) - length + 1))}


def plain_jaccard(one: str, other: str) -> float:
    one_grams, other_grams = ngrams(one.ljust(3, "\0"), 3), ngrams(other.ljust(3, "\0"), 3)
    return len(one_grams & other_grams) / len(one_grams | other_grams)


def plain_containment(test: str, train: str, length: int, least: int) -> float:
    if len(test) < least:
        return 0.0
    grams = ngrams(test, min(length, len(test)))
    return sum(gram in train for gram in grams) / len(grams)


def noise(seed: int, count: int, length: int = 40) -> list[str]:
    """Questions of random characters, which nothing is near to."""
    generator = random.Random(seed)
    return ["".join(chr(generator.randrange(0x4E00, 0x9000)) for _ in range(length)) for _ in range(count)]


@settings(max_examples=300, database=None)
@given(texts, texts)
def test_similarity_equals_brute_force(test, train):
    test, train = [comparable(text) for text in test], [comparable(text) for text in train]
    values, numbers = Similarity(test).nearest(train)
    for text, value, number in zip(test, values, numbers, strict=True):
        expected = [plain_jaccard(text, other) for other in train]
        assert value == max(expected)
        assert number == expected.index(max(expected))


@settings(max_examples=300, database=None)
@given(texts, texts, st.integers(1, 6), st.integers(0, 4))
def test_containment_equals_brute_force(test, train, length, least):
    test, train = [comparable(text) for text in test], [comparable(text) for text in train]
    search = Containment(test, length, least)
    for other in train:
        found = dict(search.shares(other))
        for number, text in enumerate(test):
            # An empty text has no n-gram, so nothing can be said of it.
            expected = plain_containment(text, other, length, max(1, least))
            assert found.get(number, 0.0) == pytest.approx(expected)


@settings(max_examples=100, database=None)
@given(texts, texts, st.sampled_from([0.3, 0.6, 1.0]))
def test_minhash_names_only_near_pairs_and_all_equal_ones(test, train, threshold):
    test, train = [comparable(text) for text in test], [comparable(text) for text in train]
    found = {tuple(pair) for pair in MinHash(test, threshold).near(train).tolist()}
    near = {
        (t, n) for t, one in enumerate(test) for n, other in enumerate(train) if plain_jaccard(one, other) >= threshold
    }
    assert found <= near
    assert {(t, n) for t, n in near if test[t] == train[n]} <= found


def test_minhash_finds_what_the_exact_count_finds():
    generator = random.Random(3)
    test = noise(1, 40)
    train = []
    for text in test:
        changed = list(text)
        for place in generator.sample(range(len(text)), generator.randrange(6)):
            changed[place] = "改"
        train.append("".join(changed))
    near = {n for n, (one, other) in enumerate(zip(test, train, strict=True)) if plain_jaccard(one, other) >= 0.6}
    assert 5 < len(near) < 40
    assert set(MinHash(test, 0.6).near(train)[:, 0].tolist()) == near


def test_a_clean_split_passes():
    report = check(rows(noise(1, 30), "q"), rows(noise(2, 200), "t"), Thresholds())
    assert report["passed"]
    assert report["near"] == {"count": 0, "share": 0.0, "worst": []}
    assert report["contained"]["count"] == 0
    assert (report["test_questions"], report["training_questions"]) == (30, 200)
    assert sum(report["nearest_similarity"]["histogram"]["counts"]) == 30
    assert report["nearest_similarity"]["quantiles"]["1.0"] < 0.1


def test_a_reworded_question_is_near():
    test = rows([*noise(1, 9), LONG], "q")
    train = rows([*noise(2, 50), LONG.replace("昨天晚上", "昨晚") + "？谢谢！"], "t")
    report = check(test, train, Thresholds())
    assert not report["passed"]
    assert report["near"]["count"] == report["minhash"]["count"] == 1
    assert report["near"]["share"] == 0.1
    worst = report["near"]["worst"][0]
    assert (worst["test_id"], worst["train_id"]) == ("q9", "t50")
    assert worst["test_question"] == LONG
    assert worst["similarity"] == pytest.approx(
        plain_jaccard(comparable(LONG), comparable(train[-1]["question"])), abs=1e-4
    )


def test_a_short_question_inside_a_long_one_is_contained_though_not_similar():
    short = "小儿肥胖超重该如何治疗"
    report = check(rows([short], "q"), rows([f"{LONG}。{short}？{LONG[::-1]}"], "t"), Thresholds())
    assert report["near"]["count"] == 0
    assert report["contained"]["count"] == 1
    assert report["contained"]["worst"][0]["containment"] == 1.0
    assert not report["passed"]


def test_a_long_question_nearly_whole_inside_another_is_contained():
    inside = f"{noise(5, 1, 200)[0]}{LONG[2:]}{noise(6, 1, 200)[0]}"
    report = check(rows([LONG], "q"), rows([inside], "t"), Thresholds())
    assert report["contained"]["count"] == 1
    assert 0.8 < report["contained"]["worst"][0]["containment"] < 1
    assert check(rows([LONG], "q"), rows([inside], "t"), Thresholds(containment=1.0))["passed"]


def test_spread_over_several_training_questions_is_no_leak():
    thirds = [LONG[:15], LONG[15:30], LONG[30:]]
    assert check(rows([LONG], "q"), rows([third + noise(9, 1)[0] for third in thirds], "t"), Thresholds())["passed"]


def test_a_common_short_question_is_not_looked_for_in_others():
    short = "感冒吃什么药"
    assert len(short) < LEAST_CHARACTERS
    report = check(rows([short], "q"), rows([f"{LONG}，{short}"], "t"), Thresholds())
    assert report["contained"]["judged"] == 0
    assert report["passed"]
    assert not check(rows([short], "q"), rows([short], "t"), Thresholds())["passed"]


@settings(max_examples=60, database=None)
@given(texts, st.lists(st.text("甲 ，\n", max_size=3), max_size=5))
def test_no_text_makes_it_stumble(test, train):
    report = check(rows(test, "q"), rows(train, "t"), Thresholds())
    assert sum(report["nearest_similarity"]["histogram"]["counts"]) == len(test)
    json.dumps(report, allow_nan=False)


def test_the_nearest_over_all_batches_is_kept(monkeypatch):
    monkeypatch.setattr(leak_check, "BATCH", 3)
    questions = [*noise(2, 10), LONG + noise(3, 1, 30)[0], *noise(4, 10), LONG, *noise(5, 10), LONG]
    report = check(rows([LONG], "q"), iter(rows(questions, "t")), Thresholds())
    assert report["near"]["worst"][0]["train_id"] == "t21"  # the first of the equally near
    assert report["training_questions"] == len(questions)


def test_only_the_worst_are_named_and_all_are_counted():
    questions = noise(1, 50)
    report = check(rows(questions, "q"), rows(questions, "t"), Thresholds())
    assert report["near"]["count"] == report["contained"]["count"] == 50
    assert len(report["near"]["worst"]) == leak_check.WORST


def test_answers_that_are_also_training_answers_are_counted():
    test, train = rows(noise(1, 4), "q"), rows(noise(2, 4), "t")
    train[3]["answer"] = test[0]["answer"]
    assert check(test, train, Thresholds())["equal_answers"] == {"count": 1, "share": 0.25}


# leak_check.py


def run(*arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, SCRIPTS / "leak_check.py", *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )


def test_the_script_writes_the_report_and_warns(tmp_path):
    write_jsonl(tmp_path / "test.jsonl", rows([LONG, *noise(1, 3)], "q"))
    write_jsonl(tmp_path / "train_20.jsonl", rows([*noise(2, 19), LONG], "t"))
    files = ("--test", tmp_path / "test.jsonl", "--train", tmp_path / "train_20.jsonl", "--output", tmp_path / "r.json")
    done = run(*files, "--similarity-threshold", "0.7", "--ngram", "10", "--containment-threshold", "0.9")
    assert done.returncode == 0, done.stderr
    assert "warning" in done.stderr
    report = read_json(tmp_path / "r.json")
    assert report["training_file"] == "train_20.jsonl"
    assert (report["similarity_threshold"], report["ngram"], report["containment_threshold"]) == (0.7, 10, 0.9)
    assert report["near"]["worst"][0]["train_id"] == "t19"
    assert report["passed"] is False


def test_general_rows_that_runs_are_trained_on_are_looked_through_too(tmp_path):
    write_jsonl(tmp_path / "test.jsonl", rows([LONG, *noise(1, 3)], "q"))
    write_jsonl(tmp_path / "train_20.jsonl", rows(noise(2, 20), "t"))
    write_jsonl(tmp_path / "mix.jsonl", rows([*noise(3, 4), LONG], "g"))
    files = ("--test", tmp_path / "test.jsonl", "--train", tmp_path / "train_20.jsonl", "--output", tmp_path / "r.json")
    assert run(*files).returncode == 0
    alone = read_json(tmp_path / "r.json")
    assert (alone["passed"], alone["training_questions"], "general_questions" in alone) == (True, 20, False)
    assert run(*files, "--general", tmp_path / "mix.jsonl").returncode == 0
    report = read_json(tmp_path / "r.json")
    assert (report["passed"], report["training_questions"], report["general_questions"]) == (False, 20, 5)
    assert report["near"]["worst"][0]["train_id"] == "g4"


def test_an_empty_test_set_is_named(tmp_path):
    (tmp_path / "test.jsonl").write_text("", encoding="utf-8")
    done = run("--test", tmp_path / "test.jsonl", "--train", tmp_path / "test.jsonl", "--output", tmp_path / "r.json")
    assert done.returncode == 1
    assert "test.jsonl: has no rows" in done.stderr
