"""Blind pairs: balanced, drawn by the seed alone, the same for more questions, without a trace of what wrote them."""

import json
from collections import Counter

import pytest

from judged_pairs import PAIRS, predictions, shown_and_key
from medscale.base.errors import UserError
from medscale.judge.pairs import draw, lines_of, set_of

ANSWERS = predictions(60)


def test_each_configuration_is_first_as_often_as_the_other():
    shown, _ = shown_and_key(ANSWERS, items=40, repeated=0)
    firsts = Counter((role.a, role.b, role.first == role.a) for pair in shown for role in pair.roles)
    assert set(firsts.values()) == {20}
    assert len(shown) == 2 * 40


def test_all_pairs_are_of_the_same_questions():
    _, key = shown_and_key(ANSWERS, items=10)
    assert key["compared"][0]["items"] == key["compared"][1]["items"]
    assert len(set(key["compared"][0]["items"])) == 10


def test_more_questions_and_other_pairs_keep_what_was_drawn():
    few, _ = shown_and_key(ANSWERS, items=10)
    more, _ = shown_and_key(ANSWERS, items=30)
    others, _ = shown_and_key(ANSWERS, [*PAIRS, ("base", "lora_20k")], items=10)
    assert {pair.id for pair in few} <= {pair.id for pair in more}
    assert {pair.id for pair in few} <= {pair.id for pair in others}


def test_another_seed_draws_others():
    one, _ = shown_and_key(ANSWERS, seed=1)
    again, _ = shown_and_key(ANSWERS, seed=1)
    other, _ = shown_and_key(ANSWERS, seed=2)
    assert one == again
    assert {pair.id for pair in one}.isdisjoint({pair.id for pair in other})


def test_what_is_shown_again_has_its_answers_exchanged_and_comes_later():
    shown, _ = shown_and_key(ANSWERS, items=40, repeated=0.25)
    again = [(place, pair) for place, pair in enumerate(shown) if pair.roles[0].repeated]
    assert len(again) == 2 * 10
    for place, pair in again:
        role = pair.roles[0]
        before = next(
            (where, each)
            for where, each in enumerate(shown)
            if each.roles[0][:2] == role[:2] and each.roles[0].item == role.item and not each.roles[0].repeated
        )
        assert before[0] < place
        assert (before[1].texts["answer_1"], before[1].texts["answer_2"]) == (
            pair.texts["answer_2"],
            pair.texts["answer_1"],
        )


def test_equal_answers_are_ties_that_nobody_is_shown():
    answers = predictions(20)
    for row in answers["lora_100k"][:5]:
        row["predict"] = answers["base"][int(row["id"][1:])]["predict"] + " \n"
    shown, key = shown_and_key(answers, items=20)
    base, _ = key["compared"]
    assert sorted(base["identical"]) == [f"r{n:07d}" for n in range(5)]
    assert not [role for pair in shown for role in pair.roles if role.a == "base" and role.item in base["identical"]]


def test_one_verdict_is_of_all_configurations_that_gave_the_same_two_answers():
    answers = predictions(40)
    answers["lora_20k"] = [dict(row) for row in answers["base"]]
    shown, key = shown_and_key(answers, items=40, repeated=0)
    both = [pair for pair in shown if len(pair.roles) == 2]
    assert both
    assert len({pair.id for pair in shown}) == len(shown)
    assert sum(len(roles) for roles in key["pairs"].values()) == 2 * 40


def test_the_reference_answers_can_be_compared():
    shown, _ = shown_and_key({"base": ANSWERS["base"]}, [("reference", "base")], items=4, repeated=0)
    for pair in shown:
        role = pair.roles[0]
        assert pair.texts["answer_1" if role.first == "reference" else "answer_2"].startswith("参考")


def test_nothing_that_is_shown_names_a_configuration():
    shown, key = shown_and_key(ANSWERS, items=40)
    told = json.dumps(lines_of(shown), ensure_ascii=False)
    assert not [
        name for name in ("base", "lora", "r00000", "first", "repeated", *key["predictions"].values()) if name in told
    ]
    assert {key for line in lines_of(shown) for key in line} == {"pair", "question", "answer_1", "answer_2"}


def test_turns_before_the_question_and_the_system_are_shown():
    answers = {
        name: [dict(row, history=[["问", "答"]], system="你是医生") for row in ANSWERS[name]] for name in ANSWERS
    }
    shown, _ = shown_and_key(answers, items=4)
    assert shown[0].texts["history"] == [["问", "答"]]
    assert shown[0].texts["system"] == "你是医生"


def test_half_a_character_can_be_shown_wherever_it_stands():
    half = "坏\ud83d"
    answers = {
        name: [
            dict(row, prompt=half, predict=name + half, history=[[half, "答"]], system=half) for row in ANSWERS[name]
        ]
        for name in ANSWERS
    }
    shown, _ = shown_and_key(answers, items=4)
    assert "坏\ufffd" in json.dumps(lines_of(shown), ensure_ascii=False).encode().decode()
    assert shown[0].texts["history"] == [["坏\ufffd", "答"]]


def test_other_answers_are_another_set():
    one, _ = shown_and_key(ANSWERS)
    other, _ = shown_and_key(
        {name: [dict(row, predict=row["predict"] + "。") for row in rows] for name, rows in ANSWERS.items()}
    )
    assert set_of(one) != set_of(other)
    assert {pair.id for pair in one}.isdisjoint({pair.id for pair in other})


def test_predictions_of_other_questions_are_refused():
    with pytest.raises(UserError, match=r"lora_20k: answered other questions than base.*\[J102\]"):
        draw(PAIRS, {"base": ANSWERS["base"], "lora_20k": ANSWERS["lora_20k"][1:]}, 4, 0.1, 1)
