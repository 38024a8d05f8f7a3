"""The study on a real Slurm by profiles/slurm: one card; a training killed by its limit and by scancel, and resumed."""

import itertools
import shutil
import subprocess
import time
from datetime import datetime, timedelta

import psutil
import pytest

from killing import RESOURCES, Running
from medscale.base.files import read_json
from served import program
from slurm_cluster import Cluster, cluster, missing
from workflow_runner import Copy

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.skipif(bool(missing()), reason=missing() or ""),
]
RUN = "lora_16"
# The second training wants the card at the same time as the first.
TARGETS = [f"results/{RUN}/eval.json", "results/base/predictions.jsonl", "results/qlora_16/training.json"]
# The profile as it stands, and what its comments tell the user of a cluster without accounting; and short waits.
PROFILE = ["--workflow-profile", "profiles/slurm", "--slurm-status-command", "squeue"]
PROFILE += ["--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks", "3"]
STUDY = {
    "study": {"methods": ["lora", "qlora"], "sizes": [16]},
    "evaluation": {"floors": [], "max_new_tokens": 4},
    "training": {"epochs": 10, "eval_interval": 0.2},  # 20 steps, a checkpoint after each fourth
}
KILLS = ("TIMEOUT", "CANCELLED")
SOON = timedelta(seconds=5)
PATIENCE = 3600.0  # seconds for all of it: minutes by itself, more on a machine that is busy with other tests


class Killer:
    """Kills the training when it has a whole checkpoint: first by its time limit, and the next one by scancel.

    It stands still from its checkpoint until Slurm has killed it, so that it does not end before.
    """

    def __init__(self, copy: Copy, slurm: Cluster):
        self.copy, self.slurm = copy, slurm
        self.cards: dict[str, str] = {}
        self.comments: dict[str, str] = {}
        self.queued_behind: set[str] = set()
        self.killed: list[str] = []
        self.steps: list[int] = []

    def look(self) -> None:
        """Note the jobs of the queue, and kill the training that is to be killed now."""
        queue = self.slurm.queue()
        with_card = [job for job in queue if "gpu" in job["cards"]]
        if any(job["state"] == "RUNNING" for job in with_card):
            self.queued_behind |= {job["id"] for job in with_card if job["state"] == "PENDING"}
        for job in queue:
            self.cards[job["id"]], self.comments[job["id"]] = job["cards"], job["comment"]
            trains = job["state"] == "RUNNING" and job["comment"] == f"rule_finetune_wildcards_{RUN}"
            if trains and len(self.killed) < len(KILLS) and job["id"] not in self.killed:
                self._kill(job["id"])

    def _kill(self, job: str) -> None:
        folder = self.copy.folder / "results" / RUN
        marks = folder.glob("checkpoints/*/checkpoint-*/complete")
        newest = max((int(mark.parent.name.split("-")[1]) for mark in marks), default=0)
        if newest <= max(self.steps, default=0):
            return
        trainings = [process for process in psutil.process_iter(["cmdline"]) if self._trains(process)]
        for process in trainings:
            process.suspend()
        assert trainings
        assert not (folder / "training.json").exists()
        if KILLS[len(self.killed)] == "TIMEOUT":
            end = (datetime.now() + SOON).strftime("%Y-%m-%dT%H:%M:%S")
            subprocess.run(["scontrol", "update", f"jobid={job}", f"EndTime={end}"], check=True)
        else:
            subprocess.run(["scancel", job], check=True)
        self.killed.append(job)
        self.steps.append(newest)

    def _trains(self, process: psutil.Process) -> bool:
        words = process.info["cmdline"] or []
        return len(words) > 1 and words[1] == str(self.copy.folder / "workflow" / "scripts" / "finetune.py")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The study after a call of Snakemake on the cluster, with what Slurm noted of its jobs."""
    copy = Copy(tmp_path_factory.mktemp("slurm") / "repo")
    copy.configure(**STUDY)
    with pytest.MonkeyPatch.context() as patch, cluster(tmp_path_factory.mktemp("cluster") / "slurm") as slurm:
        # What is killed, with all that it started, is run by Python itself; Snakemake calls it so.
        patch.setenv("MEDSCALE_UNSERVED", f"finetune:tuned={RUN}")
        with Running(copy, [*TARGETS, *PROFILE], program()) as running:
            killer, end = Killer(copy, slurm), time.monotonic() + PATIENCE
            while running.process.poll() is None:
                killer.look()
                assert time.monotonic() < end, running.output[-6000:]
                time.sleep(0.1)
            assert running.process.returncode == 0, running.output[-6000:]
            copy.output = running.output
        copy.killer, copy.jobs = killer, {job["JobId"]: job for job in slurm.jobs()}
    return copy


def test_every_job_of_the_study_ran_on_the_cluster(study):
    completed = [number for number, job in study.jobs.items() if job["JobState"] == "COMPLETED"]
    done = [study.killer.comments[number].removeprefix("rule_").split("_wildcards_")[0] for number in completed]
    expected = {"fetch_model": 1, "fetch_data": 1, "clean": 1, "split": 1, "subset": 1, "encode": 2}
    expected |= {"finetune": 2, "predict": 2, "score": 1, "evaluate": 1}
    assert {rule: done.count(rule) for rule in done} == expected
    assert "13 of 13 steps (100%) done" in study.output


def test_the_training_was_killed_by_its_limit_and_by_scancel_and_submitted_again(study):
    assert [study.jobs[number]["JobState"] for number in study.killer.killed] == list(KILLS)
    assert len([job for job in study.jobs.values() if job["JobState"] != "COMPLETED"]) == len(KILLS)
    assert study.output.count("Trying to restart job") == len(KILLS)


def test_no_two_jobs_had_the_card_at_once(study):
    """The profile lets six run at once; Slurm has one card."""
    with_card = [job for number, job in study.jobs.items() if "gpu" in study.killer.cards[number]]
    assert len(with_card) == 6  # lora three times, qlora, two predictions
    assert study.killer.queued_behind  # two wanted it at once
    spans = sorted((job["StartTime"], job["EndTime"]) for job in with_card)
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans)), spans


def test_each_time_it_went_on_from_its_checkpoint(study):
    training = read_json(study.folder / "results" / RUN / "training.json")
    resumed = [event["action"] for event in training["events"] if event["kind"] == "resumed"]
    assert resumed == [f"resumed from step {step}" for step in study.killer.steps]
    assert training["training"]["resumed_from_step"] == study.killer.steps[-1]


def test_the_result_is_that_of_an_undisturbed_run(study, tmp_path):
    """The same study, whose runs are made anew by a Snakemake without a cluster, on the same data."""
    copy = Copy(tmp_path / "repo")
    folder, left = copy.folder, shutil.ignore_patterns(RUN, "base", "locks", "medscale-holders")
    for part in ("results", "resources", ".snakemake"):
        shutil.copytree(study.folder / part, folder / part, ignore=left, dirs_exist_ok=True)
    copy.configure(**STUDY)
    copy.run(*TARGETS, *RESOURCES)
    assert read_json(folder / "results" / RUN / "training.json")["training"]["resumed_from_step"] is None
    for name in (f"{RUN}/adapter/adapter_model.safetensors", f"{RUN}/predictions.jsonl", "base/predictions.jsonl"):
        disturbed, expected = ((copy / "results" / name).read_bytes() for copy in (study.folder, folder))
        assert disturbed == expected, name
    metrics = [read_json(copy / "results" / RUN / "eval.json")["metrics"] for copy in (study.folder, folder)]
    assert metrics[0] == metrics[1]
