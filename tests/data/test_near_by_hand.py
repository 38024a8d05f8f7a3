"""The parts of the search for near-duplicates, each on cases small enough to be counted by hand or by brute force."""

import hashlib
import itertools
import os
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.data.near import buckets, components, leak_check, leak_search, leakage, pairs
from medscale.data.near.buckets import Buckets
from medscale.data.near.components import Components, Marks, marks, near_duplicate_components
from medscale.data.near.deduplication import Duplicates, Twin, fingerprints
from medscale.data.near.leak_check import Nearest, Thresholds, check
from medscale.data.near.leak_search import Containment, MinHash, Similarity
from medscale.data.near.leakage import crossing_pairs
from medscale.data.near.pairs import BAND_MISS, PERMUTATIONS, Candidates, bands_for, signatures, similarities
from medscale.data.near.shingles import comparable, jaccard, shingle_set, shingles
from medscale.data.near.text_store import DIGEST_BYTES, GrowingArray, TextStore, digest, first_occurrences

QUICK = settings(deadline=None, derandomize=True, max_examples=50)
LONG = "孩子昨天晚上开始发烧到三十九度吃了布洛芬退下去了今天早上又烧起来请问医生需要去医院验血吗"
OTHER = "老人血压一直很高平时吃两种药最近头晕走路不稳血糖也不太好想问问该挂哪个科室做什么检查"


def packed(ngram: str) -> int:
    """Three characters of 21 bits each in one number."""
    first, second, third = map(ord, ngram)
    return (first << 42) + (second << 21) + third


def changed(text: str, *places: int) -> str:
    return "".join("改" if place in places else character for place, character in enumerate(text))


# shingles.py


def test_an_n_gram_is_three_characters_in_one_number():
    assert shingle_set("abcab").tolist() == sorted(map(packed, ("abc", "bca", "cab")))
    assert shingle_set("𠀀高血").tolist() == [packed("𠀀高血")]
    assert shingle_set("aaaaa").tolist() == [packed("aaa")]
    assert shingle_set("高").tolist() == [packed("高\0\0")]
    assert shingle_set("").tolist() == [0]


def test_a_batch_holds_the_n_grams_of_each_text_in_their_order():
    flat, offsets = shingles(["abcab", "高", "", "abab"])
    ngrams = ["abc", "bca", "cab", "高\0\0", "\0\0\0", "aba", "bab"]
    assert flat.tolist() == [packed(ngram) for ngram in ngrams]
    assert offsets.tolist() == [0, 3, 4, 5, 7]
    assert flat.dtype == np.uint64
    nothing, offsets = shingles([])
    assert (nothing.tolist(), offsets.tolist(), nothing.dtype) == ([], [0], np.uint64)


def test_the_similarity_is_common_n_grams_over_all():
    one = shingle_set("abcde")
    others = [shingle_set(text) for text in ("abcde", "abcdx", "xyz", "bcd", "zzzabcdezz")]
    assert jaccard(one, others).tolist() == [1, 2 / 4, 0, 1 / 3, 3 / 8]


@pytest.mark.parametrize(
    ("text", "compared"),
    [
        ("HBsAg（＋），怎么办？", "hbsag+怎么办"),
        ("血压 < 140/90 mmHg！", "血压<14090mmhg"),
        ("_血_糖__≥7.0", "血糖≥70"),
        ("Straße ①", "strasse1"),
        ("X 光片。", "x光片"),
        ("？！……", "？！……"),
        ("，。", "，。"),
        ("", ""),
    ],
)
def test_what_is_compared_of_a_text(text, compared):
    assert comparable(text) == compared


# text_store.py


def test_a_digest_is_16_bytes_of_the_text():
    assert DIGEST_BYTES == 16
    assert digest("高血压") == hashlib.blake2b("高血压".encode(), digest_size=16).digest()


@pytest.fixture
def store(tmp_path):
    found = TextStore(tmp_path)
    found.extend(["高血压", "", "ab"])
    found.extend_bytes([b"", "糖".encode()])
    return found


def test_texts_are_read_one_by_one_and_in_rows(store):
    assert len(store) == 5
    assert [store[place] for place in range(5)] == ["高血压", "", "ab", "", "糖"]
    assert [store.bytes_of(place) for place in range(5)] == ["高血压".encode(), b"", b"ab", b"", "糖".encode()]
    assert (store[1:4], store[:], store[3:3], store[4:2], store[3:99]) == (
        ["", "ab", ""],
        list(store),
        [],
        [],
        ["", "糖"],
    )
    store.extend(["尿"])
    assert store[4:] == ["糖", "尿"]


