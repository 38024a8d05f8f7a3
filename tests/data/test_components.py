"""Families of near texts: how sets join, what marks say of a text, and where a family begins."""

import numpy as np
import pytest

from medscale.data.near import components
from medscale.data.near.components import Components, Marks, marks, near_duplicate_components
from medscale.data.near.pairs import PERMUTATIONS, signatures
from medscale.data.near.shingles import shingles
from medscale.data.near.text_store import DIGEST_BYTES, digest
from near_texts import LONG, OTHER, changed


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
