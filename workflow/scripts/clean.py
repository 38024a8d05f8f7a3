"""Clean the raw corpus: keep the usable rows, and keep every other row too, with the reason why it was dropped.

The rows are streamed from the file to a scratch table beside the outputs, because near-duplicates are known only when
all rows have been seen; memory holds fingerprints of the rows, not their texts. What cleaning does to a text is told
in medscale/text_cleaning.py and medscale/personal_data.py, why a row is dropped in medscale/cleaning.py and
medscale/deduplication.py.
"""

import argparse
import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from medscale.arguments import boolean, optional, similarity, whole_number
from medscale.cleaning import Rules, clean_row, original_text
from medscale.corpus import Columns, Corpus
from medscale.deduplication import Duplicates, Twin
from medscale.errors import UserError, run_script
from medscale.files import atomic_path, write_json

BATCH = 2000
QUANTILES = {"min": 0.0, "p05": 0.05, "median": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}

TEXT = pa.string()
PLACE = [("id", TEXT), ("row", pa.int64())]
VERDICT = [("reason", TEXT), ("detail", TEXT)]
CONTENT = [(name, TEXT) for name in ("question", "answer", "department")]
RAW = [(f"raw_{name}", TEXT) for name, _ in CONTENT]
CLEAN = pa.schema([("id", TEXT), *CONTENT])
REJECTED = pa.schema([*PLACE, *VERDICT, *CONTENT])
SCRATCH = pa.schema([*PLACE, *VERDICT, ("masked", pa.list_(TEXT)), *CONTENT, *RAW])


@dataclass
class Tally:
    """What became of the rows: reasons of the dropped ones; lengths, departments and masks of the kept ones."""

    dropped: Counter = field(default_factory=Counter)
    masked: Counter = field(default_factory=Counter)
    departments: Counter = field(default_factory=Counter)
    question_characters: list[int] = field(default_factory=list)
    answer_characters: list[int] = field(default_factory=list)

    @property
    def kept(self) -> int:
        return len(self.question_characters)

    @property
    def read(self) -> int:
        return self.kept + self.dropped.total()


def main() -> None:
    args = parse_arguments()
    rules = Rules(
        (args.min_question_characters, args.max_question_characters),
        (args.min_answer_characters, args.max_answer_characters),
        args.mask_personal_data,
    )
    corpus = Corpus(args.manifest, Columns.from_json(args.columns))
    duplicates = Duplicates(args.near_duplicate_threshold)
    # One fixed name: what a killed run leaves behind, the next one overwrites.
    scratch = args.output_clean.with_name(f".{args.output_clean.stem}-scratch.arrow")
    scratch.parent.mkdir(parents=True, exist_ok=True)
    try:
        judge_rows(corpus, args.limit, rules, duplicates, scratch)
        with pa.memory_map(str(scratch)) as source:
            table = pa.ipc.open_file(source).read_all()
            texts = {name: table[name] for name in ("question", "answer")}
            twins = duplicates.find(lambda name, row: texts[name][row].as_py())
            tally = divide(table, twins, args.output_clean, args.output_rejected)
    finally:
        scratch.unlink(missing_ok=True)
    if not tally.kept:
        raise UserError(
            f"{args.manifest}: none of the {tally.read} rows is usable ({dict(tally.dropped)}); "
            "see whether data.columns names the right columns and the bounds fit"
        )
    write_json(args.output_report, report(args, corpus, duplicates, tally))
    print(f"kept {tally.kept} of {tally.read} rows; dropped {dict(tally.dropped)}")


def judge_rows(corpus: Corpus, limit: int | None, rules: Rules, duplicates: Duplicates, scratch: Path) -> None:
    """Clean every row by itself and write it to the scratch table; hand the survivors to the search for duplicates."""
    numbers = itertools.count()
    with pa.OSFile(str(scratch), "wb") as sink, pa.ipc.new_file(sink, SCRATCH) as writer:
        for raws in batched(corpus.rows(limit), BATCH):
            rows = []
            for raw in raws:
                row = clean_row(raw, rules)
                text = raw.question if raw.broken is None else (raw.broken.text,)
                rows.append(
                    {
                        "id": raw.id,
                        "row": raw.number,
                        "reason": row.reason,
                        "detail": original_text(row.detail),
                        "masked": list(row.masked.elements()),
                        "question": row.question,
                        "answer": row.answer,
                        "department": row.department,
                        "raw_question": original_text(text),
                        "raw_answer": original_text(raw.answer),
                        "raw_department": original_text(raw.department),
                    }
                )
            writer.write_batch(pa.RecordBatch.from_pylist(rows, SCRATCH))
            pairs = [(next(numbers), row) for row in rows]
            duplicates.add((number, row["question"], row["answer"]) for number, row in pairs if row["reason"] is None)