def test_no_text_stands_before_the_first_or_after_the_last(store):
    for place in (-1, 5):
        with pytest.raises(IndexError, match=f"^{place}$"):
            store[place]
    for part in (slice(0, 4, 2), slice(4, 0, -1)):
        with pytest.raises(ValueError, match=r"^a part of the texts must be without gaps$"):
            store[part]


def test_texts_are_whole_where_a_read_is_cut_short(store, monkeypatch):
    whole, read = list(store), os.pread
    monkeypatch.setattr(os, "pread", lambda file, count, position: read(file, min(count, 4), position))
    assert store[:] == [store[place] for place in range(5)] == whole


def test_digests_are_told_apart_by_either_half():
    halves = np.array([[1, 2], [1, 3], [2, 2], [1, 3], [1, 2], [0, 9], [1, 3]], np.uint64)
    assert first_occurrences(halves.view(np.uint8)).tolist() == [0, 1, 2, 1, 0, 5, 1]
    assert first_occurrences(np.empty((0, 16), np.uint8)).tolist() == []
    assert first_occurrences(np.full((3, 16), 255, np.uint8)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("sizes", [(0,), (1,), (4096, 1), (5000, 500, 1000), (3, 0, 9000, 1)])
def test_an_array_holds_what_was_added_and_then_what_was_kept(sizes):
    rows, block, start = np.arange(2 * sum(sizes)).reshape(-1, 2), GrowingArray((2,), np.int64), 0
    for size in sizes:
        block.extend(rows[start : start + size])
        start += size
        assert np.array_equal(block.rows, rows[:start])
    places = np.flatnonzero(rows[:, 0] % 3 > 0)
    block.keep(places)
    assert np.array_equal(block.rows, rows[places])
    block.extend(rows[:2])
    assert np.array_equal(block.rows, np.concatenate([rows[places], rows[:2]]))
    assert block.rows.dtype == np.int64


# pairs.py


@pytest.mark.parametrize("threshold", [0.02, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99])
def test_bands_are_as_long_as_they_may_be(threshold):
    rows, bands = bands_for(threshold)
    assert bands == 256 // rows
    longer = [more for more in range(rows + 1, 257) if (1 - threshold**more) ** (256 // more) <= 2e-4]
    assert longer == []
    assert rows == 1 or (1 - threshold**rows) ** bands <= 2e-4


def test_bands_by_hand():
    assert (PERMUTATIONS, BAND_MISS) == (256, 2e-4)
    assert bands_for(1.0) == (256, 1)
    assert bands_for(0.001) == (1, 256)
    assert bands_for(0.6) == (4, 64)


def test_a_signature_does_not_depend_on_the_texts_beside_it(monkeypatch):
    texts = [LONG[start : start + 9] for start in range(11)]
    alone = np.concatenate([signatures(*shingles([text])) for text in texts])
    assert np.array_equal(signatures(*shingles(texts)), alone)
    monkeypatch.setattr(pairs, "_BATCH", 4)
    assert np.array_equal(signatures(*shingles(texts[::-1])), alone[::-1])
    assert (alone.shape, alone.dtype) == ((11, 256), np.uint8)
    assert signatures(*shingles([])).shape == (0, 256)


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.9])
def test_signatures_agree_by_as_much_as_the_sets_of_n_grams(threshold):
    generator = random.Random(int(10 * threshold))
    one = "".join(chr(0x4E00 + generator.randrange(9000)) for _ in range(400))
    other = one[: int(400 * threshold)] + "".join(chr(0x4E00 + generator.randrange(9000)) for _ in range(400))
    found = signatures(*shingles([one, other]))
    expected = jaccard(shingle_set(one), [shingle_set(other)])[0]
    assert (found[0] == found[1]).mean() == pytest.approx(expected, abs=0.1)
    assert len(np.unique(found[0])) > 140, "256 values of eight bits have 162 different ones on average, of seven 111"


def agreeing(count: int, rows: int = 2) -> np.ndarray:
    """Signatures that agree in their first ``count`` values."""
    found = np.repeat(np.arange(rows, dtype=np.uint8)[:, None], PERMUTATIONS, axis=1)
    found[:, :count] = np.arange(count)
    return found


def pairs_of(threshold: float, found: np.ndarray, wanted=None) -> list[list[int]]:
    candidates = Candidates(threshold)
    candidates.add_signatures(found)
    return [pair for some in candidates.pairs(wanted) for pair in some.tolist()]


def test_a_candidate_agrees_in_so_much_that_less_has_a_chance_of_one_in_a_million():
    """At 0.7 in 0.7 - √(ln 10⁶ / 512) of 256 values: 137.1."""
    assert pairs_of(0.7, agreeing(138)) == [[0, 1]]
    assert pairs_of(0.7, agreeing(137)) == []
    assert pairs_of(0.9, agreeing(189)) == [[0, 1]]
    assert pairs_of(0.9, agreeing(188)) == []


def test_a_candidate_agrees_in_a_whole_band():
    rows, bands = bands_for(0.7)
    found = agreeing(256)
    found[1, ::rows] = 255 - found[0, ::rows]
    assert (found[0] == found[1]).sum() >= 138
    assert pairs_of(0.7, found) == []
    found[1, (bands - 1) * rows] = found[0, (bands - 1) * rows]
    assert pairs_of(0.7, found) == [[0, 1]]


def test_each_pair_of_equal_texts_is_a_candidate_once():
    assert sorted(pairs_of(0.7, agreeing(256, rows=5))) == [list(pair) for pair in itertools.combinations(range(5), 2)]


def test_only_the_pairs_that_are_wanted_are_told_and_those_refused_come_again():
    asked = []

    def wanted(some: np.ndarray) -> np.ndarray:
        asked.append(some.tolist())
        return (some[:, 1] == 2) & (len(asked) > 4)

    assert sorted(pairs_of(0.7, agreeing(256, rows=3), wanted)) == [[0, 2], [1, 2]]
    assert asked[0] == [[0, 1], [1, 2]]


def test_texts_that_are_forgotten_are_no_candidates_and_the_others_numbered_anew():
    candidates = Candidates(0.7)
    candidates.add(*shingles([LONG, OTHER, LONG]))
    candidates.add(*shingles([OTHER]))
    candidates.keep(np.array([0, 2, 3]))
    assert np.concatenate(list(candidates.pairs())).tolist() == [[0, 1]]


@pytest.mark.parametrize("key_bits", [8, 64])
@pytest.mark.parametrize("at_once", [2, 8192])
@QUICK
@given(keys=st.lists(st.sampled_from([0, 1, 7, 255, 1 << 63, 3 << 62]), max_size=9))
def test_all_pairs_with_equal_keys_are_found(key_bits, at_once, keys):
    keys = [key % 2**key_bits for key in keys]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets, "_PAIRS", at_once)
        parts = list(Buckets(np.array(keys, np.uint64), key_bits).pairs())
    assert all(len(part) <= at_once for part in parts)
    found = [tuple(pair) for part in parts for pair in part.tolist()]
    places = range(len(keys))
    assert sorted(found) == [(i, j) for i, j in itertools.combinations(places, 2) if keys[i] == keys[j]]


