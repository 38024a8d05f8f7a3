"""Time the search for an exam's questions in training rows, take its memory, and count which planted leaks it finds.

python benchmarks/exam_leaks.py            # as many questions as CMExam and CMB, against 10,000 and 100,000 rows
python benchmarks/exam_leaks.py --questions 11200 --rows 100000 --output exam_leaks.json
"""

import argparse
import itertools
import random
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from circumstances import circumstances, load_average, told
from cleaning import SCRIPTS, base_rows, timed
from medscale.base.errors import run_script
from medscale.base.files import read_json, write_json, write_jsonl
from perturbed_corpus import EDITS_IN_COPY, Perturbed

PACKAGES = ("numpy", "pyarrow")
PLANTED = ("question", "with_options", "answered", "edited")
"""Every so often a question is made of a training row: as it is, its options within the row, word for word in a longer
row with the right answer beside it, and with 1.5 % of its characters replaced."""
EVERY = 20


def write_inputs(folder: Path, base: list[dict[str, str]], questions: int, rows: int, seed: int) -> dict[str, str]:
    """Write training rows and an exam; return the planted questions' ids with how each was made."""
    made = Perturbed(base, seed).rows(rows)
    train = [
        {"id": f"r{number}", "question": f"{row['title']}\n{row['ask']}", "answer": row["answer"]}
        for number, row in enumerate(made)
    ]
    rng = random.Random(f"exam/{seed}")
    fresh = Perturbed(base, seed + 1)
    characters = "".join(row["ask"] for row in base)
    rows_with_leaks = iter(rng.sample(train, len(range(0, questions, EVERY))))
    exam, planted = [], {}
    for number, row in enumerate(itertools.islice(fresh.rows(questions * 2), questions)):
        sentences = [*[part for part in row["answer"].split("。") if part][:3], "以上都不对", "以上都对"]
        options = dict(zip("ABCDE", sentences, strict=False))
        question = {"id": f"q{number}", "question": row["ask"], "options": options, "answer": ["A"]}
        if number % EVERY == 0:
            kind = PLANTED[number // EVERY % len(PLANTED)]
            plant(kind, question, next(rows_with_leaks), rng, characters)
            planted[question["id"]] = kind
        exam.append(question)
    write_jsonl(folder / "train.jsonl", train)
    write_jsonl(folder / "exam.jsonl", exam)
    return planted


def plant(kind: str, question: dict, row: dict, rng: random.Random, characters: str) -> None:
    """Make a question known to a training row, in place."""
    if kind == "with_options":
        row["question"] = "\n".join([question["question"], *question["options"].values()])
    elif kind == "answered":
        row["question"] = f"请老师讲解：{question['question']}谢谢。"
        row["answer"] = f"{row['answer']}\n答案是{question['options']['A']}"
    else:
        text = list(question["question"])
        if kind == "edited":
            for _ in range(max(1, round(EDITS_IN_COPY * len(text)))):
                text[rng.randrange(len(text))] = rng.choice(characters)
        row["question"] = "".join(text)


def measure(base: list[dict[str, str]], questions: int, rows: int, seed: int) -> dict:
    """Run the program and return what it took and found."""
    folder = Path(tempfile.mkdtemp(prefix="exam-leaks-"))
    try:
        planted = write_inputs(folder, base, questions, rows, seed)
        options = {"name": "made-up", "questions": folder / "exam.jsonl", "train": folder / "train.jsonl"}
        took = timed(SCRIPTS / "exam_leak.py", options | {"output": folder / "leak.json"}, 1)
        report = read_json(folder / "leak.json")
        found = set(report["ids"])
        kinds = {kind: [name for name, made in planted.items() if made == kind] for kind in PLANTED}
        return {
            **{"questions": questions, "rows": rows, **took},
            "planted": {kind: len(names) for kind, names in kinds.items()},
            "found_of_planted": {kind: len(found.intersection(names)) for kind, names in kinds.items()},
            "contaminated_besides": len(found - planted.keys()),
        }
    finally:
        shutil.rmtree(folder)


def main() -> None:
    args = parse_arguments()
    base, source = base_rows(args.csv)
    result: dict = {
        "schema_version": 1,
        **circumstances(PACKAGES),
        "data": f"{source}, perturbed with seed {args.seed}",
    }
    result["runs"] = []
    for questions, rows in itertools.product(sorted(args.questions), sorted(args.rows)):
        result["runs"].append(measure(base, questions, rows, args.seed))
        result["load_average_after"] = load_average()
        if args.output:
            write_json(args.output, result)
    print(table(result), told(result), sep="\n\n")


def table(result: dict) -> str:
    lines = ["| questions | rows | s of one core | GiB | planted leaks found | besides |", "|---|---|---|---|---|---|"]
    for run in result["runs"]:
        found, planted = sum(run["found_of_planted"].values()), sum(run["planted"].values())
        lines.append(
            f"| {run['questions']:,} | {run['rows']:,} | {run['processor_seconds']:.0f} | {run['peak_gib']:.2f} | "
            f"{found} of {planted} | {run['contaminated_besides']} |"
        )
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, nargs="+", default=[6811, 11200], help="of the exam")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000], help="training rows")
    parser.add_argument("--csv", type=Path, help="rows of a Toyhom file to make the corpus of; left out: the demo's")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
