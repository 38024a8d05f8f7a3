"""Time clean, split and subset on corpora of growing size, and take the memory of each with all of its processes.

python benchmarks/cleaning.py                                  # 20,000 to 200,000 rows made from the demo's
python benchmarks/cleaning.py --rows 200000 800000 2000000 --output cleaning.json --plot cleaning.png
python benchmarks/cleaning.py --csv toyhom.csv                 # made from the rows of a Toyhom file
python benchmarks/cleaning.py --from cleaning.json --plot cleaning.png   # draw measured figures again
"""

import argparse
import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from medscale.base.errors import UserError, run_script
from medscale.base.files import read_json, write_json
from medscale.data.demo.corpus import generate, load_conditions
from medscale.data.text_encoding import detect_encoding
from medscale.fetch.manifest import write_manifest
from perturbed_corpus import COLUMNS, SHARES, write_corpus

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow" / "scripts"
STAGES = ("clean", "split", "subset")
PACKAGES = ("numpy", "pyarrow", "rensa")
MIB = 1024**2
GIB = 1024**3
# The goal: so many rows on two cores in so many seconds and GiB.
GOAL = {"rows": 800_000, "seconds": 600, "gib": 4}
STUDY = {"test": 2000, "validation": 1000, "largest": 100_000}


def main() -> None:
    args = parse_arguments()
    if args.from_file:
        result = read_json(args.from_file)
    else:
        for result in measure(args):
            if args.output:
                write_json(args.output, result)
    print(table(result))
    if args.plot:
        plot(result, args.plot)


def measure(args: argparse.Namespace) -> Iterator[dict]:
    """Run the stages on every number of rows, the smallest first, and yield all figures after each."""
    base, source = base_rows(args.csv)
    runs: list[dict] = []
    for rows in sorted(args.rows):
        folder = Path(tempfile.mkdtemp(prefix="cleaning-", dir=args.folder))
        try:
            runs.append(measure_rows(folder, base, rows, args.seed, args.scripts, args.cores))
        finally:
            if not args.keep:
                shutil.rmtree(folder)
        print(f"{rows:,} rows: {runs[-1]['seconds']} s, {runs[-1]['peak_gib']} GiB", file=sys.stderr)
        yield described(args, source, runs)


def described(args: argparse.Namespace, source: str, runs: list[dict]) -> dict:
    """Return the runs with what they were made of and where."""
    return {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": f"{source}, perturbed with seed {args.seed}: CSV in GB18030",
        "shares": SHARES,
        "study": STUDY,
        "runs": runs,
        "machine": {
            "cpu": cpu_model(),
            "system": platform.platform(),
            "cores": len(os.sched_getaffinity(0)),
            "cores_used": args.cores,
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB, 1),
        },
        "versions": {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}},
        "command": "python benchmarks/cleaning.py --rows " + " ".join(str(run["rows"]) for run in runs),
    }


def measure_rows(folder: Path, base: list[dict[str, str]], rows: int, seed: int, scripts: Path, cores: int) -> dict:
    """Write a corpus of so many rows and run the stages on it as the workflow's rules do."""
    raw = folder / "raw"
    raw.mkdir()
    write_corpus(raw / "rows.csv", base, rows, seed)
    manifest = write_manifest(raw, kind="data", source="file")
    columns = {"question": ["title", "ask"], "answer": "answer", "department": "department"}
    # As the study does, but for corpora too small for it.
    test, validation, largest = (min(size, rows // 10) for size in STUDY.values())
    options = {
        "clean": {
            "manifest": manifest,
            "columns": json.dumps(columns),
            "output-clean": folder / "clean.parquet",
            "output-rejected": folder / "rejected.parquet",
            "output-report": folder / "clean_report.json",
        },
        "split": {
            "clean": folder / "clean.parquet",
            "test-size": test,
            "validation-size": validation,
            "sizes": f"[{largest}]",
            "seed": 42,
            "test": folder / "test.jsonl",
            "validation": folder / "validation.jsonl",
            "pool": folder / "pool.jsonl",
            "report": folder / "split_report.json",
        },
        "subset": {
            "pool": folder / "pool.jsonl",
            "size": largest,
            "output": folder / "train.jsonl",
            "manifest": folder / "train.manifest.json",
        },
    }
    loads = [os.getloadavg()[0]]
    stages = {stage: timed(scripts / f"{stage}.py", options[stage], cores) for stage in STAGES}
    loads.append(os.getloadavg()[0])
    cleaned, divided = read_json(folder / "clean_report.json"), read_json(folder / "split_report.json")
    seconds = round(sum(stage["seconds"] for stage in stages.values()), 2)
    return {
        "rows": rows,
        "mib": round((raw / "rows.csv").stat().st_size / MIB, 1),
        "kept": cleaned["kept"],
        "dropped": cleaned["dropped"],
        "masked": cleaned["masked"],
        "pairs_compared": {
            "clean": cleaned["near_duplicate_pairs_compared"],
            "proof_of_split": divided["proof"]["pairs_compared"],
        },
        "families": divided["families"],
        "crossing_pairs": divided["proof"]["crossing_pairs"],
        "stages": stages,
        "seconds": seconds,
        "processor_seconds": round(sum(stage["processor_seconds"] for stage in stages.values()), 2),
        "rows_per_second": round(rows / seconds),
        "peak_gib": max(stage["peak_gib"] for stage in stages.values()),
        # What else ran on the machine: above the number of cores, wall time is not that of the stages alone.
        "load_average_before_and_after": [round(load, 1) for load in loads],
    }


def timed(script: Path, options: dict, cores: int) -> dict:
    """Run one program on the first ``cores`` cores; return its wall and processor time and its peak memory.

    Memory is the sum of the resident sets of the process and all of its children, looked at ten times a second, or the
    largest single one of them by the kernel's own book, whichever is more. Pages that several of them share are counted
    once for each.
    """
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, script, *(str(part) for name, value in options.items() for part in (f"--{name}", value))],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )
    peak, ended = [0], threading.Event()
    watch = threading.Thread(target=watch_memory, args=(process.pid, peak, ended))
    watch.start()
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    ended.set()
    watch.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise UserError("X102", f"{script.name} failed:\n{output}")
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_gib": round(max(peak[0], usage.ru_maxrss * 1024) / GIB, 3),
    }


