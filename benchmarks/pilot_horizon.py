"""Measure on the demo whether a short pilot finds the learning rate that is best for whole runs.

A pilot of a share of 1 is a whole run: what shorter ones choose is judged by its losses on the same validation rows.

python benchmarks/pilot_horizon.py --output benchmarks/results/pilot_horizon.json
python benchmarks/pilot_horizon.py --methods lora --shares 0.1 1 --sizes 100
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from circumstances import circumstances, load_average, told
from medscale.base.errors import UserError, run_script
from medscale.base.files import read_json, write_json
from medscale.base.settings import as_json
from medscale.compare.learning_rates import paired_difference

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes")
ALPHA = 0.05


def pilots(args: argparse.Namespace, folder: Path, share: float) -> dict[str, Any]:
    """Let the workflow make the pilots of a share of the runs' steps; return their files by method."""
    changes = {
        "study": {"sizes": sorted(args.sizes), "methods": args.methods},
        "training": {"learning_rate": "auto"},
        "pilot": {"rates": args.rates, "share": share, "least_steps": 2, "extend": False},
        "paths": {"results": str(folder / "results"), "resources": str(folder / "resources")},
    }
    targets = [str(folder / "results" / "pilot" / f"{method}.json") for method in args.methods]
    command = [
        sys.executable,
        "-m",
        "snakemake",
        *targets,
        "--configfile",
        str(args.config),
        "--cores",
        str(args.cores),
    ]
    command += [
        "--resources",
        "gpu=1",
        "--config",
        *(f"{section}={as_json(keys)}" for section, keys in changes.items()),
    ]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise UserError("X102", f"the pilots of share {share:g} failed:\n{done.stdout[-4000:]}")
    return {method: read_json(path) for method, path in zip(args.methods, targets, strict=True)}


def judged(short: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Return what a short pilot of one size chose, and what whole runs at that rate lose to their best."""
    by_rate = {rate["rate"]: rate for rate in whole["rates"]}
    best, chosen = by_rate[whole["chosen"]], by_rate[short["chosen"]]
    result = {
        **{"steps": short["steps"], "steps_of_a_run": short["steps_of_a_run"]},
        **{"chosen": short["chosen"], "best_of_whole_runs": best["rate"]},
        "nll": {f"{rate['rate']:g}": rate["nll"] for rate in short["rates"]},
    }
    if chosen["nll"] is None:
        return result | {"lost": None, "lo": None, "hi": None}
    lost = paired_difference(chosen["rows"], best["rows"], whole["answer_tokens"], ALPHA)
    return result | {name: value and round(value, 5) for name, value in zip(("lost", "lo", "hi"), lost, strict=True)}


def main() -> None:
    args = parse_arguments()
    result: dict[str, Any] = {"schema_version": 1, **circumstances(PACKAGES)}
    result |= {"config": args.config.name, "rates": args.rates, "alpha": ALPHA, "pilots": []}
    with tempfile.TemporaryDirectory(prefix="pilot-horizon-") as folder:
        whole = pilots(args, Path(folder), 1.0)
        for share in sorted(args.shares):
            for method, short in pilots(args, Path(folder), share).items():
                for label, size in short["sizes"].items():
                    told_of = {"method": method, "size": size["size"], "share": share}
                    result["pilots"].append(told_of | judged(size, whole[method]["sizes"][label]))
            result["load_average_after"] = load_average()
            if args.output:
                write_json(args.output, result)
    print(table(result), told(result), sep="\n\n")


def table(result: dict[str, Any]) -> str:
    lines = [
        "| method | rows | share | steps | chosen | best of whole runs | lost, nats a token |",
        "|---|" + "---|" * 6,
    ]
    for row in sorted(result["pilots"], key=lambda row: (row["method"], row["size"], row["share"])):
        lost = "diverged" if row["lost"] is None else f"{row['lost']:.4f} [{row['lo']:.4f}, {row['hi']:.4f}]"
        lines.append(
            f"| {row['method']} | {row['size']:,} | {row['share']:g} | {row['steps']} of {row['steps_of_a_run']} | "
            f"{row['chosen']:g} | {row['best_of_whole_runs']:g} | {lost} |"
        )
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "config" / "demo.yaml", help="the study")
    parser.add_argument("--methods", nargs="+", choices=["lora", "qlora"], default=["lora", "qlora"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000], help="the smallest and the largest count")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.0005, 0.0015, 0.005, 0.015, 0.05])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.025, 0.05, 0.1, 0.25])
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
