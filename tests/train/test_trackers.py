"""Trackers: each real client, without a network, shows a training as it was; none can end one, and none tells a secret.

The training runs once in a process of its own, with a home and a current folder of its own, so that whatever a client
writes is seen. Then it is killed, as it were, and gone on with.
"""

import csv
import json
import os
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medscale.base.config import resolve
from medscale.base.digest import with_imports
from medscale.base.errors import UserError
from medscale.base.events import EventLog
from medscale.base.files import write_json
from medscale.base.settings import tracker_options, training_settings
from medscale.base.study import Run
from medscale.fetch.manifest import content_of, read_manifest
from medscale.model.chat import Chat
from medscale.model.tokenizer import load_tokenizer
from medscale.train.trackers import asked
from medscale.train.trackers.callback import Told, Tracking
from sentences import TEXTS

SCRIPT = Path(__file__).parents[2] / "workflow" / "scripts" / "finetune.py"
CLIENTS = ("swanlab", "wandb", "mlflow")
THERE = [name for name in CLIENTS if find_spec(name)]
TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0planted"
RUN = Run("lora_8", "lora", 8, "8", 42)
ROWS = 8


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
                    "eval_interval": 0.5,
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
        pq.write_table(table.slice(0, 2), data / "validation.parquet")
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
    if str(target).endswith("checkpoint-3/complete"):
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = replace_and_die
"""


@pytest.fixture(scope="module")
def trained(tiny_model, tmp_path_factory):
    """Killed at step 3 while no server could be reached, and gone on with in a world without credentials."""
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


def history(study: Trained, name: str) -> dict[int, float]:
    """Return the training losses by step, as the tracker's own files hold them; those of a step twice must be equal."""
    found: dict[int, float] = {}
    for step, value in READERS[name](study.results / "trackers" / name, study):
        assert found.setdefault(step, value) == pytest.approx(value, rel=1e-6)
    return found


def of_tensorboard(folder: Path, study: Trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for path in (study.results / RUN.name / "tensorboard").rglob("events.out.tfevents.*"):
        events = EventAccumulator(str(path)).Reload()
        yield from ((one.step, one.value) for one in events.Scalars("train/loss"))


def of_mlflow(folder: Path, study: Trained):
    client, (run,) = mlflow_runs(folder)
    yield from ((one.step, one.value) for one in client.get_metric_history(run.info.run_id, "train/loss"))


def mlflow_runs(folder: Path):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("medscale-study")
    return client, client.search_runs([experiment.experiment_id])


def of_wandb(folder: Path, study: Trained):
    from wandb.proto.wandb_internal_pb2 import Record

    for content in records(folder, "*.wandb", Record):
        if content.WhichOneof("record_type") == "history":
            values = {item.key or "/".join(item.nested_key): item.value_json for item in content.history.item}
            if "train/loss" in values:
                yield int(values["_step"]), float(values["train/loss"])


def of_swanlab(folder: Path, study: Trained):
    from swanlab.proto.swanlab.record.v1.record_pb2 import Record

    for content in records(folder, "*.swanlab", Record):
        if content.HasField("scalar") and content.scalar.key == "train/loss":
            yield content.scalar.step, content.scalar.value.number


READERS = {"tensorboard": of_tensorboard, "mlflow": of_mlflow, "wandb": of_wandb, "swanlab": of_swanlab}


def records(folder: Path, pattern: str, kind: type):
    """Yield the records of a client's files: LevelDB's log format, with a header of seven bytes before it."""
    for path in sorted(folder.rglob(pattern)):
        data, place, whole = path.read_bytes(), 7, b""
        while place < len(data):
            left = 32768 - place % 32768
            if left < 7:
                place += left
                continue
            length, part = struct.unpack("<HB", data[place + 4 : place + 7])
            whole += data[place + 7 : place + 7 + length]
            place += 7 + length
            if part in (1, 4):  # whole, or the last part
                yield kind.FromString(whole)
                whole = b""


@pytest.mark.parametrize("name", ["tensorboard", *(pytest.param(name, marks=needs(name)) for name in CLIENTS)])
def test_a_tracker_shows_every_loss_of_the_log(trained, name):
    losses = trained.losses("loss")
    assert len(losses) == 6
    found = history(trained, name)
    assert found == pytest.approx({step: losses[step] for step in found}, rel=1e-5)
    # A client that writes beside the training loses in a kill what it had not written yet: some of the first three.
    assert found.keys() >= ({4, 5, 6} if name in ("wandb", "swanlab") else losses.keys())


@needs("mlflow")
def test_a_training_that_is_gone_on_with_is_one_run_at_mlflow(trained):
    client, runs = mlflow_runs(trained.results / "trackers" / "mlflow")
    (run,) = runs
    fingerprint = trained.record["provenance"]["fingerprint"]
    assert (run.info.run_name, run.info.status) == (RUN.name, "FINISHED")
    assert run.data.tags == {"medscale.fingerprint": fingerprint, "mlflow.runName": RUN.name}, "nothing of the machine"
    assert run.data.params["training.learning_rate"] == str(trained.config["training"]["learning_rate"])
    assert run.data.params["lora.r"] == str(trained.config["lora"]["r"])
    facts = trained.record["training"]
    assert run.data.metrics["final/seconds"] == facts["seconds"]
    assert run.data.metrics["final/peak_memory_gib.train_allocated"] == facts["peak_memory_gib"]["train_allocated"]
    assert run.data.metrics["final/best_validation_loss"] == pytest.approx(facts["best_validation_loss"])
    assert client.get_metric_history(run.info.run_id, "eval/loss")[-1].step == 6


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in ("wandb", "swanlab")])
def test_what_will_be_sent_later_is_one_run(trained, name):
    """Such clients begin a folder a call, also for one that then reaches no server; they are one run by its number."""
    folders = [path for path in (trained.results / "trackers" / name).rglob("*run-*") if path.is_dir()]
    assert len(folders) >= 2
    assert {path.name.rpartition("-")[2] for path in folders} == {trained.record["provenance"]["fingerprint"]}


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in CLIENTS])
def test_a_server_that_is_not_there_stops_nothing_and_is_told_once(trained, name):
    told = [event for event in trained.record["events"] if event["message"].startswith(f"{name}: ")]
    assert [event["kind"] for event in told] == ["warning"]
    assert "it could not be reached" in told[0]["message"]
    assert told[0]["action"] == "its files stay here, to be sent later"