def watch_memory(pid: int, peak: list[int], ended: threading.Event) -> None:
    """Keep in ``peak[0]`` the most bytes that a process and its descendants were seen to have resident together."""
    page = os.sysconf("SC_PAGE_SIZE")
    while not ended.wait(0.1):
        total, left = 0, [pid]
        while left:
            current = left.pop()
            try:
                total += int(Path(f"/proc/{current}/statm").read_text().split()[1]) * page
                for task in Path(f"/proc/{current}/task").iterdir():
                    left += map(int, (task / "children").read_text().split())
            except (OSError, IndexError):
                continue  # it has just ended
        peak[0] = max(peak[0], total)


def base_rows(path: str | None) -> tuple[list[dict[str, str]], str]:
    """Return the rows that are perturbed, and what they are."""
    if path is None:
        rows = generate(load_conditions(ROOT / "resources" / "demo" / "conditions.json"), 6000, seed=42, noise=0)
        return rows, "6,000 rows of the demo corpus"
    with open(path, encoding=detect_encoding(path), newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if all(row.get(name) for name in COLUMNS)]
    if not rows:
        raise UserError("X105", f"{path}: no row with {', '.join(COLUMNS)}; --csv takes a file in the Toyhom schema")
    return rows, f"{len(rows):,} rows of {Path(path).name}"


def cpu_model() -> str:
    """Return the processor's name."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def table(result: dict) -> str:
    """Return the figures as text; the last two are the time a row, relative to that of the smallest corpus."""
    head = ["rows", *(f"{stage} s" for stage in STAGES), "all s", "CPU s", "rows/s", *(f"{s} GiB" for s in STAGES)]
    head += ["to linear", "CPU to linear"]
    lines = ["".join(f"{name:>14}" for name in head)]
    first = result["runs"][0]
    for run in result["runs"]:
        cells = [f"{run['rows']:,}", *(f"{run['stages'][stage]['seconds']:.1f}" for stage in STAGES)]
        cells += [f"{run['seconds']:.1f}", f"{run['processor_seconds']:.1f}", f"{run['rows_per_second']:,}"]
        cells += [f"{run['stages'][stage]['peak_gib']:.2f}" for stage in STAGES]
        for key in ("seconds", "processor_seconds"):
            cells.append(f"{run[key] / run['rows'] / (first[key] / first['rows']):.2f}")
        lines.append("".join(f"{cell:>14}" for cell in cells))
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    machine = result["machine"]
    lines.append(f"{result['data']}; {machine['cpu']}, {machine['cores_used']} cores, {versions}")
    return "\n".join(lines)


def plot(result: dict, path: str) -> None:
    """Draw time and peak memory over the number of rows, with the goal; a straight line is linear time."""
    from medscale.report.plots.style import new_figure

    rows = [run["rows"] / 1e6 for run in result["runs"]]
    with new_figure(path, (10, 4.2)) as figure:
        axes = figure.subplots(1, 2)
        for axis, key, unit in zip(axes, ("seconds", "peak_gib"), ("minutes", "GiB"), strict=True):
            scale = 60 if key == "seconds" else 1
            for stage, marker in zip(STAGES, "os^", strict=True):
                values = [run["stages"][stage][key] / scale for run in result["runs"]]
                axis.plot(rows, values, marker=marker, label=stage)
            if key == "seconds":
                total = [run["seconds"] / scale for run in result["runs"]]
                axis.plot(rows, total, marker="D", color="black", label="all three")
                total = [run["processor_seconds"] / scale for run in result["runs"]]
                axis.plot(rows, total, "--", marker="D", color="0.45", label="processor time of all three")
            limit = GOAL["seconds" if key == "seconds" else "gib"] / scale
            axis.plot(GOAL["rows"] / 1e6, limit, marker="*", markersize=14, ls="", color="crimson", label="at most")
            axis.set(xlabel="million rows", ylabel=unit, xlim=0, ylim=0)
        axes[0].set_title(f"Time on {result['machine']['cores_used']} cores")
        axes[1].set_title("Peak memory of all processes")
        axes[0].legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 0.92))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 50_000, 100_000, 200_000], help="rows to make")
    parser.add_argument("--csv", help="a file with department, title, ask and answer instead of the demo's rows")
    parser.add_argument("--seed", type=int, default=0, help="seed of the corpus (default: %(default)s)")
    parser.add_argument("--cores", type=int, default=2, help="cores that the stages may use (default: %(default)s)")
    parser.add_argument("--scripts", type=Path, default=SCRIPTS, help="the stages' folder, to compare two versions")
    parser.add_argument("--folder", help="where the corpora are made (default: the system's folder for such)")
    parser.add_argument("--keep", action="store_true", help="leave corpora and outputs there")
    parser.add_argument("--from", dest="from_file", help="measure nothing, take the figures of this JSON file")
    parser.add_argument("--output", help="JSON file for the figures")
    parser.add_argument("--plot", help="PNG file for the curve")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
