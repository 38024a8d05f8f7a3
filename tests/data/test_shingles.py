"""The n-grams of a text: three characters in one number, what is compared of a text, and how similar two sets are."""

import numpy as np
import pytest

from medscale.data.near.shingles import comparable, jaccard, shingle_set, shingles


def packed(ngram: str) -> int:
    """Three characters of 21 bits each in one number."""
    first, second, third = map(ord, ngram)
    return (first << 42) + (second << 21) + third


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
