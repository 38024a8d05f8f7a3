"""Cleaning a piece of the corpus: its rows with their verdicts as one table, and the fingerprints of those that stay.

A piece depends on nothing but its own rows, so pieces can be cleaned in several processes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from medscale.data.cleaning import CleanRow, Rules, clean_row, original_text
from medscale.data.near.deduplication import Fingerprints, fingerprints
from medscale.data.raw_rows import RawRow, row_id

TEXT = pa.string()
PLACE = [("id", TEXT), ("row", pa.int64())]
VERDICT = [("reason", TEXT), ("detail", TEXT)]
CONTENT = [(name, TEXT) for name in ("question", "answer", "department")]
RAW = [(f"raw_{name}", TEXT) for name, _ in CONTENT]
HISTORY = pa.list_(pa.list_(TEXT))  # pairs of question and answer
CONTEXT = [("history", HISTORY), ("system", TEXT), ("dialogue", TEXT)]
# The texts as they were are needed of dropped rows only, but who is a duplicate is known when all rows have been seen.
# What is told of a record stands in its first row: it has a row for each of its samples, and one where it has none.
FACTS = [("first", pa.bool_()), ("masked", pa.list_(TEXT)), ("turns_dropped", pa.list_(TEXT))]
CHARACTERS = 1 << 24
"""Of a batch of judged rows, and of a piece, as far as can be foreseen. A dialogue has each of its turns in the history
of all later ones, so that its rows hold far more than its record, and a column of Arrow has room for 2 GB."""
JUDGED = pa.schema([*PLACE, *VERDICT, *FACTS, *CONTENT, *CONTEXT, *RAW])


class Judged(NamedTuple):
    """A cleaned piece.

    Attributes
    ----------
    table : an Arrow stream of the schema `JUDGED`, in batches of bounded size: a row for every sample and for every
        record without one; the clean texts of records that are dropped are null.
    numbers : of the records that stay so far, by their place in the corpus, from 1.
    fingerprints : of the same.
    in_context : whether one of them has turns before it, several samples, or a text of the system.
    """

    table: bytes
    numbers: list[int]
    fingerprints: Fingerprints
    in_context: bool


@dataclass(frozen=True)
class Judge:
    """Cleans pieces of the corpus; an object that can be sent to another process.

    Attributes
    ----------
    rules : what a row has to keep to.
    near : whether near-duplicates are looked for.
    """

    rules: Rules
    near: bool

    def __call__(self, raws: Sequence[RawRow]) -> Judged:
        """Clean and judge every record by itself."""
        rows, characters = [], 0
        numbers, texts, in_context = [], [], False
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, JUDGED, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            for raw in raws:
                record = clean_row(raw, self.rules)
                if record.reason is None:
                    numbers.append(raw.number)
                    texts.append(record.compared)
                    in_context |= (
                        record.system is not None or len(record.samples) > 1 or bool(record.samples[0].history)
                    )
                for values in _rows(raw, record):
                    rows.append(values)
                    characters += _characters(values)
                    if characters > CHARACTERS:
                        writer.write_batch(_batch(rows))
                        rows, characters = [], 0
            if rows:
                writer.write_batch(_batch(rows))
        return Judged(sink.getvalue().to_pybytes(), numbers, fingerprints(texts, self.near), in_context)


def pieces_of(raws: Iterable[RawRow], most: int) -> Iterator[list[RawRow]]:
    """Yield the records in pieces for `Judge`, of at most ``most``, and of fewer where their rows will be long."""
    piece, characters = [], 0
    for raw in raws:
        piece.append(raw)
        characters += _foreseen(raw)
        if len(piece) == most or characters > CHARACTERS:
            yield piece
            piece, characters = [], 0
    if piece:
        yield piece


def _foreseen(raw: RawRow) -> int:
    """Return about how many characters the rows of a dialogue will have, which grow with the square of its turns."""
    if not raw.is_dialogue:
        return 0
    if isinstance(raw.dialogue, str):
        return len(raw.dialogue) * (1 + raw.dialogue.count("{") // 4)
    turns = raw.dialogue if isinstance(raw.dialogue, list | tuple) else [raw.dialogue]
    return sum(len(str(turn)) for turn in turns) * (1 + len(turns) // 4)


def _batch(rows: list[tuple]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, type) for column, type in zip(columns, JUDGED.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=JUDGED)


def _characters(values: tuple) -> int:
    """Return how many characters a row of the schema `JUDGED` has, those of its history included."""
    history = values[_HISTORY] or ()
    return sum(len(text) for turn in history for text in turn) + sum(
        len(value) for value in values if isinstance(value, str)
    )


_HISTORY = JUDGED.names.index("history")


def _rows(raw: RawRow, record: CleanRow) -> Iterator[tuple]:
    """Yield a record's rows of the schema `JUDGED`."""
    found = raw.question if raw.broken is None else (raw.broken.text,)
    originals = (
        original_text((raw.dialogue,) if raw.is_dialogue else found),
        original_text(raw.answer),
        original_text(raw.department),
    )
    facts = (True, list(record.masked.elements()), list(record.turns_dropped.elements()))
    dialogue = raw.id if len(record.samples) > 1 else None
    for sample in record.samples:
        content = (sample.question, sample.answer, record.department)
        context = (sample.history or None, record.system, dialogue)
        yield row_id(raw.number, sample.turn), raw.number, None, "", *facts, *content, *context, *originals
        facts, originals = (False, [], []), (None, None, None)
    if not record.samples:
        nothing = (None,) * (len(CONTENT) + len(CONTEXT))
        yield raw.id, raw.number, record.reason, original_text(record.detail), *facts, *nothing, *originals
