"""Several processes for one run, a card each, started by torchrun. No torch: the cards are chosen before it comes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from medscale.base.cards import VISIBLE
from medscale.base.errors import UserError
from medscale.base.temporary import process_exists

LAUNCHER = "MEDSCALE_LAUNCHER"
"""Set by us for torchrun's processes, with the launcher's number: RANK alone is set by clusters too."""
POLL = 0.5


def run_here(count: int) -> None:
    """Run this very command in ``count`` processes, one a visible card, or on the CPU where there is none.

    Who is asked to end asks them to, and waits: the cards are not free before they are gone.

    Raises:
        UserError: one of them failed; it has told why.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    command = [*torchrun, "--standalone", f"--nproc-per-node={count}", "--", *sys.argv]
    # Each process sets its own number of threads; without this, torchrun warns of it.
    environment = {"OMP_NUM_THREADS": "1"} | os.environ | {LAUNCHER: str(os.getpid())}
    process = subprocess.Popen(command, env=environment)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: process.terminate())
    if process.wait():
        raise UserError("T105", f"one of {count} processes of this training failed; what it said stands above")


@contextmanager
def own_card() -> Iterator[None]:
    """Hide from a process of torchrun all cards but its own, and end it with its launcher; call it before torch."""
    names = os.environ.get(VISIBLE, "")
    if names:
        os.environ[VISIBLE] = names.split(",")[int(os.environ["LOCAL_RANK"])]
        os.environ["LOCAL_RANK"] = "0"  # the place of the card among those that are seen
    threading.Thread(target=_end_with, args=(int(os.environ[LAUNCHER]),), daemon=True).start()
    yield


def _end_with(launcher: int) -> None:
    """End this process when the launcher is gone, which had the lease of the cards."""
    while process_exists(launcher):
        time.sleep(POLL)
    os.kill(os.getpid(), signal.SIGKILL)


def started() -> bool:
    """Return whether this is one of torchrun's processes."""
    return LAUNCHER in os.environ


def rank() -> int:
    """Return the number of this process, from 0."""
    return int(os.environ["RANK"]) if started() else 0


def world() -> int:
    """Return how many processes share the run; 1 where it has one card."""
    return int(os.environ["WORLD_SIZE"]) if started() else 1
