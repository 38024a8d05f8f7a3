"""The demonstration corpus: its table of facts, its rows and its textbook."""

import csv
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.base.errors import UserError
from medscale.base.files import sha256_json
from medscale.data.demo.corpus import (
    ANSWER_CHARS,
    COLUMNS,
    FACT_COUNTS,
    capacity,
    draw,
    generate,
    load_conditions,
    textbook,
    write_toyhom_csv,
)
from medscale.data.demo.phrasings import KINDS, PLACEHOLDERS
from medscale.data.personal_data import mask_personal_data
from places import ROOT

TABLE = ROOT / "resources" / "demo" / "conditions.json"
# A dose is a number with a unit of weight or of pills: the table must hold none.
DOSE = re.compile(r"\d\s*(mg|毫克|ug|微克|μg|片|粒|支|单位|IU|ml|毫升/)", re.IGNORECASE)


@pytest.fixture(scope="module")
def conditions():
    return load_conditions(TABLE)


@pytest.fixture(scope="module")
def drawn(conditions):
    return draw(conditions, 6000, seed=42)


def facts_in(text, condition, field):
    return [fact for fact in getattr(condition, field) if fact in text]


def trigrams(text):
    return {text[at : at + 3] for at in range(len(text) - 2)}


def jaccard(one, other):
    return len(one & other) / len(one | other)


def test_the_table_covers_medicine_broadly(conditions):
    departments = Counter(condition.department for condition in conditions)
    assert len(conditions) >= 125
    assert len(departments) >= 12
    assert min(departments.values()) >= 5


def test_facts_differ_between_conditions_and_name_no_dose(conditions):
    for field in FACT_COUNTS:
        lists = [frozenset(getattr(condition, field)) for condition in conditions]
        assert len(set(lists)) == len(lists), f"two conditions have the same {field}"
        facts = [fact for facts in lists for fact in facts]
        assert not [fact for fact in facts if DOSE.search(fact)]
    for field in ("treatment", "daily_care", "warning_signs"):
        facts = [fact for condition in conditions for fact in getattr(condition, field)]
        assert len(set(facts)) > 0.95 * len(facts), f"{field}: facts are repeated from condition to condition"


def test_care_can_be_told_to_a_patient(conditions):
    # 平时要…: a care that begins with a bare "not" makes no sentence.
    assert not [fact for condition in conditions for fact in condition.daily_care if fact[0] in "不别勿"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda entry: entry.pop("causes"), "causes"),
        (lambda entry: entry.update(cause=["受凉"]), "cause"),
        (lambda entry: entry["warning_signs"].clear(), "warning_signs"),
        (lambda entry: entry["symptoms"].append(entry["symptoms"][0]), "symptoms"),
        (lambda entry: entry.update(daily_care="多喝水"), "daily_care"),
        (lambda entry: entry["treatment"].append("休息，多喝水"), "treatment"),
        (lambda entry: entry.update(ages=[60, 20]), "ages"),
        (lambda entry: entry.update(ages=60), "ages"),
        (lambda entry: entry.update(sex="女"), "sex"),
        (lambda entry: entry.update(symptoms=["早期无症状", "往往没有不适", "头晕"]), "symptoms"),
        (lambda entry: entry.update(name="冠心病"), "冠心病"),
    ],
)
def test_a_broken_table_names_what_is_wrong(tmp_path, change, named):
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    assert "冠心病" in [entry["name"] for entry in table["conditions"][1:]]
    change(table["conditions"][0])
    path = tmp_path / "conditions.json"
    path.write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(UserError, match=named) as caught:
        load_conditions(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["[]", '{"conditions": []}', '{"conditions": [1]}', "no json"])
def test_a_file_that_is_no_table_is_refused(tmp_path, text):
    path = tmp_path / "conditions.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="conditions"):
        load_conditions(path)


