"""What a call of Snakemake shows while it works: each running job with how far it is, each end in one line.

On a terminal the running jobs are a table that renews itself. In a file, a pipe or a notebook they are plain lines with
the time, a few a minute. Snakemake's own errors are shown in full, and what it says of files, reasons and resources is
in its own log, `.snakemake/log`.
"""

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medscale.watch import ending, pilots
from medscale.watch.jobs import Job
from medscale.watch.words import language, word

SHOWN = "MEDSCALE_VIEW"
"""In the environment of the jobs: their output goes into their logs alone, for it would tear the table."""
SPEAKING = ("plan", "backup", "restore")
"""What these write is what was asked for, so it is shown as it comes, and no table beside it."""
LINES = 60.0  # seconds between two lines of a job in a file
LOOK = 1.0  # seconds between two looks at the logs
LONG = {
    "fetch_model",
    "fetch_data",
    "clean",
    "split",
    "encode",
    "pilot",
    "finetune",
    "predict",
    "examine",
    "fetch_set",
    "plan",
    "backup",
    "restore",
}
"""What may take long says in a file that it begins."""
RESTART = re.compile(r"Trying to restart job (\d+)\.")
CHATTER = (
    "Assuming unrestricted",
    "Building DAG",
    "Complete log",
    "Conda environments",
    "Config file ",
    "Execute ",
    "Finished jobid",
    "Group jobs",
    "Job stats",
    "Provided ",
    "Removing output files of failed job",
    "Rules claiming",
    "Select jobs",
    "Shutting down",
    "Singularity containers",
    "Touching output",
    "Updating checkpoint",
    "Using shell",
    "Workflow finished",
    "Workflow has started",
    "host:",
    "At least one job did not complete",
    "Exiting because a job execution failed",
)
"""Beginnings of what Snakemake tells at every call; all else that it says is shown."""


NOTHING = "Nothing to be done"
SAID_ALREADY = ("returned non-zero exit status", "At least one job did not complete")
"""In errors that follow from a job's, whose reason was told."""


