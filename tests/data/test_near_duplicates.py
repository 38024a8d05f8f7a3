"""Near-duplicates: exact similarity, candidates that miss none, and the same result everywhere."""

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.data.near.components import Components, near_duplicate_components
from medscale.data.near.leakage import crossing_pairs
from medscale.data.near.pairs import BAND_MISS, PERMUTATIONS, Candidates, bands_for, similarities
from medscale.data.near.shingles import comparable, jaccard, shingle_set, shingles
from places import SCRIPTS

REPRODUCIBLE = settings(derandomize=True)
CHARACTERS = "高血压糖尿病头疼胃炎肝吃药怎么办治疗检查症状饮食注意孩子老人多久能好医院医生请问一二三四五"
TEXTS = st.text("甲乙丙丁𠀀a1", min_size=1, max_size=12)


def grams(text: str) -> set[str]:
    """Character 3-grams in plain Python, to compare with."""
    return {text[start : start + 3] for start in range(max(1, len(text) - 2))}


def plain_jaccard(one: str, other: str) -> float:
    return len(grams(one) & grams(other)) / len(grams(one) | grams(other))


def variants(rng: random.Random, originals: int, copies: int) -> list[str]:
    """Random questions, each with copies in which more and more characters are changed."""
    texts = []
    for _ in range(originals):
        text = rng.choices(CHARACTERS, k=rng.randrange(8, 60))
        for _ in range(copies):
            texts.append("".join(text))
            text[rng.randrange(len(text))] = rng.choice(CHARACTERS)
    rng.shuffle(texts)
    return texts


def near_pairs(texts: list[str], threshold: float) -> set[tuple[int, int]]:
    """All pairs that reach the threshold, by comparing each with each."""
    sets = [grams(text) for text in texts]
    return {
        (one, other)
        for other in range(len(texts))
        for one in range(other)
        if len(sets[one] & sets[other]) >= threshold * len(sets[one] | sets[other]) - 1e-12
    }


class TestSimilarity:
    @REPRODUCIBLE
    @given(TEXTS, st.lists(TEXTS, min_size=1, max_size=5))
    def test_is_exactly_that_of_the_sets_of_3_grams(self, one, others):
        expected = [plain_jaccard(one, other) for other in others]
        assert jaccard(shingle_set(one), [shingle_set(other) for other in others]).tolist() == expected

    @REPRODUCIBLE
    @given(st.lists(TEXTS, max_size=6))
    def test_a_batch_gives_the_sets_of_its_texts(self, texts):
        flat, offsets = shingles(texts)
        for text, start, end in zip(texts, offsets, offsets[1:], strict=False):
            assert np.array_equal(np.unique(flat[start:end]), shingle_set(text))
        assert len(offsets) == len(texts) + 1

    def test_punctuation_case_and_width_do_not_count_and_signs_do(self):
        assert comparable("ＨＢｓＡｇ，阳性！ 怎么办?") == comparable("hbsag阳性怎么办")
        assert comparable("HBsAg(+)") != comparable("HBsAg(-)")


