"""The two searches of the leak check and its report, each on cases counted by hand."""

import numpy as np
import pytest

from medscale.data.near import leak_check, leak_search
from medscale.data.near.leak_check import Nearest, Thresholds, check
from medscale.data.near.leak_search import Containment, MinHash, Similarity
from medscale.data.near.pairs import bands_for
from medscale.data.near.shingles import jaccard, shingle_set
from near_texts import LONG, OTHER, agreeing, changed


def packed(ngram: str) -> int:
    """Three characters of 21 bits each in one number."""
    first, second, third = map(ord, ngram)
    return (first << 42) + (second << 21) + third


def rows_of(letter: str, *questions: str) -> list[dict]:
    return [{"id": f"{letter}{n}", "question": text, "answer": f"答{letter}{n}"} for n, text in enumerate(questions)]


def test_what_counts_as_near_by_default():
    assert Thresholds() == (0.6, 13, 0.8)
    assert (leak_check.LEAST_CHARACTERS, leak_check.WORST) == (8, 20)


def test_a_report_by_hand():
    test = rows_of("q", "abcde", "头疼怎么办呢？", LONG)
    training = [
        *rows_of("t", "abcdx", OTHER, f"{OTHER}{LONG}感冒吃什么药"),
        {"id": "t3", "question": "药", "answer": "答q1"},
    ]
    alike = round(len(shingle_set(LONG)) / len(shingle_set(f"{OTHER}{LONG}感冒吃什么药")), 4)
    assert 0.45 < alike < 0.5
    assert check(test, training, Thresholds(0.5)) == {
        "schema_version": 1,
        "test_questions": 3,
        "training_questions": 4,
        "similarity_threshold": 0.5,
        "ngram": 13,
        "containment_threshold": 0.8,
        "near": {
            "count": 1,
            "share": 0.333333,
            "worst": [
                {
                    "test_id": "q0",
                    "train_id": "t0",
                    "test_question": "abcde",
                    "train_question": "abcdx",
                    "similarity": 0.5,
                }
            ],
        },
        "contained": {
            "count": 1,
            "share": 0.333333,
            "worst": [
                {
                    "test_id": "q2",
                    "train_id": "t2",
                    "test_question": LONG,
                    "train_question": f"{OTHER}{LONG}感冒吃什么药",
                    "containment": 1.0,
                }
            ],
            "judged": 1,
            "least_characters": 8,
        },
        "minhash": {"permutations": 256, "bands": bands_for(0.5)[1], "rows": bands_for(0.5)[0], "count": 1},
        "nearest_similarity": {
            "quantiles": {
                "0.5": alike,
                "0.9": round(alike + 0.8 * (0.5 - alike), 4),
                "0.99": round(alike + 0.98 * (0.5 - alike), 4),
                "1.0": 0.5,
            },
            "histogram": {
                "edges": [round(place / 20, 2) for place in range(21)],
                "counts": [1, *[0] * 8, 1, 1, *[0] * 9],
            },
        },
        "equal_answers": {"count": 1, "share": 0.333333},
        "equal_pairs": {"count": 0, "share": 0.0},
        "passed": False,
    }


def test_the_nearest_come_first_and_of_equally_near_ones_the_first():
    questions = [changed(LONG, 20), LONG, changed(LONG, 30), changed(LONG, 10, 30)]
    worst = check(rows_of("q", *questions), rows_of("t", LONG), Thresholds(0.5))["near"]["worst"]
    assert [each["test_id"] for each in worst] == ["q1", "q0", "q2", "q3"]
    assert worst[1]["similarity"] == worst[2]["similarity"] > worst[3]["similarity"]


def test_twenty_are_named_with_four_digits():
    found = check(rows_of("q", *["abcde"] * 23), rows_of("t", "bcd"), Thresholds(0.3))["near"]
    assert found["count"] == 23
    assert [each["test_id"] for each in found["worst"]] == [f"q{number}" for number in range(20)]
    assert {each["similarity"] for each in found["worst"]} == {0.3333}


def test_of_equally_near_training_questions_the_first_is_named():
    nearest = Nearest(2)
    for value, row in ((0.0, "none"), (0.5, "first"), (0.5, "second"), (0.4, "third")):
        nearest.note(1, value, {"id": row})
    assert nearest.values.tolist() == [0, 0.5]
    assert nearest.rows == [None, {"id": "first"}]
    found = check(rows_of("q", LONG), rows_of("t", OTHER, LONG, LONG), Thresholds())
    assert found["near"]["worst"][0]["train_id"] == found["contained"]["worst"][0]["train_id"] == "t1"


@pytest.mark.parametrize(("length", "judged"), [(7, 0), (8, 1)])
def test_a_question_of_eight_characters_is_looked_for_in_others(length, judged):
    short = OTHER[:length]
    found = check(rows_of("q", short), rows_of("t", f"{LONG}{short}{LONG}"), Thresholds())
    assert (found["contained"]["judged"], found["contained"]["count"]) == (judged, judged)
    assert found["passed"] is (not judged)


