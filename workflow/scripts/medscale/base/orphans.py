"""Jobs whose Snakemake was killed end when another Snakemake goes on in its place: no file may have two writers."""

import os
import sys
import threading
import time
from pathlib import Path

VARIABLE = "MEDSCALE_HOLDER"  # in the environment of every job: the registration of the Snakemake that started it
SECONDS = 5.0


def successor_mark(registration: Path) -> Path:
    """Return the file that says that the Snakemake of ``registration`` was found dead; see `holders`."""
    return registration.with_suffix(".gone")


def replaced(registration: Path) -> bool:
    """Return whether another goes on in the place of the Snakemake of ``registration``.

    A drive that is away for a moment says nothing of it.
    """
    try:
        return successor_mark(registration).exists()
    except OSError:
        return False


def end_with_successor(seconds: float = SECONDS) -> None:
    """End this process if its Snakemake was found dead by another, now or, watched in the background, later.

    Those on the newcomer's machine were ended by it (`holders.hold_folder`). This is for the jobs of a cluster, which
    run elsewhere; a network drive may show them the mark up to a minute later. Without a newcomer a job goes on, and
    what it leaves, such as checkpoints, is of use.

    Parameters
    ----------
    seconds : time between two looks; default 5.
    """
    registration = os.environ.get(VARIABLE)
    if registration:
        _end_if_replaced(Path(registration))
        arguments = (Path(registration), seconds)
        threading.Thread(target=_watch, args=arguments, name="end-with-successor", daemon=True).start()


def _watch(registration: Path, seconds: float) -> None:
    while True:
        time.sleep(seconds)
        _end_if_replaced(registration)


def _end_if_replaced(registration: Path) -> None:
    if not replaced(registration):
        return
    print("error: the snakemake that started this job is gone and another goes on; this job ends", file=sys.stderr)
    sys.stderr.flush()
    os._exit(1)
