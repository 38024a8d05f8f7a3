"""Take the workflow's own time: what a small study takes, less the sum of its jobs' times.

python benchmarks/overhead.py                          # the demo's study, a few minutes
python benchmarks/overhead.py --size ci --output overhead.json

The study runs in a folder of its own with one core, so that no two jobs overlap. A job's time is what Snakemake
writes into its benchmark file: the job's command, from its start to its end. What remains is Snakemake's: reading the
workflow, digests of the code, the graph, starting jobs and looking at their files. A second call, which has nothing to
do, is timed too.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from circumstances import circumstances, load_average, told
from medscale.base.errors import UserError, run_script
from medscale.base.files import write_json, write_text

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("snakemake", "torch")
# Merged over config/demo.yaml: a study whose jobs do next to nothing.
CI = """\
model: {tiny: {vocab_size: 1024, hidden_size: 64, layers: 2, steps: 5}}
data: {rows: 300}
study: {methods: [lora], sizes: [16], test_size: 8, validation_size: 6}
training: {epochs: 1, effective_batch: 8, micro_batch: 8, max_length: 512}
evaluation: {max_new_tokens: 8, batch_size: 8, bootstrap_resamples: 100, floors: []}
"""


def main() -> None:
    args = parse_arguments()
    result = {"schema_version": 1, **circumstances(PACKAGES)}
    with tempfile.TemporaryDirectory(prefix="overhead-", dir=args.folder) as parent:
        folder = Path(parent) / "study"
        folder.mkdir()
        write_text(folder / "size.yaml", CI if args.size == "ci" else "{}\n")
        seconds = run(folder)
        jobs = job_seconds(folder / "logs")
        again = run(folder)
    total = sum(jobs.values())
    result |= {
        "study": args.size,
        "jobs": len(jobs),
        "wall_seconds": round(seconds, 2),
        "jobs_seconds": round(total, 2),
        "overhead_seconds": round(seconds - total, 2),
        "overhead_seconds_per_job": round((seconds - total) / len(jobs), 3),
        "overhead_share": round(1 - total / seconds, 4),
        "second_call_seconds": round(again, 2),
        "seconds_by_job": {name: round(value, 2) for name, value in sorted(jobs.items(), key=lambda job: -job[1])},
        "load_average_after": load_average(),
    }
    print(table(result))
    if args.output:
        write_json(args.output, result)


def run(folder: Path) -> float:
    """Run the study with one core and return the seconds."""
    where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--cores", "1", "--resources", "gpu=1"]
    command = [sys.executable, "-m", "snakemake", *where, "--configfile"]
    command += [str(ROOT / "config" / "demo.yaml"), str(folder / "size.yaml")]
    environment = os.environ | {
        "MEDSCALE_LOCK_DIR": str(folder.parent / "locks"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise UserError("X102", f"the study failed:\n{done.stdout[-4000:]}")
    return seconds


def job_seconds(logs: Path) -> dict[str, float]:
    """Return the seconds of each job from Snakemake's benchmark files."""
    jobs = {}
    for file in logs.rglob("*.benchmark.tsv"):
        with open(file, encoding="utf-8", newline="") as handle:
            jobs[file.name.removesuffix(".benchmark.tsv")] = sum(
                float(row["s"]) for row in csv.DictReader(handle, delimiter="\t")
            )
    if not jobs:
        raise UserError("X103", f"{logs}: the jobs left no benchmark files")
    return jobs


def table(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    rows = (
        ("wall time of the study", f"{result['wall_seconds']:.1f} s"),
        (f"sum of its {result['jobs']} jobs", f"{result['jobs_seconds']:.1f} s"),
        ("the workflow's own", f"{result['overhead_seconds']:.1f} s ({result['overhead_share']:.1%})"),
        ("  a job", f"{result['overhead_seconds_per_job']:.2f} s"),
        ("a call with nothing to do", f"{result['second_call_seconds']:.1f} s"),
    )
    return "\n".join([*(f"{name:<28}{value:>16}" for name, value in rows), told(result)])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("ci", "full"), default="full", help="how much (default: %(default)s)")
    parser.add_argument("--folder", help="where the copy is made (default: the system's folder for such)")
    parser.add_argument("--output", help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
