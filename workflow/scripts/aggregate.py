"""Compare all runs: the table, the differences, the scaling law, the recommendation, and the plots."""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd

from medscale.base.errors import UserError, run_script
from medscale.base.files import read_json, write_json
from medscale.base.progress import working
from medscale.compare.caveats import Limits
from medscale.compare.comparisons import comparison_table
from medscale.compare.configurations import configuration_table, own_intervals
from medscale.compare.knowledge import Statistics, knowledge_tables, read_exams, read_retention, with_knowledge
from medscale.compare.learning_rates import margin_of, sensitivity
from medscale.compare.power import power_table
from medscale.compare.recommendation import Settings, recommend
from medscale.compare.resampling import FLOOR, Configuration, Resampled, configurations_of, resample
from medscale.compare.scaling.law import fit_study
from medscale.evaluate.eval_file import Scores, read_scores
from medscale.report.evaluations import is_tuned, match_logs, read_evaluations
from medscale.report.plots.knowledge import plot_knowledge
from medscale.report.plots.losses import plot_losses
from medscale.report.plots.pareto import plot_pareto
from medscale.report.plots.quality import plot_data_scale, plot_method_comparison
from medscale.report.plots.rates import plot_rates
from medscale.report.plots.scaling import plot_scaling
from medscale.report.plots.style import drawn
from medscale.report.summary import METRICS, summary_table, table_text, write_table
from medscale.report.training_log import read_log


def main() -> None:
    args = parse_arguments()
    evaluations = read_evaluations(args.evals)
    logs = {run: read_log(path) for run, path in match_logs(evaluations, args.training_logs).items()}
    table = summary_table(evaluations.values())
    if not table["run"].map(is_tuned).any():
        raise UserError("R201", "--evals: there is no fine-tuned run among them, so there is nothing to compare")
    ordered = in_order(evaluations, table)
    folder = args.output_folder

    statistics, leak_report = args.statistics, read_json(args.leak_report)
    scores, configurations = read_all_scores(evaluations), configurations_of(ordered)
    with working("drawing resamples of all runs"):
        resampled = resample(scores, configurations, METRICS, statistics["resamples"], statistics["seed"])
    with working("comparing the runs"):
        comparisons = comparison_table(resampled, ordered, statistics["alpha"], statistics["power"])
        power = power_table(resampled, comparisons, statistics["alpha"], statistics["power"])
    with working("fitting the scaling law"):
        fit = fitted_laws(resampled, ordered, args.scaling)
    if args.examined:
        with working("comparing what the models know"):
            knowledge = knowledge_of(evaluations, ordered, configurations, args)
        for name, part in zip(("knowledge", "knowledge_comparisons"), knowledge, strict=True):
            write_table(part, folder / f"{name}.csv")
    tried = sensitivity([read_json(path) for path in args.pilots], margin_of(args.recommendation), statistics["alpha"])
    recommendation = recommend(resampled, ordered, comparisons, leak_report, settings(args), tried)
    by_configuration = configuration_table(resampled, ordered)
    if args.examined:
        by_configuration = with_knowledge(by_configuration, knowledge[0])

    write_table(table, folder / "results_summary.csv")
    write_table(by_configuration, folder / "configurations.csv")
    write_table(comparisons, folder / "comparisons.csv")
    write_table(power, folder / "power.csv")
    write_json(folder / "scaling_fit.json", fit)
    write_json(folder / "recommendation.json", recommendation)
    if tried:
        write_json(folder / "learning_rates.json", {"schema_version": 1, "entries": tried})
    with working("drawing the plots"), drawn(**args.plots):
        plot_data_scale(table, folder / "data_scale_comparison.png", by_configuration)
        plot_method_comparison(table, folder / "method_comparison.png", by_configuration)
        plot_losses(logs, table, folder / "loss_curves.png")
        plot_scaling(fit, folder / "scaling.png")
        if tried:
            plot_rates(tried, folder / "learning_rates.png")
        plot_pareto(recommendation, folder / "pareto.png")
        if args.examined:
            plot_knowledge(knowledge[0], pd.DataFrame(configurations), folder / "knowledge.png")
    print(table_text(table, by_configuration), recommendation["sentence"]["en"], sep="\n\n")
    for warning in recommendation["warnings"]:
        print(f"warning: {warning['en']}")


