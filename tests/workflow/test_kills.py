"""After any kill the same command goes on, with no other flag, and ends as if nothing had happened."""

import base64
import os
import random
import re
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from killing import (
    LOCKED,
    RESOURCES,
    STAGES,
    TARGETS,
    Running,
    end_all,
    halted,
    killed_call,
    leftovers,
    new_study,
    results_of,
    stage_seconds,
    whole_call,
)

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
SEED = 8
# In the order of the study, so that no call has to make what the calls before it were to be killed at.
KILLS = {"fetch_model": 3, "clean": 4, "split": 2, "finetune": 4, "predict": 4, "score": 3}
# The card goes to one job at a time: were the base's prediction asked for too, it could hold off the training for ever.
TRAINED = ("results/lora_16/adapter", *RESOURCES)
GONE = re.compile(r"^medscale: a snakemake is gone \(pid \d+ on \S+, started \S+\): its lock was removed$", re.M)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A study that ran without a kill."""
    copy = new_study(tmp_path_factory.mktemp("uninterrupted") / "repo")
    copy.run(*TARGETS)  # by Python itself, whose jobs take as long as those that are killed
    copy.takes, copy.served = stage_seconds(copy), True
    copy.results = results_of(copy)
    return copy


@pytest.fixture
def study(uninterrupted):
    """The same study, some files of which a test deletes and makes again."""
    yield uninterrupted
    assert results_of(uninterrupted) == uninterrupted.results
    assert leftovers(uninterrupted) == []


def delete(copy, *names):
    for name in (*names, "scores.parquet", "eval.json"):
        (copy.folder / "results/lora_16" / name).unlink()


def lock_files(copy):
    return {path.name: path.read_bytes() for path in (copy.folder / ".snakemake/locks").glob("*.lock")}


def records(copy):
    """What decides who holds the folder, to the byte."""
    folders = (copy.folder / ".snakemake" / name for name in ("locks", "medscale-holders"))
    return {path: path.read_bytes() for folder in folders for path in folder.glob("*")}


def test_kills_of_everything_change_no_result(tmp_path, uninterrupted):
    copy = new_study(tmp_path / "repo")
    stages = [stage for stage, number in KILLS.items() for _ in range(number)]
    assert len(stages) >= 20
    print("seed", SEED)
    takes, generator = uninterrupted.takes, random.Random(SEED)
    hit, held = Counter(), 0
    for stage in stages:
        seconds = generator.uniform(
            0, takes[stage] / 2
        )  # so that the job does not end and the next call meets it again
        trained = STAGES.index(stage) <= STAGES.index("finetune")
        call = killed_call(copy, stage, seconds, arguments=TRAINED if trained else TARGETS)
        print(f"{stage} + {seconds:.2f} s: {call.ending}, running {call.running}")
        assert call.ending == "killed at work", call.output[-4000:]
        assert len(GONE.findall(call.output)) == held, "each call after a kill finds the lock of the killed one"
        hit.update(call.running)
        held = 1
    assert hit.keys() >= {"fetch_model", "clean", "finetune", "predict", "score"}
    copy.served = True
    end = whole_call(copy)
    assert end.ending == "finished", end.output[-4000:]
    assert results_of(copy) == uninterrupted.results
    assert leftovers(copy) == []
    assert copy.plan(*TARGETS) == {}


def test_a_living_call_keeps_its_lock(study):
    delete(study, "predictions.jsonl")
    with Running(study) as running:
        jobs = running.wait_for("predict")
        assert jobs
        before = lock_files(study)
        with halted(jobs):  # so that the first call lives until the second has ended
            second = study.run(*TARGETS, check=False)
            assert second.returncode != 0
            assert LOCKED in second.stdout
            assert "is gone" not in second.stdout
            assert lock_files(study) == before != {}
            assert running.process.poll() is None
        assert running.process.wait() == 0


def test_the_jobs_of_a_snakemake_killed_alone_are_ended(study):
    delete(study, "predictions.jsonl")
    with Running(study) as running:
        orphans = [pid for pid, stage in running.wait_for("predict").items() if stage == "predict"]
        for pid in orphans:
            os.kill(pid, signal.SIGSTOP)  # so that they go on for as long as somebody waits
        try:
            running.process.kill()
            running.process.wait()
            assert all(map(psutil.pid_exists, orphans))

            before = records(study)
            dry = study.run("-n", *TARGETS)
            assert "is gone" not in dry.stdout
            assert records(study) == before, "a dry run changes nothing"

            again = study.run(*TARGETS)
            told = [line for line in again.stdout.splitlines() if line.startswith("medscale:")]
            assert len(told) == 1
            assert f"pid {running.process.pid} on " in told[0]
            assert re.search(r"its lock was removed and \d+ of its processes that went on were ended", told[0])
            assert not any(map(psutil.pid_exists, orphans))
        finally:
            end_all(orphans)


def test_an_output_that_was_not_noted_as_finished_is_made_again(study):
    """As where the kill came between a job's end and Snakemake's note of it."""
    scores = "results/lora_16/scores.parquet"
    mark = study.folder / ".snakemake/incomplete" / base64.urlsafe_b64encode(scores.encode()).decode()
    mark.write_text('{"external_jobid": nu')  # torn, moreover
    assert study.plan(*TARGETS)["score"] == 1
    study.run(*TARGETS)
    assert not mark.exists()


@pytest.mark.slurm
def test_the_jobs_of_a_killed_snakemake_on_a_cluster_are_ended(tmp_path):
    """The cluster is this machine; on others the jobs end by themselves, see tests/base/test_orphans.py."""
    pytest.importorskip("snakemake_executor_plugin_cluster_generic", reason="the cluster plugin is not installed")
    copy = new_study(tmp_path / "repo")
    submit = tmp_path / "submit.sh"
    submit.write_text('#!/bin/sh\nsetsid bash "$1" > /dev/null 2>&1 < /dev/null &\necho $!\n')
    submit.chmod(0o755)
    call = ["results/data/model.json", "--executor", "cluster-generic", "--jobs", "1"]
    call += ["--cluster-generic-submit-cmd", str(submit), "--seconds-between-status-checks", "1"]
    with Running(copy, call) as running:
        job = wait_for_detached(copy, "fetch_model.py", running)
        job.suspend()
        running.kill_alone()
    try:
        again = copy.run(*call)
        assert "its lock was removed and" in again.stdout
        assert not job.is_running()
    finally:
        end_all([job.pid])


def wait_for_detached(copy, script, running):
    """Return the process of a script in a study, whoever started it."""
    while running.process.poll() is None:
        for process in psutil.process_iter():
            with suppress(psutil.Error, IndexError):
                if process.cwd() == str(copy.folder) and Path(process.cmdline()[1]).name == script:
                    return process
        time.sleep(0.05)
    raise AssertionError(running.output)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_study_that_was_asked_to_end_goes_on(study, number):
    """As by Ctrl+C, by a batch system before it kills, and by a connection that is closed."""
    delete(study)
    with Running(study) as running:
        running.wait_for("score")
        os.killpg(running.process.pid, number)
        assert running.process.wait() != 0
    again = study.run(*TARGETS)
    # Snakemake itself cleans up after the first two.
    assert ("is gone" in again.stdout) == (number == signal.SIGHUP)


def test_the_lock_of_another_workflow_is_left_alone(study):
    delete(study)
    folder = study.folder / ".snakemake" / "locks"
    folder.mkdir(exist_ok=True)
    lock = folder / "0.output.lock"
    lock.write_text("results/lora_16/scores.parquet\n")
    refused = study.run(*TARGETS, check=False)
    assert refused.returncode != 0
    assert LOCKED in refused.stdout
    assert lock.exists()
    lock.unlink()
    study.run(*TARGETS)
