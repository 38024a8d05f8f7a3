"""Divide the clean rows into test, validation and a pool for training, with no near-duplicate question across them.

Questions that are nearly the same form families, and a family lies wholly in one part. Test and validation have
exactly the asked sizes and the departments in proportion; the pool is so ordered that every prefix has them too, which
makes the training sets, its prefixes, nested and stratified. An exact search then proves that nothing crosses, and if
it ever found a pair that MinHash had overlooked, that pair would be joined and the rows divided again.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from medscale.arguments import similarity, sizes, whole_number
from medscale.components import Components, question_components
from medscale.errors import UserError, run_script
from medscale.files import write_json, write_jsonl
from medscale.leakage import crossing_pairs
from medscale.splitting import POOL, TEST, UNKNOWN, VALIDATION, assign_parts, row_ranks, stratified_order

# A family of more than this share of all rows hints at texts made from a template, or too low a threshold.
LARGE_FAMILY = 0.05
BATCH = 10_000


def main() -> None:
    args = parse_arguments()
    table = pq.read_table(args.clean)
    require_enough_rows(args, table.num_rows)
    questions = table["question"].to_pylist()
    departments = [name or UNKNOWN for name in table["department"].to_pylist()]
    ranks = row_ranks(table["id"].to_pylist(), args.seed)

    families = question_components(questions, args.similarity_threshold)
    compared = rounds = 0
    while True:
        parts = assign_parts(families.labels(), departments, ranks, args.test_size, args.validation_size)
        leakage = crossing_pairs(questions, parts, np.flatnonzero(parts != POOL), args.similarity_threshold)
        rounds, compared = rounds + 1, compared + leakage.compared
        if not len(leakage.pairs):
            break
        families.join(leakage.pairs.tolist())

    rows = {}
    outputs = {"test": (TEST, args.test), "validation": (VALIDATION, args.validation), "pool": (POOL, args.pool)}
    for name, (part, path) in outputs.items():
        rows[name] = stratified_order(np.flatnonzero(parts == part), departments, ranks)
        write_jsonl(path, records(table, rows[name]))
    proof = {"rounds": rounds, "pairs_compared": compared, "crossing_pairs": len(leakage.pairs)}
    summary = report(args, table, departments, families, rows, proof)
    write_json(args.report, summary)
    print(", ".join(f"{name} {len(numbers)}" for name, numbers in rows.items()))
    for warning in summary["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)


def require_enough_rows(args: argparse.Namespace, rows: int) -> None:
    """Raise `UserError` where the asked sizes do not fit: here, on a CPU, before any hour on a GPU is spent."""
    held_out = args.test_size + args.validation_size
    if held_out >= rows:
        raise UserError(
            f"study.test_size ({args.test_size}) and study.validation_size ({args.validation_size}) need {held_out} "
            f"rows and leave none to train on: {args.clean} has {rows}; choose smaller ones or get more data"
        )
    pool = rows - held_out
    if max(args.sizes) > pool:
        raise UserError(
            f"study.sizes: {max(args.sizes)} is more than the {pool} rows of the pool "
            f"({rows} clean rows less {held_out} for test and validation); choose sizes up to {pool}"
        )


def records(table: pa.Table, numbers: np.ndarray):
    for start in range(0, len(numbers), BATCH):
        yield from table.take(pa.array(numbers[start : start + BATCH])).to_pylist()


def report(
    args: argparse.Namespace,
    table: pa.Table,
    departments: list[str],
    families: Components,
    rows: dict[str, np.ndarray],
    proof: dict[str, int],
) -> dict[str, Any]:
    rows_of_family = np.unique(families.labels(), return_counts=True)[1]
    answers = table["answer"].to_pylist()
    pool_answers = {answers[row] for row in rows["pool"]}
    largest = int(rows_of_family.max())
    return {
        "schema_version": 1,
        "rows": table.num_rows,
        "sizes": {name: len(numbers) for name, numbers in rows.items()},
        "departments": {
            name: dict(sorted(Counter(departments[row] for row in numbers).items())) for name, numbers in rows.items()
        },
        "families": {
            "count": len(rows_of_family),
            "of_several_rows": int((rows_of_family > 1).sum()),
            "rows_in_them": int(rows_of_family[rows_of_family > 1].sum()),
            "largest": largest,
        },
        "proof": proof,
        "answers_also_in_pool": {
            name: sum(answers[row] in pool_answers for row in rows[name]) for name in ("test", "validation")
        },
        "warnings": [
            f"one family of near-duplicate questions has {largest} of {table.num_rows} rows; it lies in the pool, or "
            "weighs much in the test set; a higher similarity threshold makes smaller families"
        ]
        if largest > max(10, LARGE_FAMILY * table.num_rows)
        else [],
        "settings": {
            "test_size": args.test_size,
            "validation_size": args.validation_size,
            "sizes": args.sizes,
            "seed": args.seed,
            "similarity_threshold": args.similarity_threshold,
        },
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--clean", type=Path, required=True, help="Parquet: id, question, answer, department")
    parser.add_argument("--test-size", type=whole_number, required=True, help="rows of the test set")
    parser.add_argument("--validation-size", type=whole_number, required=True, help="rows of the validation set")
    parser.add_argument("--sizes", type=sizes, required=True, metavar="JSON", help="training sizes, as in [200,500]")
    parser.add_argument("--seed", type=int, required=True, help="another seed makes another split")
    parser.add_argument(
        "--similarity-threshold",
        type=similarity,
        default=0.6,
        help="Jaccard similarity of character 3-grams from which two questions must not be divided (default: 0.6)",
    )
    parser.add_argument("--test", type=Path, required=True, help="JSON lines to write")
    parser.add_argument("--validation", type=Path, required=True, help="JSON lines to write")
    parser.add_argument("--pool", type=Path, required=True, help="JSON lines to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON to write: sizes, departments, families, proof")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