class View:
    """Takes what Snakemake tells, in the order in which it does.

    Parameters
    ----------
    settings : Snakemake's settings of output.
    formatted : how Snakemake would write a record.
    """

    def __init__(self, settings: Any, formatted: Callable[[logging.LogRecord], str]):
        self.settings, self.formatted, self.tongue = settings, formatted, language()
        quiet = {str(item).rpartition(".")[2].lower() for item in settings.quiet or ()}
        self.silent, self.quiet = "all" in quiet, bool(quiet & {"all", "progress"})
        self.running: dict[int, Job] = {}
        self.names: dict[int, str] = {}
        self.failed: dict[str, tuple[str, str]] = {}
        self.done = self.total = 0
        self.idle = False  # there was nothing to be done
        self.lock, self.ended = threading.RLock(), threading.Event()
        self.thread: threading.Thread | None = None
        self.screen: Any = None  # a `screen.Screen` on a terminal
        self.snakemakes: logging.Handler | None = None
        if settings.dryrun or settings.verbose or settings.debug_dag:
            self.snakemakes = self._own_of_snakemake()
        else:
            os.environ[SHOWN] = "1"
            ending.taken_by(self)
            if sys.stderr.isatty() and not self.quiet:
                from medscale.watch.screen import Screen

                self.screen = Screen(self.tongue, settings.nocolor)

    def _own_of_snakemake(self) -> logging.Handler:
        """Return the handler that Snakemake would take: who asks what would run, or for more, wants its words."""
        from snakemake.logging import ColorizingTextHandler, DefaultFilter

        kept = self.settings
        handler = ColorizingTextHandler(nocolor=kept.nocolor, stream=sys.stdout if kept.stdout else sys.stderr)
        handler.format = self.formatted
        handler.addFilter(DefaultFilter(kept.quiet, kept.debug_dag, kept.verbose, kept.dryrun, kept.printshellcmds))
        return handler

    def take(self, record: logging.LogRecord) -> None:
        """Take one record."""
        if self.snakemakes is not None:
            self.snakemakes.handle(record)
            return
        event = getattr(record, "event", None)
        with self.lock:
            takes = getattr(self, f"_{event}", None) if event else self._message
            if takes is not None:
                takes(record)

    # What Snakemake calls its events ------------------------------------------------------------------------------

    def _run_info(self, record: logging.LogRecord) -> None:
        counts = dict(record.stats)
        self.total = counts.pop("total", 0)
        jobs = ", ".join(f"{count} {rule}" for rule, count in counts.items() if rule != "all")
        self.say(word("to do", self.tongue, self.total, jobs))

    def _job_info(self, record: logging.LogRecord) -> None:
        subject = " ".join(str(value) for value in record.wildcards.values())
        name = f"{record.rule_name} {subject}".strip()
        self.names[record.jobid] = name
        files = ([Path(path) for path in getattr(record, kind, None) or ()] for kind in ("log", "output"))
        self.running[record.jobid] = job = Job(name, record.rule_name, *files)
        if self.screen is None and record.rule_name in LONG:
            self.say(word("begins", self.tongue, job.name))
        if self.thread is None and not self.quiet:
            self.thread = threading.Thread(target=self._look, name="view", daemon=True)
            self.thread.start()

    def _job_finished(self, record: logging.LogRecord) -> None:
        job = self.running.pop(record.job_id, None)
        if job is not None and job.rule != "all":
            self.failed.pop(job.name, None)  # it worked at another try
            self.say("✓ " + word("took", self.tongue, job.name, job.spent), "green")
            if job.rule == "pilot" and (sizes := pilots.read_pilot(job.outputs[0])):
                told = word("finding", self.tongue, job.name, pilots.found(sizes, self.tongue))
                self.say(told, "yellow" if pilots.warns(sizes) else "")

    def _progress(self, record: logging.LogRecord) -> None:
        self.done, self.total = record.done, record.total

    def _job_error(self, record: logging.LogRecord) -> None:
        job = self.running.pop(record.jobid, None)
        if job is None:  # Snakemake tells it once more at the end
            return
        # Of a job that was killed its log says nothing, but the cluster may: "… SLURM status is: 'TIMEOUT'. Detailed …"
        said = (record.rule_msg or "").partition(". ")[0].strip()
        reason = job.told.error or said or word("no reason", self.tongue)
        told = (reason, ", ".join(map(str, record.log or ())))
        self.failed[job.name] = told
        where = f" ({word('log', self.tongue, told[1])})" if told[1] else ""
        self.tell("✗ " + word("has failed", self.tongue, job.name, reason) + where, "bold red")

    def _group_error(self, record: logging.LogRecord) -> None:
        self.tell(self.formatted(record), "red")

    def _error(self, record: logging.LogRecord) -> None:
        text = self.formatted(record)
        if not any(known in text for known in SAID_ALREADY):
            self.tell(text, "red")

    def _message(self, record: logging.LogRecord) -> None:
        text = self.formatted(record) or ""
        if restart := RESTART.fullmatch(text.strip()):
            self.tell(word("again", self.tongue, self.names.get(int(restart[1]), restart[1])), "yellow")
        elif text.startswith(NOTHING):
            self.idle = True
            self.say(word("nothing to do", self.tongue))
        elif record.levelno >= logging.WARNING:
            if not text.startswith(CHATTER):
                self.tell(text, "yellow" if record.levelno == logging.WARNING else "red")
        elif text.strip() and not text.startswith(CHATTER):
            self.say(text)

    # What is shown --------------------------------------------------------------------------------------------------

    def say(self, text: str, style: str = "") -> None:
        """Show what is good to know."""
        if not self.quiet:
            self.tell(text, style)

    def tell(self, text: str, style: str = "") -> None:
        """Show what has to be known."""
        if self.screen is not None:
            self.screen.above(text, style)
        else:
            print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    def _look(self) -> None:
        """Look at the logs of the running jobs again and again."""
        while not self.ended.wait(LOOK):
            with self.lock:
                if self.screen is not None:
                    self._renew()
                    continue
                now = time.monotonic()
                for job in self.running.values():
                    if now - job.said >= LINES and job.rule not in SPEAKING:
                        job.said = now
                        self.say(f"{job.name}: {job.state(self.tongue)}")

    def _renew(self) -> None:
        """Draw the table anew; take it away where a job writes on the terminal itself, or none runs."""
        jobs = [job for job in self.running.values() if job.rule != "all"]
        if jobs and not any(job.rule in SPEAKING for job in jobs):
            self.screen.renew(jobs, self.done, self.total)
        else:
            self.screen.end()

    def close(self) -> None:
        """End: the table of the study, the answer and the report, or what failed."""
        if self.ended.is_set():
            return
        self.ended.set()
        if self.thread is not None:
            self.thread.join()
        if self.screen is not None:
            self.screen.end()
        call = ending.the_call()
        if self.snakemakes is not None or call is None or self.silent:
            return
        if self.failed:
            print("\n".join(["", *ending.failed_lines(self.failed, self.tongue)]), file=sys.stderr, flush=True)
        elif ending.reported(call) or (self.idle and ending.has_report(call)):
            print(ending.ending(call, self.tongue), flush=True)
