"""The demo's exam: of facts that rows hold and of facts that none holds, answered by nobody who knows neither."""

from collections import Counter, defaultdict

import pytest

from medscale.base.errors import UserError
from medscale.data.demo.corpus import FACT_COUNTS, generate, load_conditions, some
from medscale.data.demo.exam import demo_exam, divided, write
from medscale.data.exams.account import report_of
from medscale.data.exams.fields import Reading
from medscale.fetch.manifest import write_manifest
from places import ROOT

CONDITIONS = ROOT / "resources" / "demo" / "conditions.json"
TABLE = load_conditions(CONDITIONS)
STUDIED = some(TABLE, 64, 42)


@pytest.fixture(scope="module")
def training():
    rows = generate(STUDIED, 2000, 42, noise=0)
    return [{"question": f"{row['title']}\n{row['ask']}", "answer": row["answer"]} for row in rows[:1000]]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exam")
    write(folder / "demo.jsonl", CONDITIONS, {})
    return write_manifest(folder, kind="data", source="demo", files=["demo.jsonl"])


@pytest.fixture(scope="module")
def exam(manifest, training):
    return demo_exam(manifest, Reading("demo"), training)


def facts_of(question):
    """Return condition, field and phrases of a question, found in the table again."""
    condition = next(
        entry for entry in sorted(TABLE, key=lambda entry: -len(entry.name)) if entry.name in question.question
    )
    field = next(
        field for field in FACT_COUNTS for phrase in getattr(condition, field)
        if phrase in question.options[question.answer] and phrase not in condition.name
    )  # fmt: skip
    return condition, field


def test_half_is_seen_and_half_is_not(exam):
    assert Counter((question.subject, question.seen) for question in exam.questions) == {
        ("seen", True): 200,
        ("unseen", False): 200,
    }
    assert len({question.question + question.answer for question in exam.questions}) > 200
    assert [question.id for question in exam.questions] == [f"q{number:06d}" for number in range(1, 401)]


def test_seen_facts_stand_in_a_row_and_unseen_conditions_in_none(exam, training):
    texts = [(row["question"] + row["answer"], row["answer"]) for row in training]
    for question in exam.questions:
        condition, _ = facts_of(question)
        names = (condition.name, *condition.aliases)
        if question.seen:
            right = [phrase for field in FACT_COUNTS for phrase in getattr(condition, field)
                     if phrase in question.options[question.answer]]  # fmt: skip
            assert any(phrase in answer and any(name in text for name in names) for phrase in right
                       for text, answer in texts)  # fmt: skip
        else:
            assert not any(name in text for name in names for text, _ in texts)


def test_of_four_options_one_is_a_fact_of_the_condition(exam):
    for question in exam.questions:
        condition, _ = facts_of(question)
        own = [phrase for field in FACT_COUNTS for phrase in getattr(condition, field)]
        rest = {letter: text.replace(condition.name, "", 1) for letter, text in question.options.items()}
        assert any(phrase in rest[question.answer] for phrase in own)
        assert len(set(question.options.values())) == 4
        wrong = [text for letter, text in rest.items() if letter != question.answer]
        assert not any(phrase in text for phrase in own for text in wrong)


def test_no_rule_over_the_options_alone_has_more_than_a_quarter(exam):
    """Of the four questions with the same options each has another right one: by length, by letter, by anything."""
    fours = defaultdict(list)
    for place, question in enumerate(exam.questions):
        fours[place // 4].append(question)
    for four in fours.values():
        told = []
        for question in four:
            condition, _ = facts_of(question)
            told.append({text.replace(condition.name, "", 1) for text in question.options.values()})
        assert all(options == told[0] for options in told)
        assert {question.answer for question in four} == set("ABCD")
        right = [q.options[q.answer].replace(facts_of(q)[0].name, "", 1) for q in four]
        assert len(set(right)) == 4
        assert len({facts_of(question)[0].department for question in four}) == 1
    shortest = sum(
        min(q.options, key=lambda letter: (len(q.options[letter]), q.options[letter])) == q.answer
        for q in exam.questions
    )
    assert shortest == 100


def test_the_seed_decides_and_the_number_is_asked_for(manifest, training):
    small = demo_exam(manifest, Reading("demo", max_questions=80), training)
    assert small.warnings == []
    assert Counter(question.subject for question in small.questions) == {"seen": 40, "unseen": 40}
    assert demo_exam(manifest, Reading("demo", max_questions=80), training).questions == small.questions
    assert demo_exam(manifest, Reading("demo", max_questions=80, seed=1), training).questions != small.questions


def test_a_name_inside_another_is_no_mention_of_it():
    table = [
        {"condition": "高血压", "aliases": [], "department": "内科", "field": "symptoms", "fact": "头晕"},
        {"condition": "妊娠期高血压", "aliases": [], "department": "妇产科", "field": "symptoms", "fact": "头晕"},
        {"condition": "肺炎", "aliases": ["肺部感染"], "department": "内科", "field": "symptoms", "fact": "咳嗽"},
    ]
    rows = [{"question": "妊娠期高血压有什么表现？", "answer": "常见表现有头晕。"}]
    seen, unseen = divided(table, rows)
    assert {fact.condition for fact in seen} == {"妊娠期高血压"}
    assert {fact.condition for fact in unseen} == {"肺炎"}
    _, unseen = divided(table, [{"question": "肺部感染怎么办？", "answer": "就医。"}])
    assert {fact.condition for fact in unseen} == {"高血压", "妊娠期高血压"}


def test_no_facts_to_ask_for_is_said(manifest):
    everything = "，".join(entry.name for entry in TABLE)
    with pytest.raises(UserError, match="no four go together") as error:
        demo_exam(manifest, Reading("demo"), [{"question": everything, "answer": "请就医。"}])
    assert error.value.code == "D160"


def test_questions_that_few_rows_do_not_give_are_told(manifest, training):
    reading = Reading("demo", max_questions=40)
    made = demo_exam(manifest, reading, training[:48])
    counts = Counter(question.seen for question in made.questions)
    assert counts[True] < 20 == counts[False]
    (warning,) = made.warnings
    assert f"made are {counts[True]} questions on facts that training rows hold and 20 on" in warning
    assert "of 20 each that were asked for" in warning
    assert "48 training rows" in warning
    assert "use larger study.sizes (a few hundred rows), or a smaller evaluation.exams.demo.max_questions" in warning
    assert report_of(made, reading, "demo.rejected.parquet")["warnings"] == [warning]
