"""Look for the questions of an exam in the largest training set: what was learned by heart is no knowledge."""

import argparse
import itertools
import sys

from medscale.base.arguments import add_leak_search, add_paths
from medscale.base.errors import UserError, run_script
from medscale.base.files import count_lines, read_jsonl, write_json
from medscale.base.plurals import how_many
from medscale.base.progress import counted
from medscale.data.exams.leaks import find_leaks
from medscale.data.near.leak_check import Thresholds


def main() -> None:
    args = parse_arguments()
    questions = list(read_jsonl(args.questions))
    if not questions:
        raise UserError("B105", f"{args.questions}: has no rows; delete the file and run the workflow again")
    thresholds = Thresholds(args.similarity_threshold, args.ngram, args.containment_threshold)
    files = [args.train, *([args.general] if args.general else [])]
    total = sum(map(count_lines, files))
    rows = itertools.chain.from_iterable(map(read_jsonl, files))
    training = counted(rows, f"looking for the questions of {args.name}", "rows", total)
    report = find_leaks(questions, training, thresholds)
    if args.general:  # counted apart: they are all from which runs take theirs, and no part of the largest set
        report["general_rows"] = count_lines(args.general)
        report["training_rows"] -= report["general_rows"]
    against = how_many(report["training_rows"], "training row")
    against += f" and {how_many(report['general_rows'], 'general one')}" if args.general else ""
    write_json(args.output, {"exam": args.name, **report, "training_file": args.train.name})
    print(
        f"{args.name}: {report['contaminated']} of {how_many(report['n'], 'question')} found in {against}; "
        f"{report['by_kind']}"
    )
    if report["contaminated"]:
        print(f"warning: training rows hold questions of {args.name}; {args.output} names them", file=sys.stderr)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="of the exam")
    add_paths(
        parser,
        questions="the questions of the exam (JSON lines)",
        train="training rows, the largest set (JSON lines)",
        output="JSON with the contaminated questions",
    )
    note = "; a shorter question counts with its answer only"
    known = "a question's n-grams in one training row from which it is known"
    add_leak_search(parser, "two questions are near", known, note)
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
