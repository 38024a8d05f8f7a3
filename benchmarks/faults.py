"""Kill every stage of a study before each of its writes, run it again, and see that it makes what it made without.

python benchmarks/faults.py                             # all stages, every write; an hour or more on two cores
python benchmarks/faults.py --stages clean,split --output faults.json
python benchmarks/faults.py --which kinds               # of writes that differ in their numbers only, the first

A study runs once without a kill. Then the last command of each stage is run in forked processes: one is killed by
SIGKILL before its k-th write (a file opened to be written, a rename, a removal, a new folder), and the next one lives.
What it makes must be the bytes of the run without a kill; of JSON files and the training's log, all but times, memory
and machine. See tests/helpers/kill_at_writes.py for what counts as a write, and tests/helpers/power_cut.py for power
cuts, which tests/workflow/test_power_cut.py makes at every step of a training, a prediction and a cleaning.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))

from circumstances import circumstances, load_average, told
from kill_at_writes import commands_of, killed_at_writes
from killing import RESOURCES, new_study
from medscale.base.errors import UserError, run_script
from medscale.base.files import write_json

PACKAGES = ("snakemake", "torch", "transformers", "pyarrow")
SUMMARIES = ("aggregate", "report")
STAGES = ("clean", "split", "subset", "encode", "finetune", "predict", "score", "evaluate", *SUMMARIES)
WARM = {
    "clean": ["medscale.data.judging"],
    "encode": ["medscale.model.chat", "medscale.model.tokenizer", "transformers.models.auto.tokenization_auto"],
    "finetune": ["medscale.train.run"],
    "predict": ["medscale.evaluate.run"],
}


def main() -> None:
    args = parse_arguments()
    stages = args.stages.split(",")
    if unknown := set(stages) - set(STAGES):
        raise UserError(
            "X108", f"--stages: {', '.join(sorted(unknown))} is none of {', '.join(STAGES)}; name some of these"
        )
    result: dict[str, Any] = {"schema_version": 1, **circumstances(PACKAGES), "which": args.which, "stages": {}}
    with tempfile.TemporaryDirectory(prefix="faults-", dir=args.folder) as parent:
        copy = new_study(Path(parent) / "repo")
        targets = RESOURCES if set(SUMMARIES) & set(stages) else ("results/lora_16/eval.json", *RESOURCES)
        copy.run(*targets)
        printed = copy.run("-n", "-p", "--forceall", *targets).stdout
        commands = {Path(command[0]).stem: command for command in commands_of(printed)}
        environment = copy.environment() | {"PATH": os.environ["PATH"]}
        for stage in stages:
            found = killed_at_writes(commands[stage], copy.folder, environment, WARM.get(stage, []), args.which)
            result["stages"][stage] = found
            print(f"{stage}: {found['kills']} kills, {len(found['wrong'])} of them ended otherwise", flush=True)
    result |= {
        "kills": sum(found["kills"] for found in result["stages"].values()),
        "ended_otherwise": sum(len(found["wrong"]) for found in result["stages"].values()),
        "load_average_after": load_average(),
    }
    print(table(result))
    if args.output:
        write_json(args.output, result)


def table(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    lines = [f"{'stage':<12}{'writes':>8}{'kills':>8}{'otherwise':>11}"]
    for stage, found in result["stages"].items():
        lines.append(f"{stage:<12}{found['writes']:>8}{found['kills']:>8}{len(found['wrong']):>11}")
    lines.append(f"{'all':<12}{'':>8}{result['kills']:>8}{result['ended_otherwise']:>11}")
    lines += [wrong for found in result["stages"].values() for wrong in found["wrong"]]
    return "\n".join([*lines, told(result)])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", default=",".join(STAGES), help="which (default: %(default)s)")
    parser.add_argument("--which", choices=["all", "kinds"], default="all", help="writes (default: %(default)s)")
    parser.add_argument("--folder", help="where the study lies (default: the system's folder for such)")
    parser.add_argument("--output", help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
