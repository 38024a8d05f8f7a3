"""What the cells of the notebooks call: Snakemake on a study that outlives the session, and what it has made, shown.

A kernel may hold older versions of what was just installed, so everything that needs a package runs in a process of its
own, and no restart is needed. This file imports Python's own library and, to show things, IPython.
"""

import html
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))
from medscale.base.errors import UserError

CHECKOUT = Path(__file__).resolve().parents[1]
LARGEST_INLINE = 8_000_000
"""Bytes of a report.html that a notebook can hold without becoming slow to open."""
COLUMNS = ("run", "train_size", "rouge_1", "rouge_l", "bleu_4", "nll", "train_seconds", "peak_memory_gib")
TABLE = """
import sys, pandas
table = pandas.read_csv(sys.argv[1])
table = table[[name for name in sys.argv[2:] if name in table]]
print(table.to_html(index=False, na_rep="–", float_format="%.2f"))
"""


class NotebookError(UserError):
    """A `UserError` of which a notebook shows the text alone, without the lines of Python that led to it."""

    def _render_traceback_(self) -> list[str]:
        return [f"error: {self}"]


@dataclass
class Study:
    """A study in a folder that outlives the session, run by this checkout.

    Attributes
    ----------
    folder : where results, logs and Snakemake's records lie: a mounted drive, or what the service keeps.
    resources : where model and corpus are fetched to. A finished study does not ask for them, so it may be a disk that
        the session loses.
    settings : YAML, merged into config/config.yaml.
    demo : config/demo.yaml in their place: minutes, no GPU.
    hours : after which calls stop, counted from the making of this object; default None, never.
    backup : folder that every call ends with a backup to; default None, none.
    """

    folder: Path
    resources: Path
    settings: str = ""
    _: KW_ONLY
    demo: bool = False
    hours: float | None = None
    backup: Path | None = None
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.folder, self.resources = Path(self.folder), Path(self.resources)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.configuration = CHECKOUT / "config" / "demo.yaml" if self.demo else self.folder / "settings.yaml"
        if not self.demo:
            self.configuration.write_text(self.settings, encoding="utf-8")

    @property
    def results(self) -> str:
        """The folder of the results, in that of the study."""
        return "results/demo" if self.demo else "results"

    @property
    def summary(self) -> Path:
        """The folder of the comparison."""
        return self.folder / self.results / "summary"

    def command(self, *targets: str, directory: Path | None = None, **sections: dict) -> list[str]:
        """Return a call of Snakemake, for the study or another folder; ``sections`` replace values of the settings."""
        sections = {"paths": {"results": self.results, "resources": str(self.resources)}} | sections
        return [
            *(sys.executable, "-m", "snakemake", *targets),
            *("-s", str(CHECKOUT / "Snakefile"), "--directory", str(directory or self.folder)),
            *("--cores", str(len(os.sched_getaffinity(0))), "--resources", f"gpu={max(1, cards())}"),
            *("--configfile", str(self.configuration)),
            *("--config", *(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sections.items())),
        ]

    def run(self, *targets: str) -> None:
        """Make targets, or the whole study, and back up, also where something failed or time was up.

        Raises `NotebookError` if something failed. The same call goes on where it ended.
        """
        check(self._fetch_again(*targets))
        status = self._call(*targets)
        if self.backup:
            self.back_up(self.backup)
        check(status)

    def plan(self) -> None:
        """Measure what the study will take; nothing of it is made."""
        check(self._call("plan"))

    def one(self, run: str) -> None:
        """Make a run, and what it needs, with its record."""
        self.run(*(f"{self.results}/{run}/{name}" for name in ("eval.json", "record.md")))

    def back_up(self, path: Path | str) -> None:
        """Copy what is finished, and the checkpoints of what is not, into a folder elsewhere."""
        if stream(self.command("backup", backup={"path": str(path), "checkpoints": True})):
            raise NotebookError("N102", f"the backup in {path} was not made; the lines above tell why")

    def restore(self, path: Path | str) -> None:
        """Bring a backup back into a study that has no results yet; one that has some is left as it is."""
        if any((self.folder / self.results).glob("*/eval.json")) or not (Path(path) / "index.json").is_file():
            return
        if stream(self.command("restore", backup={"path": str(path)})):
            raise NotebookError("N103", f"the backup in {path} was not brought back; the lines above tell why")

    def record(self, run: str) -> None:
        """Show the record of a run with its loss curve."""
        folder = self.folder / self.results / run
        if there(folder / "record.md"):
            from IPython.display import Image, Markdown, display

            display(Markdown((folder / "record.md").read_text(encoding="utf-8")))
            if (folder / "loss_curve.png").is_file():
                display(Image(filename=str(folder / "loss_curve.png"), width=700))

    def table(self, columns: Iterable[str] = COLUMNS) -> None:
        """Show the table of all runs."""
        path = self.summary / "results_summary.csv"
        if there(path):
            from IPython.display import HTML, display

            command = [sys.executable, "-c", TABLE, str(path), *columns]
            display(HTML(subprocess.run(command, capture_output=True, text=True, check=True).stdout))

    def report(self, height: int = 900) -> None:
        """Show report.html, or its plots where it is too large for a notebook."""
        path = self.summary / "report.html"
        if not there(path):
            return
        from IPython.display import HTML, Image, display

        print(path)
        if path.stat().st_size > LARGEST_INLINE:
            for plot in sorted(self.summary.glob("*.png")):
                display(Image(filename=str(plot), width=800))
            return
        page = html.escape(path.read_text(encoding="utf-8"))
        display(HTML(f'<iframe srcdoc="{page}" style="width: 100%; height: {height}px; border: 0"></iframe>'))

    def _fetch_again(self, *targets: str) -> int | None:
        """Fetch what an earlier session's disk had, if it is needed still, and return the exit status of that.

        Not as a part of the study, for then Snakemake would plan anew all that was made of it, answers included. A
        small study elsewhere fetches into the same resources, and this one finds the bytes that it was made with.
        """
        made = f"{self.results}/data/model.json", f"{self.results}/data/corpus.json"
        if not (self.folder / made[0]).is_file():
            return 0
        call = self.command(*targets, "--dry-run")
        planned = subprocess.run(call, capture_output=True, encoding="utf-8", errors="replace")
        rules = re.findall(r"^fetch_(model|data) ", planned.stdout + planned.stderr, re.MULTILINE)
        wanted = [name for rule, name in zip(("model", "data"), made, strict=True) if rule in rules]
        return stream(self.command(*wanted, directory=self.resources.parent / "fetched")) if wanted else 0

    def _call(self, *targets: str) -> int | None:
        """Call Snakemake for so long as the session has time left, and return its exit status; None if time was up."""
        if self.hours is None:
            return stream(self.command(*targets))
        left = self.started + self.hours * 3600 - time.monotonic()
        status = stream(self.command(*targets), left) if left > 0 else None
        if status is None:
            print(f"The {self.hours:g} hours of this session are over. What is finished stays, so do the checkpoints.")
        return status


