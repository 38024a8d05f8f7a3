"""A job ends when its Snakemake was found dead by another, and only then."""

import os
import subprocess
import sys
from pathlib import Path

from medscale.base.orphans import VARIABLE, replaced, successor_mark
from places import SCRIPTS

JOB = """
from medscale.base import orphans
from medscale.base.errors import run_script
orphans.end_with_successor.__defaults__ = (0.02,)
def main():
    print("began", flush=True)
    input()
run_script(main)
"""


def start(environment):
    job = subprocess.Popen(
        [sys.executable, "-c", JOB],
        env={**os.environ, **environment, "PYTHONPATH": str(SCRIPTS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert job.stdout.readline() == "began\n"
    return job


def test_a_job_ends_once_another_snakemake_goes_on(tmp_path):
    registration = tmp_path / "own.json"
    registration.touch()
    job = start({VARIABLE: str(registration)})
    registration.rename(successor_mark(registration))
    assert job.wait(60) == 1
    assert job.stderr.read() == (
        "error: the snakemake that started this job is gone and another goes on; this job ends\n"
    )


def test_a_job_that_begins_after_that_does_nothing(tmp_path):
    """As one that waited in a cluster's queue while another Snakemake has made what it would make."""
    registration = tmp_path / "own.json"
    successor_mark(registration).touch()
    environment = {**os.environ, VARIABLE: str(registration), "PYTHONPATH": str(SCRIPTS)}
    job = subprocess.run([sys.executable, "-c", JOB], env=environment, capture_output=True, text=True)
    assert (job.returncode, job.stdout) == (1, "")
    assert "another goes on" in job.stderr


def test_a_drive_that_is_away_for_a_moment_ends_no_job(tmp_path, monkeypatch):
    def away(path):
        raise OSError(116, "Stale file handle", str(path))

    monkeypatch.setattr(Path, "exists", away)
    assert not replaced(tmp_path / "own.json")


def test_without_another_a_job_goes_on(tmp_path):
    """Also where its registration is gone: a Snakemake that submits jobs and leaves removes it."""
    for environment in ({VARIABLE: str(tmp_path / "own.json")}, {}):
        assert start(environment).communicate("\n")[1] == ""
