"""Put the results of all runs side by side: one table, and the plots of quality, methods and losses."""

import argparse
from pathlib import Path

from medscale.errors import UserError, run_script
from medscale.loss_plots import plot_losses, read_log
from medscale.plots import plot_data_scale, plot_method_comparison
from medscale.summary import is_tuned, match_logs, read_evaluations, summary_table, table_text, write_table


def main() -> None:
    args = parse_arguments()
    evaluations = read_evaluations(args.evals)
    logs = {run: read_log(path) for run, path in match_logs(evaluations, args.training_logs).items()}
    table = summary_table(evaluations.values())
    if not table["run"].map(is_tuned).any():
        raise UserError("--evals: there is no fine-tuned run among them, so there is nothing to compare")

    write_table(table, args.output_folder / "results_summary.csv")
    plot_data_scale(table, args.output_folder / "data_scale_comparison.png")
    plot_method_comparison(table, args.output_folder / "method_comparison.png")
    plot_losses(logs, table, args.output_folder / "loss_curves.png")
    print(table_text(table))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--evals", nargs="+", required=True, help="eval.json of each run, the base model and the floors"
    )
    parser.add_argument(
        "--training-logs",
        nargs="*",
        default=[],
        help="train_log.csv of each fine-tuned run, in the same folder as the run's eval.json",
    )
    parser.add_argument(
        "--output-folder",
        type=Path,
        required=True,
        help="folder for results_summary.csv, data_scale_comparison.png, method_comparison.png and loss_curves.png",
    )
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
