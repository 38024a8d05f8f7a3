"""Floors: answers that need no model. A fine-tuned model has to stand clearly above all of them.

A floor is one function of the training rows, the test rows and a seed, and one entry in `FLOORS`. Whatever a floor
chooses, it chooses on training rows only; of the test rows it sees the question, the department and the id.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from medscale.evaluate.overlap import rouge_l, rouge_n, rouge_words
from medscale.evaluate.segmentation import cut

CANDIDATES = 500
"""How many training answers are tried as the one fixed answer, and against how many others each is scored."""
COUNTED_ANSWERS = 20_000
"""Training answers that are counted, at most, for the commonest words; more would not change which these are."""
WORD_COUNTS = (5, 10, 15, 20, 30, 40, 50, 60, 80, 100, 150, 200)
"""How many of the commonest words are tried."""


class Answers(NamedTuple):
    """What a floor answers.

    Attributes
    ----------
    texts : list of str
        One answer for each test row.
    chosen : dict
        What was chosen on the training rows, for the record.
    note : str or None
        What a reader of the result has to know.
    """

    texts: list[str]
    chosen: dict[str, Any]
    note: str | None = None


def fixed(train: Sequence[dict], test: Sequence[dict], seed: int) -> Answers:
    """Always the same training answer: of a sample, the one with the best mean ROUGE-L F against other answers."""
    sample = _sample(train, 2 * CANDIDATES, seed)
    words = [rouge_words(row["answer"]) for row in sample]
    half = (len(words) + 1) // 2
    candidates, references = words[:half], words[half:] or words
    means = [_mean([rouge_l(candidate, reference)[0] for reference in references]) for candidate in candidates]
    best = max(range(half), key=means.__getitem__)  # the first of equally good ones
    chosen = {"train_id": sample[best]["id"], "rouge_l_on_training": round(means[best], 4), "candidates": half}
    return Answers([sample[best]["answer"]] * len(test), chosen)


def common_words(train: Sequence[dict], test: Sequence[dict], seed: int) -> Answers:
    """The n words that most training answers hold, commonest first, separated by spaces.

    n is the one of `WORD_COUNTS` with the best mean ROUGE-1 F against a sample of training answers. ROUGE-1 does not
    see order; it is the metric that such an answer is best at.
    """
    counted = [set(rouge_words(row["answer"])) - {""} for row in _sample(train, COUNTED_ANSWERS, seed)]
    counts = Counter(word for words in counted for word in words)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    references = [list(words) for words in counted[: 2 * CANDIDATES]]
    sizes = sorted({min(size, len(ranked)) for size in WORD_COUNTS})
    means = {size: _mean([rouge_n(ranked[:size], reference, 1)[0] for reference in references]) for size in sizes}
    best = max(sizes, key=means.__getitem__)
    chosen = {"words": best, "rouge_1_on_training": round(means[best], 4), "answers_counted": len(counted)}
    return Answers([" ".join(ranked[:best])] * len(test), chosen)


def department(train: Sequence[dict], test: Sequence[dict], seed: int) -> Answers:
    """A random training answer of the same department; where it is unknown, of any.

    Which one is a function of the seed and of the question's id alone, so that it is the same whatever other questions
    there are.
    """
    members: dict[str, list[str]] = {}
    for row in train:
        if row.get("department"):
            members.setdefault(row["department"], []).append(row["answer"])
    everything = [row["answer"] for row in train]
    texts, strangers = [], 0
    for row in test:
        answers = members.get(row.get("department") or "")
        strangers += answers is None
        answers = answers or everything
        texts.append(answers[_number(row["id"], seed) % len(answers)])
    note = None
    if not members:
        note = "the training rows name no department: each answer is that of any training row"
    elif strangers:
        note = (
            f"{strangers} of {len(test)} test rows have no department, or one without training rows: "
            "their answers are those of any training row"
        )
    return Answers(texts, {"departments": len(members), "from_any_department": strangers}, note)


def bm25(train: Sequence[dict], test: Sequence[dict], seed: int) -> Answers:
    """The answer of the training question that BM25 finds nearest (Robertson and Zaragoza 2009; Lucene's form).

    Words are jieba's, without punctuation. Of equally near questions the first in the training set is taken; a question
    that shares no word with any is equally near to all.
    """
    import bm25s  # here, so that the other floors do not pay for it

    vocabulary: dict[str, int] = {}
    documents = [
        [vocabulary.setdefault(word, len(vocabulary)) for word in _question_words(row["question"])] for row in train
    ]
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75, dtype="float64", backend="numpy", csc_backend="numpy")
    texts, strangers = [], 0
    known = bool(vocabulary)
    if known:
        index.index((documents, vocabulary), create_empty_token=False, show_progress=False)
    for row in test:
        query = [vocabulary[word] for word in _question_words(row["question"]) if word in vocabulary]
        strangers += not query
        nearest = int(np.argmax(index.get_scores_from_ids(query))) if query else 0
        texts.append(train[nearest]["answer"])
    chosen = {"method": "lucene", "k1": 1.5, "b": 0.75, "library": f"bm25s {bm25s.__version__}"}
    note = f"{strangers} of {len(test)} test questions share no word with any training question" if strangers else None
    return Answers(texts, chosen, note)


Floor = Callable[[Sequence[dict], Sequence[dict], int], Answers]
FLOORS: dict[str, Floor] = {"fixed": fixed, "common_words": common_words, "department": department, "bm25": bm25}


def _question_words(text: str) -> list[str]:
    """Return the words of a question in lower case, without white space and punctuation."""
    return [word for word in cut(text.lower()) if any(character.isalnum() for character in word)]


def _sample(rows: Sequence[dict], size: int, seed: int) -> list[dict]:
    """Return ``size`` random rows, or all, in a random order that depends on the seed and the ids alone."""
    return sorted(rows, key=lambda row: (_number(row["id"], seed), row["id"]))[:size]


def _number(name: str, seed: int) -> int:
    """Return a random 64-bit number, a function of the seed and the id: the same on every machine."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8, key=str(seed).encode()).digest(), "big")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
