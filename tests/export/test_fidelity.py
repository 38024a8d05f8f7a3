"""Whether a shipped form is still what was measured: differences with right values, and what is warned of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.base.errors import UserError
from medscale.export.fidelity import compare, warning_of


def row(number, predict="建议多休息。", nll=10.0, tokens=5, label="注意休息。"):
    return {"id": str(number), "predict": predict, "label": label, "nll_sum": nll, "n_answer_tokens": tokens}


RUN = [row(0), row(1, nll=20.0, tokens=10), row(2, predict="多喝水。", nll=6.0, tokens=4)]


def test_a_form_that_is_the_run_differs_in_nothing():
    told = compare(RUN, RUN, 200)
    assert (told["items"], told["nll_items"]) == (3, 3)
    assert told["nll"] == told["nll_run"] == pytest.approx(36 / 19, abs=1e-6)
    assert (told["difference"], told["ci95"], told["mean_absolute_difference"]) == (0, [0, 0], 0)
    assert (told["identical_answers"], told["rouge_l_to_run"]) == (1, 100)
    assert (told["rouge_l_difference"], told["rouge_l_ci95"]) == (0, [0, 0])
    assert warning_of(told | {"prompts_identical": 3}, 0.0, 1.0) is None


def test_differences_are_form_minus_run_per_token_and_paired():
    form = [row(0, nll=10.5), row(1, nll=21.0, tokens=10), row(2, predict="多喝水。", nll=6.4, tokens=4)]
    told = compare(RUN, form, 2000)
    assert told["difference"] == pytest.approx(1.9 / 19)
    # Every token costs a tenth of a nat more, so the paired interval has no width, however rows differ in their NLL.
    assert told["ci95"] == pytest.approx([0.1, 0.1])
    assert warning_of(told, 0.2, 0.0) is None
    said = warning_of(told, 0.05, 0.0)
    assert "worse than the run did: +0.1000 nats per token, beyond the tolerance of 0.05" in said["en"]
    assert "差" in said["zh"]


def test_differences_of_both_signs_cancel_in_the_mean_and_not_in_the_absolute_one():
    form = [row(0, nll=11.0), row(1, nll=19.0, tokens=10), row(2, predict="多喝水。", nll=6.0, tokens=4)]
    told = compare(RUN, form, 200)
    assert told["difference"] == 0
    assert told["mean_absolute_difference"] == pytest.approx(2 / 19, abs=1e-6)


def test_other_answers_are_counted_and_warned_of():
    form = [row(0), row(1, predict="去医院。", nll=20.0, tokens=10), row(2, predict="", nll=6.0, tokens=4)]
    told = compare(RUN, form, 200)
    assert told["identical_answers"] == pytest.approx(1 / 3, abs=1e-6)
    assert told["rouge_l_to_run"] < 100
    assert told["rouge_l"] < told["rouge_l_run"]
    assert "33% of its answers are the run's own, fewer than 50%" in warning_of(told, 1.0, 0.5)["en"]


def test_two_empty_answers_are_equal():
    empty = [row(number, predict="") for number in range(3)]
    assert compare(empty, empty, 100)["rouge_l_to_run"] == 100


def test_prompts_of_another_template_are_warned_of():
    told = compare(RUN, RUN, 100) | {"prompts_identical": 1}
    assert "other prompts for 2 of 3 questions" in warning_of(told, 1.0, 0.0)["en"]


def test_a_row_without_likelihood_is_left_out_of_it_alone():
    short = [row(0), row(1) | {"nll_sum": None, "n_answer_tokens": None}]
    told = compare(short, short, 100)
    assert (told["items"], told["nll_items"], told["nll"]) == (2, 1, 2.0)
    nothing = [row(0) | {"nll_sum": None, "n_answer_tokens": None}]
    told = compare(nothing, nothing, 100)
    assert (told["nll"], told["difference"], told["ci95"]) == (None, None, None)
    assert warning_of(told, 0.0, 1.0) is None


@pytest.mark.parametrize(
    ("form", "said"),
    [(RUN[::-1], "other test items"), ([row(0, tokens=6), *RUN[1:]], "another number of tokens")],
)
def test_what_cannot_be_compared_is_refused(form, said):
    with pytest.raises(UserError, match=said):
        compare(RUN, form, 100)


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 2000), st.floats(-50, 50)), min_size=2, max_size=30))
def test_the_difference_is_that_of_the_two_losses_and_lies_between_those_of_the_rows(items):
    run = [row(i, nll=nll, tokens=tokens) for i, (tokens, nll, _) in enumerate(items)]
    form = [row(i, nll=max(0.0, nll + more), tokens=tokens) for i, (tokens, nll, more) in enumerate(items)]
    told = compare(run, form, 100)
    assert told["difference"] == pytest.approx(told["nll"] - told["nll_run"], abs=1e-5)
    each = [(a["nll_sum"] - b["nll_sum"]) / a["n_answer_tokens"] for a, b in zip(form, run, strict=True)]
    assert min(each) - 1e-5 <= told["ci95"][0] <= told["ci95"][1] <= max(each) + 1e-5
    assert told["mean_absolute_difference"] >= abs(told["difference"]) - 1e-5