def divide(table: pa.Table, twins: dict[int, Twin], clean: Path, rejected: Path) -> Tally:
    """Write the kept rows to one file and the dropped ones, as they were read, to the other."""
    tally = Tally()
    ids = table["id"]
    numbers = itertools.count()
    with ExitStack() as stack:
        clean_writer = stack.enter_context(parquet_writer(stack.enter_context(atomic_path(clean)), CLEAN))
        rejected_writer = stack.enter_context(parquet_writer(stack.enter_context(atomic_path(rejected)), REJECTED))
        for batch in table.to_batches():
            kept, dropped = [], []
            for row in batch.to_pylist():
                twin = twins.get(next(numbers))
                if twin is not None:
                    row |= duplicate_reason(twin, ids[twin.row].as_py())
                if row["reason"] is None:
                    kept.append({name: row[name] for name in CLEAN.names})
                    count_kept(tally, row)
                else:
                    original = {name: row[f"raw_{name}"] for name, _ in CONTENT}
                    dropped.append({name: row[name] for name, _ in [*PLACE, *VERDICT]} | original)
                    tally.dropped[row["reason"]] += 1
            clean_writer.write_batch(pa.RecordBatch.from_pylist(kept, CLEAN))
            rejected_writer.write_batch(pa.RecordBatch.from_pylist(dropped, REJECTED))
    return tally


def duplicate_reason(twin: Twin, id: str) -> dict[str, str]:
    if twin.equal:
        return {"reason": "exact_duplicate", "detail": f"of {id}"}
    return {"reason": "near_duplicate", "detail": f"of {id}: question {twin.question:.3f}, answer {twin.answer:.3f}"}


def count_kept(tally: Tally, row: dict[str, Any]) -> None:
    tally.masked.update(row["masked"])
    tally.departments[row["department"] or "unknown"] += 1
    tally.question_characters.append(len(row["question"]))
    tally.answer_characters.append(len(row["answer"]))


def report(args: argparse.Namespace, corpus: Corpus, duplicates: Duplicates, tally: Tally) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "read": tally.read,
        "kept": tally.kept,
        "dropped": dict(sorted(tally.dropped.items())),
        "masked": dict(sorted(tally.masked.items())),
        "departments": dict(sorted(tally.departments.items(), key=lambda item: (-item[1], item[0]))),
        "question_characters": quantiles(tally.question_characters),
        "answer_characters": quantiles(tally.answer_characters),
        "files": corpus.files,
        "files_skipped": corpus.skipped,
        "near_duplicate_pairs_compared": duplicates.compared,
        "settings": {
            "columns": vars(Columns.from_json(args.columns)),
            "question_characters": [args.min_question_characters, args.max_question_characters],
            "answer_characters": [args.min_answer_characters, args.max_answer_characters],
            "near_duplicate_threshold": args.near_duplicate_threshold,
            "mask_personal_data": args.mask_personal_data,
            "limit": args.limit,
        },
    }


def quantiles(lengths: list[int]) -> dict[str, float]:
    values = np.quantile(lengths, list(QUANTILES.values()), method="nearest").tolist()
    return dict(zip(QUANTILES, values, strict=True)) | {"mean": round(float(np.mean(lengths)), 2)}


def parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, compression="zstd")


def batched(items: Iterator, size: int) -> Iterator[list]:
    while batch := list(itertools.islice(items, size)):
        yield batch


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.json of the raw data")
    parser.add_argument(
        "--columns",
        required=True,
        metavar="JSON",
        help='columns of the raw file, as in {"question": ["title", "ask"], "answer": "answer", "department": null}',
    )
    parser.add_argument("--min-question-characters", type=whole_number, default=4, help="default: %(default)s")
    parser.add_argument("--max-question-characters", type=whole_number, default=500, help="default: %(default)s")
    parser.add_argument("--min-answer-characters", type=whole_number, default=10, help="default: %(default)s")
    parser.add_argument("--max-answer-characters", type=whole_number, default=2000, help="default: %(default)s")
    parser.add_argument(
        "--near-duplicate-threshold",
        type=optional(similarity),
        default=0.7,
        help="drop a row whose question and answer both have this Jaccard similarity of character 3-grams "
        "with those of a kept row; null: drop equal rows only (default: %(default)s)",
    )
    parser.add_argument("--mask-personal-data", type=boolean, default=True, help="true or false (default: %(default)s)")
    parser.add_argument("--limit", type=optional(whole_number), help="read at most so many rows; null or left out: all")
    parser.add_argument("--output-clean", type=Path, required=True, help="Parquet: id, question, answer, department")
    parser.add_argument("--output-rejected", type=Path, required=True, help="Parquet: the dropped rows and the reasons")
    parser.add_argument("--output-report", type=Path, required=True, help="JSON: counts, lengths, settings")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
