"""Exam prompts: what stands before the answer, which continuations are compared, and what permutations permute."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from medscale.base.errors import UserError
from medscale.data.exams.subjects import NAMES, chinese_name
from medscale.evaluate.exam_prompts import asked, combined, least_letters

SETTINGS = {"prompt": "plain", "scored_by": "letter", "normalise": None, "permutations": 1, "description": None}
QUESTION = {
    **{"id": "q1", "question": " 哪个科室看胃？ ", "options": {"A": "消化科", "B": "骨科", "C": "眼科", "D": "儿科"}},
    **{"answer": "A", "multiple": False, "subject": "分诊", "measures": "medicine"},
}
SEVERAL = QUESTION | {"answer": "AC", "multiple": True}


def test_a_single_choice_question_is_asked_as_cmmlu_asks():
    (form,) = asked(QUESTION, SETTINGS)
    assert form.context == (
        "以下是关于分诊的单项选择题，请直接给出正确答案的选项。\n\n哪个科室看胃？\n"
        "A. 消化科\nB. 骨科\nC. 眼科\nD. 儿科\n答案："
    )
    assert form.continuations == [" A", " B", " C", " D"]
    assert (form.choices, form.answer) == (["A", "B", "C", "D"], "A")


@pytest.mark.parametrize("subject", [None, "", "anatomy"])
def test_without_a_chinese_name_the_subject_is_left_out(subject):
    (form,) = asked(QUESTION | {"subject": subject}, SETTINGS)
    assert form.context.startswith("以下是单项选择题，请直接给出正确答案的选项。\n\n哪个")


@pytest.mark.parametrize(
    ("known", "subject", "opening"),
    [
        ("cmmlu", "high_school_physics", "以下是关于高中物理学的单项选择题，请直接给出正确答案的选项。"),
        ("ceval", "high_school_physics", "以下是中国关于高中物理的单项选择题，请选出其中的正确答案。"),
        ("cmexam", "药剂科", "以下是关于药剂科的单项选择题，请直接给出正确答案的选项。"),
        ("columns", "physician", "以下是单项选择题，请直接给出正确答案的选项。"),
    ],
)
def test_a_known_exams_subject_goes_by_its_chinese_name(known, subject, opening):
    told = {"subject": subject, "subject_name": chinese_name(known, subject), "format": known}
    assert asked(QUESTION | told, SETTINGS)[0].context.partition("\n")[0] == opening
    named = asked(QUESTION | told, SETTINGS | {"description": "考{subject}。"})[0].context.partition("\n")[0]
    assert named == f"考{(chinese_name(known, subject) or subject) if known != 'columns' else ''}。"


def test_the_names_of_all_subjects_are_the_harnesss():
    tasks = pytest.importorskip("lm_eval.tasks", reason="lm_eval, of the extra dev, is not installed")
    for known, first in (("cmmlu", "cmmlu_"), ("ceval", "ceval-valid_")):
        folder = Path(tasks.__file__).parent / known
        told = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in folder.glob(f"{first}*.yaml")]
        lines = {task["dataset_name"]: task["description"].strip() for task in told}
        assert lines.keys() == NAMES[known].keys()
        for subject, line in lines.items():
            question = QUESTION | {"subject": subject, "subject_name": NAMES[known][subject], "format": known}
            assert asked(question, SETTINGS)[0].context.startswith(f"{line}\n\n哪个")


def test_a_description_of_ones_own_or_none():
    assert asked(QUESTION, SETTINGS | {"description": "答{subject}题。"})[0].context.startswith("答分诊题。\n\n哪个")
    assert asked(QUESTION, SETTINGS | {"description": ""})[0].context.startswith("哪个")


def test_scored_by_text_lists_no_options_and_permutes_none():
    forms = asked(QUESTION, SETTINGS | {"scored_by": "text", "permutations": "all"})
    assert len(forms) == 1
    assert forms[0].context.endswith("\n\n哪个科室看胃？\n答案：")
    assert "骨科" not in forms[0].context
    assert forms[0].continuations == [" 消化科", " 骨科", " 眼科", " 儿科"]
    assert forms[0].characters == [3, 2, 2, 2]


def test_in_a_chat_the_answer_begins_the_turn():
    def render(body, opening):
        return f"<{opening}|{body}>"

    chat = SETTINGS | {"prompt": "chat"}
    (form,) = asked(QUESTION, chat | {"scored_by": "text"}, render=render)
    assert form.context == "<以下是关于分诊的问题，请直接给出正确答案。|哪个科室看胃？>"
    assert form.continuations[0] == "消化科"
    assert asked(QUESTION, chat, render=render)[0].continuations == ["A", "B", "C", "D"]


def test_no_combination_of_letters_begins_another_one():
    (form,) = asked(SEVERAL, SETTINGS)
    assert len(form.continuations) == len(set(form.continuations)) == 11
    for one in form.continuations:
        assert not any(other != one and other.startswith(one) for other in form.continuations)
    assert form.answer in form.choices


def test_where_a_question_of_several_has_one_answer_single_letters_count_for_all():
    odd = SEVERAL | {"answer": "B"}
    assert least_letters([QUESTION, SEVERAL]) == 2
    assert least_letters([SEVERAL, odd]) == 1
    for question in (SEVERAL, odd):
        (form,) = asked(question, SETTINGS, least_letters([SEVERAL, odd]))
        assert len(form.choices) == 15
        assert form.answer in form.choices


def test_no_number_of_choices_tells_that_all_questions_of_an_exam_have_many_answers():
    for answer in ("ABC", "ABCD"):
        question = SEVERAL | {"answer": answer}
        assert len(asked(question, SETTINGS, least_letters([question]))[0].choices) == 11


def test_of_two_options_there_is_more_than_one_choice():
    question = SEVERAL | {"answer": "AB", "options": {"A": "消化科", "B": "骨科"}}
    (form,) = asked(question, SETTINGS, least_letters([question, SEVERAL]))
    assert form.choices == ["A", "B", "AB"]


def test_what_cannot_be_scored_names_the_question():
    with pytest.raises(UserError, match=r"q1.*scored_by: letter") as caught:
        asked(SEVERAL, SETTINGS | {"scored_by": "text"})
    assert caught.value.code == "E133"
    many = SEVERAL | {"options": {letter: letter for letter in "ABCDEFGHI"}}
    with pytest.raises(UserError, match=r"q1.*9 options") as caught:
        asked(many, SETTINGS)
    assert caught.value.code == "E134"


@given(st.integers(2, 6), st.data())
def test_each_option_stands_once_at_each_letter(count, data):
    letters = "ABCDEF"[:count]
    several = data.draw(st.booleans())
    right = data.draw(st.lists(st.sampled_from(letters), min_size=1 + several, max_size=count, unique=True))
    answer = "".join(sorted(right if several else right[:1]))
    question = {
        **{"id": "q", "question": "问", "options": {letter: f"选项{letter}" for letter in letters}},
        **{"answer": answer, "multiple": several, "subject": None},
    }
    forms = asked(question, SETTINGS | {"permutations": "all"})
    assert len(forms) == count
    stood = {letter: set() for letter in letters}
    for form in forms:
        for line in form.context.splitlines():
            if ". 选项" in line:
                stood[line[0]].add(line[-1])
        # The right choice is the same options, whatever letters they stand at.
        assert form.original[form.choices.index(form.answer)] == answer
        assert sorted(form.original) == sorted(forms[0].original)
    assert all(options == set(letters) for options in stood.values())
    assert forms[0].choices == forms[0].original


def test_combinations_are_all_subsets():
    assert combined(3) == [(0, 1), (0, 2), (1, 2), (0, 1, 2)]
    assert len(combined(5, least=1)) == 31
