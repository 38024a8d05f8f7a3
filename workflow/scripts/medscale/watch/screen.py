"""The running jobs on a terminal: a table that renews itself below what is told."""

import time
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from medscale.base.progress import duration
from medscale.watch.words import word

if TYPE_CHECKING:
    from medscale.watch.view import Job, View


class Screen:
    """Draws on standard error, and begins with the first job.

    Parameters
    ----------
    view : knows the jobs.
    nocolor : of Snakemake's ``--nocolor``; NO_COLOR in the environment says the same.
    """

    def __init__(self, view: "View", nocolor: bool, console: Console | None = None):
        self.view = view
        self.console = console or Console(stderr=True, highlight=False, no_color=True if nocolor else None)
        self.live: Live | None = None

    def renew(self, aside: bool) -> None:
        """Draw the table anew; take it away where a job writes on the terminal itself, or none runs."""
        if aside or not self.view.running:
            self.end()
            return
        if self.live is None:
            self.live = Live(console=self.console, auto_refresh=False, transient=True, vertical_overflow="crop")
            self.live.start()
        self.live.update(self.table(), refresh=True)

    def above(self, text: str, style: str) -> None:
        """Write a line that stays, above the table."""
        self.console.print(Text(text, style), soft_wrap=True)

    def end(self) -> None:
        """Take the table away and give the cursor back."""
        if self.live is not None:
            self.live.stop()
            self.live = None

    def table(self) -> Group:
        """Return a line for each running job, below one that counts."""
        view = self.view
        table = Table.grid(padding=(0, 2))
        for job in view.running.values():
            if job.rule != "all":
                table.add_row(*self._row(job))
        return Group(Text(word("jobs", view.tongue, view.done, view.total), "bold"), table)

    def _row(self, job: "Job") -> list[Any]:
        told, line = job.told, job.told.line
        spent = duration(time.monotonic() - job.began)
        if told.waits:
            return [job.name, Text(word("waits for", self.view.tongue, told.waits), "yellow")]
        if not told.written and job.logs:
            return [job.name, Text(word("queued", self.view.tongue), "dim"), spent]
        if line is None or line.done is None:
            return [job.name, "" if line is None else line.what, spent]
        bar = ProgressBar(line.total, min(line.done, line.total), width=20) if line.total else ""
        of = f" / {line.total:,}" if line.total is not None else ""
        values = [
            f"{value:,.0f} {name}" if name.endswith("/s") else f"{name} {value:.3f}"
            for name, value in line.values.items()
        ]
        left = "" if line.left is None else f"{word('left', self.view.tongue)} {duration(line.left)}"
        return [job.name, bar, f"{line.done:,}{of} {line.unit}", ", ".join(values), left]
