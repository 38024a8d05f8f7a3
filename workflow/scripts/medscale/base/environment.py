"""The environment of the workflow and of its jobs: the same under every locale."""

import os
import sys
from pathlib import Path


def require_utf8(called_from: str) -> None:
    """Start this Snakemake anew in Python's UTF-8 mode where the locale has another encoding, such as Latin-1.

    Otherwise it could neither open a file with a Chinese name that the configuration names, nor pass one to a job.
    Where only the standard streams have another encoding (PYTHONIOENCODING), they get UTF-8.

    Args:
        called_from: the folder that Snakemake was called in; it may have left that one already.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook or a test may have put something else in its place
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if sys.getfilesystemencoding().lower().replace("-", "") == "utf8":
        return
    os.chdir(called_from)
    command = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
    os.execve(sys.executable, command, os.environ | {"PYTHONUTF8": "1"})


def prepare_environment() -> None:
    """Set what every job needs and what must make no result stale."""
    # Rules call `python`: the one that runs snakemake, unless an environment of the rule's own comes before it.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    # Threads that wait must sleep, not spin: with one other busy process, spinning made training several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Jobs read and write UTF-8 under any locale: file names, logs and what they print.
    os.environ |= {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"}
    # A log is a file: the moving bars of transformers and of the hubs would fill it. `progress` writes lines.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
