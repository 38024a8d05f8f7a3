"""Clean the raw corpus: keep the usable rows, and keep every other row too, with the reason why it was dropped.

The rows are streamed, cleaned in pieces by several processes, and written to a scratch file without a name beside the
outputs, because near-duplicates are known only when all rows have been seen; memory holds fingerprints of the rows,
not their texts. Under medscale/data, text_cleaning.py and personal_data.py tell what cleaning does to a text,
cleaning.py and near/deduplication.py why a row is dropped.
"""

import argparse
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medscale.base.arguments import add_paths, add_source, add_threads, boolean, optional, similarity, whole_number
from medscale.base.errors import UserError, run_script
from medscale.base.files import atomic_path, write_json
from medscale.base.parallel import ordered_map
from medscale.base.plurals import counts_of
from medscale.base.progress import counted, working
from medscale.data.cleaning import Rules
from medscale.data.columns import LAYOUTS, Columns
from medscale.data.corpus import Corpus
from medscale.data.departments import name_of
from medscale.data.judging import CONTENT, CONTEXT, PLACE, TEXT, VERDICT, Judge, pieces_of
from medscale.data.near.deduplication import Duplicates, Twin
from medscale.data.raw_rows import row_id
from medscale.data.table_files import FileOptions

BATCH = 2000
QUANTILES = {"min": 0.0, "p05": 0.05, "median": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}

NOT_BAD = {"exact_duplicate", "near_duplicate", "later_turn", "earlier_turn", "nothing_to_learn"}
"""Why records are dropped that could be used: they say what others say, or are no samples by what was asked for."""

CLEAN = pa.schema([("id", TEXT), *CONTENT])
IN_CONTEXT = pa.schema([*CLEAN, *CONTEXT])
REJECTED = pa.schema([*PLACE, *VERDICT, *CONTENT])


@dataclass
class Tally:
    """What became of the records: reasons of the dropped ones; lengths, departments and masks of the kept ones.

    A record that is a dialogue gives several samples, of which lengths and departments are counted.
    """

    kept: int = 0
    dropped: Counter = field(default_factory=Counter)
    turns_dropped: Counter = field(default_factory=Counter)
    masked: Counter = field(default_factory=Counter)
    departments: Counter = field(default_factory=Counter)
    question_characters: Counter = field(default_factory=Counter)
    answer_characters: Counter = field(default_factory=Counter)

    @property
    def samples(self) -> int:
        return self.question_characters.total()

    @property
    def duplicates(self) -> int:
        return self.dropped["exact_duplicate"] + self.dropped["near_duplicate"]

    @property
    def bad_share(self) -> float:
        """The share of the records that cannot be used, see `NOT_BAD`."""
        return sum(self.bad.values()) / self.read if self.read else 0.0

    @property
    def bad(self) -> dict[str, int]:
        """The records that cannot be used by their reasons, the most frequent first."""
        return {reason: count for reason, count in self.dropped.most_common() if reason not in NOT_BAD}

    @property
    def read(self) -> int:
        return self.kept + self.dropped.total()


def main() -> None:
    args = parse_arguments()
    rules = Rules(
        (args.min_question_characters, args.max_question_characters),
        (args.min_answer_characters, args.max_answer_characters),
        args.mask_personal_data,
        args.turns,
        args.system,
        args.lists,
    )
    columns = Columns.from_json(args.columns, args.layout, args.ignore)
    columns = columns.without_system() if args.system == "ignore" else columns
    corpus = Corpus(args.manifest, columns, args.content, FileOptions.from_json(args.files))
    folder = args.output_clean.parent
    folder.mkdir(parents=True, exist_ok=True)
    duplicates = Duplicates(args.near_duplicate_threshold, folder)
    with tempfile.TemporaryFile(dir=folder) as scratch:
        judge, in_context = Judge(rules, args.near_duplicate_threshold is not None), False
        pieces = counted(pieces_of(corpus.rows(args.limit), BATCH), "cleaning", "records", size=len)
        for piece in ordered_map(judge, pieces, max(1, args.threads)):
            scratch.write(piece.table)
            duplicates.add(piece.numbers, piece.fingerprints)
            in_context |= piece.in_context
        schema = IN_CONTEXT if in_context else CLEAN
        with working("looking for duplicates"):
            twins = duplicates.find()
        tally = divide(scratch, twins, args.output_clean, args.output_rejected, schema)
    require_enough_good(args, corpus, tally)
    summary = report(args, corpus, duplicates, tally)
    write_json(args.output_report, summary)
    for found in summary["boilerplate"]:
        print(f"left out of the similarity, in {found['share']:.1%} of the questions: {found['text']}")
    made = f", which give {tally.samples} samples" if tally.samples != tally.kept else ""
    print(f"kept {tally.kept} of {tally.read} rows{made}; dropped: {counts_of(tally.dropped)}")
    for found in corpus.layouts:
        print(f"{found['path']}: layout {found['layout']}, because of this: {found['because']}")
        for role in ("history", "system"):
            if role in found:
                print(f"{found['path']}: {role} is the column {found[role]['column']!r}: {found[role]['example']}")


