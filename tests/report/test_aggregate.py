"""aggregate.py on the files of a whole study: every table and plot, and one clear line where something is wrong."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from medscale.base.config import resolve
from medscale.base.files import read_json
from places import ROOT
from report_files import Study

TABLES = {
    "results_summary.csv",
    "comparisons.csv",
    "configurations.csv",
    "power.csv",
    "scaling_fit.json",
    "recommendation.json",
}
PLOTS = {"data_scale_comparison.png", "method_comparison.png", "loss_curves.png", "scaling.png", "pareto.png"}


class Aggregate:
    """A study, and the command line that compares its runs; the sections of the configuration may be changed."""

    def __init__(self, study: Study, **sections: dict):
        self.study, self.output = study, study.folder / "compared"
        options = study.arguments
        start, end = options.index("--evals"), options.index("--predictions")
        logs = options[options.index("--training-logs") : options.index("--test")]
        self.arguments = [*options[start:end], *logs, "--leak-report", study.folder / "data" / "leak_report.json"]
        config = resolve({"statistics": {"resamples": 1000}, "scaling": {"resamples": 200}})
        for name in ("statistics", "recommendation", "scaling", "leakage"):
            self.arguments += [f"--{name}", json.dumps(config[name] | sections.get(name, {}))]

    def run(self, **environment: str) -> subprocess.CompletedProcess:
        command = [sys.executable, ROOT / "workflow/scripts/aggregate.py", *self.arguments]
        command += ["--output-folder", self.output]
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


def test_every_table_and_plot_is_written_without_a_screen(tmp_path):
    aggregate = Aggregate(Study(tmp_path, sizes=(200, 500)))
    done = aggregate.run(MPLBACKEND="TkAgg", DISPLAY="")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in aggregate.output.iterdir()} == TABLES | PLOTS
    recommendation = read_json(aggregate.output / "recommendation.json")
    assert recommendation["sentence"]["en"] in done.stdout
    assert all(f"warning: {warning['en']}" in done.stdout for warning in recommendation["warnings"])
    table = pd.read_csv(aggregate.output / "results_summary.csv")
    assert all(run in done.stdout for run in table["run"])
    comparisons = pd.read_csv(aggregate.output / "comparisons.csv")
    assert set(comparisons["kind"]) == {"method", "size", "base", "floor"}
    fits = read_json(aggregate.output / "scaling_fit.json")["metrics"]
    assert {fit["status"] for methods in fits.values() for fit in methods.values()} == {"too_few_sizes"}


def test_seeds_and_controls_and_many_sizes_take_part(tmp_path):
    sizes = (1000, 2000, 5000, 10_000, 20_000)
    study = Study(tmp_path, methods=("lora",), sizes=sizes, seeds=(42, 43), floors=("floor_bm25",), control=True)
    aggregate = Aggregate(study)
    done = aggregate.run()
    assert done.returncode == 0, done.stderr
    comparisons = pd.read_csv(aggregate.output / "comparisons.csv")
    assert "control" in set(comparisons["kind"])
    assert set(comparisons.loc[comparisons["kind"] == "size", "seeds_a"]) == {2}
    points = read_json(aggregate.output / "scaling_fit.json")["metrics"]["nll"]["lora"]["points"]
    assert sorted(point["size"] for point in points) == [0, *sizes]
    candidates = read_json(aggregate.output / "recommendation.json")["candidates"]
    assert not any("epochs" in candidate["run"] for candidate in candidates)


def test_a_price_becomes_money(tmp_path):
    aggregate = Aggregate(Study(tmp_path, sizes=(200,)), recommendation={"price_per_gpu_hour": 2.0, "currency": "EUR"})
    assert aggregate.run().returncode == 0
    candidates = read_json(aggregate.output / "recommendation.json")["candidates"]
    tuned = [candidate for candidate in candidates if candidate["method"] != "base"]
    assert all(candidate["cost"] == pytest.approx(2 * candidate["gpu_hours"], abs=0.006) for candidate in tuned)


@pytest.mark.parametrize("fault", ["no such file", "no fine-tuned run", "broken", "scores of other items"])
def test_what_is_wrong_is_told_in_one_line_and_nothing_is_written(tmp_path, fault):
    study = Study(tmp_path, sizes=(200,), methods=("lora",))
    aggregate = Aggregate(study)
    first = aggregate.arguments.index("--evals") + 1
    if fault == "no such file":
        aggregate.arguments[first] = tmp_path / "lost" / "eval.json"
    elif fault == "no fine-tuned run":
        del aggregate.arguments[first]
        logs = aggregate.arguments.index("--training-logs")
        del aggregate.arguments[logs : logs + 2]
    elif fault == "broken":
        path = tmp_path / "lora_200" / "eval.json"
        path.write_text(path.read_text(encoding="utf-8")[:100], encoding="utf-8")
    else:
        other = Study(tmp_path / "other", sizes=(200,), methods=("lora",), items=10)
        (other.folder / "lora_200" / "scores.parquet").replace(tmp_path / "lora_200" / "scores.parquet")
    done = aggregate.run()
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not aggregate.output.exists()
