"""Kill a running study again and again, call the same command each time, and see that nothing is different at the end.

python benchmarks/kills.py                             # 200 kills, about half an hour
python benchmarks/kills.py --kills 4 --output kills.json

One study runs without a kill. Others of the same configuration are killed by SIGKILL, 20 times each: most at a random
time after a job of a chosen stage has begun, the others at a random time after the call; three of four kills hit
Snakemake and all its jobs, the fourth Snakemake alone, so that its jobs go on. The call after a kill has no other flag.
At the end the predictions of each study must be the bytes, and its metrics the values, of the one without kills.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))

from circumstances import circumstances, load_average, told
from killing import STAGES, Call, killed_call, leftovers, new_study, results_of, stage_seconds, whole_call
from medscale.base.errors import UserError, run_script
from medscale.base.files import write_json
from workflow_runner import Copy

PACKAGES = ("snakemake", "torch", "psutil")
A_STUDY = 20  # kills
# How often a stage is chosen: more often where more can go wrong.
WEIGHTS = {"fetch_model": 3, "clean": 2, "finetune": 4, "predict": 4, "score": 3}
START = 6.0  # seconds: reading the workflow, and the first jobs
BETWEEN = "between jobs"
INSTANTS = (*STAGES, BETWEEN)
ENDINGS = ("killed at work", "killed at its start", "finished", "locked", "incomplete", "failed")


@dataclass
class Tally:
    """What was killed, and how the calls after the kills ended."""

    kills: int = 0
    alone: int = 0
    by_stage: Counter = field(default_factory=Counter)
    next_calls: Counter = field(default_factory=Counter)
    next_calls_by_stage: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    locks: int = 0
    orphans: int = 0
    troubles: list[str] = field(default_factory=list)

    def add_kill(self, call: Call, alone: bool) -> None:
        self.kills += 1
        self.alone += alone
        self.by_stage.update(call.running or (BETWEEN,))

    def add_next(self, before: Call | None, call: Call) -> None:
        """Count how a call ended after one that was killed."""
        for line in call.output.splitlines():
            if line.startswith("medscale: a snakemake is gone"):
                self.locks += "its lock was removed" in line
                self.orphans += "that went on" in line
        if before:
            self.next_calls[call.ending] += 1
            for stage in before.running or (BETWEEN,):
                self.next_calls_by_stage[stage][call.ending] += 1
        if call.ending in ("locked", "incomplete", "failed"):
            self.troubles.append(call.output[-2000:])


def main() -> None:
    args = parse_arguments()
    result = {"schema_version": 1, **circumstances(PACKAGES)}
    generator, tally, studies = random.Random(args.seed), Tally(), Counter()
    with tempfile.TemporaryDirectory(prefix="kills-", dir=args.folder) as parent:
        whole = new_study(Path(parent) / "whole" / "repo")
        require_finished(whole_call(whole))
        expected, takes = results_of(whole), stage_seconds(whole)
        while tally.kills < args.kills:
            studies["studies"] += 1
            copy = new_study(Path(parent) / str(studies["studies"]) / "repo")
            kill_a_study(copy, draw(generator, min(A_STUDY, args.kills - tally.kills), takes), tally)
            studies["identical"] += results_of(copy) == expected
            studies["with_leftovers"] += bool(leftovers(copy))
            print(f"{tally.kills} kills, {studies['identical']} of {studies['studies']} studies identical", flush=True)
    result |= {
        "seed": args.seed,
        "kills": tally.kills,
        "kills_of_snakemake_alone": tally.alone,
        "kills_by_stage": ordered(tally.by_stage, INSTANTS),
        "next_calls": ordered(tally.next_calls, ENDINGS),
        "next_calls_by_stage": {
            name: ordered(tally.next_calls_by_stage[name], ENDINGS)
            for name in INSTANTS
            if name in tally.next_calls_by_stage
        },
        "locks_of_the_dead_removed": tally.locks,
        "calls_that_ended_jobs_of_the_dead": tally.orphans,
        "studies": studies["studies"],
        "studies_identical": studies["identical"],
        "studies_with_leftovers": studies["with_leftovers"],
        "troubles": tally.troubles,
        "load_average_after": load_average(),
    }
    print(table(result))
    if args.output:
        write_json(args.output, result)


def ordered(counts: Counter, names: tuple[str, ...]) -> dict[str, int]:
    """Return what was counted at all, in the order of the names."""
    return {name: counts[name] for name in names if counts[name]}


def draw(generator: random.Random, kills: int, takes: dict[str, float]) -> list[tuple[str | None, float, bool]]:
    """Return when to kill: a stage or None, the seconds after it began, and whether Snakemake alone is hit.

    The stages come in the order in which they run, so that a call seldom ends before its kill. Early instants are more
    frequent than late ones: on a machine whose load changes, a late one may come after the job's end.
    """
    weights = [WEIGHTS.get(stage, 1) for stage in STAGES]
    stages = sorted(generator.choices(STAGES, weights, k=kills), key=STAGES.index)
    instants = []
    for number, stage in enumerate(stages):
        anywhere = number % 5 == 4
        seconds = START * generator.random() if anywhere else 0.7 * takes[stage] * generator.random() ** 2
        instants.append((None if anywhere else stage, seconds, generator.random() < 0.25))
    return instants


def kill_a_study(copy: Copy, instants: list[tuple[str | None, float, bool]], tally: Tally) -> None:
    """Call and kill a study at all these instants, or until it ends before one of them, and then let it end."""
    before = None
    for stage, seconds, alone in instants:
        call = killed_call(copy, stage, seconds, alone)
        tally.add_next(before, call)
        if not call.killed:
            before = None
            break
        tally.add_kill(call, alone)
        before = call
        print(f"  {stage or 'the call'} + {seconds:.2f} s{', alone' * alone}: {', '.join(call.running)}", flush=True)
    end = whole_call(copy)
    tally.add_next(before, end)


def require_finished(call: Call) -> None:
    """Raise `UserError` if a call without a kill failed."""
    if call.ending != "finished":
        raise UserError("X102", f"the study failed without a kill:\n{call.output[-4000:]}")


def table(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    lines = [f"{'killed':<14}{'times':>6}  how the next call ended"]
    for stage, kills in result["kills_by_stage"].items():
        lines.append(f"{stage:<14}{kills:>6}  {in_words(result['next_calls_by_stage'].get(stage, {}))}")
    lines.append(f"{'all':<14}{result['kills']:>6}  {in_words(result['next_calls'])}")
    lines.append(f"{result['studies_identical']} of {result['studies']} studies ended as without a kill")
    return "\n".join([*lines, told(result)])


def in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=8, help="of the instants (default: %(default)s)")
    parser.add_argument("--folder", help="where the studies lie (default: the system's folder for such)")
    parser.add_argument("--output", help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
