"""The running jobs on a terminal: a table that renews itself below what is told."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from medscale.base.progress import duration
from medscale.watch.jobs import Job
from medscale.watch.words import word


class Screen:
    """Draws on standard error, from the first job on.

    Parameters
    ----------
    tongue : of the words.
    nocolor : of Snakemake's ``--nocolor``; NO_COLOR in the environment says the same.
    """

    def __init__(self, tongue: str, nocolor: bool, console: Console | None = None):
        self.tongue = tongue
        self.console = console or Console(
            stderr=True, highlight=False, markup=False, no_color=True if nocolor else None
        )
        self.live: Live | None = None

    def renew(self, jobs: Iterable[Job], done: int, total: int) -> None:
        """Draw the table anew."""
        if self.live is None:
            self.live = Live(console=self.console, auto_refresh=False, transient=True, vertical_overflow="crop")
            self.live.start()
        self.live.update(self.table(jobs, done, total), refresh=True)

    def above(self, text: str, style: str) -> None:
        """Write a line that stays, above the table."""
        self.console.print(Text(text, style), soft_wrap=True)

    def end(self) -> None:
        """Take the table away and give the cursor back."""
        if self.live is not None:
            self.live.stop()
            self.live = None

    def table(self, jobs: Iterable[Job], done: int, total: int) -> Group:
        """Return a line for each job, below one that counts."""
        table = Table.grid(padding=(0, 2))
        for job in jobs:
            table.add_row(*self._row(job))
        return Group(Text(word("jobs", self.tongue, done, total), "bold"), table)

    def _row(self, job: Job) -> list[Any]:
        told, line = job.told, job.told.line
        if told.waits or (not told.written and job.logs):
            return [job.name, Text(job.state(self.tongue), "yellow"), job.spent]
        if line is None or line.done is None:
            return [job.name, "" if line is None else line.what, job.spent]
        bar = ProgressBar(line.total, min(line.done, line.total), width=20) if line.total else ""
        of = f" / {line.total:,}" if line.total is not None else ""
        left = "" if line.left is None else f"{word('left', self.tongue)} {duration(line.left)}"
        return [job.name, bar, f"{line.done:,}{of} {line.unit}", ", ".join(line.shown_values), left]
