"""Text that stands in many questions and asks nothing, such as one instruction in every row: left out when compared.

With «你现在是一名经验丰富的医生，请根据患者的问题给出专业、谨慎的回答。» before each, all short questions are
near-duplicates of each other. So what many different questions have in common word for word is found first, and
similarity is that of the rest. Only the comparison leaves it out: the model is trained on the whole question.

Boilerplate is a run of at least 12 characters that stands in at least 20 % of the different questions; or in at least
5 % if it makes up a quarter of those that have it, for one of ten instructions in each row does the same harm as one in
all, and a phrase in the middle of a long description does none. At least 20 questions must have it.

Questions count as different when they differ in more than numbers. Rows of one template, «编号17的收缩压为143…», are
one question here, however many they are: what they share is no boilerplate, and they stay one family. A number is any
number: «工号17的医生，请回答» and «工号18的医生，请回答» are the same boilerplate. A run ends where fewer than
80 % of the questions that have it go on alike.

What is judged are 10,000 of the different questions, those of the smallest digests: the same ones in whatever order the
rows come, and no more memory for ten million of them.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

WINDOW = 12
"""Characters, as `shingles.comparable` returns them: 请问这是怎么回事, which many a question has, is shorter."""
SHARE, SHARE_OF_SHORT = 0.2, 0.05
PART = 0.25
LEAST_QUESTIONS = 20
GOES_ON = 0.8
LEAST_REST = 4
"""Where fewer letters than this would remain beside the numbers, nothing is left out: that is not a question."""
SAMPLE = 10_000

_NUMBER = re.compile("[0-9]+")
_FACTORS = np.uint64(0x9E3779B97F4A7C15) ** np.arange(1, 2 * WINDOW, 2, dtype=np.uint64)


class Boilerplate:
    """Some texts, and how to leave them out of a question; false where there are none.

    Parameters
    ----------
    texts : as `boilerplate_of` finds them: comparable, with 0 for any number.

    Attributes
    ----------
    rows : in how many questions each of the texts was left out so far.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.texts = tuple(sorted(texts, key=lambda text: (-len(text), text)))
        parts = ("(" + re.escape(text).replace("0", "[0-9]+") + ")" for text in self.texts)
        self._pattern = re.compile("|".join(parts))
        self.rows: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self.texts)

    def rest(self, question: str) -> str:
        """Return a comparable question without the boilerplate, or whole where too little would remain."""
        if not self.texts:
            return question
        found: set[int] = set()

        def left_out(match: re.Match) -> str:
            found.add(match.lastindex - 1)
            return ""

        rest = self._pattern.sub(left_out, question)
        if not found or len(_NUMBER.sub("", rest)) < LEAST_REST:
            return question
        self.rows.update(self.texts[place] for place in found)
        return rest

    def report(self, rows: int) -> list[dict[str, Any]]:
        """Return each text with the number and the share of the rows whose question it was left out of."""
        order = sorted(self.texts, key=lambda text: (-self.rows[text], text))
        return [{"text": text, "rows": self.rows[text], "share": round(self.rows[text] / rows, 6)} for text in order]


def boilerplate_of(batches: Iterable[Sequence[str]]) -> Boilerplate:
    """Find the boilerplate of questions, which come in batches as `shingles.comparable` returns them."""
    sample = _sampled(batches)
    least = max(LEAST_QUESTIONS, SHARE_OF_SHORT * len(sample))
    return Boilerplate(run for run in _runs(_common_windows(sample, least)) if _weighs(run, sample))


def _weighs(run: str, sample: Sequence[str]) -> bool:
    """Tell whether a run stands in so many questions, or makes up so much of its own, that it is left out."""
    lengths = [len(text) for text in sample if run in text]
    return len(lengths) >= SHARE * len(sample) or len(run) * len(lengths) >= PART * sum(lengths)


def without_numbers(text: str) -> str:
    """Return the text with 0 for each number."""
    return _NUMBER.sub("0", text)


def _sampled(batches: Iterable[Sequence[str]]) -> list[str]:
    """Return the different questions of the smallest digests, numbers aside."""
    found: dict[bytes, str] = {}
    bound = b"\xff" * 8
    for batch in batches:
        for text in set(map(without_numbers, batch)):
            key = hashlib.blake2b(text.encode(), digest_size=8).digest()
            if key <= bound:
                found[key] = text
        if len(found) > 2 * SAMPLE:
            found = dict(sorted(found.items())[:SAMPLE])
            bound = max(found)
    return [text for _, text in sorted(found.items())[:SAMPLE]]


def _common_windows(texts: Sequence[str], least: float) -> dict[str, int]:
    """Return the windows that stand in at least so many of the texts, with the number of these texts."""
    if len(texts) < least:
        return {}
    hashed = [np.unique(_hashes(text)) for text in texts]
    values, counts = np.unique(np.concatenate(hashed), return_counts=True)
    common = values[counts >= least]
    found: Counter[str] = Counter()
    for text, of_text in zip(texts, hashed, strict=True):
        if len(common) and np.isin(of_text, common, assume_unique=True).any():
            places = np.flatnonzero(np.isin(_hashes(text), common)).tolist()
            found.update({text[place : place + WINDOW] for place in places})
    # Two windows with one hash do not come about by chance; were there any, each is counted by itself here.
    return {window: count for window, count in found.items() if count >= least}


def _hashes(text: str) -> np.ndarray:
    if len(text) < WINDOW:
        return np.empty(0, np.uint64)
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(points, WINDOW)
    return (windows * _FACTORS).sum(axis=1, dtype=np.uint64)


def _runs(windows: dict[str, int]) -> Iterator[str]:
    """Put windows together to the runs that they are of, the most frequent first.

    A window that has the end of one run and the beginning of what follows is of neither: the question after a constant
    instruction may begin with 高血压 in 8 % of the rows, and 高血压 is no boilerplate.
    """
    after, before = defaultdict(set), defaultdict(set)
    for window in windows:
        after[window[:-1]].add(window)
        before[window[1:]].add(window)
    left = dict(windows)

    def grown(window: str, neighbours: dict[str, set[str]], known: slice, level: float) -> Iterator[str]:
        """Yield one window after the other to one side, each with at least ``level`` questions."""
        while more := [other for other in neighbours[window[known]] if left.get(other, 0) >= level]:
            window = min(more, key=lambda other: (-left[other], other))
            del left[window]
            yield window

    def forget_straddling(windows_: set[str], neighbours: dict[str, set[str]], known: slice) -> None:
        for _ in range(WINDOW - 1):
            windows_ = {other for window in windows_ for other in neighbours[window[known]]}
            for window in windows_:
                left.pop(window, None)

    while left:
        seed = min(left, key=lambda window: (-left[window], window))
        level = GOES_ON * left.pop(seed)
        to_right = list(grown(seed, after, slice(1, None), level))
        to_left = list(grown(seed, before, slice(None, -1), level))
        forget_straddling({(to_right or [seed])[-1]}, after, slice(1, None))
        forget_straddling({(to_left or [seed])[-1]}, before, slice(None, -1))
        run = "".join(window[0] for window in reversed(to_left)) + seed + "".join(window[-1] for window in to_right)
        # A number at an end may be the question's: «…回答：35岁男性».
        if len(run := run.strip("0")) >= WINDOW - 2:
            yield run
