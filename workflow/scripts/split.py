"""Divide the clean rows into test, validation and a pool for training, with no near-duplicate question across them.

Questions that are nearly the same form families, and a family lies wholly in one part. A question is compared together
with those before it in its dialogue, and all samples of a dialogue are of one family. Test and validation have
exactly the asked sizes and the departments in proportion; the pool is so ordered that every prefix has them too, which
makes the training sets, its prefixes, nested and stratified. An exact search then proves that nothing crosses, and if
it ever found a pair that MinHash had overlooked, that pair would be joined and the rows divided again.

Texts are streamed and lie in files without a name beside the outputs, until they are asked for; memory holds their
fingerprints.
"""

import argparse
import itertools
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medscale.base.arguments import add_paths, add_similarity, add_threads, sizes, whole_number
from medscale.base.errors import UserError, run_script
from medscale.base.files import atomic_path, write_json
from medscale.base.parallel import batched, ordered_map
from medscale.base.progress import counted, working
from medscale.data.departments import name_of
from medscale.data.near.beginnings import STOCK, beginnings, pair_of
from medscale.data.near.boilerplate import Boilerplate, boilerplate_of
from medscale.data.near.components import Components, FamilySearch, Marks, marks, marks_of
from medscale.data.near.leakage import crossing_pairs
from medscale.data.near.shingles import comparable, jaccard, shingle_set
from medscale.data.near.text_store import TextStore
from medscale.data.questions import in_context
from medscale.data.splitting import POOL, TEST, VALIDATION, assign_parts, row_ranks, stratified_order

# A family of more than this share of all rows hints at texts made from a template, or too low a threshold.
LARGE_FAMILY = 0.05
# So many rows of a family are looked at for an example of two.
SOME = 1000
BATCH = 2000
CONTENT = ("id", "question", "answer", "department")
PARTS = {"test": TEST, "validation": VALIDATION, "pool": POOL}


@dataclass(frozen=True)
class Rows:
    """What stays of the clean rows: department and random rank of each, and what is compared of it in a file.

    Attributes
    ----------
    questions : the question of each row in its context; after these, beginnings of dialogues, see `near.beginnings`.
    beginnings : the row that each of the latter is of.
    dialogues : pairs of rows of one dialogue.
    boilerplate : what was left out of the questions.
    """

    questions: TextStore
    departments: list[str]
    ranks: np.ndarray
    beginnings: list[int] = field(default_factory=list)
    dialogues: list[tuple[int, int]] = field(default_factory=list)
    boilerplate: Boilerplate = field(default_factory=Boilerplate)

    @property
    def owners(self) -> np.ndarray:
        """The row that each text is of."""
        return np.concatenate([np.arange(len(self.departments)), np.array(self.beginnings, np.int64)])


