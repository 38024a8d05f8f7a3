"""Try the mutants of one room: ``python benchmarks/mutation ROOM``."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "workflow" / "scripts"
RESULTS = ROOT / "benchmarks" / "results" / "mutants.json"
sys.path.insert(0, str(ROOT / "benchmarks"))
# One thread a process: the processes are the parallel part, and a fork keeps no threads.
os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

import pytest  # noqa: E402

from circumstances import circumstances  # noqa: E402
from mutation import report  # noqa: E402
from mutation.changes import Mutant, mutants_of  # noqa: E402
from mutation.rooms import MARKERS, PACKAGE, ROOMS  # noqa: E402
from mutation.running import HOOK, OPTIONS, Runner, Verdict, sample  # noqa: E402
from mutation.session import Session  # noqa: E402


def main() -> int:
    """Run the tests, try each mutant, write the survivors to mutants/ROOM.txt, and print the score."""
    options = arguments()
    room = ROOMS[options.room]
    every = [mutant for path in room.paths(ROOT) for mutant in mutants_of(path, ROOT / PACKAGE)]
    mutants = sample(chosen(every, options), options.sample, options.seed)
    title, found = described(options)
    print(f"{title}: {len(mutants)} of {len(every)} mutants", flush=True)
    verdicts: list[Verdict] = []

    def work(session: Session) -> None:
        runner = Runner(session, SCRIPTS, session.folder, options.jobs)
        runner.check()
        print(f"{len(session.items)} tests pass; trying mutants", flush=True)
        for verdict in runner.verdicts(mutants):
            verdicts.append(verdict)
            if options.verbose:
                print(f"{verdict.status:9} {verdict.seconds:6.1f} s  {verdict.mutant.name}", flush=True)
            if len(verdicts) % 100 == 0:
                report.write(found, f"{title}, the first {len(verdicts)}", verdicts)

    if trouble := run_tests(options.tests or room.tests, room.deselected, work):
        print(trouble, file=sys.stderr)
        return 1
    report.write(found, title, verdicts)
    if options.record:
        facts = circumstances(("mutmut", "coverage", "pytest", "hypothesis", "torch"))
        facts |= {"of": len(every), "seed": options.seed if options.sample else None}
        report.record(RESULTS, options.room, options.record, [verdict.status for verdict in verdicts], **facts)
    print(f"{title}: {report.score(verdicts)}\nsurvivors: {found.relative_to(ROOT)}")
    return 0


def run_tests(tests: Sequence[str], deselected: Sequence[str], work: Callable[[Session], None]) -> str | None:
    """Hold pytest open over tests and do ``work`` there; return what went wrong, or None."""
    os.chdir(ROOT)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HOOK), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        session = Session(Path(folder), work)
        words = ["-m", MARKERS, *(f"--deselect={name}" for name in deselected), *tests]
        status = pytest.main([*OPTIONS, f"--basetemp={folder}/tests", *words], plugins=[session])
        broken = Path(folder, "broken.txt")
        if broken.exists():
            print(broken.read_text(encoding="utf-8"), file=sys.stderr)
    return session.trouble if session.trouble or status == pytest.ExitCode.OK else f"pytest ended with {status!r}"


def chosen(mutants: list[Mutant], options: argparse.Namespace) -> list[Mutant]:
    """Return the mutants that ``--only`` names."""
    if not options.only:
        return mutants
    if options.only == ["survivors"]:
        names = report.survivors(ROOT / "mutants" / f"{options.room}.txt")
        return [mutant for mutant in mutants if mutant.name in names]
    return [mutant for mutant in mutants if any(fnmatch(mutant.name, word) for word in options.only)]


def described(options: argparse.Namespace) -> tuple[str, Path]:
    """Return what is tried in words, and the file for the survivors: another one where it is not the whole room."""
    parts = [options.room, *(options.only or ())]
    parts += [f"judged by {' '.join(options.tests)}"] if options.tests else []
    parts += [f"a sample of {options.sample} by seed {options.seed}"] if options.sample else []
    return ", ".join(parts), ROOT / "mutants" / f"{options.room}{'-part' if parts[1:] else ''}.txt"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("room", choices=ROOMS)
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help="names of mutants, or patterns such as 'compare/power.py:*'; or: survivors, those of the last run",
    )
    parser.add_argument("--tests", nargs="+", metavar="PATH", help="the tests that judge, instead of the room's")
    parser.add_argument("--jobs", type=int, default=2, help="mutants tried at once")
    parser.add_argument("--sample", type=int, help="try this many, chosen by --seed")
    parser.add_argument("--record", metavar="WORD", help="keep the counts in benchmarks/results/mutants.json, as WORD")
    parser.add_argument("--verbose", action="store_true", help="tell of each mutant as it ends")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
