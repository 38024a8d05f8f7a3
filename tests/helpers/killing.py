"""End a running study at a chosen instant, as a power cut or the system's killer would, and compare what it made."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from workflow_runner import Copy

# A study of 14 jobs, every stage among them, in the order in which they can begin.
STUDY = {"study": {"methods": ["lora"], "sizes": [16]}, "evaluation": {"floors": []}}
RESOURCES = ("--cores", "2", "--resources", "gpu=1")
TARGETS = ("results/base/eval.json", "results/lora_16/eval.json", *RESOURCES)
STAGES = ("fetch_model", "fetch_data", "clean", "split", "subset", "encode", "finetune", "predict", "score", "evaluate")
LOCKED = "Directory cannot be locked"


@dataclass(frozen=True)
class Call:
    """A call of Snakemake and its end: ``killed`` with the jobs that ran then, or an exit status."""

    killed: bool
    running: tuple[str, ...]
    returncode: int | None
    output: str

    @property
    def ending(self) -> str:
        """How it ended: killed at work or at its start, finished, locked, incomplete or failed."""
        if self.killed:
            return "killed at work" if "\nExecute " in self.output else "killed at its start"
        if self.returncode == 0:
            return "finished"
        if LOCKED in self.output:
            return "locked"
        return "incomplete" if "IncompleteFilesException" in self.output else "failed"


class Running:
    """A study that runs in a session of its own, by Python itself or served; it is ended when the block is left."""

    def __init__(self, copy: Copy, arguments: Iterable[str] = TARGETS, python: str = sys.executable):
        self.log = copy.folder.parent / f"{copy.folder.name}.call.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [python, *copy.command(*arguments)[1:]],
                cwd=copy.folder,
                env=copy.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=mind_signals,
            )

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    @property
    def output(self) -> str:
        """What it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def jobs(self) -> dict[int, str]:
        """Return the stage of each process that runs one of the workflow's scripts."""
        found = {}
        for process in descendants(self.process.pid):
            try:
                script = Path((process.cmdline() or [""])[1:2][0])
            except (psutil.Error, IndexError):
                continue
            if script.parent.name == "scripts":
                found[process.pid] = script.stem
        return found

    def wait_for(self, stage: str, seconds: float = 300) -> dict[int, str]:
        """Wait until a job of a stage, or of one after it, runs; return what runs, or nothing if the study ends."""
        end, awaited = time.monotonic() + seconds, set(STAGES[STAGES.index(stage) :])
        while self.process.poll() is None:
            jobs = self.jobs()
            if awaited & set(jobs.values()):
                return jobs
            assert time.monotonic() < end, f"{stage} did not begin within {seconds} s:\n{self.output[-3000:]}"
            time.sleep(0.02)
        return {}

    def wait(self, seconds: float, jobs: Iterable[int] = ()) -> None:
        """Wait so long, or until the study has ended, or one of the jobs."""
        end, jobs = time.monotonic() + seconds, list(jobs)
        while self.process.poll() is None and time.monotonic() < end and all(map(psutil.pid_exists, jobs)):
            time.sleep(0.01)

    def kill_alone(self) -> dict[int, str]:
        """SIGKILL Snakemake and return its jobs, which go on."""
        jobs = self.jobs()
        self.process.kill()
        self.process.wait()
        return jobs

    def kill(self) -> dict[int, str]:
        """SIGKILL Snakemake and all its jobs at one instant, and return the jobs that ran."""
        jobs = self.jobs()
        everything = [process.pid for process in descendants(self.process.pid)]
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        end_all(everything)
        self.process.wait()
        return jobs


def mind_signals() -> None:
    """Mind what ends a program, also where the tests were started in the background of a shell, which ignores some."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def descendants(pid: int) -> list[psutil.Process]:
    """Return the processes that a process started, and those that these started."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def end_all(numbers: Iterable[int]) -> None:
    """SIGKILL processes and wait for their end."""
    found = []
    for number in numbers:
        try:
            found.append(psutil.Process(number))
            found[-1].kill()
        except psutil.NoSuchProcess:
            pass
    assert not psutil.wait_procs(found, timeout=30)[1]


@contextmanager
def halted(numbers: Iterable[int]) -> Iterator[None]:
    """Let processes stand still meanwhile."""
    found = [psutil.Process(number) for number in numbers]
    for process in found:
        process.suspend()
    try:
        yield
    finally:
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def killed_call(
    copy: Copy, stage: str | None, seconds: float, alone: bool = False, arguments: Iterable[str] = TARGETS
) -> Call:
    """Call the study and kill everything, or Snakemake alone, ``seconds`` after a job of ``stage`` began.

    Where the job ends before that, it is killed right then: what has ended may not be noted yet. Without a stage the
    time counts from the call. A study that ended before that instant is returned as it ended.
    """
    with Running(copy, arguments) as running:
        running.wait(seconds, running.wait_for(stage) if stage else ())
        if running.process.poll() is not None:
            return Call(False, (), running.process.returncode, running.output)
        jobs = running.kill_alone() if alone else running.kill()
        return Call(True, tuple(sorted(jobs.values())), None, running.output)


def whole_call(copy: Copy) -> Call:
    """Call the study and let it end."""
    done = copy.run(*TARGETS, check=False)
    return Call(False, (), done.returncode, done.stdout)


def stage_seconds(copy: Copy) -> dict[str, float]:
    """Return how long the longest job of each stage took, from Snakemake's benchmark files."""
    seconds: dict[str, float] = defaultdict(float)
    for path in (copy.folder / "logs").rglob("*.benchmark.tsv"):
        stage = next(stage for stage in STAGES if path.name.startswith(stage))
        with open(path, encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle, delimiter="\t"):
                seconds[stage] = max(seconds[stage], float(row["s"]))
    return dict(seconds)


def new_study(folder: Path) -> Copy:
    """Return a copy of the repository with the study that is killed, whose jobs take as long as any."""
    copy = Copy(folder)
    copy.served = False
    copy.configure(**STUDY)
    return copy


def results_of(copy: Copy) -> dict[str, tuple[bytes, dict]]:
    """Return of each run the bytes of its predictions and the metrics of its eval.json."""
    found = {}
    for path in sorted((copy.folder / "results").glob("*/eval.json")):
        metrics = json.loads(path.read_text(encoding="utf-8"))["metrics"]
        found[path.parent.name] = ((path.parent / "predictions.jsonl").read_bytes(), metrics)
    return found


def leftovers(copy: Copy) -> list[str]:
    """Return what killed processes have left: half-written files, locks, registrations."""
    left = [path for part in ("results", "resources") for path in (copy.folder / part).rglob(".*.tmp*")]
    records = copy.folder / ".snakemake"
    left += [*records.glob("locks/*"), *records.glob("medscale-holders/*.json"), *records.glob("medscale-holders/.*")]
    return [str(path.relative_to(copy.folder)) for path in left]
