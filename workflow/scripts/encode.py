"""Turn question-answer rows into token ids and labels, once for LoRA and QLoRA."""

import argparse
import json

import pyarrow as pa
import pyarrow.parquet as pq

from medscale.chat import Chat
from medscale.errors import UserError, run_script
from medscale.files import atomic_path, read_jsonl, sha256_file, write_json
from medscale.tokenizer import load_tokenizer


def main() -> None:
    args = parse_arguments()
    chat = Chat(load_tokenizer(args.model), **json.loads(args.chat))
    rows, samples, too_long = [], [], []
    for row in read_jsonl(args.rows):
        sample = chat.sample(row["question"], row["answer"], args.max_length)
        if sample is None:
            too_long.append(row["id"])
        else:
            rows.append(row["id"])
            samples.append(sample)
    if not samples:
        raise UserError(
            f"{args.rows}: no prompt leaves room for an answer; raise training.max_length ({args.max_length})"
        )

    ids = pa.list_(pa.int32())
    table = pa.table(
        {
            "id": pa.array(rows, pa.string()),
            "input_ids": pa.array([sample.input_ids for sample in samples], ids),
            "labels": pa.array([sample.labels for sample in samples], ids),
        }
    )
    with atomic_path(args.output) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    lengths = sorted(len(sample.input_ids) for sample in samples)
    write_json(
        args.report,
        {
            "schema_version": 1,
            "rows_sha256": sha256_file(args.rows),
            "rows": len(rows) + len(too_long),
            "encoded": len(rows),
            "prompts_too_long": too_long,
            "answers_truncated": sum(sample.truncated for sample in samples),
            "max_length": args.max_length,
            "tokens": sum(lengths),
            "longest_sample": lengths[-1],
            "median_sample": lengths[len(lengths) // 2],
        },
    )
    print(f"encoded {len(rows)} of {len(rows) + len(too_long)} rows, {sum(lengths)} tokens")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", required=True, help="manifest.json of the model, for its tokenizer and chat template"
    )
    parser.add_argument("--rows", required=True, help="JSON lines with id, question and answer")
    parser.add_argument("--chat", required=True, help="JSON text: system_prompt (or null), template (model, plain)")
    parser.add_argument("--max-length", type=int, required=True, help="tokens a sample")
    parser.add_argument("--output", required=True, help="Parquet file: id, input_ids, labels")
    parser.add_argument("--report", required=True, help="JSON file with counts")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