def require_enough_good(args: argparse.Namespace, corpus: Corpus, tally: Tally) -> None:
    """Raise `UserError` where too few records are usable; what was dropped is kept, with the reasons."""
    stopped = args.output_rejected.parent / "stopped"
    limit = args.max_dropped_share
    if tally.kept and (limit is None or tally.bad_share <= limit):
        shutil.rmtree(stopped, ignore_errors=True)
        return
    # A workflow takes away what a failed job has made; this copy stays.
    stopped.mkdir(exist_ok=True)
    shutil.copyfile(args.output_rejected, stopped / args.output_rejected.name)
    args.output_clean.unlink()
    share = "" if limit is None else f", a share of more than cleaning.max_dropped_share, which is {limit:g},"
    found = f"{sum(tally.bad.values())} of the {tally.read} rows{share} are unusable"
    found = found if tally.kept else f"none of the {tally.read} rows is usable"
    reasons = tally.bad if tally.kept else dict(tally.dropped.most_common())
    paths = [file["path"] for file in corpus.files]
    named = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more files" if len(paths) > 3 else "")
    raise UserError(
        "D111",
        f"{named}: {found} ({counts_of(reasons)}); {stopped / args.output_rejected.name} has them with the reasons; "
        "see whether data.columns and data.layout fit the file, and the bounds in the section cleaning the texts",
    )


def divide(scratch: IO[bytes], twins: dict[int, Twin], clean: Path, rejected: Path, schema: pa.Schema) -> Tally:
    """Write the samples of the kept records to one file and the dropped records, as they were read, to the other."""
    tally = Tally()
    with ExitStack() as stack:
        clean_writer = stack.enter_context(parquet_writer(stack.enter_context(atomic_path(clean)), schema))
        rejected_writer = stack.enter_context(parquet_writer(stack.enter_context(atomic_path(rejected)), REJECTED))
        for batch in counted(judged_batches(scratch), "writing", "rows", size=len):
            batch = with_duplicates(batch, twins)
            is_kept = batch["reason"].is_null()
            kept, dropped = batch.filter(is_kept), batch.filter(pc.invert(is_kept))
            count(tally, kept, dropped)
            clean_writer.write_batch(kept.select(schema.names))
            dropped = dropped.filter(dropped["first"])
            originals = [dropped[name] for name, _ in [*PLACE, *VERDICT]]
            originals += [dropped[f"raw_{name}"] for name, _ in CONTENT]
            rejected_writer.write_batch(pa.RecordBatch.from_arrays(originals, schema=REJECTED))
    return tally


def judged_batches(scratch: IO[bytes]) -> Iterator[pa.RecordBatch]:
    """Read back what `Judge` wrote, a batch at a time."""
    scratch.seek(0, 2)
    end = scratch.tell()
    scratch.seek(0)
    while scratch.tell() < end:
        with pa.ipc.open_stream(scratch) as stream:
            yield from stream


def with_duplicates(batch: pa.RecordBatch, twins: dict[int, Twin]) -> pa.RecordBatch:
    """Fill in reason and detail where a row is a duplicate."""
    found = {place: twins[row] for place, row in enumerate(batch["row"].to_pylist()) if row in twins}
    if not found:
        return batch
    reasons, details = batch["reason"].to_pylist(), batch["detail"].to_pylist()
    for place, twin in found.items():
        reasons[place], details[place] = duplicate_reason(twin)
    for name, values in (("reason", reasons), ("detail", details)):
        batch = batch.set_column(batch.schema.get_field_index(name), name, pa.array(values, TEXT))
    return batch


def duplicate_reason(twin: Twin) -> tuple[str, str]:
    if twin.equal:
        return "exact_duplicate", f"of {row_id(twin.row)}"
    detail = f"of {row_id(twin.row)}: question {twin.question:.3f}, answer {twin.answer:.3f}"
    return "near_duplicate", detail