class TestCandidates:
    @pytest.mark.parametrize("threshold", [0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    def test_bands_overlook_a_pair_at_the_threshold_hardly_ever(self, threshold):
        rows, bands = bands_for(threshold)
        assert rows * bands <= PERMUTATIONS
        assert (1 - threshold**rows) ** bands <= BAND_MISS

    @pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.95])
    def test_all_pairs_that_brute_force_finds_are_found_and_no_other(self, threshold):
        texts = variants(random.Random(int(threshold * 100)), originals=60, copies=9)
        candidates = Candidates(threshold)
        for start in range(0, len(texts), 100):
            candidates.add(*shingles(texts[start : start + 100]))
        pairs = np.concatenate(list(candidates.pairs()))
        assert len({tuple(pair) for pair in pairs.tolist()}) == len(pairs)
        near = pairs[similarities(pairs, lambda number: shingle_set(texts[number])) >= threshold]
        assert {tuple(pair) for pair in near.tolist()} == near_pairs(texts, threshold)

    def test_few_pairs_are_looked_at_in_vain(self):
        texts = variants(random.Random(1), originals=600, copies=2)
        candidates = Candidates(0.7)
        candidates.add(*shingles(texts))
        assert sum(map(len, candidates.pairs())) < 2 * 600

    def test_no_texts_have_no_pairs(self):
        assert list(Candidates(0.7).pairs()) == []

    def test_the_result_is_the_same_whatever_the_threads_kernel_or_hash_seed(self):
        program = (
            "import json, random, sys; sys.path.insert(0, sys.argv[1]); import numpy as np\n"
            "from medscale.data.near.pairs import Candidates; from medscale.data.near.shingles import shingles\n"
            f"rng = random.Random(3); texts = [''.join(rng.choices({CHARACTERS[:6]!r}, k=30)) for _ in range(500)]\n"
            "candidates = Candidates(0.3); candidates.add(*shingles(texts))\n"
            "print(json.dumps(np.concatenate(list(candidates.pairs())).tolist()))"
        )
        outputs = [
            subprocess.run(
                [sys.executable, "-c", program, str(SCRIPTS)],
                env=os.environ | {"PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads, "RENSA_FORCE_KERNEL": kernel},
                capture_output=True,
                check=True,
            ).stdout
            for seed, threads, kernel in (("0", "1", "scalar"), ("7", "2", "auto"))
        ]
        assert len(json.loads(outputs[0])) > 10
        assert outputs[0] == outputs[1]


class TestComponents:
    @REPRODUCIBLE
    @given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
    def test_labels_are_those_of_a_graph_search(self, pairs):
        components = Components(20)
        components.join(pairs)
        reached = [{item} for item in range(20)]
        for _ in range(20):
            for one, other in pairs:
                reached[one] = reached[other] = reached[one] | reached[other]
        assert components.labels().tolist() == [min(group) for group in reached]

    def test_families_are_the_connected_components_of_brute_force(self):
        texts = variants(random.Random(8), originals=50, copies=10)
        texts += [text + "？" for text in texts[:40]]
        expected = Components(len(texts))
        expected.join(near_pairs([comparable(text) for text in texts], 0.6))
        assert (
            near_duplicate_components([comparable(text) for text in texts], 0.6).labels().tolist()
            == expected.labels().tolist()
        )

    def test_a_chain_of_small_changes_is_one_family(self):
        text = list("我爸爸今年六十岁最近总是头晕去医院量了血压说是高血压")
        chain = []
        for number in range(12):
            chain.append("".join(text))
            text[number * 2] = "甲乙丙丁戊己庚辛壬癸子丑"[number]
        assert plain_jaccard(chain[0], chain[-1]) < 0.2
        assert set(near_duplicate_components(chain, 0.6).labels().tolist()) == {0}


class TestLeakage:
    @pytest.mark.parametrize("threshold", [0.4, 0.6, 0.8, 1.0])
    def test_finds_exactly_the_crossing_pairs_of_brute_force(self, threshold):
        rng = random.Random(11)
        texts = [*variants(rng, originals=40, copies=10), "高", "高血", "血", ""]
        parts = np.array(rng.choices([0, 0, 0, 1, 2], k=len(texts)))
        found = crossing_pairs(texts, parts, np.flatnonzero(parts), threshold)
        expected = {(one, other) for one, other in near_pairs(texts, threshold) if parts[one] != parts[other]}
        assert {tuple(sorted(pair)) for pair in found.pairs.tolist()} == expected
        assert found.compared < len(texts) ** 2 / 4

    def test_without_held_out_questions_nothing_crosses(self):
        assert len(crossing_pairs(["甲乙丙"] * 2, np.zeros(2, int), np.empty(0, int), 0.6).pairs) == 0
