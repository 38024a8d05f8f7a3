"""Turn question-answer rows into token ids and labels, once for LoRA and QLoRA."""

import argparse
import json
import os
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from medscale.base.arguments import add_source
from medscale.base.errors import UserError, run_script
from medscale.base.files import atomic_path, count_lines, read_jsonl, sha256_file, write_json
from medscale.base.imports import leave_out
from medscale.base.parallel import batched
from medscale.base.progress import counted
from medscale.data.questions import question_of
from medscale.model.chat import Chat, Sample
from medscale.model.tokenizer import load_tokenizer

BATCH = 1000
IDS = pa.list_(pa.int32())
ENCODED = pa.schema([("id", pa.string()), ("input_ids", IDS), ("labels", IDS)])


def main() -> None:
    args = parse_arguments()
    chat = Chat(load_tokenizer(args.model, args.content), **json.loads(args.chat))
    lengths, too_long, truncated, history = array("q"), [], 0, Counter()
    looking = {"rows": 0, "tokens": 0}
    with atomic_path(args.output) as temporary:
        with pq.ParquetWriter(temporary, ENCODED, compression="zstd") as writer:
            rows_read = counted(read_jsonl(args.rows), "encoding", "rows", count_lines(args.rows))
            for rows in batched(rows_read, BATCH):
                samples = chat.samples(list(map(question_of, rows)), [row["answer"] for row in rows], args.max_length)
                counts = [sum(map(chat.control.count, texts_of(row))) for row in rows]
                looking["rows"] += sum(count > 0 for count in counts)
                looking["tokens"] += sum(counts)
                too_long += [row["id"] for row, sample in zip(rows, samples, strict=True) if sample is None]
                writer.write_batch(encoded(rows, samples))
                fitting = [sample for sample in samples if sample is not None]
                lengths.extend(len(sample.input_ids) for sample in fitting)
                history += earlier_turns(rows, samples)
                truncated += sum(sample.truncated for sample in fitting)
        if not lengths:
            raise UserError(
                "D115",
                f"{args.rows}: no prompt leaves room for an answer; raise training.max_length ({args.max_length})",
            )
    lengths = sorted(lengths)
    write_json(
        args.report,
        {
            "schema_version": 1,
            "rows_sha256": sha256_file(args.rows),
            "rows": len(lengths) + len(too_long),
            "encoded": len(lengths),
            "prompts_too_long": too_long,
            "answers_truncated": truncated,
            "history": {name: history[name] for name in ("rows", "turns", "rows_shortened", "turns_left_out")},
            "control_text": looking,
            "max_length": args.max_length,
            "tokens": sum(lengths),
            "longest_sample": lengths[-1],
            "median_sample": lengths[len(lengths) // 2],
        },
    )
    if history["turns_left_out"]:
        print(f"left out {history['turns_left_out']} of {history['turns']} earlier turns, for which there was no room")
    print(f"encoded {len(lengths)} of {len(lengths) + len(too_long)} rows, {sum(lengths)} tokens")
    if looking["rows"]:
        print(f"{looking['rows']} rows hold text like control tokens, {looking['tokens']} in all: kept as text")


def texts_of(row: dict) -> Iterator[str]:
    """Yield all texts of a row that a prompt or an answer is made of."""
    yield from (row["question"], row["answer"], row.get("system") or "")
    for turn in row.get("history") or ():
        yield from turn


def earlier_turns(rows: Sequence[dict], samples: Sequence[Sample | None]) -> Counter:
    """Count the encoded rows with turns before the question, these turns, and those for which there was no room."""
    counts: Counter = Counter()
    for row, sample in zip(rows, samples, strict=True):
        if sample is not None and row.get("history"):
            counts.update(rows=1, turns=len(row["history"]), turns_left_out=sample.left_out)
            counts["rows_shortened"] += sample.left_out > 0
    return counts


def encoded(rows: Sequence[dict], samples: Sequence[Sample | None]) -> pa.RecordBatch:
    """Return the samples as a batch, without those that are None."""
    ids = [row["id"] for row, sample in zip(rows, samples, strict=True) if sample is not None]
    fitting = [sample for sample in samples if sample is not None]
    arrays = [pa.array(ids, pa.string())]
    arrays += [pa.array([getattr(sample, name) for sample in fitting], IDS) for name in ("input_ids", "labels")]
    return pa.RecordBatch.from_arrays(arrays, schema=ENCODED)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_source(parser, "model", "base model")
    parser.add_argument("--rows", required=True, help="JSON lines with id, question, answer, and what stands before")
    parser.add_argument("--chat", required=True, help="JSON text: system_prompt (or null), template (model, plain)")
    parser.add_argument("--max-length", type=int, required=True, help="tokens a sample")
    parser.add_argument("--output", required=True, help="Parquet file: id, input_ids, labels")
    parser.add_argument("--report", required=True, help="JSON file with counts")
    return parser.parse_args()


if __name__ == "__main__":
    leave_out("torch")  # which a tokenizer does not need, so transformers need not remark that it is not there
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    run_script(main)
