"""Trackers: each real client, without a network, shows a training as it was; none can end one, and none tells a secret.

The training runs once in a process of its own, with a home and a current folder of its own, so that whatever a client
writes is seen. Then it is killed, as it were, and gone on with.
"""

import csv
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import TEXTS
from medscale.base.config import resolve
from medscale.base.files import write_json
from medscale.base.settings import tracker_options, training_settings
from medscale.base.study import Run
from medscale.fetch.manifest import content_of, read_manifest
from medscale.model.chat import Chat
from medscale.model.tokenizer import load_tokenizer

SCRIPT = Path(__file__).parents[2] / "workflow" / "scripts" / "finetune.py"
CLIENTS = ("swanlab", "wandb", "mlflow")
THERE = [name for name in CLIENTS if find_spec(name)]
TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0planted"
RUN = Run("lora_16", "lora", 16, "16", 42)
ROWS = 16


def needs(name):
    return pytest.mark.skipif(name not in THERE, reason=f"{name} is not installed: requirements-trackers.lock")


class Trained:
    """A study's folder after a training that was interrupted once; ``environment`` holds planted tokens."""

    def __init__(self, model, folder: Path, clients: list[str], **environment: str):
        self.folder, self.home, self.model = folder, folder / "home", model
        self.results, self.here = folder / "study" / "results", folder / "here"
        for path in (self.home, self.here, self.results / "data"):
            path.mkdir(parents=True)
        self.environment = {"HOME": str(self.home), "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", **environment}
        self.environment |= {"MEDSCALE_LOCK_DIR": str(folder / "locks")}
        self.config = resolve(
            {
                "study": {"sizes": [ROWS]},
                "paths": {"results": str(self.results)},
                "training": {
                    "epochs": 3,
                    "effective_batch": 4,
                    "eval_interval": 0.25,
                    "report_to": ["tensorboard", *clients],
                },
            }
        )
        self.encode()

    def encode(self) -> None:
        chat, data = Chat(load_tokenizer(self.model), None), self.results / "data"
        samples = [chat.sample(f"第{i}问：{text[:6]}", text[: 8 + i], 128) for i, text in enumerate(TEXTS[:ROWS])]
        table = pa.table({"input_ids": [s.input_ids for s in samples], "labels": [s.labels for s in samples]})
        pq.write_table(table, data / "train.parquet")
        pq.write_table(table.slice(0, 4), data / "validation.parquet")
        report = {"rows_sha256": "0", "prompts_too_long": [], "max_length": 128, "answers_truncated": 0}
        write_json(data / "report.json", report)
        (data / "test.jsonl").write_text("{}\n", encoding="utf-8")

    def finetune(self, killed: bool = False, **environment: str) -> str:
        """Train, and return what was printed."""
        data, run = self.results / "data", self.results / RUN.name
        options = {
            **{"run": RUN.name, "method": "lora", "seed": 42, "micro-batch": 2, "fingerprint": "0"},
            **{"settings": json.dumps(training_settings(self.config, RUN)), "model": self.model},
            **{"content": content_of(read_manifest(self.model)), "train": data / "train.parquet"},
            **{"train-report": data / "report.json", "validation": data / "validation.parquet"},
            **{"test": data / "test.jsonl", "adapter": run / "adapter", "training": run / "training.json"},
            **{"train-log": run / "train_log.csv", "tensorboard": run / "tensorboard"},
        }
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        done = subprocess.run(
            ["bash", "-c", f'"$@" {tracker_options(self.config, RUN)}', "bash", sys.executable, str(SCRIPT), *words],
            cwd=self.here,
            env=self.environment | environment,
            capture_output=True,
            text=True,
        )
        assert (done.returncode != 0) == killed, done.stdout[-3000:] + done.stderr[-6000:]
        return done.stdout + done.stderr

    @property
    def record(self) -> dict:
        return json.loads((self.results / RUN.name / "training.json").read_text(encoding="utf-8"))

    def losses(self, name: str) -> dict[int, float]:
        with open(self.results / RUN.name / "train_log.csv", encoding="utf-8", newline="") as handle:
            return {int(row["step"]): float(row[name]) for row in csv.DictReader(handle) if row[name]}


KILL = """
import os, signal
replace = os.replace

def replace_and_die(source, target, **more):
    replace(source, target, **more)
    if str(target).endswith("checkpoint-6/complete"):
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = replace_and_die
"""


@pytest.fixture(scope="module")
def trained(tiny_model, tmp_path_factory):
    """Killed at step 6 while no server could be reached, and gone on with in a world without credentials."""
    folder = tmp_path_factory.mktemp("tracked")
    study = Trained(tiny_model, folder, THERE)
    (folder / "kill").mkdir()
    (folder / "kill" / "sitecustomize.py").write_text(KILL, encoding="utf-8")
    nowhere = "http://127.0.0.1:9"
    study.printed = study.finetune(
        killed=True,
        PYTHONPATH=str(folder / "kill"),
        **{"WANDB_API_KEY": TOKEN, "WANDB_BASE_URL": nowhere, "SWANLAB_API_KEY": TOKEN, "SWANLAB_API_HOST": nowhere},
        **{"MLFLOW_TRACKING_URI": f"http://me:{TOKEN}@127.0.0.1:9", "MLFLOW_TRACKING_TOKEN": TOKEN},
    )
    study.printed += study.finetune()
    return study


def test_x(trained):
    print(trained.printed)
    print(trained.record["events"])
    for p in trained.folder.rglob("*"):
        if p.is_file() and "checkpoints" not in str(p):
            print(p.relative_to(trained.folder), p.stat().st_size)
