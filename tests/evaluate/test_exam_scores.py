"""Exam scores: Wilson's interval is scipy's, a letter's bias is taken out, leaks are left out."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from medscale.evaluate.exam_scores import FEWEST_CALIBRATED, summarise_exam, summarise_exams
from medscale.evaluate.wilson import wilson_interval

LETTER = {"scored_by": "letter", "normalise": None, "permutations": 1, "description": None}


@given(st.integers(1, 3000), st.data())
def test_wilsons_interval_is_scipys(n, data):
    right = data.draw(st.integers(0, n))
    expected = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_no_items_have_no_interval():
    assert wilson_interval(0, 0) is None


def item(number, answer, scores, **other):
    """A row of exams.parquet: probabilities instead of log-likelihoods, the letters in their order."""
    choices = other.pop("choices", list("ABCD"[: len(scores)]))
    values = [math.log(score) for score in scores]
    chosen = choices[values.index(max(values))]
    row = {
        **{"exam": "e", "id": f"q{number}", "permutation": 0, "subject": None, "measures": "medicine"},
        **{"multiple": False, "seen": None, "answer": answer, "chosen": chosen, "correct": chosen == answer},
        **{"choices": choices, "original": choices, "characters": [1] * len(choices), "loglikelihoods": values},
    }
    return row | other


def test_accuracies_by_subject_and_chance():
    rows = [
        item(1, "A", [0.7, 0.1, 0.1, 0.1], subject="内科"),
        item(2, "B", [0.7, 0.1, 0.1, 0.1], subject="内科"),
        item(3, "C", [0.1, 0.1, 0.8], subject="外科", measures="general"),
    ]
    summary = summarise_exam(rows, LETTER, None)
    assert (summary["accuracy"], summary["n"], summary["measures"]) == (pytest.approx(200 / 3), 3, "mixed")
    assert summary["chance"] == pytest.approx(100 * (1 / 4 + 1 / 4 + 1 / 3) / 3)
    assert {name: (each["accuracy"], each["n"]) for name, each in summary["by_subject"].items()} == {
        "内科": (50, 2),
        "外科": (100, 1),
    }
    assert summary["by_measure"]["general"]["n"] == 1
    assert summary["accuracy_without_leaks"] is summary["accuracy_permuted"] is summary["consistent"] is None
    assert summary["by_seen"] == {}


def test_leaked_items_are_counted_and_left_out():
    rows = [item(1, "A", [0.9, 0.1]), item(2, "A", [0.2, 0.8]), item(3, "B", [0.2, 0.8])]
    summary = summarise_exam(rows, LETTER, {"ids": ["q1"]})
    assert summary["contaminated"] == 1
    assert (summary["accuracy_without_leaks"]["accuracy"], summary["accuracy_without_leaks"]["n"]) == (50, 2)
    everything = summarise_exam(rows, LETTER, {"ids": ["q1", "q2", "q3"]})
    assert everything["accuracy_without_leaks"] == {"accuracy": None, "ci95": None, "n": 0}


def test_calibration_takes_out_what_a_letter_always_gets():
    """The model knows each answer, and says A whatever it is asked: its knowledge is what is left."""
    answers = "ABCD" * 8
    bias = {"A": 0.9, "B": 0.04, "C": 0.03, "D": 0.03}
    rows = []
    for number, answer in enumerate(answers):
        weights = [bias[letter] * (3 if letter == answer else 1) for letter in "ABCD"]
        rows.append(item(number, answer, [weight / sum(weights) for weight in weights]))
    summary = summarise_exam(rows, LETTER, None)
    assert summary["accuracy"] == 25
    assert summary["letter_prior"]["A"]["chosen"] == 100
    assert summary["letter_prior"]["A"]["right"] == 25
    assert summary["letter_prior"]["A"]["probability"] > 85
    assert summary["accuracy_calibrated"]["accuracy"] == 100


def knowing(count, letters="ABCD", first=0):
    """Return questions that a model without a bias answers right, all of one set of letters."""
    rows = []
    for number in range(first, first + count):
        answer = letters[number % len(letters)]
        scores = [0.7 if letter == answer else 0.3 / (len(letters) - 1) for letter in letters]
        rows.append(item(number, answer, scores, choices=list(letters)))
    return rows


def test_questions_of_too_few_to_know_the_letters_stay_as_they_are():
    """One question's probabilities divided by themselves are 1 for each letter, and the first letter would win."""
    many, few = knowing(FEWEST_CALIBRATED), knowing(2, "ABCDE", first=FEWEST_CALIBRATED + 1)
    summary = summarise_exam(many + few[:1], LETTER, None)
    assert summary["accuracy"] == 100
    assert summary["accuracy_calibrated"]["accuracy"] == 100
    assert summary["accuracy_calibrated"]["n"] == FEWEST_CALIBRATED + 1


@pytest.mark.parametrize("count", [1, FEWEST_CALIBRATED - 1])
def test_an_exam_of_few_questions_has_no_calibrated_accuracy(count):
    summary = summarise_exam(knowing(count, first=1), LETTER, None)
    assert summary["accuracy"] == 100
    assert summary["accuracy_calibrated"] is None
    assert summary["letter_prior"]["B"]["right"] > 0


def test_a_letter_that_never_has_a_probability_is_never_chosen():
    rows = knowing(2 * FEWEST_CALIBRATED)
    for row in rows:
        row["loglikelihoods"][2] = -1e5
        row["correct"] = row["answer"] != "C"
    summary = summarise_exam(rows, LETTER, None)
    assert summary["letter_prior"]["C"]["probability"] == 0
    assert summary["accuracy_calibrated"]["accuracy"] == pytest.approx(75)


def test_an_exam_of_which_nothing_was_answered_is_left_out():
    assert summarise_exams([], {"e": LETTER}, {}) == {}
    assert list(summarise_exams(knowing(4), {"none": LETTER, "e": LETTER}, {})) == ["e"]


def test_the_mean_over_permutations_takes_it_out_too():
    """Letter A gets 0.6 of its own; the right option a little more than others, wherever it stands."""
    rows = []
    for shift in range(3):
        original = [("ABC")[(place + shift) % 3] for place in range(3)]
        weights = [(6 if place == 0 else 1) * (1.5 if option == "B" else 1) for place, option in enumerate(original)]
        answer = "ABC"[original.index("B")]
        row = item(1, answer, [weight / sum(weights) for weight in weights], permutation=shift, original=original)
        rows.append(row)
    summary = summarise_exam(rows, LETTER | {"permutations": "all"}, None)
    assert summary["n"] == 1
    assert summary["accuracy"] == 0
    assert summary["accuracy_permuted"]["accuracy"] == 100
    assert summary["consistent"]["accuracy"] == 0


def test_normalised_and_summed_stand_beside_each_other():
    """A long right option loses by its sum and wins a character."""
    row = item(1, "B", [0.02, 0.01], characters=[1, 4])
    row |= {"chosen": "B", "correct": True}
    summary = summarise_exam([row], LETTER | {"scored_by": "text"}, None)
    assert summary["normalised"] is True
    assert (summary["accuracy_sum"]["accuracy"], summary["accuracy_normalised"]["accuracy"]) == (0, 100)
    assert summary["letter_prior"] is None
