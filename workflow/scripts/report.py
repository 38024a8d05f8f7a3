"""Write report.html: the whole study in one file, from the recommendation to the answers to each test question."""

import argparse
import json
from pathlib import Path

from medscale.base.errors import UserError, run_script
from medscale.base.files import read_json, write_text
from medscale.base.progress import working
from medscale.report.inputs import Inputs, read_accounts, read_runs, read_safety, read_summary
from medscale.report.page import report_html


def main() -> None:
    args = parse_arguments()
    summary = read_summary(args.summary, args.examined, args.pilots)
    evaluations, answers, logs = read_runs(
        summary.results, args.evals, args.predictions, args.scores, args.training_logs, args.test
    )
    inputs = Inputs(
        summary,
        evaluations,
        answers,
        logs,
        clean=read_json(args.clean_report),
        split=read_json(args.split_report),
        leak=read_json(args.leak_report),
        model=read_json(args.model_manifest),
        data=read_json(args.data_manifest),
        config=args.config,
        safety=read_safety(args.safety, args.predictions),
        verdicts=args.verdicts and read_json(args.verdicts),
        mix=read_json(args.mix_report) if args.mix_report else None,
        exams=read_accounts(args.exams),
    )
    with working("writing the report"):
        text = report_html(inputs)
    write_text(args.output, text)
    print(f"{args.output}: {len(evaluations)} runs, {len(answers.ids)} questions, {len(text.encode()) / 2**20:.1f} MiB")


def config(text: str) -> dict:
    """Read the configuration from JSON text."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            "R209", f"--config: not JSON ({error}); give the resolved configuration as JSON text"
        ) from error
    if not isinstance(value, dict):
        raise UserError("R209", "--config: not a JSON object; give the resolved configuration as JSON text")
    return value


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--summary", type=Path, required=True, help="folder with the tables and plots over all runs")
    parser.add_argument(
        "--evals", nargs="+", required=True, help="eval.json of each run, the base model and the floors"
    )
    parser.add_argument(
        "--predictions", nargs="+", required=True, help="predictions.jsonl of each of them, in the same folder"
    )
    parser.add_argument("--scores", nargs="+", required=True, help="scores.parquet of each of them, in the same folder")
    parser.add_argument(
        "--training-logs", nargs="*", default=[], help="train_log.csv of each fine-tuned run, in the same folder"
    )
    parser.add_argument("--test", help="test.jsonl, for the departments of the questions (default: no departments)")
    parser.add_argument("--pilots", action="store_true", help="the summary tells of learning rates that pilots tried")
    parser.add_argument("--clean-report", required=True, help="clean_report.json")
    parser.add_argument("--split-report", required=True, help="split_report.json")
    parser.add_argument("--leak-report", required=True, help="leak_report.json")
    parser.add_argument("--mix-report", help="mix.json, of a study with general rows")
    parser.add_argument("--model-manifest", required=True, help="manifest.json of the base model")
    parser.add_argument("--data-manifest", required=True, help="manifest.json of the corpus")
    parser.add_argument("--examined", action="store_true", help="the summary tells of exams or general texts too")
    parser.add_argument("--exams", nargs="*", default=[], help="what became of each exam's rows (JSON), a file each")
    parser.add_argument(
        "--safety",
        nargs="*",
        default=[],
        help="safety.json of each of them and of the reference answers (default: none)",
    )
    parser.add_argument("--verdicts", help="verdicts.json of judges (default: none)")
    parser.add_argument("--config", type=config, required=True, help="the resolved configuration as JSON text")
    parser.add_argument("--output", type=Path, required=True, help="HTML file to write")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
