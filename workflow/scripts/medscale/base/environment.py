"""The environment that the jobs of the workflow inherit."""

import os
import sys
from pathlib import Path


def prepare_environment(config: dict) -> None:
    """Set what every job needs and what must make no result stale.

    Args:
        config: the resolved configuration.
    """
    # Rules call `python`: the one that runs snakemake, unless an environment of the rule's own comes before it.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    # Threads that wait must sleep, not spin: with one other busy process, spinning made training several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # A mirror is no part of what was fetched, so it does not stand in a rule's params.
    for section in ("model", "data"):
        os.environ[f"MEDSCALE_{section.upper()}_ENDPOINT"] = config[section]["endpoint"] or ""
