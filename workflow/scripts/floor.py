"""Answer every test question without a model: a floor that a fine-tuned model has to stand above."""

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

from medscale.base.arguments import optional, whole_number
from medscale.base.errors import UserError, run_script
from medscale.base.files import read_jsonl, sha256_file, sha256_json, write_json, write_jsonl
from medscale.base.machine import cpu_hardware, versions
from medscale.base.progress import working
from medscale.data.questions import context_of
from medscale.evaluate.floors import FLOORS, Answers

PACKAGES = ("numpy", "jieba", "rapidfuzz", "bm25s", "snakemake")
KEYS = ("id", "question", "answer")


def main() -> None:
    args = parse_arguments()
    train = read_rows(args.train)
    test = read_rows(args.test, args.max_samples)
    began = time.perf_counter()
    with working(f"answering without a model ({args.floor})"):
        answers = FLOORS[args.floor](train, test, args.seed)
    seconds = time.perf_counter() - began

    write_jsonl(
        args.output,
        (
            {
                "id": row["id"],
                "prompt": row["question"],
                **context_of(row),
                "predict": text,
                "label": row["answer"],
                "nll_sum": None,
                "n_answer_tokens": None,
                "n_output_tokens": None,
            }
            for row, text in zip(test, answers.texts, strict=True)
        ),
    )
    write_json(args.inference, record(args, answers, len(train), seconds))
    print(f"{args.output}: {len(test)} answers of {args.run} in {seconds:.1f} s; {answers.chosen}")
    if answers.note:
        print(f"note: {answers.note}")


def record(args: argparse.Namespace, answers: Answers, train_rows: int, seconds: float) -> dict[str, Any]:
    """Return the content of inference.json: as predict.py writes it, but with no inference, since there is no model."""
    settings = {"floor": args.floor, "seed": args.seed, "max_samples": args.max_samples}
    train, test = sha256_file(args.train), sha256_file(args.test)
    return {
        "schema_version": 1,
        "run": args.run,
        "inference": None,
        "floor": {
            "name": args.floor,
            "seed": args.seed,
            "train_rows": train_rows,
            "seconds": round(seconds, 3),
            "chosen": answers.chosen,
        },
        "note": answers.note,
        "hardware": cpu_hardware(),
        "software": versions(PACKAGES),
        "provenance": {
            "fingerprint": sha256_json([settings, train, test])[:16],
            "config_sha256": sha256_json(settings),
            "train_sha256": train,
            "test_sha256": test,
            "model_manifest_sha256": None,
        },
    }


def read_rows(path: Path, limit: int | None = None) -> list[dict[str, Any]]:
    """Read the first ``limit`` rows, or all.

    Raises
    ------
    UserError
        If there is no row, or a row lacks its id, question or answer; it names the line.
    """
    rows = list(itertools.islice(read_jsonl(path), limit))
    for number, row in enumerate(rows, 1):
        missing = [key for key in KEYS if not isinstance(row.get(key), str)]
        if missing:
            raise UserError(
                "B104", f"{path}, line {number}: has no {missing[0]}; delete the file and run the workflow again"
            )
    if not rows:
        raise UserError("B105", f"{path}: has no rows; delete the file and run the workflow again")
    return rows


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--floor", required=True, choices=list(FLOORS), help="how the answers are found")
    parser.add_argument("--run", required=True, help="name of the run, such as floor_bm25")
    parser.add_argument("--train", type=Path, required=True, help="training rows, the largest set (JSON lines)")
    parser.add_argument("--test", type=Path, required=True, help="test rows (JSON lines)")
    parser.add_argument(
        "--max-samples", type=optional(whole_number), help="answer so many test questions; null or left out: all"
    )
    parser.add_argument("--seed", type=int, default=42, help="seed of what is drawn (default: %(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="predictions (JSON lines)")
    parser.add_argument("--inference", type=Path, required=True, help="JSON file with the record of the floor")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
