"""Several processes for one run, a card each, started by torchrun. No torch: the cards are chosen before it comes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from medscale.base.cards import VISIBLE


def run_here(count: int) -> None:
    """Run this very command in ``count`` processes, one a visible card, or on the CPU where there is none.

    Raises:
        SystemExit: one of them failed; it has told why.
    """
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={count}",
        "--",
        *sys.argv,
    ]
    # Each process sets its own number of threads; without this, torchrun warns of it.
    done = subprocess.run(command, env={"OMP_NUM_THREADS": "1"} | os.environ, check=False)
    if done.returncode:
        raise SystemExit(f"one of {count} processes of this training failed; what it said stands above")


@contextmanager
def own_card() -> Iterator[None]:
    """Hide from a process of torchrun all cards but its own; to be called before torch is imported."""
    names = os.environ.get(VISIBLE, "")
    if names:
        os.environ[VISIBLE] = names.split(",")[int(os.environ["LOCAL_RANK"])]
        os.environ["LOCAL_RANK"] = "0"  # the place of the card among those that are seen
    yield


def started() -> bool:
    """Return whether this is one of torchrun's processes."""
    return "RANK" in os.environ


def rank() -> int:
    """Return the number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """Return how many processes share the run; 1 where it has one card."""
    return int(os.environ.get("WORLD_SIZE", "1"))