def count(tally: Tally, kept: pa.RecordBatch, dropped: pa.RecordBatch) -> None:
    firsts = kept.filter(kept["first"])
    tally.kept += firsts.num_rows
    tally.dropped.update(dropped.filter(dropped["first"])["reason"].to_pylist())
    tally.turns_dropped.update(firsts["turns_dropped"].flatten().to_pylist())
    tally.masked.update(kept["masked"].flatten().to_pylist())
    tally.departments.update(map(name_of, kept["department"].to_pylist()))
    tally.question_characters.update(pc.utf8_length(kept["question"]).to_pylist())
    tally.answer_characters.update(pc.utf8_length(kept["answer"]).to_pylist())


def report(args: argparse.Namespace, corpus: Corpus, duplicates: Duplicates, tally: Tally) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "read": tally.read,
        "kept": tally.kept,
        "dropped": dict(sorted(tally.dropped.items())),
        "counted": "read, kept and dropped are records of the files; samples are what the kept ones give",
        "samples": tally.samples,
        "turns_dropped": dict(sorted(tally.turns_dropped.items())),
        "masked": dict(sorted(tally.masked.items())),
        "departments": dict(sorted(tally.departments.items(), key=lambda item: (-item[1], item[0]))),
        "question_characters": quantiles(tally.question_characters),
        "answer_characters": quantiles(tally.answer_characters),
        "files": corpus.files,
        "layouts": corpus.layouts,
        "files_skipped": corpus.skipped,
        "near_duplicate_pairs_compared": duplicates.compared,
        "near_duplicate_search_exhaustive": duplicates.exhaustive,
        # Shares of the rows that are usable but for duplicates, and whose questions were compared.
        "boilerplate": duplicates.boilerplate.report(tally.kept + tally.duplicates),
        "settings": {
            "columns": Columns.from_json(args.columns, args.layout, args.ignore).told(),
            "files": FileOptions.from_json(args.files).told(),
            "turns": args.turns,
            "system": args.system,
            "lists": args.lists,
            "question_characters": [args.min_question_characters, args.max_question_characters],
            "answer_characters": [args.min_answer_characters, args.max_answer_characters],
            "near_duplicate_threshold": args.near_duplicate_threshold,
            "mask_personal_data": args.mask_personal_data,
            "max_dropped_share": args.max_dropped_share,
            "limit": args.limit,
        },
    }


def quantiles(counts: Counter) -> dict[str, float]:
    lengths = np.repeat(*np.array(sorted(counts.items()), np.int64).T)
    values = np.quantile(lengths, list(QUANTILES.values()), method="nearest").tolist()
    return dict(zip(QUANTILES, values, strict=True)) | {"mean": round(float(np.mean(lengths)), 2)}


def parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, compression="zstd")


def share(text: str) -> float:
    """Read a share from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, not {text}")
    return value


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_source(parser, "manifest", "corpus")
    parser.add_argument(
        "--columns",
        required=True,
        metavar="JSON",
        help='columns of the raw file, as in {"question": ["title", "ask"], "answer": "answer", "department": null}',
    )
    parser.add_argument("--layout", choices=LAYOUTS, default="auto", help="of the records (default: %(default)s)")
    parser.add_argument(
        "--turns",
        choices=("all", "first", "last"),
        default="all",
        help="turns of a dialogue that are samples (default: %(default)s)",
    )
    parser.add_argument("--system", choices=("use", "ignore"), default="use", help="system texts of the records")
    parser.add_argument("--lists", choices=("first", "join"), default="first", help="what is taken of a list")
    parser.add_argument("--ignore", type=json.loads, default=[], metavar="JSON", help="columns to leave out, a list")
    parser.add_argument(
        "--files",
        default="{}",
        metavar="JSON",
        help='how files are read where they do not tell themselves, as in {"delimiter": ";", "encoding": "gb18030"}',
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
    parser.add_argument(
        "--max-dropped-share",
        type=optional(share),
        default=0.9,
        help="stop where a larger share of the rows is unusable, duplicates aside; null: never (default: %(default)s)",
    )
    parser.add_argument("--mask-personal-data", type=boolean, default=True, help="true or false (default: %(default)s)")
    parser.add_argument("--limit", type=optional(whole_number), help="read at most so many rows; null or left out: all")
    add_threads(parser, "processes that clean")
    add_paths(
        parser,
        output_clean="Parquet: id, question, answer, department; of dialogues history, system and dialogue too",
        output_rejected="Parquet: the dropped rows and the reasons",
        output_report="JSON: counts, lengths, settings",
    )
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
