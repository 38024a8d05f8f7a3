"""Read the questions of an exam from its files, whatever their format, and account for every row.

Every row becomes a question or is dropped for a named reason; medscale/data/exams tells which. The demo's exam is made
here, of facts that stand in training rows and of facts that stand in none.
"""

import argparse
import sys
from pathlib import Path

from medscale.base.arguments import add_paths, add_source
from medscale.base.errors import run_script
from medscale.base.files import read_jsonl, write_json, write_jsonl
from medscale.base.plurals import counts_of, how_many
from medscale.data.demo.exam import demo_exam
from medscale.data.exams.account import parts_read, report_of, require_scorable
from medscale.data.exams.fields import Reading
from medscale.data.exams.reading import read_exam
from medscale.data.exams.rejected import write_rejected


def main() -> None:
    args = parse_arguments()
    reading = Reading.from_json(args.name, args.exam)
    if args.train is None:
        stopped = args.rejected.parent / "stopped" / args.rejected.name
        exam = read_exam(args.manifest, reading, args.content, stopped)
        stopped.unlink(missing_ok=True)
    else:
        exam = demo_exam(args.manifest, reading, read_jsonl(args.train), args.content)
    require_scorable(reading, exam.questions, args.scored_by)
    write_jsonl(args.output, (question._asdict() for question in exam.questions))
    write_rejected(args.rejected, exam.rejected)
    report = report_of(exam, reading, args.rejected.name)
    write_json(args.report, report)
    print(
        f"{reading.name}: kept {report['kept']} of {how_many(report['read'], 'question')}; "
        f"dropped: {counts_of(report['dropped'])}"
    )
    if report["examples"]:
        print(f"{args.rejected} has the dropped rows, with the reasons and what was read; the first ones:")
    for row in report["examples"]:
        detail = f" ({row['detail']})" if row["detail"] else ""
        print(f"  {row['file']}, row {row['row_of_file']}: {row['reason']}{detail}")
    for file in report["files"]:
        print(f"{file['path']}: {file['exam_format']}" + (f", {file['because']}" if "because" in file else ""))
    for warning in exam.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    parts = parts_read(exam)
    if len(parts) > 1:
        named = "; ".join(f"{part}: {', '.join(paths[:3])}{' …' * (len(paths) > 3)}" for part, paths in parts.items())
        print(
            f"warning: {reading.where}: several parts of a divided set are read as one ({named}); name the one that is "
            f"meant with {reading.where}.split, or its files",
            file=sys.stderr,
        )
    if report["licence"] is None and exam.source != "demo":
        print(
            f"warning: {reading.where}: no licence is stated where the exam comes from; see its page", file=sys.stderr
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_source(parser, "manifest", "exam")
    parser.add_argument("--name", required=True, help="of the exam")
    parser.add_argument("--exam", default="{}", metavar="JSON", help="how it is read: an entry of evaluation.exams")
    parser.add_argument(
        "--train", type=Path, help="training rows, the largest set (JSON lines): of the demo's exam, by what is seen"
    )
    parser.add_argument(
        "--scored-by", choices=("letter", "text"), default="letter", help="what is compared of the choices"
    )
    add_paths(
        parser,
        output="JSON lines to write: the questions",
        rejected="Parquet to write: the rows that are no questions, the reasons, and what was read in them",
        report="JSON to write: what became of each row",
    )
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