def test_the_seed_alone_decides_the_rows(conditions):
    rows = generate(conditions[:20], 200, seed=7)
    assert rows != generate(conditions[:20], 200, seed=8)
    # Another process with another hash seed, as on another machine.
    script = (
        "import sys; from medscale.data.demo.corpus import *; from medscale.base.files import sha256_json;"
        f"print(sha256_json(generate(load_conditions({str(TABLE)!r})[:20], 200, seed=7)))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    other = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == sha256_json(rows)


def test_every_question_is_distinct_up_to_the_capacity(conditions):
    assert capacity(conditions) >= 20_000
    rows = generate(conditions, capacity(conditions), seed=3, noise=0)
    assert len({(row["title"], row["ask"]) for row in rows}) == len(rows) == capacity(conditions)


def test_six_thousand_distinct_pairs_in_a_few_seconds(conditions):
    start = time.perf_counter()
    rows = generate(conditions, 6000, seed=42, noise=0)
    assert time.perf_counter() - start < 5
    assert len({tuple(row.values()) for row in rows}) == 6000


@pytest.mark.parametrize("rows", [0, -1, 10**6])
def test_an_impossible_number_of_rows_names_the_key(conditions, rows):
    with pytest.raises(UserError, match=r"data\.rows") as caught:
        generate(conditions, rows, seed=42)
    assert str(capacity(conditions)) in str(caught.value)


@pytest.mark.parametrize("noise", [-0.1, 0.6, float("nan")])
def test_an_impossible_noise_names_the_key(conditions, noise):
    with pytest.raises(UserError, match=r"data\.noise"):
        generate(conditions, 100, seed=42, noise=noise)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 300), noise=st.floats(0, 0.5), seed=st.integers(0, 2**32))
def test_rows_and_noise_are_exact_for_any_request(conditions, rows, noise, seed):
    drawn = draw(conditions[:5], rows, seed, noise)
    assert len(drawn) == rows
    assert sum(row.noise is not None for row in drawn) == round(rows * noise)
    fresh = [(row.row["title"], row.row["ask"]) for row in drawn if row.noise is None]
    assert len(set(fresh)) == len(fresh)


def test_answers_state_the_facts_that_were_asked_for(conditions, drawn):
    by_name = {condition.name: condition for condition in conditions}
    for row in drawn:
        if row.noise is not None:
            continue
        condition, answer = by_name[row.condition], row.row["answer"]
        assert row.row["department"] == condition.department
        assert condition.name in answer
        for field in KINDS[row.kind]:
            assert len(facts_in(answer, condition, field)) >= 2
        named = [name for name in (condition.name, *condition.aliases) if name in row.row["title"]]
        assert named, f"{row.row['title']} does not name {condition.name}"


def test_answers_are_of_the_length_of_real_ones_and_no_field_is_left_open(drawn):
    for row in drawn:
        if row.noise is None:
            assert ANSWER_CHARS[0] <= len(row.row["answer"]) <= ANSWER_CHARS[1]
            assert not re.search(r"[{}<>\n]|[，。、？！]{2}", "".join(row.row.values()))


def test_condition_and_kind_settle_most_of_an_answer(drawn):
    groups = defaultdict(list)
    for row in drawn:
        if row.noise is None:
            groups[row.condition, row.kind].append(set(row.row["answer"]))
    pairs = [(answers[0], answers[1]) for answers in groups.values() if len(answers) > 1]
    firsts = [answers[0] for answers in groups.values()]

    def similarity(pairs):
        return sum(jaccard(one, other) for one, other in pairs) / len(pairs)

    assert similarity(pairs) > 2 * similarity(list(zip(firsts, firsts[11:], strict=False)))


