"""Try the mutants of one room: ``python benchmarks/mutation ROOM``."""

import argparse
import os
import sys
import tempfile
import time
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(ROOT / "benchmarks"))
# One thread a process: the processes are the parallel part, and a fork keeps no threads.
os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

import pytest  # noqa: E402

from mutation import report  # noqa: E402
from mutation.changes import mutants_of  # noqa: E402
from mutation.rooms import MARKERS, PACKAGE, ROOMS  # noqa: E402
from mutation.running import HOOK, OPTIONS, Runner, sample  # noqa: E402
from mutation.session import Session  # noqa: E402


def main() -> int:
    """Run the tests, try each mutant, write the survivors to mutants/ROOM.txt, and print the score."""
    options = arguments()
    room = ROOMS[options.room]
    found = ROOT / "mutants" / f"{options.room}.txt"
    mutants = [mutant for path in room.paths(ROOT) for mutant in mutants_of(path, ROOT / PACKAGE)]
    if options.only == ["survivors"]:
        names = report.survivors(found)
        mutants = [mutant for mutant in mutants if mutant.name in names]
    elif options.only:
        mutants = [mutant for mutant in mutants if any(fnmatch(mutant.name, word) for word in options.only)]
    mutants = sample(mutants, options.sample, options.seed)
    print(f"{len(mutants)} mutants", flush=True)
    partly = bool(options.only or options.sample or options.tests)
    if partly:
        found = found.with_stem(f"{options.room}-part")

    title = options.room + (f", {' '.join(options.only)}" if options.only else "")
    title += f", judged by {' '.join(options.tests)}" if options.tests else ""
    title += f", a sample by seed {options.seed}" if options.sample else ""
    result: list[report.Verdict] = []
    trouble: list[str] = []

    def work(session: Session) -> None:
        if session.failed:
            trouble.append(f"these tests fail without any mutant: {', '.join(session.failed)}")
            return
        runner = Runner(session, SCRIPTS, scratch, options.jobs)
        if failed := runner.check():
            trouble.append(f"run a second time, in a fork, this fails without any mutant: {failed}")
            return
        print(f"{len(session.items)} tests pass; trying mutants", flush=True)
        begin = time.monotonic()
        for verdict in runner.verdicts(mutants):
            result.append(verdict)
            if options.verbose:
                print(f"{verdict.status:9} {verdict.seconds:6.1f} s  {verdict.mutant.name}", flush=True)
            if len(result) % 100 == 0:
                report.write(found, f"{title}, {len(result)} of {len(mutants)} so far", result)
                print(f"{len(result)} in {time.monotonic() - begin:.0f} s", flush=True)

    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        scratch = Path(folder)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HOOK), os.environ.get("PYTHONPATH")]))
        os.chdir(ROOT)
        session = Session(scratch, work)
        deselected = [f"--deselect={name}" for name in room.deselected]
        status = pytest.main(
            [*OPTIONS, f"--basetemp={scratch / 'tests'}", "-m", MARKERS, *deselected, *(options.tests or room.tests)],
            plugins=[session],
        )
        broken = scratch / "broken.txt"
        if broken.exists():
            print(broken.read_text(encoding="utf-8"), file=sys.stderr)
    if trouble or not session.items:
        print(*(trouble or [f"pytest ended with {status!r}"]), file=sys.stderr)
        return 1
    report.write(found, title, result)
    print(f"{title}: {report.score(result)}\nsurvivors: {found.relative_to(ROOT)}")
    return 0


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
    parser.add_argument("--verbose", action="store_true", help="tell of each mutant as it ends")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
