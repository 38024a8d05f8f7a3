"""A job of a call of Snakemake, from when it is handed over until it ends."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from medscale.base.progress import duration
from medscale.watch.logs import Told, read_log
from medscale.watch.words import word

NOTHING_TOLD = Told()
SLACK = 2.0  # seconds: clocks of machines differ, and some drives keep times in steps of two


@dataclass
class Job:
    """A job that runs, or waits in the queue of a cluster.

    Attributes
    ----------
    name, rule : what it is, for people and for Snakemake.
    logs : its log, in a list as Snakemake has it.
    outputs : the files that it makes.
    began, said, since : when it was handed over and last spoken of (monotonic), and the former in seconds since 1970.
    """

    name: str
    rule: str
    logs: list[Path]
    outputs: list[Path] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)
    since: float = field(default_factory=time.time)

    @property
    def told(self) -> Told:
        """What its log tells; nothing where there is none yet, or only that of an earlier try."""
        found = (told for log in self.logs if (told := read_log(log)) is not None)
        return next((told for told in found if told.written >= self.since - SLACK), NOTHING_TOLD)

    @property
    def spent(self) -> str:
        """The time since it was handed over, in words."""
        return duration(time.monotonic() - self.began)

    def state(self, tongue: str) -> str:
        """Return in words how far it is: by its log, or else for how long it has run."""
        told = self.told
        if told.waits:
            return word("waits for", tongue, told.waits)
        if not told.written and self.logs:
            return word("queued", tongue)
        return self.spent if told.line is None else str(told.line)
