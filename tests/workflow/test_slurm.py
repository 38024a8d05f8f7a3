"""The study on a real Slurm through profiles/slurm: one card, jobs killed by the time limit and by scancel, resumed."""

import itertools
import shutil
import subprocess
import time
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from killing import RESOURCES, Running
from medscale.base.files import read_json
from slurm_cluster import Cluster, cluster, missing
from workflow_runner import Copy

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.skipif(bool(missing()), reason=missing() or ""),
]
LIMITED, CANCELLED = RUNS = ("lora_16", "lora_32")
TARGETS = [f"results/{run}/eval.json" for run in RUNS]
# The profile as it stands, and what its comments tell the user of a cluster without accounting; and short waits.
PROFILE = ["--workflow-profile", "profiles/slurm", "--slurm-status-command", "squeue"]
PROFILE += ["--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks", "3"]
STUDY = {
    "study": {"methods": ["lora"], "sizes": [16, 32]},
    "evaluation": {"floors": [], "max_new_tokens": 4},
    "training": {"epochs": 10, "eval_interval": 0.2},
}
PATIENCE = 3600.0  # seconds for all of it: minutes by itself, more on a machine that is busy with other tests


class Kills:
    """Kills each training once, when it has a whole checkpoint: one by its time limit, the other by scancel.

    A training stands still from its checkpoint until Slurm has killed it, so that none ends before.
    """

    def __init__(self, copy: Copy, slurm: Cluster):
        self.copy, self.slurm = copy, slurm
        self.cards: dict[str, str] = {}
        self.comments: dict[str, str] = {}
        self.killed: dict[str, str] = {}

    def look(self) -> None:
        """Note the jobs of the queue, and kill the training that is to be killed now."""
        for job in self.slurm.queue():
            self.cards[job["id"]], self.comments[job["id"]] = job["cards"], job["comment"]
            for run in RUNS:
                if (
                    run not in self.killed
                    and job["state"] == "RUNNING"
                    and job["comment"] == f"rule_finetune_wildcards_{run}"
                ):
                    self._kill(run, job["id"])

    def _kill(self, run: str, job: str) -> None:
        folder = self.copy.folder / "results" / run
        if not list(folder.glob("checkpoints/*/checkpoint-*/complete")):
            return
        trainings = [process for process in psutil.process_iter(["cmdline"]) if self._trains(process, run)]
        for process in trainings:
            process.suspend()
        assert trainings
        assert not (folder / "training.json").exists()
        self.killed[run] = job
        if run == LIMITED:
            now = datetime.now().strftime("%Y-%m-%dT%H:%M:%S")
            subprocess.run(["scontrol", "update", f"jobid={job}", f"EndTime={now}"], check=True)
        else:
            subprocess.run(["scancel", job], check=True)

    def _trains(self, process: psutil.Process, run: str) -> bool:
        words = process.info["cmdline"] or []
        is_training = len(words) > 1 and words[1].endswith("/finetune.py")
        return is_training and run in words and words[1].startswith(str(self.copy.folder))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The study after a call of Snakemake on the cluster, with what Slurm noted of its jobs."""
    copy = Copy(tmp_path_factory.mktemp("slurm") / "repo")
    copy.configure(**STUDY)
    with cluster(tmp_path_factory.mktemp("cluster") / "slurm") as slurm:
        with Running(copy, [*TARGETS, *PROFILE]) as running:
            kills, end = Kills(copy, slurm), time.monotonic() + PATIENCE
            while running.process.poll() is None:
                kills.look()
                assert time.monotonic() < end, running.output[-6000:]
                time.sleep(0.1)
            assert running.process.returncode == 0, running.output[-6000:]
            copy.output = running.output
        copy.kills, copy.jobs = kills, {job["JobId"]: job for job in slurm.jobs()}
    return copy


def test_every_job_of_the_study_ran_on_the_cluster(study):
    completed = [number for number, job in study.jobs.items() if job["JobState"] == "COMPLETED"]
    assert len(study.jobs) == len(completed) + 2
    done = [study.kills.comments[number].split("_wildcards_")[0] for number in completed]
    expected = {"fetch_model": 1, "fetch_data": 1, "clean": 1, "split": 1, "subset": 2, "encode": 3}
    expected |= dict.fromkeys(("finetune", "predict", "score", "evaluate"), 2)
    assert {rule: done.count(f"rule_{rule}") for rule in expected} == expected


def test_one_training_was_killed_by_its_limit_and_one_by_scancel(study):
    limited, cancelled = (study.jobs[study.kills.killed[run]] for run in RUNS)
    assert (limited["JobState"], cancelled["JobState"]) == ("TIMEOUT", "CANCELLED")
    assert study.output.count("Trying to restart job") == 2


def test_no_two_jobs_had_the_card_at_once(study):
    """The profile lets six run at once; Slurm has one card."""
    with_card = [job for number, job in study.jobs.items() if "gpu" in study.kills.cards[number]]
    assert len(with_card) == 6  # two trainings, each twice, and two predictions
    spans = sorted((job["StartTime"], job["EndTime"]) for job in with_card)
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans)), spans


@pytest.mark.parametrize("run", RUNS)
def test_each_went_on_from_its_checkpoint_to_the_result_of_an_undisturbed_run(study, undisturbed, run):
    training = read_json(study.folder / "results" / run / "training.json")["training"]
    assert training["resumed_from_step"] > 0
    for name in ("adapter/adapter_model.safetensors", "predictions.jsonl"):
        disturbed, expected = ((copy / "results" / run / name).read_bytes() for copy in (study.folder, undisturbed))
        assert disturbed == expected, name
    metrics = [read_json(copy / "results" / run / "eval.json")["metrics"] for copy in (study.folder, undisturbed)]
    assert metrics[0] == metrics[1]


@pytest.fixture(scope="module")
def undisturbed(study, tmp_path_factory) -> Path:
    """The same study, whose runs are made anew by a Snakemake without a cluster, on the same data."""
    folder = tmp_path_factory.mktemp("undisturbed") / "repo"
    shutil.copytree(study.folder, folder, ignore=shutil.ignore_patterns(*RUNS, "locks"))
    copy = Copy(folder)
    copy.configure(**STUDY)
    copy.run(*TARGETS, *RESOURCES)
    assert all(
        read_json(folder / "results" / run / "training.json")["training"]["resumed_from_step"] is None for run in RUNS
    )
    return folder
