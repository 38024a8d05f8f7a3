"""Check, on the files that the split wrote, that no test question is near to any training question."""

import argparse
import itertools
import sys
from pathlib import Path

from medscale.base.arguments import add_leak_search, add_paths
from medscale.base.errors import UserError, run_script
from medscale.base.files import count_lines, read_json, read_jsonl, write_json
from medscale.base.plurals import how_many
from medscale.base.progress import counted
from medscale.data.near.leak_check import Thresholds, check


def main() -> None:
    args = parse_arguments()
    test = list(read_jsonl(args.test))
    if not test:
        raise UserError("B105", f"{args.test}: has no rows; delete the file and run the workflow again")
    thresholds = Thresholds(args.similarity_threshold, args.ngram, args.containment_threshold)
    boilerplate = [found["text"] for found in read_json(args.split_report)["boilerplate"]] if args.split_report else []
    files = [args.train, *([args.general] if args.general else [])]
    rows = itertools.chain.from_iterable(map(read_jsonl, files))
    total = sum(map(count_lines, files))
    training = counted(rows, "comparing the test questions with training", "questions", total)
    report = check(test, training, thresholds, boilerplate) | {"training_file": args.train.name}
    if args.general:  # counted apart: they are all from which runs take theirs, and no part of the largest subset
        report["general_questions"] = count_lines(args.general)
        report["training_questions"] -= report["general_questions"]
    against = how_many(report["training_questions"], "training question")
    against += f" and {how_many(report['general_questions'], 'general one')}" if args.general else ""
    write_json(args.output, report)
    near, contained = report["near"]["count"], report["contained"]["count"]
    print(
        f"{report['test_questions']} test questions against {against}: "
        f"{near} near by similarity, {contained} contained in one"
    )
    if not report["passed"]:
        print(f"warning: test questions are near to training questions; {args.output} names them", file=sys.stderr)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_paths(
        parser,
        test="test rows (JSON lines)",
        train="training rows, the largest set (JSON lines)",
        output="JSON with what is near, and how near the rest is",
    )
    parser.add_argument(
        "--split-report", type=Path, help="what the split reported: the boilerplate that no question is compared with"
    )
    known = "a test question's n-grams in one training question from which it is near"
    add_leak_search(parser, "two questions are near", known)
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
