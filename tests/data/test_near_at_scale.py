"""Rows made from templates: the search compares a bounded number of pairs a row, and what it finds stays exact."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_near_duplicates import near_pairs, plain_jaccard, variants

from medscale.data.near import buckets, components, kept_first
from medscale.data.near.buckets import Buckets
from medscale.data.near.components import Components, near_duplicate_components
from medscale.data.near.deduplication import Duplicates, fingerprints
from medscale.data.near.kept_first import KeptFirst
from medscale.data.near.pairs import Candidates, similarities
from medscale.data.near.shingles import comparable, shingle_set

QUICK = settings(derandomize=True, max_examples=60)
ANSWER = "您好，根据您的描述建议先到正规医院的消化内科做一次详细的检查，明确诊断之后再用药，平时注意饮食清淡。"


def of_template(number: int, item: str = "收缩压") -> tuple[str, str]:
    value = 100 + number % 80
    return (
        f"编号{number}的患者{item}为{value}，请问是否正常？",
        f"编号{number}的{item}为{value}，请结合动态监测的结果判断，并按时复查。",
    )


def found_in(rows: list[tuple[str, str]], folder, threshold: float = 0.7) -> tuple[Duplicates, dict[int, int]]:
    duplicates = Duplicates(threshold, folder)
    duplicates.add(range(len(rows)), fingerprints(rows, near=True))
    return duplicates, {row: twin.row for row, twin in duplicates.find().items()}


def plain_twins(rows: list[tuple[str, str]], threshold: float = 0.7) -> dict[int, int]:
    """The first kept row that each dropped row is near, by comparing each with each."""
    texts = [(comparable(question), comparable(answer)) for question, answer in rows]
    kept, twins = [], {}
    for row, (question, answer) in enumerate(texts):
        for earlier in kept:
            if min(plain_jaccard(question, texts[earlier][0]), plain_jaccard(answer, texts[earlier][1])) >= threshold:
                twins[row] = earlier
                break
        else:
            kept.append(row)
    return twins


@pytest.fixture
def crowded(monkeypatch):
    """More than 30 places crowd a bucket."""
    monkeypatch.setattr(buckets, "PAIRS_OF_BUCKET", 900)
    monkeypatch.setattr(kept_first, "BLOCK", 30)


class TestBuckets:
    @QUICK
    @given(st.lists(st.integers(0, 4), max_size=40), st.integers(0, 40))
    def test_pairs_between_are_all_pairs_of_an_earlier_and_a_later_place_of_a_bucket(self, keys, earlier):
        found = Buckets(np.array(keys, np.uint64), 8).pairs_between(np.arange(len(keys)) < earlier)
        pairs = [tuple(pair) for some in found for pair in some.tolist()]
        places = range(len(keys))
        expected = [(i, j) for i in places if i < earlier for j in places if j >= earlier and keys[i] == keys[j]]
        assert sorted(pairs) == expected

    def test_a_place_of_a_crowded_bucket_has_a_bounded_number_of_pairs(self):
        found = Buckets(np.zeros(50_000, np.uint64), 8)
        assert found.crowded == 50_000
        pairs = np.concatenate(list(found.pairs()))
        assert len(pairs) == sum(50_000 - apart for apart in range(1, buckets.REACH + 1))
        assert found.cut == 50_000
        between = sum(map(len, found.pairs_between(np.arange(50_000) % 2 == 0)))
        assert between <= 25_000 * 2 * (buckets.REACH + 1)

    def test_the_largest_bucket_of_which_all_pairs_are_told(self):
        for size, complete in ((548, True), (549, False)):
            found = Buckets(np.zeros(size, np.uint64), 8)
            count = sum(map(len, found.pairs()))
            assert (count == size * (size - 1) // 2, found.cut == 0, found.crowded == 0) == (complete,) * 3

    def test_a_crowded_bucket_is_arranged_by_another_key_and_no_other_bucket(self, crowded):
        keys = np.array([0] * 40 + [1] * 3, np.uint64)
        found = Buckets(keys, 8)
        found.arrange(lambda places: (places * 7) % 40)
        first = next(found.pairs())
        assert [(7 * pair[0] % 40, 7 * pair[1] % 40) for pair in first[:39].tolist()] == [(n, n + 1) for n in range(39)]
        assert first[39:].tolist() == [[40, 41], [41, 42]]

    def test_a_bucket_that_lies_in_one_set_is_left(self):
        components = Components(1000)
        count = 0
        for pairs in Buckets(np.zeros(1000, np.uint64), 8).pairs(components.names):
            count += len(pairs)
            components.join(pairs.tolist())
        assert count == 999


class TestSets:
    @QUICK
    @given(st.permutations(range(60)), st.lists(st.integers(0, 59), max_size=20))
    def test_names_are_those_of_find_however_long_the_chain(self, order, items):
        one, other = Components(60), Components(60)
        for components_of in (one, other):
            components_of._parents[:] = components_of._parents.__class__("q", [max(0, n - 1) for n in range(60)])
        assert one.names(np.array(items, np.int64)).tolist() == [other.find(item) for item in items]
        assert components._STEPS < 59


class TestSimilarities:
    @QUICK
    @given(st.lists(st.text("甲乙丙a", max_size=9), min_size=1, max_size=9), st.data())
    def test_of_many_pairs_at_once_are_exact_in_pieces_of_any_size(self, texts, data):
        number = st.integers(0, len(texts) - 1)
        pairs = data.draw(st.lists(st.tuples(number, number), min_size=1, max_size=20))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("medscale.data.near.pairs._MEMBERS", data.draw(st.sampled_from([1, 7, 10**6])))
            found = similarities(np.array(pairs), lambda place: shingle_set(texts[place]))
        filled = [text.ljust(3, "\0") for text in texts]
        assert found.tolist() == [plain_jaccard(filled[one], filled[other]) for one, other in pairs]


class TestDuplicates:
    @pytest.mark.parametrize("seed", range(6))
    def test_rows_judged_half_by_half_are_those_of_brute_force(self, seed, tmp_path, monkeypatch):
        monkeypatch.setattr(kept_first, "BLOCK", 3)
        monkeypatch.setattr(KeptFirst, "_by_all_pairs", lambda self, candidates: False)
        rng = random.Random(seed)
        questions = variants(rng, originals=12, copies=10)
        rows = [(question, ANSWER[: rng.randrange(10, 40)]) for question in questions]
        expected = plain_twins(rows)
        assert len(expected) > 20
        twins = found_in(rows, tmp_path)[1]
        assert twins.keys() == expected.keys()
        texts = [(comparable(question), comparable(answer)) for question, answer in rows]
        for later, earlier in twins.items():
            assert earlier < later
            assert earlier not in twins, "the row that is named is kept"
            assert all(plain_jaccard(*pair) >= 0.7 for pair in zip(texts[later], texts[earlier], strict=True))

    @pytest.mark.parametrize("seed", range(3))
    def test_rows_judged_at_once_are_those_of_brute_force(self, seed, tmp_path):
        rng = random.Random(100 + seed)
        rows = [(question, ANSWER) for question in variants(rng, originals=20, copies=8)]
        assert found_in(rows, tmp_path)[1] == plain_twins(rows)

    def test_rows_of_a_crowded_template_are_dropped_only_for_a_kept_row_that_is_near(self, tmp_path, crowded):
        rng = random.Random(2)
        rows = [of_template(number) for number in range(1000, 1400)]
        rows += [(question, ANSWER) for question in variants(rng, originals=10, copies=5)]
        rng.shuffle(rows)
        expected = plain_twins(rows)
        assert len(expected) > 100
        duplicates, twins = found_in(rows, tmp_path)
        assert duplicates.exhaustive is False
        assert len(twins) >= 0.9 * len(expected)
        texts = [tuple(map(comparable, row)) for row in rows]
        for row, earlier in twins.items():
            assert earlier < row
            assert earlier not in twins
            assert min(map(plain_jaccard, texts[row], texts[earlier])) >= 0.7

    def test_compared_pairs_grow_with_the_rows_of_a_template_and_not_with_their_square(self, tmp_path, monkeypatch):
        monkeypatch.setattr(buckets, "PAIRS_OF_BUCKET", 1000)
        monkeypatch.setattr(kept_first, "BLOCK", 30)
        looked_at = []
        for count in (500, 2000):
            duplicates, _ = found_in([of_template(number) for number in range(count)], tmp_path)
            looked_at.append(duplicates.looked_at / count)
        assert looked_at[1] < 1.5 * looked_at[0]

    def test_one_answer_for_all_makes_no_pair_of_different_questions(self, tmp_path, crowded):
        rng = random.Random(1)
        rows = [("".join(rng.choices("高血压糖尿病头疼胃炎肝吃药怎么办治疗检查", k=20)), ANSWER) for _ in range(200)]
        duplicates, twins = found_in(rows, tmp_path)
        assert twins == {}
        assert duplicates.compared < 100
        duplicates, twins = found_in([(answer, question) for question, answer in rows], tmp_path)
        assert twins == {}
        assert duplicates.compared < 100

    def test_rows_that_are_all_one_question_are_equal(self, tmp_path):
        duplicates, twins = found_in([("高血压怎么办", ANSWER)] * 5000, tmp_path)
        assert set(twins.values()) == {0}
        assert len(twins) == 4999
        assert duplicates.compared == 0


class TestFamilies:
    def test_a_template_is_one_family_by_few_comparisons(self, monkeypatch):
        made = []

        class Noted(Candidates):
            def __init__(self, threshold: float) -> None:
                super().__init__(threshold)
                made.append(self)

        monkeypatch.setattr(components, "Candidates", Noted)
        text = "编号{}的患者今天上午在门诊测得收缩压为一百四十毫米汞柱请问是否正常需要吃药吗"
        for count in (1000, 4000):
            assert set(near_duplicate_components([text.format(n) for n in range(count)], 0.6).labels()) == {0}
        assert made[1].looked_at < 6 * made[0].looked_at
        assert made[1].looked_at < 4000 * 100

    def test_families_of_crowded_buckets_are_parts_of_those_of_brute_force(self, crowded):
        texts = [comparable(of_template(number)[0]) for number in range(1000, 1200)]
        texts += variants(random.Random(5), originals=10, copies=6)
        expected = Components(len(texts))
        expected.join(near_pairs(texts, 0.6))
        labels = near_duplicate_components(texts, 0.6).labels()
        for name in np.unique(labels):
            assert len(np.unique(expected.labels()[labels == name])) == 1
        assert len(np.unique(labels)) <= len(np.unique(expected.labels())) + 5