def in_order(evaluations: dict[Path, dict[str, Any]], table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the evaluations in the order of the table."""
    by_run = {evaluation["run"]: evaluation for evaluation in evaluations.values()}
    return [by_run[run] for run in table["run"]]


def read_all_scores(evaluations: dict[Path, dict[str, Any]]) -> dict[str, Scores]:
    """Return the scores by run; they lie beside the evaluations."""
    return {evaluation["run"]: read_scores(folder / "scores.parquet") for folder, evaluation in evaluations.items()}


def knowledge_of(
    evaluations: dict[Path, dict[str, Any]],
    ordered: list[dict[str, Any]],
    configurations: list[Configuration],
    args: argparse.Namespace,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return knowledge.csv and knowledge_comparisons.csv; what the models answered lies beside their evaluations."""
    folders = {each["run"]: folder for folder, each in evaluations.items() if not each["run"].startswith(FLOOR)}
    exams = read_exams(
        {each["run"]: folders[each["run"]] / "exams.parquet" for each in ordered if each["run"] in folders}
    )
    texts = {run: folder / "retention.parquet" for run, folder in folders.items()}
    retention = read_retention(texts) if any(each.get("retention") for each in ordered) else {}
    statistics = Statistics(**{key: args.statistics[key] for key in Statistics._fields})
    return knowledge_tables(exams, retention, configurations, ordered, statistics)


def fitted_laws(resampled: Resampled, evaluations: list[dict[str, Any]], scaling: dict[str, Any]) -> dict[str, Any]:
    """Return scaling_fit.json for the metrics that were asked for."""
    seconds: dict[str, list[float]] = {}
    for evaluation in evaluations:
        if evaluation["arm"] == "main" and evaluation["training"]["seconds"]:
            seconds.setdefault(evaluation["method"], []).append(
                evaluation["training"]["seconds"] / evaluation["train_size"]
            )
    by_run = {evaluation["run"]: evaluation for evaluation in evaluations}
    several = any(len(each.runs) > 1 for each in resampled.configurations)
    ends = {
        metric: [(low, high) for _, low, high in own_intervals(resampled, metric, by_run)]
        for metric in (scaling["metrics"] if several else ())
    }
    return fit_study(
        resampled.configurations,
        {metric: resampled.points[metric] for metric in scaling["metrics"]},
        {metric: resampled.draws[metric] for metric in scaling["metrics"]},
        extrapolate=scaling["extrapolate"],
        seconds_per_row={method: values[-1] for method, values in seconds.items()},
        resamples=scaling["resamples"],
        seed=resampled.seed,
        ends=ends,
    )


def settings(args: argparse.Namespace) -> Settings:
    """Return what the recommendation is told."""
    asked = args.recommendation
    limits = Limits(args.leakage["warn_rouge_l"], args.leakage["warn_bleu_4"])
    return Settings(
        metric=asked["metric"],
        margin=asked["margin"],
        alpha=args.statistics["alpha"],
        price_per_gpu_hour=asked["price_per_gpu_hour"],
        currency=asked["currency"],
        limits=limits,
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--evals",
        nargs="+",
        required=True,
        help="eval.json of each run, the base model and the floors; scores.parquet lies beside each",
    )
    parser.add_argument(
        "--training-logs",
        nargs="*",
        default=[],
        help="train_log.csv of each fine-tuned run, in the same folder as the run's eval.json",
    )
    parser.add_argument("--pilots", nargs="*", default=[], help="the pilots' files, where there were any")
    parser.add_argument("--leak-report", required=True, help="leak_report.json")
    for section in ("statistics", "recommendation", "scaling", "leakage"):
        parser.add_argument(
            f"--{section}", type=json.loads, required=True, help="that section of the configuration (JSON)"
        )
    parser.add_argument("--plots", type=json.loads, default={}, help="that section of the configuration (JSON)")
    parser.add_argument(
        "--examined",
        action="store_true",
        help="exams.parquet and retention.parquet of the base model and each fine-tuned run lie beside its eval.json",
    )
    parser.add_argument("--output-folder", type=Path, required=True, help="folder for the tables and plots")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
