"""Cleaning a piece of the corpus: its rows with their verdicts as one table, and the fingerprints of those that stay.

A piece depends on nothing but its own rows, so pieces can be cleaned in several processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from medscale.data.cleaning import Rules, clean_row, original_text
from medscale.data.corpus import RawRow
from medscale.data.near.deduplication import Fingerprints, fingerprints

TEXT = pa.string()
PLACE = [("id", TEXT), ("row", pa.int64())]
VERDICT = [("reason", TEXT), ("detail", TEXT)]
CONTENT = [(name, TEXT) for name in ("question", "answer", "department")]
RAW = [(f"raw_{name}", TEXT) for name, _ in CONTENT]
# The texts as they were are needed of dropped rows only, but who is a duplicate is known when all rows have been seen.
JUDGED = pa.schema([*PLACE, *VERDICT, ("masked", pa.list_(TEXT)), *CONTENT, *RAW])


class Judged(NamedTuple):
    """A cleaned piece.

    Attributes
    ----------
    table : an Arrow stream with one batch of the schema `JUDGED`, a row for every row of the piece; the clean texts of
        rows that are dropped are null.
    numbers : of the rows that stay so far, by their place in the corpus, from 1.
    fingerprints : of the same.
    """

    table: bytes
    numbers: list[int]
    fingerprints: Fingerprints


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
        """Clean and judge every row by itself."""
        columns: dict[str, list] = {name: [] for name in JUDGED.names}
        numbers, texts = [], []
        for raw in raws:
            row = clean_row(raw, self.rules)
            if row.reason is None:
                numbers.append(raw.number)
                texts.append((row.question, row.answer))
            values = (
                raw.id,
                raw.number,
                row.reason,
                original_text(row.detail),
                list(row.masked.elements()),
                row.question,
                row.answer,
                row.department,
                original_text(raw.question if raw.broken is None else (raw.broken.text,)),
                original_text(raw.answer),
                original_text(raw.department),
            )
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        arrays = [pa.array(column, type) for column, type in zip(columns.values(), JUDGED.types, strict=True)]
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, JUDGED, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=JUDGED))
        return Judged(sink.getvalue().to_pybytes(), numbers, fingerprints(texts, self.near))
