"""Write the record of one run: a Markdown page with its results, costs, events and settings, and its loss curve."""

import argparse
import json
import os
from pathlib import Path

from medscale.base.errors import run_script
from medscale.base.files import read_json, write_text
from medscale.report.plots.losses import plot_loss
from medscale.report.plots.style import drawn
from medscale.report.plots.words import word
from medscale.report.records import record_text
from medscale.report.training_log import read_log


def main() -> None:
    args = parse_arguments()
    evaluation, training, inference = (read_json(path) for path in (args.eval, args.training, args.inference))
    link = Path(os.path.relpath(args.plot, args.output.parent)).as_posix()
    text = record_text(evaluation, training, inference, link, args.seeds)
    with drawn(**args.plots):
        plot_loss(read_log(args.train_log), word("loss_of", run=evaluation["run"]), args.plot)
    write_text(args.output, text)
    print(f"wrote the record of {evaluation['run']} to {args.output}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eval", required=True, help="eval.json of the run")
    parser.add_argument("--training", required=True, help="training.json of the run")
    parser.add_argument("--train-log", required=True, help="train_log.csv of the run")
    parser.add_argument("--inference", required=True, help="inference.json of the run")
    parser.add_argument(
        "--seeds", type=int, default=1, help="seeds of the run's method and size (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--plot", type=Path, required=True, help="PNG file of the loss curve to write")
    parser.add_argument("--plots", type=json.loads, default={}, help="section plots of the configuration (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
