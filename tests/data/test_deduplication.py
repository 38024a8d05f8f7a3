"""Which rows are duplicates of which, on cases small enough to be told by hand."""

import itertools

import numpy as np
import pytest

from medscale.data.near.deduplication import Duplicates, Twin, fingerprints
from medscale.data.near.pairs import PERMUTATIONS
from medscale.data.near.shingles import jaccard, shingle_set
from medscale.data.near.text_store import digest
from near_texts import LONG, OTHER, changed


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
