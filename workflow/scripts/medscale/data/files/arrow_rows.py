"""The rows of Parquet files and of Arrow files, as `datasets` saves them."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medscale.base.errors import UserError
from medscale.data.files.parts import Part
from medscale.data.files.records import Broken, TableFile, Wanted

BATCH = 2000
"""Rows that are in memory at once."""
MAPS = "lossy"
"""Maps come as dicts, as in every other format; of a key that stands twice the last value counts."""
DAMAGE = (OSError, pa.ArrowException, UnicodeDecodeError)
"""What pyarrow raises for damaged files; the last one for names of columns."""


def open_parquet(part: Part, wanted: Wanted) -> TableFile:
    """Open a Parquet file; see `table_files.open_table`."""
    file = part.spooled()
    try:
        table = pq.ParquetFile(file)
        columns = table.schema_arrow.names
    except DAMAGE as error:
        raise UserError("D106", f"{part.name}: not a Parquet file ({_said(error)}); fetch it again") from error
    chosen = _chosen(part, columns, wanted)
    batches = table.iter_batches(batch_size=BATCH, columns=None if wanted is None else chosen)
    return TableFile(part.name, "parquet", None, columns, _rows(part, batches), part.packing())


def open_arrow(part: Part, wanted: Wanted) -> TableFile:
    """Open an Arrow file, which may be a stream, as `datasets` writes it, or a file with a footer (Feather)."""
    file = part.spooled()
    try:
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        reader = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
        columns = reader.schema.names
    except DAMAGE as error:
        raise UserError(
            "D106", f"{part.name}: not an Arrow file ({_said(error)}); fetch it again, or save it again"
        ) from error
    chosen = _chosen(part, columns, wanted)
    batches = (reader.get_batch(place) for place in range(reader.num_record_batches)) if is_file else iter(reader)
    pieces = (
        batch.select(chosen).slice(start, BATCH) for batch in batches for start in range(0, batch.num_rows, BATCH)
    )
    return TableFile(part.name, "arrow", None, columns, _rows(part, pieces), part.packing())


def _chosen(part: Part, columns: list[str], wanted: Wanted) -> list[str]:
    chosen = [name for name in columns if wanted is None or name in wanted]
    twice = sorted({name for name in chosen if columns.count(name) > 1})
    if twice:
        raise UserError(
            "D104", f"{part.name}: has the column {', '.join(map(repr, twice))} more than once; rename or drop one"
        )
    return chosen


def _rows(part: Part, batches: Iterator[pa.RecordBatch]) -> Iterator[dict[str, Any] | Broken]:
    while True:
        try:
            batch = next(batches, None)
        except DAMAGE as error:
            raise UserError("D106", f"{part.name}: damaged inside ({_said(error)}); fetch it again") from error
        if batch is None:
            return
        try:
            yield from batch.to_pylist(maps_as_pydicts=MAPS)
        except UnicodeDecodeError:
            yield from (_row(batch, index) for index in range(batch.num_rows))


def _row(batch: pa.RecordBatch, index: int) -> dict[str, Any] | Broken:
    try:
        return batch.slice(index, 1).to_pylist(maps_as_pydicts=MAPS)[0]
    except UnicodeDecodeError as error:
        return Broken("bad_text", str(error), error.object.decode("utf-8", "backslashreplace"))


def _said(error: Exception) -> str:
    """Return what a library says, in one line."""
    return " ".join(str(error).split())