def test_clean_questions_are_no_near_duplicates_of_each_other(conditions):
    texts = [row["title"] + row["ask"] for row in generate(conditions, 6000, seed=42, noise=0)]
    shingles = [trigrams(text) for text in texts]
    # Sets with a Jaccard similarity of 0.8 share one of the rarest fifth of the n-grams of each.
    frequency = Counter(gram for grams in shingles for gram in grams)
    holders = defaultdict(list)
    near = set()
    for number, grams in enumerate(shingles):
        rarest = sorted(grams, key=lambda gram: (frequency[gram], gram))[: len(grams) // 5 + 1]
        for other in {other for gram in rarest for other in holders[gram]}:
            if jaccard(grams, shingles[other]) >= 0.8:
                near |= {number, other}
        for gram in rarest:
            holders[gram].append(number)
    assert len(near) < 0.01 * len(texts)


def test_noise_holds_what_cleaning_must_find(drawn):
    noise = defaultdict(list)
    for row in drawn:
        noise[row.noise].append(row.row)
    clean = {tuple(row.values()) for row in noise[None]}
    assert {kind: len(rows) for kind, rows in noise.items() if kind} == {
        **{"duplicate": 120, "near_duplicate": 120, "contact": 12, "html": 12, "placeholder": 12},
        **{"control": 12, "full_width": 12},
    }
    assert all(tuple(row.values()) in clean for row in noise["duplicate"])
    assert all(tuple(row.values()) not in clean for row in noise["near_duplicate"])
    originals = {(row["title"], row["answer"]): row["ask"] for row in noise[None]}
    for row in noise["near_duplicate"]:
        original = originals[row["title"], row["answer"]]
        assert jaccard(trigrams(row["title"] + row["ask"]), trigrams(row["title"] + original)) >= 0.8
    assert all(mask_personal_data(row["ask"])[1] for row in noise["contact"])
    assert all(re.search(r"<\w+/?>|<font|&nbsp;", row["answer"]) for row in noise["html"])
    assert {row["answer"] for row in noise["placeholder"]} <= set(PLACEHOLDERS)
    assert all(re.search(r"[\x00-\x1f\x7f\u200b\ufeff]", row["answer"]) for row in noise["control"])
    assert all(re.search(r"[０-９]", row["ask"]) for row in noise["full_width"])


def test_clean_rows_hold_no_personal_data(drawn):
    found = [row.row for row in drawn if row.noise is None and mask_personal_data("".join(row.row.values()))[1]]
    assert not found


def test_the_csv_reads_back_as_it_was_written(tmp_path, drawn):
    rows = [row.row for row in drawn]
    path = tmp_path / "demo.csv"
    write_toyhom_csv(path, rows)
    data = path.read_bytes()
    assert data.startswith(b"department,title,ask,answer\n")
    assert b"\r" not in data
    with pytest.raises(UnicodeDecodeError):
        data.decode("utf-8")
    with open(path, encoding="gb18030", newline="") as handle:
        reader = csv.DictReader(handle)
        assert list(reader) == rows
    assert tuple(reader.fieldnames) == COLUMNS
    assert [entry.name for entry in tmp_path.iterdir()] == ["demo.csv"]


def test_the_textbook_covers_every_fact_in_other_sentences_than_the_answers(conditions, drawn):
    paragraphs = textbook(conditions, seed=1)
    assert paragraphs == textbook(conditions, seed=1)
    assert paragraphs != textbook(conditions, seed=2)
    size = sum(len(paragraph.encode()) for paragraph in paragraphs)
    assert 300_000 < size < 600_000
    assert not [paragraph for paragraph in paragraphs if re.search(r"[{}\n]", paragraph)]
    for condition in conditions:
        own = [paragraph for paragraph in paragraphs if condition.name in paragraph]
        assert len(own) >= 6
        told = "".join(own)
        assert all(len(facts_in(told, condition, field)) == len(getattr(condition, field)) for field in FACT_COUNTS)
        assert all(alias in told for alias in condition.aliases)
    sentences = {sentence for paragraph in paragraphs for sentence in re.split("[。；]", paragraph) if sentence}
    answers = {sentence for row in drawn for sentence in re.split("[。；]", row.row["answer"]) if sentence}
    assert not sentences & answers
