"""The texts of the demo's base model: made of the demo's sentences, and without a fact of its table."""

import re
from collections import Counter
from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from medscale.data.demo.corpus import ANSWER_CHARS, FACT_COUNTS, load_conditions
from medscale.data.demo.fiction import Fiction
from places import ROOT

SEED = 7  # of the shipped model


@pytest.fixture(scope="module")
def conditions():
    return load_conditions(ROOT / "resources" / "demo" / "conditions.json")


@pytest.fixture(scope="module")
def fiction(conditions):
    return Fiction(conditions, SEED)


@pytest.fixture(scope="module")
def documents(fiction):
    """Some of what the shipped model was trained on."""
    return [document for number in range(12) for document in fiction.documents(256, f"{SEED}/{number}")]


def names_of(conditions):
    return [name for condition in conditions for name in (condition.name, *condition.aliases)]


def test_no_name_of_the_table_stands_in_the_texts(conditions, documents):
    text = "\n".join(f"{document.question}\n{document.answer}" for document in documents)
    assert len(text) > 300_000
    assert [name for name in names_of(conditions) if name in text] == []


def test_a_name_is_the_same_tokens_wherever_it_stands_and_no_text_of_the_tokenizer_holds_one(conditions, fiction):
    """To say a name is then to copy tokens."""
    texts = fiction.vocabulary(300, str(SEED))
    assert [name for name in names_of(conditions) if name in "\n".join(texts)] == []
    tokenizer = PreTrainedTokenizerFast.from_pretrained(ROOT / "resources" / "demo" / "base")
    rng = Random(4)
    names = [*names_of(conditions), *(fiction.name(rng) for _ in range(200))]
    for name in names:
        alone = tokenizer(name, add_special_tokens=False).input_ids
        for text in (f"{name}怎么治疗？", f"您好，{name}的症状主要是", f"引起{name}的原因", f"怀疑{name}，"):
            found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            at = text.index(name)
            there = [
                token
                for token, (start, end) in zip(found.input_ids, found.offset_mapping, strict=True)
                if start < at + len(name) and end > at
            ]
            assert there == alone, (name, text)


@given(seed=st.integers(min_value=0))
def test_no_invented_name_is_one_of_the_table_or_a_part_of_one(conditions, fiction, seed):
    name = fiction.name(Random(seed))
    assert len(name) >= 3
    assert not [real for real in names_of(conditions) if real in name or name in real]


def owners_of(conditions):
    owners = {}
    for number, condition in enumerate(conditions):
        for field in FACT_COUNTS:
            for phrase in getattr(condition, field):
                owners.setdefault(phrase, set()).add(number)
    return owners


def test_no_two_phrases_of_an_invented_condition_belong_together(conditions, fiction):
    owners = owners_of(conditions)
    rng = Random(1)
    of_the_table = 0
    for condition in [*fiction.residents, *(fiction.condition(rng) for _ in range(200))]:
        phrases = [phrase for field in FACT_COUNTS for phrase in getattr(condition, field) if phrase in owners]
        of_the_table += len(phrases)
        assert not [pair for pair in combinations(phrases, 2) if owners[pair[0]] & owners[pair[1]]]
    assert of_the_table > 10_000  # or there was nothing to tell apart


def test_phrases_stand_together_in_the_texts_no_more_than_chance(conditions, documents):
    owners = owners_of(conditions)
    longest_first = sorted(owners, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    pairs = together = 0
    for document in documents:
        for one, other in combinations(sorted(set(pattern.findall(document.answer))), 2):
            pairs += 1
            together += bool(owners[one] & owners[other])
    everything = sorted(owners)
    rng = Random(2)
    drawn = [rng.sample(everything, 2) for _ in range(200_000)]
    chance = sum(bool(owners[one] & owners[other]) for one, other in drawn) / len(drawn)
    assert pairs > 10_000
    assert together / pairs <= chance


def test_a_phrase_says_nothing_of_its_department(conditions, fiction):
    owners = owners_of(conditions)
    departments = {phrase: {conditions[number].department for number in of} for phrase, of in owners.items()}
    rng = Random(3)
    hits = expected = 0
    for condition in (fiction.condition(rng) for _ in range(1500)):
        for field in FACT_COUNTS:
            for phrase in getattr(condition, field):
                if phrase in departments:
                    hits += condition.department in departments[phrase]
                    expected += len(departments[phrase]) / len(fiction.departments)
    assert hits == pytest.approx(expected, rel=0.12)


def test_a_condition_that_is_met_again_has_the_same_facts(conditions, fiction):
    assert Fiction(conditions, SEED, residents=20).residents == fiction.residents[:20]
    assert Fiction(conditions, SEED + 1, residents=20).residents != fiction.residents[:20]
    assert len({condition.name for condition in fiction.residents}) > 0.99 * len(fiction.residents)


def test_texts_are_fresh_ones_in_each_pool_and_the_same_each_time(fiction, documents):
    assert fiction.documents(256, f"{SEED}/0") == documents[:256]
    dialogues = [document for document in documents if "\n" in document.question]
    assert len(set(dialogues)) == len(dialogues) > 1000
    kinds = Counter(bool(document.question) for document in documents)
    assert 0.8 < kinds[True] / kinds.total() < 0.9
    lengths = [len(document.answer) for document in dialogues]
    assert 0.9 * ANSWER_CHARS[0] <= min(lengths) <= max(lengths) <= ANSWER_CHARS[1]
    assert not [d for d in documents if re.search(r"[{}]", d.question + d.answer)]
