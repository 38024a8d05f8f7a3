"""Compare the forecast of a finished study with what its runs took: seconds of training, prediction and exams.

python benchmarks/forecast.py --config config/demo.yaml                # plans three times, and compares
python benchmarks/forecast.py --config config/demo.yaml --rerun 2      # makes the runs anew, twice

A forecast is of a machine that does nothing else, and so should the truth be: on a shared one, runs of one kind differ
by more than the forecast does. With `--rerun N` each run is made N times between the plans, and compared is the one
that was disturbed least, which is the fastest. All times stand in the file.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from medscale.base.errors import UserError, run_script
from medscale.base.files import read_json, write_json

ROOT = Path(__file__).resolve().parents[1]
KINDS = {
    "train": ("training.json", "training"),
    "predict": ("inference.json", "inference"),
    "examine": ("examination.json", "examination"),
}


def main() -> None:
    args = parse_arguments()
    section = yaml.safe_load(args.config.read_text(encoding="utf-8")).get("paths", {})
    results = args.study / section.get("results", "results")
    plans, loads = [], []
    truths: list[dict[str, float]] = []
    while len(plans) < max(args.rounds, args.rerun + 1):
        loads.append(round(os.getloadavg()[0], 2))
        snakemake(args, ["plan"])
        plans.append(read_json(results / "plan" / "plan.json"))
        if len(truths) < args.rerun:
            rerun(args, results, plans[0]["runs"])
            truths.append(finished(plans[0], results))
            loads.append(round(os.getloadavg()[0], 2))
    compared = compare(plans, truths or [finished(plans[0], results)])
    print(table(compared))
    plan = plans[0]
    write_json(
        args.output,
        {
            "schema_version": 1,
            "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "hardware": plan["hardware"],
            "software": plan["software"],
            "config": args.config.name,
            "reruns": args.rerun,
            "load_averages": loads,
            "comparison": compared,
        },
    )


def snakemake(args: argparse.Namespace, targets: list[str]) -> None:
    """Make the targets, which stand before --resources, because that takes every word after it."""
    command = [sys.executable, "-m", "snakemake", *targets, "--configfile", str(args.config.resolve())]
    command += ["--cores", "2", "--resources", "gpu=1"]
    done = subprocess.run(command, cwd=args.study, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise UserError("X102", f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")


def rerun(args: argparse.Namespace, results: Path, runs: list[dict[str, Any]]) -> None:
    """Train, predict and examine every run anew."""
    files = []
    for run in runs:
        folder = results / run["run"]
        shutil.rmtree(folder, ignore_errors=True)
        files += [folder / file for kind, (file, _) in KINDS.items() if run[f"{kind}_seconds"] is not None]
    snakemake(args, [str(file.relative_to(args.study)) for file in files])


def finished(plan: dict[str, Any], results: Path) -> dict[str, float]:
    """Return the seconds of the finished runs, by run and kind."""
    found = {}
    for run in plan["runs"]:
        for kind, (file, section) in KINDS.items():
            path = results / run["run"] / file
            if run[f"{kind}_seconds"] is None:
                continue
            if not path.is_file():
                raise UserError("X103", f"{path}: the study has not run; run it first, or use --rerun 1")
            found[f"{run['run']} {kind}"] = read_json(path)[section]["seconds"]
    return found


def compare(plans: list[dict[str, Any]], truths: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Return for each run and kind the truths, the forecasts, and the error of the median forecast."""
    by_run = [{run["run"]: run for run in plan["runs"]} for plan in plans]
    rows = []
    for name in truths[0]:
        run, kind = name.split()
        forecasts = [plan[run][f"{kind}_seconds"] for plan in by_run]
        rows.append(row(run, kind, [truth[name] for truth in truths], forecasts))
    for kind in KINDS:
        part = [each for each in rows if each["kind"] == kind]
        if not part:
            continue
        forecasts = [sum(values) for values in zip(*(each["forecast_seconds"] for each in part), strict=True)]
        rows.append(row("all", kind, [sum(min(each["truth_seconds"]) for each in part)], forecasts))
    return rows


def row(run: str, kind: str, truths: list[float], forecasts: list[float]) -> dict[str, Any]:
    """Return one line of the comparison."""
    return {
        "run": run,
        "kind": kind,
        "truth_seconds": [round(value, 3) for value in truths],
        "forecast_seconds": [round(value, 3) for value in forecasts],
        "relative_error": round(statistics.median(forecasts) / min(truths) - 1, 4),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the comparison as text."""
    lines = [f"{'run':<11}{'':<9}{'truth, s':>18}{'forecast, s':>24}{'median against least':>24}"]
    for each in rows:
        truths, forecasts = (" ".join(f"{v:.1f}" for v in each[name]) for name in ("truth_seconds", "forecast_seconds"))
        lines.append(f"{each['run']:<11}{each['kind']:<9}{truths:>18}{forecasts:>24}{each['relative_error']:>+24.1%}")
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "config" / "demo.yaml", help="configuration of the study")
    parser.add_argument("--study", type=Path, default=ROOT, help="checkout with the finished study (default: this one)")
    parser.add_argument("--rounds", type=int, default=3, help="plans to make (default: %(default)s)")
    parser.add_argument("--rerun", type=int, default=0, help="train and predict anew so often (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "forecast.json")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
