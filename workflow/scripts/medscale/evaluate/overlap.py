"""ROUGE and BLEU of one answer against its reference: LLaMA-Factory's values to the last digit, 5 to 11 times as fast.

The definition, for each pair of a prediction and a label: ROUGE-1, 2 and L of ``rouge_chinese`` 1.0.3 on the words of
``jieba.cut``, joined by one space, all 0 where either side is white space only; BLEU-4 of ``nltk`` on characters with
smoothing method 3. All values here are in points of 100, not yet rounded.
"""

import math
import re
from collections import Counter
from itertools import compress

from rapidfuzz.distance import LCSseq

from medscale.evaluate.segmentation import cut

ROUGE_EPSILON = 1e-8
"""What rouge_chinese adds to precision + recall."""
BLEU_ORDER = 4

SENTENCE_ENDS = (
    (re.compile(r"([。！？?])([^”’])"), r"\1\n\2"),
    (re.compile(r"(\.{6})([^”’])"), r"\1\n\2"),
    (re.compile(r"(…{2})([^”’])"), r"\1\n\2"),
    (re.compile(r"([。！？?][”’])([^，。！？?])"), r"\1\n\2"),
)
"""Where rouge_chinese breaks a text into sentences, in its order."""


def rouge_words(text: str) -> list[str]:
    """Cut a text into the words that ``rouge_chinese`` counts.

    It breaks the words, joined by spaces, into sentences and drops white space within each. A sentence of white space
    only, which a blank line or a line break after a full stop leaves behind, stays as one empty word.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    list of str
        Empty where the text is white space only.
    """
    joined = " ".join(cut(text))
    if "\n" not in joined and "......" not in joined:  # then no sentence is blank and no word is broken
        return joined.split()
    if joined.isspace():
        return []
    for pattern, replacement in SENTENCE_ENDS:
        joined = pattern.sub(replacement, joined)
    return [word for line in joined.rstrip().split("\n") if line for word in line.split() or [""]]


def rouge_n(predict: list[str], label: list[str], n: int) -> tuple[float, float, float]:
    """ROUGE-N on the sets of the n-grams of words.

    Parameters
    ----------
    predict, label : list of str
        Words from `rouge_words`; where either is empty, all values are 0.
    n : int
        Words in an n-gram.

    Returns
    -------
    tuple of float
        F, precision and recall, 0 to 100.
    """
    predict_grams, label_grams = _n_grams(predict, n), _n_grams(label, n)
    common = len(predict_grams & label_grams)
    return _f_p_r(common, len(predict_grams), len(label_grams))


def rouge_l(predict: list[str], label: list[str]) -> tuple[float, float, float]:
    """ROUGE-L on the longest common subsequence of all words, sentences flattened; see `rouge_n`."""
    number = {word: index for index, word in enumerate({*predict, *label})}  # equal numbers are equal words; hashes
    common = LCSseq.similarity([number[word] for word in predict], [number[word] for word in label])  # might collide
    return _f_p_r(common, len(predict), len(label))


def _n_grams(words: list[str], n: int) -> set:
    return set(words) if n == 1 else set(zip(*(words[start:] for start in range(n)), strict=False))


def _f_p_r(common: int, predict_size: int, label_size: int) -> tuple[float, float, float]:
    precision = common / predict_size if predict_size else 0.0
    recall = common / label_size if label_size else 0.0
    f = 2.0 * ((precision * recall) / (precision + recall + ROUGE_EPSILON))
    return f * 100, precision * 100, recall * 100


def bleu_4(predict: str, label: str) -> float:
    """BLEU-4 on characters with ``nltk``'s smoothing method 3.

    The geometric mean of the clipped precisions of 1 to 4 characters times exp(1 - label length / prediction length)
    where the prediction is not longer; a precision without a match counts as 1 / (2^k times its n-grams), k = 1, 2, …
    in turn (Chen and Cherry 2014, method 3).

    Parameters
    ----------
    predict, label : str
        Any texts.

    Returns
    -------
    float
        0 to 100; 0 where no character is shared.
    """
    matches = _clipped_matches(predict, label)
    if not matches[0]:
        return 0.0
    logs, smoothed = [], 0
    for fewer, match in enumerate(matches):
        n_grams = max(1, len(predict) - fewer)
        smoothed += not match
        precision = match / n_grams if match else 1 / (2**smoothed * n_grams)
        logs.append(math.log(precision) / BLEU_ORDER)
    brevity = 1.0 if len(predict) > len(label) else math.exp(1 - len(label) / len(predict))
    return brevity * math.exp(math.fsum(logs)) * 100


def _clipped_matches(predict: str, label: str) -> list[int]:
    """Count, for n = 1 … 4, the n-grams of characters that both texts have, each as often as the rarer side has it.

    An n-gram can be shared only where the shorter one that starts at its place is, so each order looks there alone.
    """
    matches = [0] * BLEU_ORDER
    shared = set(predict).intersection(label)
    if not shared:
        return matches
    matches[0] = sum([min(predict.count(gram), label.count(gram)) for gram in shared])
    predict_starts, label_starts = range(len(predict) - 1), range(len(label) - 1)
    for n in range(2, BLEU_ORDER + 1):
        predict_grams = [predict[start : start + n] for start in predict_starts]
        label_grams = [label[start : start + n] for start in label_starts]
        shared = set(predict_grams).intersection(label_grams)
        if not shared:
            break
        predict_starts = list(compress(predict_starts, map(shared.__contains__, predict_grams)))
        label_starts = list(compress(label_starts, map(shared.__contains__, label_grams)))
        if len(shared) in (len(predict_starts), len(label_starts)):  # one side has each of them once
            matches[n - 1] = len(shared)
        else:
            predict_count, label_count = Counter(predict_grams), Counter(label_grams)
            matches[n - 1] = sum([min(predict_count[gram], label_count[gram]) for gram in shared])
        _drop_last(predict_starts, len(predict) - n)
        _drop_last(label_starts, len(label) - n)
    return matches


def _drop_last(starts: list[int], end: int) -> None:
    """Drop the last of ``starts`` if it is ``end``, where no longer n-gram starts."""
    if starts[-1] == end:
        starts.pop()
