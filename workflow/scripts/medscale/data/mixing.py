"""General rows for `study.mix`: read and cleaned as the corpus is, and freed of what is held out to measure by.

The rows are those of a set that people can name on one line, so they lie in memory, unlike the corpus.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from medscale.data.cleaning import CleanRow, Rules, clean_row
from medscale.data.near.boilerplate import Boilerplate
from medscale.data.near.deduplication import Duplicates, fingerprints
from medscale.data.near.leak_check import LEAST_CHARACTERS, Thresholds
from medscale.data.near.leak_search import Containment, Similarity
from medscale.data.near.shingles import comparable
from medscale.data.questions import asked
from medscale.data.raw_rows import RawRow
from medscale.data.splitting import row_ranks

BATCH = 4096
EXAMPLES = 20
"""How many of the rows near what is held out the report names."""
SHOWN = 200
"""Characters that it shows of a general text."""


class HeldOut(NamedTuple):
    """What no general row may say.

    Attributes
    ----------
    rows : by part, rows with a question; a general row whose question is near one of theirs goes as ``near_{part}``.
    texts : general texts under which the runs are measured; a row that says one, or is part of one, goes as
        ``near_retention``.
    thresholds : what counts as near.
    boilerplate : texts that the split left out of all questions.
    """

    rows: dict[str, Sequence[dict[str, Any]]]
    texts: Sequence[str]
    thresholds: Thresholds
    boilerplate: Sequence[str]


class General(NamedTuple):
    """General rows, and what became of the others.

    Attributes
    ----------
    rows : dicts as the training files have them, with ids of their own, in an order drawn by a seed.
    read : records read; ``read`` is ``kept`` and all of ``dropped``.
    kept : records of which rows were made: of a dialogue its first question alone.
    dropped : records by the reason why they were dropped.
    near : examples of those near what is held out: both texts, the part, the similarity, the containment.
    """

    rows: list[dict[str, Any]]
    read: int
    kept: int
    dropped: Counter
    near: list[dict[str, Any]]


def general_rows(
    raws: Iterable[RawRow],
    rules: Rules,
    near_duplicate_threshold: float | None,
    held_out: HeldOut,
    seed: int,
    folder: str | os.PathLike,
    system: str | None = None,
) -> General:
    """Return the general rows that may be trained on.

    Parameters
    ----------
    raws : the records.
    rules, near_duplicate_threshold : of cleaning, as the corpus has them.
    held_out : what none of them may say.
    seed : of the order.
    folder : where a scratch file may lie.
    system : text of the system for the rows without their own; None leaves them the study's.
    """
    records, dropped, read = [], Counter(), 0
    for raw in raws:
        read += 1
        record = clean_row(raw, rules)
        if record.reason is None:
            records.append((raw.number, record))
        else:
            dropped[record.reason] += 1
    duplicates = Duplicates(near_duplicate_threshold, folder)
    for start in range(0, len(records), BATCH):
        part = records[start : start + BATCH]
        near = near_duplicate_threshold is not None
        duplicates.add([number for number, _ in part], fingerprints([record.compared for _, record in part], near))
    twins = duplicates.find() if records else {}
    dropped.update("exact_duplicate" if twin.equal else "near_duplicate" for twin in twins.values())
    rows = [_row(number, record, system) for number, record in records if number not in twins]
    found = _near_questions(rows, held_out)
    for place, each in _near_texts(rows, held_out).items():
        found.setdefault(place, each)
    dropped.update(f"near_{each['part']}" for each in found.values())
    kept = [row for place, row in enumerate(rows) if place not in found]
    order = np.argsort(row_ranks([row["id"] for row in kept], seed), kind="stable")
    examples = sorted(found.values(), key=lambda each: -max(each["similarity"] or 0, each["containment"] or 0))
    return General([kept[place] for place in order], read, len(kept), dropped, examples[:EXAMPLES])


def _row(number: int, record: CleanRow, system: str | None) -> dict[str, Any]:
    """Return a row as the training files have it."""
    sample = record.samples[0]
    row = {"id": f"g{number:07d}", "question": sample.question, "answer": sample.answer, "department": None}
    row |= {"history": [list(turn) for turn in sample.history]} if sample.history else {}
    said = record.system or system
    return row | ({"system": said} if said else {})


def _near_questions(rows: Sequence[dict[str, Any]], held_out: HeldOut) -> dict[int, dict[str, Any]]:
    """Return the places of the rows near a held-out question, each with the first such part and the nearest there."""
    found: dict[int, dict[str, Any]] = {}
    thresholds, boilerplate = held_out.thresholds, Boilerplate(held_out.boilerplate)
    for part, others in held_out.rows.items():
        texts = [boilerplate.rest(comparable(asked(row))) for row in others]
        containment = Containment(texts, thresholds.ngram, LEAST_CHARACTERS)
        for start in range(0, len(rows), BATCH):
            own = [boilerplate.rest(comparable(asked(row))) for row in rows[start : start + BATCH]]
            values, numbers = Similarity(own).nearest(texts)
            for place, text in enumerate(own, start):
                value, number = float(values[place - start]), int(numbers[place - start])
                inside = [(share, test) for test, share in containment.shares(text) if share >= thresholds.containment]
                if value < thresholds.similarity and not inside:
                    continue
                number = number if value >= thresholds.similarity else max(inside)[1]
                found.setdefault(
                    place,
                    {
                        "part": part,
                        "question": asked(rows[place]),
                        "held_out": asked(others[number]),
                        "similarity": round(value, 4),
                        "containment": round(max(inside)[0], 4) if inside else None,
                    },
                )
    return found


def _near_texts(rows: Sequence[dict[str, Any]], held_out: HeldOut) -> dict[int, dict[str, Any]]:
    """Return the places of the rows that hold a general text, and of those whose answer stands in one.

    By the n-grams of containment: what has fewer characters than one is said in many a text, and is not looked for.
    """
    found: dict[int, dict[str, Any]] = {}
    length, least = held_out.thresholds.ngram, held_out.thresholds.containment
    texts = [comparable(text) for text in held_out.texts]
    inside = Containment(texts, length, length)
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        shares = [
            (place, number, share) for place, row in enumerate(part) for number, share in inside.shares(_said(row))
        ]
        answers = Containment([comparable(row["answer"]) for row in part], length, length)
        shares += [(place, number, share) for number, text in enumerate(texts) for place, share in answers.shares(text)]
        for place, number, share in sorted(shares, key=lambda each: -each[2]):
            if share >= least:
                found.setdefault(
                    start + place,
                    {
                        "part": "retention",
                        "question": asked(part[place]),
                        "held_out": held_out.texts[number][:SHOWN],
                        "similarity": None,
                        "containment": round(share, 4),
                    },
                )
    return found


def _said(row: dict[str, Any]) -> str:
    """Return all that a run learns of a row, to be compared."""
    return comparable(asked(row)) + comparable(row["answer"])