def test_no_token_stands_in_any_file_or_in_what_is_printed(trained):
    assert TOKEN not in trained.printed
    files = [path for path in trained.folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


def test_nothing_is_written_outside_of_the_study(trained):
    assert list(trained.here.iterdir()) == []
    assert [path for path in trained.home.rglob("*") if path.is_file()] == []
    assert {path.name for path in trained.results.iterdir()} <= {"data", RUN.name, "trackers"}


class Broken:
    """A client that fails where it is told to."""

    where = "start"

    def __init__(self, told, online):
        self.fail("start")

    def log(self, values, step):
        self.fail("log")

    def finish(self, summary, whole):
        self.fail("finish")

    def fail(self, where):
        if where == self.where:
            raise SystemExit(f"no more, says {TOKEN}\nand more")


@pytest.mark.parametrize("where", ["start", "log", "finish"])
def test_whatever_a_client_raises_is_told_once_and_without_secrets(where, tmp_path, monkeypatch):
    monkeypatch.setattr(Broken, "where", where)
    monkeypatch.setenv("SWANLAB_API_KEY", TOKEN)
    module = type(sys)("medscale.train.trackers.swanlab_run")
    module.Run = Broken
    monkeypatch.setitem(sys.modules, module.__name__, module)
    events = EventLog(tmp_path / "events.jsonl")
    tracking = Tracking(["swanlab"], True, Told("lora_8", "medscale", "0", {}, tmp_path / "trackers"), events)
    state = type("State", (), {"global_step": 1})
    for _ in range(3):
        tracking.on_log(None, state, None, {"loss": 1.0})
    tracking.finish(whole=True)
    (event,) = events.all()
    assert event["message"].endswith("(SystemExit: no more, says ***)")


def test_what_only_shows_a_training_is_no_part_of_its_code():
    """A better file of a tracker must make no finished training stale."""
    files = {path.name for path in with_imports(SCRIPT)}
    assert "callback.py" in files
    assert not files & {f"{name}_run.py" for name in CLIENTS}
    assert {path.name for path in (SCRIPT.parent / "medscale/train/trackers").glob("*_run.py")} == {
        f"{name}_run.py" for name in CLIENTS
    }


def test_a_tracker_that_is_asked_for_and_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(asked, "find_spec", lambda name: None if name == "wandb" else name)
    asked.require_installed(["tensorboard", "mlflow"])
    with pytest.raises(UserError, match=r"wandb: not installed.*pip install -r requirements-trackers.lock") as raised:
        asked.require_installed(["tensorboard", "wandb"])
    assert raised.value.code == "T108"


@pytest.mark.parametrize(
    ("name", "environment", "offline", "sends"),
    [
        ("wandb", {}, False, False),
        ("wandb", {"WANDB_API_KEY": "k"}, False, True),
        ("wandb", {"WANDB_API_KEY": "k"}, True, False),
        ("wandb", {"WANDB_API_KEY": "k", "WANDB_MODE": "offline"}, False, False),
        ("swanlab", {"SWANLAB_API_KEY": "k"}, False, True),
        ("swanlab", {"SWANLAB_API_KEY": "k", "SWANLAB_MODE": "local"}, False, False),
        ("mlflow", {"MLFLOW_TRACKING_TOKEN": "k"}, False, False),
        ("mlflow", {"MLFLOW_TRACKING_URI": "https://here"}, False, True),
        ("mlflow", {"MLFLOW_TRACKING_URI": "https://here"}, True, False),
    ],
)
def test_a_tracker_sends_where_it_has_a_credential_and_may(name, environment, offline, sends, monkeypatch):
    for variable in (*asked.SECRETS, *asked.CREDENTIAL.values(), *asked.MODE.values()):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert asked.may_send(name, offline) is sends
