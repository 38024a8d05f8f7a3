"""Screen the answers of one row of the study, or the reference answers, for what can do harm."""

import argparse
from pathlib import Path

from medscale.base.errors import run_script
from medscale.base.files import sha256_file, write_json
from medscale.evaluate.predictions import read_predictions
from medscale.evaluate.safety import read_rules, screened


def main() -> None:
    args = parse_arguments()
    answer = "label" if args.references else "predict"
    rows = [(row["id"], str(row.get("prompt") or ""), row[answer]) for row in read_predictions(args.predictions)]
    found = screened(read_rules(), rows)
    result = {"run": args.run, "n": len(rows), "predictions_sha256": sha256_file(args.predictions), "rules": found}
    write_json(args.output, result)
    counts = ", ".join(f"{name} {entry['count']} of {entry['of']}" for name, entry in found.items())
    print(f"{args.output}: {counts}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="name of the row of the study")
    parser.add_argument("--predictions", type=Path, required=True, help="predictions.jsonl")
    parser.add_argument("--references", action="store_true", help="screen the reference answers in it instead")
    parser.add_argument("--output", type=Path, required=True, help="safety.json to write")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