@pytest.mark.parametrize("key_bits", [61, 62, 63, 64])
def test_no_bit_of_a_key_is_lost_beside_its_place(key_bits):
    """Three places take two bits of the 64."""
    keys = np.array([0, 1 << (key_bits - 1), 0], np.uint64)
    assert np.concatenate(list(Buckets(keys, key_bits).pairs())).tolist() == [[0, 2]]


def test_bits_are_spread_as_the_generator_splitmix64_does():
    """Its first three numbers from 0, as they are published."""
    states = np.array([1, 2, 3], np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert pairs._mixed(states).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_a_pair_is_found_in_a_later_band_though_one_of_its_texts_was_paired_before():
    found = agreeing(0, rows=3)
    found[2, :128] = 0
    found[2, 128:] = 1
    assert sorted(pairs_of(0.3, found)) == [[0, 2], [1, 2]]


@pytest.mark.parametrize("length", [1, 2, 8, 9, 20])
def test_bands_have_one_key_where_they_agree_and_other_keys_where_not(length):
    generator = np.random.default_rng(length)
    bands = generator.integers(0, 256, (200, length)).astype(np.uint8)
    bands = np.concatenate([bands, bands[:50], bands[:50][:, ::-1]])
    keys = pairs._folded(bands)
    assert len(np.unique(keys)) == len(np.unique(bands, axis=0))
    assert np.array_equal(keys[:50], keys[200:250])
    bands[1] = bands[0]
    bands[1, 0] ^= 2
    assert pairs._folded(bands)[0] != pairs._folded(bands)[1]


def test_known_codes_are_found_among_sorted_ones():
    assert pairs._is_in(np.array([5, 1, 9, 4, 0]), np.array([1, 4, 5])).tolist() == [True, True, False, True, False]
    assert pairs._is_in(np.array([5, 1]), np.empty(0, np.int64)).tolist() == [False, False]


def test_similarities_come_in_the_order_of_the_pairs():
    texts = ["abcde", "abcdx", "bcd", "xyz"]
    asked = []

    def set_of(number: int) -> np.ndarray:
        asked.append(number)
        return shingle_set(texts[number])

    several = np.array([[2, 0], [0, 1], [3, 2], [0, 2], [1, 0]])
    assert similarities(several, set_of).tolist() == [1 / 3, 2 / 4, 0, 1 / 3, 2 / 4]
    assert sorted(asked) == [0, 1, 2, 3], "each set is made once"
    assert similarities(np.empty((0, 2), np.int64), set_of).tolist() == []


# components.py


def test_a_set_is_called_by_its_smallest_member():
    found = Components(6)
    found.join([(4, 5), (5, 2), (1, 3)])
    assert [found.find(item) for item in range(6)] == [0, 1, 2, 1, 2, 2]
    assert found.labels().tolist() == [0, 1, 2, 1, 2, 2]
    assert found.are_apart(np.array([[4, 2], [3, 2], [0, 0], [5, 1]])).tolist() == [False, True, False, True]
    found.join([(3, 5)])
    assert found.labels().tolist() == [0, 1, 1, 1, 1, 1]


def test_marks_are_digests_and_signatures():
    found = marks([LONG, OTHER])
    assert [row.tobytes() for row in found.digests] == [digest(LONG), digest(OTHER)]
    assert np.array_equal(found.signatures, signatures(*shingles([LONG, OTHER])))


def test_families_are_the_same_from_marks_that_are_there_and_in_batches(monkeypatch):
    texts = [OTHER, LONG, changed(LONG, 3), OTHER, changed(OTHER, 9), changed(LONG, 3, 30), "感冒", "感冒吃什么药"]
    expected = [0, 1, 1, 0, 0, 1, 6, 7]
    assert near_duplicate_components(texts, 0.7).labels().tolist() == expected
    parts = [marks(texts[:3]), marks(texts[3:])]
    assert near_duplicate_components(texts, 0.7, parts).labels().tolist() == expected
    monkeypatch.setattr(components, "_BATCH", 3)
    assert near_duplicate_components(texts, 0.7).labels().tolist() == expected
    sizes = [len(part.digests) for part in components.marks_of(texts)]
    assert sizes == [3, 3, 2]


def test_what_marks_say_is_equal_is_a_family_whatever_the_texts():
    digests = np.repeat(np.arange(4, dtype=np.uint8)[:, None], DIGEST_BYTES, axis=1)[[0, 0, 1, 2]]
    strange = np.arange(4 * PERMUTATIONS).reshape(4, -1) // 4 % 256
    found = near_duplicate_components([LONG, OTHER, LONG, "药"], 0.7, [Marks(digests, strange.astype(np.uint8))])
    assert found.labels().tolist() == [0, 0, 2, 3]


@pytest.mark.parametrize(("threshold", "together"), [(0.5, True), (0.501, False)])
def test_a_family_begins_at_the_threshold(threshold, together):
    found = near_duplicate_components(["abcde", "abcdx"], threshold).labels().tolist()
    assert found == ([0, 0] if together else [0, 1])


# deduplication.py


def twins_of(rows: list[tuple[str, str]], threshold: float | None, folder, numbers=None) -> dict[int, Twin]:
    found = Duplicates(threshold, folder)
    numbers = list(numbers or range(len(rows)))
    for start in (0, 2):
        stop = 2 if start == 0 else None
        found.add(numbers[start:stop], fingerprints(rows[start:stop], threshold is not None))
    return found.find()


def test_a_row_is_a_duplicate_where_question_and_answer_are_near(tmp_path):
    rows = [
        (LONG, OTHER),
        (changed(LONG, 5), changed(OTHER, 7)),
        (LONG, LONG),
        (OTHER, OTHER),
        (LONG + "？", OTHER),
        (LONG, OTHER),
    ]
    found = twins_of(rows, 0.7, tmp_path, [3, 5, 8, 9, 20, 21])
    question = jaccard(shingle_set(LONG), [shingle_set(changed(LONG, 5))])[0]
    answer = jaccard(shingle_set(OTHER), [shingle_set(changed(OTHER, 7))])[0]
    assert found == {
        5: Twin(3, False, question, answer),
        20: Twin(3, False, 1.0, 1.0),
        21: Twin(3, True, 1.0, 1.0),
    }


def test_a_row_is_near_from_the_threshold_on_in_both_texts(tmp_path):
    rows = [("abcde", "vwxyz"), ("abcdx", "vwxyz"), ("abcde", "vwxya")]
    assert twins_of(rows, 0.5, tmp_path) == {1: Twin(0, False, 0.5, 1.0), 2: Twin(0, False, 1.0, 0.5)}
    assert twins_of(rows, 0.51, tmp_path) == {}


def test_a_row_that_is_equal_to_a_dropped_one_has_the_same_twin(tmp_path):
    rows = [(LONG, OTHER), (changed(LONG, 5), OTHER), (changed(LONG, 5), OTHER)]
    found = twins_of(rows, 0.7, tmp_path)
    assert found[1] == found[2]
    assert (found[2].row, found[2].equal, found[2].answer) == (0, False, 1.0)


def test_without_a_threshold_rows_are_equal_character_for_character_or_not_at_all(tmp_path):
    rows = [("头疼", "休息"), ("头疼？", "休息"), ("头疼", "休息"), ("头", "疼休息"), ("头疼", "休息 ")]
    assert twins_of(rows, None, tmp_path) == {2: Twin(0, True, 1.0, 1.0)}


def test_of_a_chain_the_middle_goes_and_the_nearest_kept_row_is_named(tmp_path):
    first, second, third = LONG, changed(LONG, 4, 14), changed(LONG, 4, 14, 24, 34)
    first_second, second_third, first_third = (
        jaccard(shingle_set(a), [shingle_set(b)])[0] for a, b in ((first, second), (second, third), (first, third))
    )
    assert min(first_second, second_third) >= 0.7 > first_third
    found = twins_of([(first, OTHER), (second, OTHER), (third, OTHER)], 0.7, tmp_path)
    assert {row: twin.row for row, twin in found.items()} == {1: 0}


def test_what_is_kept_of_rows():
    near = fingerprints([("头疼？", "多休息"), ("Ａ药", "B")], near=True)
    assert near.texts == ["头疼".encode(), "多休息".encode(), b"a\xe8\x8d\xaf", b"b"]
    assert near.signatures.shape == (2, PERMUTATIONS)
    assert [row.tobytes() for row in near.equal] == [digest("3 头疼？多休息"), digest("2 Ａ药B")]
    assert [row.tobytes() for row in near.same] == [digest("2 头疼多休息"), digest("2 a药b")]
    equal = fingerprints([("头疼？", "多休息")], near=False)
    assert (equal.signatures, equal.texts) == (None, None)
    assert equal.same.tolist() == equal.equal.tolist() == near.equal[:1].tolist()


def test_a_signature_tells_question_and_answer_apart():
    found = fingerprints([(LONG, OTHER), (OTHER, LONG), (LONG, OTHER)], near=True).signatures
    assert (found[0] == found[1]).mean() < 0.1
    assert np.array_equal(found[0], found[2])


def test_of_several_kept_rows_the_first_is_named(tmp_path):
    """Rows 0, 1 and 2 are near to row 3 and not to each other; row 4 is near to row 3 alone, which goes."""
    questions = [LONG + text for text in (OTHER[:9], OTHER[9:18], OTHER[18:27], "", "多久好")]
    sets = [shingle_set(text) for text in questions]
    near = {(i, j) for i, j in itertools.combinations(range(5), 2) if jaccard(sets[i], [sets[j]])[0] >= 0.8}
    assert near == {(0, 3), (1, 3), (2, 3), (3, 4)}
    for order in ([0, 1, 2, 3, 4], [2, 1, 0, 3, 4], [3, 4, 0, 1, 2]):
        found = twins_of([(questions[place], OTHER) for place in order], 0.8, tmp_path)
        assert {row: twin.row for row, twin in found.items()} == ({3: 0} if order[3] == 3 else {1: 0, 2: 0, 3: 0, 4: 0})


def test_the_texts_lie_in_the_folder_that_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Duplicates(0.7, tmp_path / "nowhere")


def test_how_many_pairs_were_compared_is_told(tmp_path):
    found = Duplicates(0.7, tmp_path)
    assert found.compared == 0
    rows = [(LONG, OTHER), (changed(LONG, 5), OTHER), (OTHER, LONG)]
    found.add(range(3), fingerprints(rows, near=True))
    assert set(found.find()) == {1}
    assert found.compared == 1
    several = Duplicates(0.7, tmp_path)
    texts = [LONG[start:] + LONG[:start] for start in (0, 0, 3, 3)]
    several.add(range(4), fingerprints([(text, f"{OTHER}{n}") for n, text in enumerate(texts)], near=True))
    assert set(several.find()) == {1, 2, 3}
    assert several.compared == 6


# leak_check.py, leak_search.py


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


# leakage.py


def test_pairs_that_cross_by_hand():
    texts = [LONG, OTHER, changed(LONG, 4), changed(OTHER, 3), "药", changed(LONG, 30)]
    parts = np.array([0, 0, 1, 0, 2, 1])
    found = crossing_pairs(texts, parts, np.array([2, 4, 5]), 0.7)
    assert sorted(found.pairs.tolist()) == [[2, 0], [5, 0]]
    assert found.compared == 2


@pytest.mark.parametrize(("threshold", "crosses"), [(0.5, True), (0.51, False)])
def test_a_pair_crosses_from_the_threshold_on(threshold, crosses):
    found = crossing_pairs(["abcde", "abcdx"], np.array([0, 1]), np.array([1]), threshold)
    assert found.pairs.tolist() == ([[1, 0]] if crosses else [])


def test_a_share_that_is_not_exact_in_floating_point_asks_for_no_n_gram_too_many():
    """0.6 · 5 is 3.0000000000000004, and three of five n-grams are enough."""
    found = crossing_pairs(["abcdefg", "abcde"], np.array([0, 1]), np.array([0]), 0.6)
    assert found.pairs.tolist() == [[0, 1]]


def test_n_grams_are_known_or_not_even_where_the_table_lets_all_pass():
    known, everything = np.array([3, 7], np.uint64), np.ones(1 << leakage._TABLE_BITS, bool)
    flat, rows = np.array([9, 3, 5, 7, 0, 7], np.uint64), np.array([0, 0, 1, 1, 2, 2])
    found_rows, places = leakage._found(known, everything, flat, rows)
    assert (found_rows.tolist(), places.tolist()) == ([0, 1, 2], [0, 1, 1])


def test_compared_pairs_are_counted_over_all_batches(monkeypatch):
    monkeypatch.setattr(leakage, "_BATCH", 2)
    found = crossing_pairs([LONG, OTHER, LONG, LONG, OTHER, LONG], np.array([1, *[0] * 5]), np.array([0]), 0.7)
    assert found.pairs.tolist() == [[0, 2], [0, 3], [0, 5]]
    assert found.compared == 3


def test_without_held_out_questions_nothing_is_compared():
    found = crossing_pairs([LONG, LONG], np.array([0, 1]), np.empty(0, int), 0.7)
    assert (found.pairs.shape, found.pairs.dtype, found.compared) == ((0, 2), np.int64, 0)


@QUICK
@given(st.lists(st.text("甲乙丙a", max_size=9), min_size=1, max_size=14), st.sampled_from([0.2, 0.5, 0.6, 0.75, 1.0]))
def test_every_crossing_pair_is_found_in_any_batches(texts, threshold):
    parts = np.arange(len(texts)) % 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leakage, "_BATCH", 4)
        patch.setattr(leakage, "_SAMPLE", 5)
        found = crossing_pairs(texts, parts, np.flatnonzero(parts), threshold)
    sets = [shingle_set(text) for text in texts]
    expected = {
        (one, other)
        for one, other in itertools.combinations(range(len(texts)), 2)
        if parts[one] != parts[other] and jaccard(sets[one], [sets[other]])[0] >= threshold
    }
    assert {tuple(sorted(pair)) for pair in found.pairs.tolist()} == expected


def test_a_text_that_holds_one_rare_n_gram_alone_is_not_compared():
    """Four of the rarest n-grams must be shared, where the threshold asks for as many."""
    texts = [LONG, LONG[:3] + OTHER, LONG[:6] + OTHER[:8], LONG[:9] + OTHER[:2]]
    found = crossing_pairs(texts, np.array([1, 0, 0, 0]), np.array([0]), 0.7)
    assert found.pairs.tolist() == []
    assert found.compared == 0
