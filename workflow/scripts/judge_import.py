"""Read what judges said of blind pairs into win rates, strengths and the agreement between judges."""

import argparse
import json
from pathlib import Path

from medscale.base.errors import UserError, run_script
from medscale.base.files import read_json, write_json
from medscale.judge.verdict_files import read_verdicts
from medscale.judge.verdicts import told, verdicts_of


def main() -> None:
    args = parse_arguments()
    if not args.verdicts:
        raise UserError(
            "J103",
            f"{args.folder}: holds no file of verdicts (*.jsonl); save what judge.html gives there, or name the folder "
            "in judging.path",
        )
    key = read_json(args.key)
    read = read_verdicts(args.verdicts, key["pairs"])
    if not read.verdicts:
        reasons = ", ".join(f"{reason} {count}" for reason, count in read.dropped.items()) or "no line at all"
        raise UserError(
            "J104",
            f"{args.folder}: no line of its files can be used ({reasons}); verdicts are on the pairs of one "
            "pairs.jsonl, and with other answers, pairs or seed the pairs are others",
        )
    others = sorted(path.name for path in args.folder.glob("*") if path.is_file() and path not in args.verdicts)
    if others:
        told_of = "warning: {}: not read, for they are called neither .jsonl nor .jsonl.txt: {}"
        print(told_of.format(args.folder, ", ".join(others)))
    result = verdicts_of(read, key, **args.statistics)
    write_json(args.output, result)
    print("\n".join([*told(result), f"{args.output}: written; the next call of snakemake puts it into the report"]))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--key", type=Path, required=True, help="key.json of the pairs that were judged")
    parser.add_argument("--verdicts", nargs="*", type=Path, default=[], help="files of verdicts (JSON lines)")
    parser.add_argument("--folder", type=Path, required=True, help="where they were looked for, to say so")
    parser.add_argument("--statistics", type=json.loads, required=True, help="JSON text: resamples, seed, alpha")
    parser.add_argument("--output", type=Path, required=True, help="verdicts.json to write")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
