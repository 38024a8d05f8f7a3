"""Score each prediction against its reference answer: ROUGE-1, 2 and L, BLEU-4, and the extra metrics asked for."""

import argparse
import json

from medscale.base.arguments import optional
from medscale.base.errors import run_script
from medscale.evaluate.metrics import Options, metric_names
from medscale.evaluate.predictions import read_predictions
from medscale.evaluate.scoring import score_table, write_scores


def main() -> None:
    args = parse_arguments()
    options = Options(args.bertscore_model, args.workers)
    names = metric_names(args.extra_metrics, options)
    rows = read_predictions(args.predictions)
    table = score_table(rows, names, args.workers, options)
    write_scores(table, names, args.predictions, args.output, options)
    print(f"{args.output}: {len(rows)} predictions scored with {', '.join(names)}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", required=True, help="predictions (JSON lines)")
    parser.add_argument("--output", required=True, help="scores, one row a prediction (Parquet)")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes to use at most; few predictions use one (default: 1)"
    )
    parser.add_argument(
        "--extra-metrics", type=json.loads, default=[], help="JSON list of further metrics (default: [])"
    )
    parser.add_argument(
        "--bertscore-model",
        type=optional(str),
        help="directory of the local model of the extra metric bertscore; null or left out: none",
    )
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
