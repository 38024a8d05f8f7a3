"""Divide the clean rows into test, validation and a pool for training, with no near-duplicate question across them.

Questions that are nearly the same form families, and a family lies wholly in one part. Test and validation have
exactly the asked sizes and the departments in proportion; the pool is so ordered that every prefix has them too, which
makes the training sets, its prefixes, nested and stratified. An exact search then proves that nothing crosses, and if
it ever found a pair that MinHash had overlooked, that pair would be joined and the rows divided again.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medscale.arguments import similarity, sizes, whole_number
from medscale.components import Components, near_duplicate_components
from medscale.errors import UserError, run_script
from medscale.files import write_json, write_jsonl
from medscale.leakage import crossing_pairs
from medscale.shingles import comparable
from medscale.splitting import POOL, TEST, UNKNOWN, VALIDATION, assign_parts, row_ranks, stratified_order

# A family of more than this share of all rows hints at texts made from a template, or too low a threshold.
LARGE_FAMILY = 0.05
BATCH = 10_000
PARTS = {"test": TEST, "validation": VALIDATION, "pool": POOL}


def main() -> None:
    args = parse_arguments()
    table = pq.read_table(args.clean, columns=["id", "question", "department"])
    require_enough_rows(args, table.num_rows)
    texts = [comparable(question) for question in table["question"].to_pylist()]
    departments = [name or UNKNOWN for name in table["department"].to_pylist()]
    ranks = row_ranks(table["id"].to_pylist(), args.seed)

    families = near_duplicate_components(texts, args.similarity_threshold)
    compared = rounds = 0
    while True:
        parts = assign_parts(families.labels(), departments, ranks, args.test_size, args.validation_size)
        leakage = crossing_pairs(texts, parts, np.flatnonzero(parts != POOL), args.similarity_threshold)
        rounds, compared = rounds + 1, compared + leakage.compared
        if not len(leakage.pairs):
            break
        families.join(leakage.pairs.tolist())
    proof = {"rounds": rounds, "pairs_compared": compared, "crossing_pairs": len(leakage.pairs)}
    del texts, table

    table = pq.read_table(args.clean)
    rows = {}
    for name, part in PARTS.items():
        rows[name] = stratified_order(np.flatnonzero(parts == part), departments, ranks)
        write_jsonl(getattr(args, name), records(table, rows[name]))
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


def records(table: pa.Table, numbers: np.ndarray) -> Iterator[dict]:
    """Yield the rows of these numbers, in this order."""
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
            name: answers_in_common(table, rows[name], rows["pool"]) for name in ("test", "validation")
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


def answers_in_common(table: pa.Table, numbers: np.ndarray, pool: np.ndarray) -> int:
    """Count the rows whose answer, to the letter, is that of a row of the pool too.

    Such an answer can be learned by heart. It is no leak, for the question is another, but it flatters a score.
    """
    answers = table["answer"].take(pa.array(numbers)).combine_chunks()
    found: set[str] = set()
    for start in range(0, len(pool), BATCH):
        some = table["answer"].take(pa.array(pool[start : start + BATCH]))
        found.update(some.filter(pc.is_in(some, answers)).to_pylist())
    return sum(answer in found for answer in answers.to_pylist())


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