def test_training_questions_pass_in_batches_of_the_same_result(monkeypatch):
    test, training = (
        rows_of("q", LONG, OTHER),
        rows_of("t", "药", changed(LONG, 9), "病", OTHER, changed(OTHER, 1), "医"),
    )
    whole = check(test, training, Thresholds())
    monkeypatch.setattr(leak_check, "BATCH", 2)
    assert [len(batch) for batch in leak_check._batches(training[:5])] == [2, 2, 1]
    assert list(leak_check._batches([])) == []
    assert check(test, iter(training), Thresholds()) == whole
    assert whole["minhash"]["count"] == whole["near"]["count"] == 2
    assert whole["training_questions"] == 6


def test_without_training_questions_nothing_is_near():
    found = check(rows_of("q", LONG), [], Thresholds())
    assert found["passed"] is True
    assert found["training_questions"] == 0
    assert found["nearest_similarity"]["quantiles"] == {"0.5": 0.0, "0.9": 0.0, "0.99": 0.0, "1.0": 0.0}


def test_the_most_similar_of_a_batch_is_told_and_the_first_of_several():
    values, numbers = Similarity(["abcde", "xyz", "高血压"]).nearest(["bcd", "abcdx", "高血压", "abcdy", "qqq"])
    assert values.tolist() == [0.5, 0, 1]
    assert numbers.tolist() == [1, 0, 2]


def test_an_n_gram_that_stands_twice_counts_once():
    for others in (["ababab", "abab"], ["xyz", "ababab"], ["zab", "ababab", "abc"]):
        values, numbers = Similarity(["abababa"]).nearest(others)
        assert values.tolist() == [1.0]
        assert numbers.tolist() == [others.index("ababab")]
    assert dict(Containment(["abababa"], 3, 1).shares("xabax")) == {0: 0.5}


def test_containment_is_told_of_the_questions_that_share_something():
    search = Containment(["abcdef", "cde", "ab", "", "xyzxy", "abcd"], 4, 2)
    assert search.judged == 5
    assert dict(search.shares("abcde")) == {0: 2 / 3, 1: 1.0, 2: 1.0, 5: 1.0}
    assert dict(search.shares("q")) == {}
    assert Containment(["", "a"], 4, 0).judged == 1


def test_the_distinct_n_grams_of_each_text_are_told_with_its_number():
    rows, ngrams = leak_search._distinct_ngrams(["aaab", "aaaa", "aaaab", "abab"])
    expected = [(0, "aaa"), (0, "aab"), (1, "aaa"), (2, "aaa"), (2, "aab"), (3, "aba"), (3, "bab")]
    assert list(zip(rows.tolist(), ngrams.tolist(), strict=True)) == [(row, packed(text)) for row, text in expected]


def test_minhash_tells_each_near_pair_once_and_verifies_it():
    found = MinHash([LONG, OTHER, changed(LONG, 4)], 0.7)
    assert (found.rows, found.bands) == bands_for(0.7)
    assert found.near([OTHER, LONG, "药"]).tolist() == [[0, 1], [1, 0], [2, 1]]
    assert found.near(["药"]).tolist() == []
    assert MinHash(["abcde"], 0.5).near(["abcdx"]).tolist() in ([[0, 0]], [])
    assert MinHash(["abcde"], 0.51).near(["abcdx"]).tolist() == []


def test_bits_are_spread_as_murmurhash3_does():
    assert leak_search._spread(np.array([0, 1], np.uint64)).tolist() == [0, 0xB456BCFC34C2CB2C]
    value = expected = 0x0123456789ABCDEF
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        expected = (expected ^ (expected >> 33)) * factor % 2**64
    assert leak_search._spread(np.array([value], np.uint64)).tolist() == [expected ^ (expected >> 33)]


def test_signatures_of_the_second_search_agree_by_as_much_as_the_sets_of_n_grams():
    one, other = LONG + OTHER, LONG + OTHER[::-1]
    found = leak_search._signatures([one, other])
    assert (found[0] == found[1]).mean() == pytest.approx(jaccard(shingle_set(one), [shingle_set(other)])[0], abs=0.1)
    assert len(np.unique(found[0])) > 140


def test_minhash_finds_equal_texts_by_a_single_band():
    search = MinHash([LONG, OTHER, LONG], 1.0)
    assert search.bands == 1
    assert search.near(["药", OTHER, LONG, OTHER]).tolist() == [[0, 2], [1, 1], [1, 3], [2, 2]]


def test_minhash_looks_at_pairs_that_agree_in_enough_of_their_signatures(monkeypatch):
    monkeypatch.setattr(leak_search, "similarities", lambda some, set_of: np.ones(len(some)))
    for agreeing_values, found in ((138, [[0, 0]]), (137, [])):
        both = agreeing(agreeing_values)
        monkeypatch.setattr(leak_search, "_signatures", lambda texts, both=both: both[[int(texts[0] == OTHER)]])
        assert MinHash([LONG], 0.7).near([OTHER]).tolist() == found