def check(status: int | None) -> None:
    """Raise `NotebookError` if a call of Snakemake has failed."""
    if status:
        said = f"snakemake ended with exit status {status}; its lines above tell why. Then run this cell again"
        raise NotebookError("N101", said)


def stream(command: list[str], seconds: float | None = None) -> int | None:
    """Run a command, print its lines as they come, and return its exit status; None if it was stopped after so long."""
    print("$", shlex.join(command).replace(f"{shlex.quote(sys.executable)} -m ", "", 1), flush=True)
    merged = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8", "errors": "replace"}
    process = subprocess.Popen(command, **merged)
    late = threading.Event()
    timer = threading.Timer(seconds or 0, lambda: (late.set(), interrupt(process.pid)))
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
        process.wait()
    except KeyboardInterrupt:
        try:  # Jupyter interrupts what the kernel has started, too; another service may interrupt the kernel alone
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            interrupt(process.pid)
            process.communicate()
        raise
    finally:
        timer.cancel()
    return None if late.is_set() else process.returncode


def interrupt(pid: int) -> None:
    """Interrupt a process and those that it started, as Ctrl+C does; Snakemake alone would wait for its jobs."""
    import psutil  # a kernel has it: it comes with ipykernel

    try:
        process = psutil.Process(pid)
        everything = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for one in everything:
        try:
            one.send_signal(signal.SIGINT)
        except psutil.NoSuchProcess:
            continue


def cards() -> int:
    """Return how many NVIDIA cards the machine has."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    except FileNotFoundError:
        return 0
    return listed.stdout.count("GPU ") if listed.returncode == 0 else 0


def there(path: Path) -> bool:
    """Return whether a file is there, and say so where it is not."""
    if not path.is_file():
        print(f"{path}: not made yet")
    return path.is_file()
