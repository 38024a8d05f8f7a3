"""The environment that the jobs of the workflow inherit."""

import os
import sys
from pathlib import Path


def prepare_environment() -> None:
    """Set what every job needs and what must make no result stale."""
    # Rules call `python`: the one that runs snakemake, unless an environment of the rule's own comes before it.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    # Threads that wait must sleep, not spin: with one other busy process, spinning made training several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Jobs read and write UTF-8 under any locale: file names, logs and what they print.
    os.environ |= {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"}
