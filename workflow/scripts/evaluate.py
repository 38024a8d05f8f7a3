"""Sum up one run as eval.json: metrics with their intervals, training, inference, machine and provenance."""

import argparse
from typing import Any

from medscale.base.errors import UserError, run_script
from medscale.base.files import write_json
from medscale.base.progress import working
from medscale.evaluate.eval_file import (
    check,
    check_same_predictions,
    check_test_set,
    merged_provenance,
    read_exams,
    read_record,
    read_retention,
    read_scores,
    summarise,
)

UNTRAINED = ("base", "floor")


def main() -> None:
    args = parse_arguments()
    with working("drawing resamples for the intervals"):
        result = evaluate(args)
    check(result)
    write_json(args.output, result)
    print(
        f"{args.output}: {args.run} on {result['n_test']} test items, ROUGE-L {result['metrics']['rouge_l']['f']:.2f}"
    )


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Read the run's files, check that they belong together, and return the content of eval.json."""
    if args.method.startswith(UNTRAINED) == bool(args.training):
        needed = "has no training, so leave --training out" if args.training else "was trained, so give --training"
        raise UserError("R206", f"--training: a run of the method {args.method} {needed}")
    scores = read_scores(args.scores)
    inference = read_record(args.inference, args.run)
    training = read_record(args.training, args.run) if args.training else None
    examination = read_record(args.examination, args.run) if args.examination else None
    provenance = merged_provenance([record for record in (training, inference, examination) if record])
    check_same_predictions(scores, inference, args.predictions)
    if args.test:
        check_test_set(scores, provenance, args.test)

    machine = training or inference
    return {
        "schema_version": 1,
        "run": args.run,
        "method": args.method,
        "size_label": args.size_label,
        "train_size": args.train_size,
        "seed": args.seed,
        "arm": args.arm,
        "n_test": len(scores.ids),
        "metrics": summarise(scores, args.resamples, args.bootstrap_seed),
        "exams": read_exams(args.exams, args.leaks) if examination else {},
        "retention": read_retention(args.retention, args.resamples, args.bootstrap_seed) if examination else None,
        "examination": examination and examination["examination"],
        "training": training.get("training") if training else None,
        "inference": inference.get("inference"),
        "hardware": machine["hardware"],
        "software": machine["software"],
        "scorer": {name: entry["signature"] for name, entry in scores.facts["metrics"].items()},
        "provenance": provenance,
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="name of the run, such as lora_20k, base or floor_fixed")
    parser.add_argument("--method", required=True, help="lora, qlora, …; base or floor_… for what was not trained")
    parser.add_argument("--size-label", type=optional, help="size in the run's name, or none (default)")
    parser.add_argument("--train-size", type=optional_number, help="training rows, or none (default)")
    parser.add_argument("--seed", type=optional_number, help="seed of the training, or none (default)")
    parser.add_argument(
        "--arm", choices=["main", "control"], help="main or control; left out where nothing was trained"
    )
    parser.add_argument("--scores", required=True, help="scores (Parquet)")
    parser.add_argument("--inference", required=True, help="inference.json of the run")
    parser.add_argument("--training", help="training.json of the run; left out where nothing was trained")
    parser.add_argument("--exams", help="exams.parquet of the run; left out where the study has no exam and no texts")
    parser.add_argument("--retention", help="retention.parquet of the run; likewise")
    parser.add_argument("--examination", help="examination.json of the run; likewise")
    parser.add_argument("--leaks", nargs="*", default=[], help="what the leak check found (JSON), one file an exam")
    parser.add_argument("--predictions", help="predictions (JSON lines), to check that the scores are theirs")
    parser.add_argument("--test", help="test rows (JSON lines), to check that the scores are of this test set")
    parser.add_argument("--resamples", type=int, default=2000, help="bootstrap resamples (default: %(default)s)")
    parser.add_argument("--bootstrap-seed", type=int, default=0, help="seed of the bootstrap (default: %(default)s)")
    parser.add_argument("--output", required=True, help="eval.json")
    return parser.parse_args()


def optional(text: str) -> str | None:
    """Read a value that may be ``none``."""
    return None if text == "none" else text


def optional_number(text: str) -> int | None:
    """Read a whole number that may be ``none``."""
    return None if text == "none" else int(text)


if __name__ == "__main__":
    run_script(main)
