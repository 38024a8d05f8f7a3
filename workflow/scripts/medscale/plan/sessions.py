"""How a study fits the sessions of a machine that is lent for some hours at a time, and for some hours a week."""

import math
from typing import NamedTuple

HOUR = 3600.0
SET_UP_SECONDS = 300.0
"""What a new session is taken to need before work goes on: packages, and the model and the data put back."""


class Limit(NamedTuple):
    """What a service lends: hours of a session, and hours a week (None: no limit by the week)."""

    hours: float
    hours_per_week: float | None = None


class Job(NamedTuple):
    """A piece of work.

    Attributes:
        name: what it is called.
        seconds: how long it takes.
        checkpoint_seconds: time between two checkpoints from which it goes on; None where it starts anew.
    """

    name: str
    seconds: float
    checkpoint_seconds: float | None = None


class Packing(NamedTuple):
    """How many sessions and weeks the jobs need, and which job fits in none (then both numbers are None)."""

    sessions: int | None
    weeks: int | None
    too_long: str | None = None


def pack(jobs: list[Job], limit: Limit, set_up_seconds: float = SET_UP_SECONDS) -> Packing:
    """Place jobs one after another into sessions.

    A job that a session's end cuts off goes on in the next one from its last checkpoint, which is taken to be as old as
    a checkpoint can be. A job without checkpoints is not begun in a session that it does not fit in.

    Args:
        jobs: in the order in which they run.
        limit: what the service lends.
        set_up_seconds: what each session needs before work goes on.

    >>> pack([Job("train", 10 * 3600, 900), Job("predict", 3600)], Limit(9, 30), 0)
    Packing(sessions=2, weeks=1, too_long=None)
    """
    calendar = _Calendar(limit, set_up_seconds)
    for job in jobs:
        if not calendar.useful(job, job.seconds, calendar.longest):
            return Packing(None, None, job.name)
        calendar.work(job)
    return Packing(max(1, calendar.sessions), calendar.weeks)


class _Calendar:
    """Sessions and weeks that are used up one after another; all times in seconds."""

    def __init__(self, limit: Limit, set_up: float):
        self.session = limit.hours * HOUR
        self.week = math.inf if limit.hours_per_week is None else limit.hours_per_week * HOUR
        self.set_up = set_up
        self.longest = min(self.session, self.week) - set_up
        self.sessions, self.weeks, self.left, self.week_left = 0, 1, 0.0, self.week

    @staticmethod
    def useful(job: Job, rest: float, available: float) -> bool:
        """Say whether the rest of a job ends in the available time, or at least gets on to a checkpoint."""
        return rest <= available or (job.checkpoint_seconds is not None and job.checkpoint_seconds < available)

    def work(self, job: Job) -> None:
        """Do a job that `useful` holds for in a session of full length."""
        rest = job.seconds
        while rest > self.left:
            if self.useful(job, rest, self.left):
                rest -= self.left - job.checkpoint_seconds
                self.week_left -= self.left
            self._open(job, rest)
        self.left, self.week_left = self.left - rest, self.week_left - rest

    def _open(self, job: Job, rest: float) -> None:
        """Begin a session, in the next week where this one has too little left for it."""
        self.left = min(self.session, self.week_left) - self.set_up
        if not self.useful(job, rest, self.left):
            self.weeks, self.week_left, self.left = self.weeks + 1, self.week, self.longest
        self.sessions, self.week_left = self.sessions + 1, self.week_left - self.set_up
