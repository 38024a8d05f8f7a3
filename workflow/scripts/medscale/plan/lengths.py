"""How long the rows of a study are in tokens: read where they exist already, else taken from what is known."""

import itertools
import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medscale.base.errors import UserError
from medscale.data.cleaning import Rules, clean_row
from medscale.data.columns import Columns
from medscale.data.corpus import Corpus
from medscale.data.questions import Question
from medscale.data.table_files import FileOptions
from medscale.plan.exam_passes import NOTHING, Examinations

MEDIAN, SIGMA, ANSWER_SHARE = 173.0, 0.1865, 0.57
"""The default: log-normal with mean 176 tokens and 99th percentile 267, answers 57 % of a row, as in the Toyhom data
with Qwen2.5's template (7,644 rows of internal medicine)."""
TOKENS_A_CHARACTER = 0.65
"""Chinese medical text in Qwen2.5's vocabulary; used where the corpus is there and the tokenizer is not."""
TEMPLATE_TOKENS = 40
"""System message and template, where the tokenizer is not there."""
CORPUS_ROWS = 2000
ANY = (1, 1 << 30)


class Row(NamedTuple):
    """The length of a row in tokens: prompt and answer together, and the answer alone with its end."""

    total: int
    answer: int


class Lengths(NamedTuple):
    """The rows of each part (``train_20k``, …, ``validation``, ``test``), and where they are from, in words.

    ``examined`` is what each model is asked besides.
    """

    parts: dict[str, list[Row]]
    source: str
    examined: Examinations = NOTHING


def study_lengths(
    sizes: dict[str, int], encoded: Path, corpus: Path, reading: dict[str, Any], chat: Any, max_length: int
) -> Lengths:
    """Return the lengths of the rows of every part.

    Args:
        sizes: rows of each part.
        encoded: the folder of encoded rows; a part whose file is there is read from it.
        corpus: manifest of the fetched corpus, which may not exist.
        reading: how records are read, see `settings.reading_settings`.
        chat: a `chat.Chat` where the tokenizer is there, else None.
        max_length: tokens at which a row is cut.
    """
    parts = {name: rows for name in sizes if (rows := _encoded(encoded / f"{name}.parquet"))}
    known = [row for rows in parts.values() for row in rows]
    source = f"the encoded rows in {encoded}"
    if not known and corpus.is_file():
        known, source = _from_corpus(corpus, reading, chat, max_length)
    if not known:
        known = default_rows(CORPUS_ROWS, max_length)
        source = "the default: mean 176 tokens, 99th percentile 267, answers 57 % (there is no corpus yet)"
    for name, count in sizes.items():
        parts.setdefault(name, random.Random(0).choices(known, k=count))
    return Lengths({name: parts[name][:count] for name, count in sizes.items()}, source)


def default_rows(count: int, max_length: int) -> list[Row]:
    """Return rows of the default distribution, the same ones at each call."""
    draw = random.Random(0)
    rows = []
    for _ in range(count):
        total = min(max_length, max(24, round(MEDIAN * 2.718281828459045 ** (SIGMA * draw.gauss(0, 1)))))
        rows.append(Row(total, max(1, round(ANSWER_SHARE * total))))
    return rows


def _encoded(path: Path) -> list[Row]:
    """Return the lengths of encoded rows; none where the file does not exist."""
    if not path.is_file():
        return []
    table = pq.read_table(path, columns=["input_ids", "labels"])
    totals = pc.list_value_length(table["input_ids"]).to_pylist()
    answers = [sum(label >= 0 for label in labels.as_py()) for labels in table["labels"]]
    return list(itertools.starmap(Row, zip(totals, answers, strict=True)))


def _from_corpus(manifest: Path, reading: dict[str, Any], chat: Any, max_length: int) -> tuple[list[Row], str]:
    """Return the lengths of the first rows of the corpus, by the tokenizer or, without one, by their characters."""
    columns = Columns.from_json(json.dumps(reading["columns"]), reading["layout"], reading["ignore"])
    columns = columns.without_system() if reading["system"] == "ignore" else columns
    rules = Rules(ANY, ANY, False, reading["turns"], reading["system"], reading["lists"])
    records, questions, answers = 0, [], []
    try:
        for record in Corpus(manifest, columns, options=FileOptions(**reading["files"])).rows(CORPUS_ROWS):
            cleaned = clean_row(record, rules)
            records += bool(cleaned.samples)
            questions += [Question(each.question, each.history, cleaned.system) for each in cleaned.samples]
            answers += [each.answer for each in cleaned.samples]
    except (UserError, pa.ArrowInvalid) as error:
        return [], str(error)
    if chat is not None and questions:
        samples = chat.samples(questions, answers, max_length)
        rows = [Row(len(s.input_ids), sum(label >= 0 for label in s.labels)) for s in samples if s is not None]
        return rows, f"the first {records} rows of the corpus, whatever their length"
    rows = []
    for question, answer in zip(questions, answers, strict=True):
        characters = len(question.text) + sum(len(text) for turn in question.history for text in turn)
        prompt = TEMPLATE_TOKENS + round(TOKENS_A_CHARACTER * characters)
        if prompt < max_length:
            kept = min(round(TOKENS_A_CHARACTER * len(answer)) + 1, max_length - prompt)
            rows.append(Row(prompt + kept, kept))
    return rows, (
        f"the first {records} rows of the corpus, whatever their length, at {TOKENS_A_CHARACTER} tokens a character "
        "(there is no tokenizer yet)"
    )