def main() -> None:
    args = parse_arguments()
    require_enough_rows(args, pq.read_metadata(args.clean).num_rows)
    args.pool.parent.mkdir(parents=True, exist_ok=True)
    rows, families = read(args)
    compared = rounds = 0
    while True:
        labels = labels_of(rows, families)
        try:
            parts = assign_parts(labels, rows.departments, rows.ranks, args.test_size, args.validation_size)
        except UserError as error:
            raise UserError(error.code, ". ".join([error.text, *large_family(args, rows, families)])) from None
        of_texts = parts[rows.owners]
        with working("proving that no two parts have nearly the same question"):
            held_out = np.flatnonzero(of_texts != POOL)
            leakage = crossing_pairs(rows.questions, of_texts, held_out, args.similarity_threshold)
        rounds, compared = rounds + 1, compared + leakage.compared
        if not len(leakage.pairs):
            break
        families.join(leakage.pairs.tolist())
    proof = {"rounds": rounds, "pairs_compared": compared, "crossing_pairs": len(leakage.pairs)}

    numbers = {
        name: stratified_order(np.flatnonzero(parts == part), rows.departments, rows.ranks)
        for name, part in PARTS.items()
    }
    write_parts(args, numbers)
    summary = report(args, rows, families, numbers, proof)
    write_json(args.report, summary)
    print(", ".join(f"{name} {len(rows)}" for name, rows in numbers.items()))
    for warning in summary["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)


def read(args: argparse.Namespace) -> tuple[Rows, Components]:
    """Stream the clean rows once and return what stays of them, and their families."""
    metadata = pq.read_metadata(args.clean)
    rows = Rows(TextStore(args.pool.parent), [], np.empty(metadata.num_rows, np.uint64))
    names: dict[str, str] = {}
    context = [name for name in ("history", "dialogue") if name in metadata.schema.to_arrow_schema().names]
    first_of: dict[str, int] = {}
    pairs: dict[bytes, list[int]] = defaultdict(list)
    begun: list[tuple[int, str]] = []

    def questions() -> Iterator[list[str]]:
        for batch in batches(args.clean, ["id", "question", "department", *(["answer", *context] if context else [])]):
            start = len(rows.departments)
            rows.ranks[start : start + batch.num_rows] = row_ranks(batch["id"].to_pylist(), args.seed)
            for name in batch["department"].to_pylist():
                name = name_of(name)
                rows.departments.append(names.setdefault(name, name))
            found = batch["question"].to_pylist()
            if context:
                histories, dialogues = (batch[name].to_pylist() for name in context)
                for row, pair in enumerate(map(pair_of, found, batch["answer"].to_pylist()), start):
                    if pair is not None and len(pairs[pair]) < STOCK:
                        pairs[pair].append(row)
                found = list(map(in_context, found, histories))
                for row, (history, dialogue) in enumerate(zip(histories, dialogues, strict=True), start):
                    if dialogue is not None and first_of.setdefault(dialogue, row) != row:
                        rows.dialogues.append((first_of[dialogue], row))
                        continue  # what stood before is that of the rows before
                    begun.extend((row, text) for text in beginnings(history))
            yield found
        often = Counter(text for _, text in begun)
        joining = [(row, text) for row, text in begun if often[text] < STOCK]
        rows.beginnings.extend(row for row, _ in joining)
        yield from batched([text for _, text in joining], BATCH)

    def marks_of_rows() -> Iterator[Marks]:
        total = None if context else metadata.num_rows
        read = counted(questions(), "reading the clean rows", "questions", total, len)
        for texts, found in ordered_map(comparable_marks, read, max(1, args.threads)):
            rows.questions.extend_bytes(texts)
            yield found

    search = FamilySearch(args.similarity_threshold)
    for found in marks_of_rows():
        search.add(found)
    boilerplate = boilerplate_of(first_questions(rows))
    if boilerplate:
        # The marks are those of the whole questions, since few corpora have any boilerplate: take them anew.
        search, rest = FamilySearch(args.similarity_threshold), TextStore(args.pool.parent)
        count, uncounted = len(rows.departments), Boilerplate(boilerplate.texts)
        for left_out, first, end in ((boilerplate, 0, count), (uncounted, count, len(rows.questions))):
            for start in range(first, end, BATCH):
                rest.extend(map(left_out.rest, rows.questions[start : min(start + BATCH, end)]))
        for found in marks_of(rest):
            search.add(found)
        rows = replace(rows, questions=rest, boilerplate=boilerplate)
    with working("looking for questions that are nearly the same"):
        families = search.families(rows.questions)
    families.join(rows.dialogues)
    families.join(pair for twins in pairs.values() if len(twins) < STOCK for pair in itertools.pairwise(twins))
    families.join((row, len(rows.departments) + place) for place, row in enumerate(rows.beginnings))
    return rows, families


def first_questions(rows: Rows) -> Iterator[list[str]]:
    """Yield the questions without later turns, which repeat what was asked before them: that is no boilerplate."""
    later = {row for _, row in rows.dialogues}
    for start in range(0, len(rows.departments), BATCH):
        batch = rows.questions[start : min(start + BATCH, len(rows.departments))]
        yield [text for row, text in enumerate(batch, start) if row not in later]


def labels_of(rows: Rows, families: Components) -> np.ndarray:
    """Return the family of each row; the beginnings of dialogues stand behind the rows and are no rows."""
    return families.labels()[: len(rows.departments)]


def comparable_marks(questions: Sequence[str]) -> tuple[list[bytes], Marks]:
    """Return what is compared of some questions, in UTF-8, and its marks."""
    texts = [comparable(question) for question in questions]
    return [text.encode() for text in texts], marks(texts)


def write_parts(args: argparse.Namespace, numbers: dict[str, np.ndarray]) -> None:
    """Write the rows of each part in their order: first all lines as they come, then from there one by one."""
    lines = TextStore(args.pool.parent)
    for batch in counted(batches(args.clean), "writing the parts", "rows", size=len):
        rows = map(without_empty_context, batch.to_pylist())
        lines.extend(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    for name, rows in numbers.items():
        with atomic_path(getattr(args, name)) as temporary, open(temporary, "wb") as handle:
            handle.writelines(map(lines.bytes_of, rows.tolist()))


def without_empty_context(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without a history, a system text and a dialogue that it does not have."""
    return {name: value for name, value in row.items() if value or name in CONTENT}


def batches(clean: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the clean rows in batches."""
    # Without read-ahead, which would hold the whole file for a reader that is faster than what is done with it.
    with pq.ParquetFile(clean, pre_buffer=False) as file:
        yield from file.iter_batches(BATCH, columns=columns, use_threads=False)


def require_enough_rows(args: argparse.Namespace, rows: int) -> None:
    """Raise `UserError` where the asked sizes do not fit: here, on a CPU, before any hour on a GPU is spent."""
    held_out = args.test_size + args.validation_size
    if held_out >= rows:
        raise UserError(
            "D112",
            f"study.test_size ({args.test_size}) and study.validation_size ({args.validation_size}) need {held_out} "
            f"rows and leave none to train on: {args.clean} has {rows}; choose smaller ones or get more data",
        )
    pool = rows - held_out
    if max(args.sizes) > pool:
        raise UserError(
            "D113",
            f"study.sizes: {max(args.sizes)} is more than the {pool} rows of the pool "
            f"({rows} clean rows less {held_out} for test and validation); choose sizes up to {pool}",
        )


def report(
    args: argparse.Namespace,
    all_rows: Rows,
    families: Components,
    rows: dict[str, np.ndarray],
    proof: dict[str, int],
) -> dict[str, Any]:
    departments = all_rows.departments
    rows_of_family = np.unique(labels_of(all_rows, families), return_counts=True)[1]
    largest = int(rows_of_family.max())
    return {
        "schema_version": 1,
        "rows": len(departments),
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
        "dialogues": {
            "of_several_samples": len({first for first, _ in all_rows.dialogues}),
            "samples_in_them": len({row for pair in all_rows.dialogues for row in pair}),
        },
        "proof": proof,
        "answers_also_in_pool": {
            name: answers_in_common(args.clean, rows[name], rows["pool"]) for name in ("test", "validation")
        },
        "boilerplate": all_rows.boilerplate.report(len(departments)),
        "warnings": large_family(args, all_rows, families),
        "settings": {
            "test_size": args.test_size,
            "validation_size": args.validation_size,
            "sizes": args.sizes,
            "seed": args.seed,
            "similarity_threshold": args.similarity_threshold,
        },
    }


def large_family(args: argparse.Namespace, rows: Rows, families: Components) -> list[str]:
    """Return what there is to say of a family of so many rows that it cannot be divided well: one sentence or none."""
    labels = labels_of(rows, families)
    names, counts = np.unique(labels, return_counts=True)
    largest, count = int(counts.max()), len(labels)
    if largest <= max(10, LARGE_FAMILY * count):
        return []
    # The first row of the family, and of those after it the one that is the most similar to it.
    first, *others = np.flatnonzero(labels == names[counts.argmax()])[:SOME].tolist()
    alike = jaccard(shingle_set(rows.questions[first]), [shingle_set(rows.questions[other]) for other in others])
    other = others[int(alike.argmax())]
    told = [f"{row['id']} «{shortened(row['question'])}»" for row in rows_at(args.clean, [first, other])]
    return [
        f"one family of near-duplicate questions has {largest} of {count} rows, for example "
        f"{' and '.join(told)} (similarity {alike.max():.2f}); it lies in the pool, or weighs much in the test set. "
        "Rows made from one template are such a family: keep fewer of them, or a higher study.similarity_threshold "
        f"(now {args.similarity_threshold}) makes smaller families"
    ]


def rows_at(clean: Path, numbers: list[int]) -> Iterator[dict[str, str]]:
    """Yield id and question of these rows, numbers in rising order."""
    start = 0
    for batch in batches(clean, ["id", "question"]):
        here = [number - start for number in numbers if start <= number < start + batch.num_rows]
        yield from batch.take(pa.array(here, pa.int64())).to_pylist()
        start += batch.num_rows


def shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:59] + "…"


def answers_in_common(clean: Path, numbers: np.ndarray, pool: np.ndarray) -> int:
    """Count the rows whose answer, to the letter, is that of a row of the pool too.

    Such an answer can be learned by heart. It is no leak, for the question is another, but it flatters a score.
    """
    wanted, in_pool = np.sort(numbers), np.sort(pool)
    answers = pa.concat_arrays([pa.array([], pa.string()), *answers_of(clean, wanted)])
    found: set[str] = set()
    for some in answers_of(clean, in_pool):
        found.update(some.filter(pc.is_in(some, answers)).to_pylist())
    return sum(answer in found for answer in answers.to_pylist())


def answers_of(clean: Path, numbers: np.ndarray) -> Iterator[pa.Array]:
    """Yield the answers of these rows, numbers in rising order, batch by batch."""
    start = 0
    for batch in batches(clean, ["answer"]):
        first, last = np.searchsorted(numbers, [start, start + batch.num_rows])
        yield batch["answer"].take(pa.array(numbers[first:last] - start))
        start += batch.num_rows


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_paths(
        parser,
        clean="Parquet: id, question, answer, department; of dialogues history, system and dialogue too",
        test="JSON lines to write",
        validation="JSON lines to write",
        pool="JSON lines to write",
        report="JSON to write: sizes, departments, families, proof",
    )
    parser.add_argument("--test-size", type=whole_number, required=True, help="rows of the test set")
    parser.add_argument("--validation-size", type=whole_number, required=True, help="rows of the validation set")
    parser.add_argument("--sizes", type=sizes, required=True, metavar="JSON", help="training sizes, as in [200,500]")
    parser.add_argument("--seed", type=int, required=True, help="another seed makes another split")
    add_similarity(parser, 0.6, "two questions must not be divided")
    add_threads(parser, "processes that work")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
