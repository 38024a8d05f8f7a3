"""What a result is made from is content: the same bytes elsewhere make nothing stale, other bytes do."""

import json
import os
import shutil
import signal
import subprocess

import pytest

from hub_server import FakeHub
from medscale.data.demo.corpus import generate, load_conditions, write_toyhom_csv
from places import ROOT
from workflow_runner import PARTS, Copy, Study

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
COLUMNS = {"question": ["title", "ask"], "answer": "answer", "department": "department"}
MADE = {"clean", "split", "subset", "encode", "finetune", "predict", "score", "evaluate"}
RUN = ("--cores", "2", "--resources", "gpu=1")


class OwnStudy(Study):
    """A study of the user's own model and corpus; each test may move them about, and all is put back afterwards."""

    def __init__(self, base, model):
        self.base, self.sections = base, {}
        self.blobs, self.model = base / "hub" / "blobs", base / "hub" / "snapshots" / "c0ffee"
        self.corpus = base / "问答 数据.csv"
        self.blobs.mkdir(parents=True)
        self.model.mkdir(parents=True)
        for (
            file
        ) in model.iterdir():  # as the cache of huggingface_hub lies: links to files that are named by their hash
            if file.is_file() and file.name != "manifest.json":
                shutil.copy(file, self.blobs / f"{file.name}-blob")
                (self.model / file.name).symlink_to(self.blobs / f"{file.name}-blob")
        rows = generate(load_conditions(ROOT / "resources" / "demo" / "conditions.json"), 300, 42, noise=0.05)
        write_toyhom_csv(self.corpus, rows)
        Copy(base / "checkout")
        (base / "checkout" / "small.yaml").unlink()
        super().__init__(base / "checkout", base / "我的 研究 🩺")

    def configure(self, model=None, **changes):
        """Write the configuration: the user's own model and corpus, unless another section is given."""
        self.sections = {
            "model": model or {"source": "local", "path": str(self.model)},
            "data": {"source": "file", "path": str(self.corpus), "columns": COLUMNS},
            "study": {"methods": ["lora"], "sizes": [16], "test_size": 8, "validation_size": 6},
            "evaluation": {"floors": ["fixed"]},
            **changes,
        }
        super().configure(**self.sections)

    def training(self):
        """Return what was measured of the training."""
        return json.loads((self.folder / "results/lora_16/training.json").read_text(encoding="utf-8"))["training"]

    def made(self):
        """Return what was made with the model, byte for byte."""
        kept = [*self.folder.glob("results/*/predictions.jsonl"), *self.folder.glob("results/*/adapter/*.safetensors")]
        return {path.relative_to(self.folder): path.read_bytes() for path in kept}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_model):
    own = OwnStudy(tmp_path_factory.mktemp("content"), tiny_model.parent)
    own.run()
    return own


@pytest.fixture
def study(finished):
    """The finished study, at its place and with nothing to be done."""
    if finished.plan() != {}:  # the test before has made a file of it again
        finished.run()
        assert finished.plan() == {}
    places = {"checkout": finished.checkout, "model": finished.model, "corpus": finished.corpus}
    yield finished
    for name, place in places.items():
        now = getattr(finished, name)
        if now != place:
            shutil.move(now, place)
            setattr(finished, name, place)
    finished.configure()


def test_everything_lies_in_the_folder_of_the_study(study):
    """Results, logs, what was fetched, and Snakemake's own records: nothing of it in the checkout."""
    there = {path.name for path in study.folder.iterdir()}
    assert there == {"small.yaml", "results", "resources", "logs", ".snakemake"}
    assert {path.name for path in study.checkout.iterdir()} <= {part.split("/")[0] for part in PARTS}
    assert not {path.name for path in study.called_from.iterdir()} & {"results", "logs", ".snakemake"}


def test_a_moved_model_makes_nothing_stale_and_is_found(study):
    moved = study.base / "elsewhere" / study.model.name
    moved.parent.mkdir()
    study.model = shutil.move(study.model, moved)
    study.configure()
    assert study.plan() == {}
    before = (study.folder / "results/base/predictions.jsonl").read_bytes()
    study.run("results/base/predictions.jsonl", "--forcerun", "predict", *RUN)
    assert (study.folder / "results/base/predictions.jsonl").read_bytes() == before


def test_a_renamed_model_makes_nothing_stale(study):
    study.model = study.model.rename(study.model.with_name("my model 模型"))
    study.configure()
    assert study.plan() == {}
    study.run("results/base/predictions.jsonl", "--forcerun", "predict", *RUN)


def test_links_replaced_by_plain_files_make_nothing_stale(study):
    for link in study.model.iterdir():
        target = link.resolve()
        link.unlink()
        shutil.copy(target, link)
    assert study.plan() == {}


def test_a_renamed_and_moved_corpus_makes_nothing_stale_and_is_found(study):
    before = (study.folder / "results/data/clean.parquet").read_bytes()
    study.corpus = shutil.move(study.corpus, study.base / "renamed.csv")
    study.configure()
    assert study.plan() == {}
    study.run("results/data/clean.parquet", "--forcerun", "clean", *RUN)
    assert (study.folder / "results/data/clean.parquet").read_bytes() == before


def test_a_moved_checkout_makes_nothing_stale(study):
    study.checkout = shutil.move(study.checkout, study.base / "另一个 checkout")
    assert study.plan() == {}


def test_a_moved_study_makes_nothing_stale(study):
    place = study.folder
    study.folder = shutil.move(place, study.base / "drive")
    study.configure()
    assert study.plan() == {}
    study.folder = shutil.move(study.folder, place)


def test_moved_resources_make_nothing_stale(study):
    shutil.move(study.folder / "resources", study.base / "resources elsewhere")
    study.configure(paths={"resources": str(study.base / "resources elsewhere")})
    assert study.plan() == {}
    shutil.move(study.base / "resources elsewhere", study.folder / "resources")


def test_another_byte_of_the_corpus_makes_all_stale(study):
    text = study.corpus.read_text(encoding="gb18030")
    study.corpus.write_text(text.replace("，", "、", 1), encoding="gb18030")
    plan = study.plan()
    assert plan["fetch_data"] == 1
    assert plan.keys() >= MADE
    assert "fetch_model" not in plan
    study.corpus.write_text(text, encoding="gb18030")


def test_another_byte_of_the_model_trains_again_and_cleans_nothing(study):
    config = study.model / "generation_config.json"
    before = config.read_bytes()
    config.write_bytes(before + b"\n")
    plan = study.plan()
    assert plan["finetune"] == plan["fetch_model"] == 1
    assert not plan.keys() & {"clean", "split", "subset"}
    config.write_bytes(before)


def test_a_file_that_no_result_depends_on_makes_nothing_stale(study):
    (study.model / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    assert study.plan() == {}
    (study.model / "README.md").unlink()


def test_the_same_bytes_from_other_sources(study):
    """From one's own folder to a hub nobody knows the bytes beforehand, but no step is trained again. From there to the
    other hub, or back, nothing is made again but the report, which shows the configuration.
    """
    files = {file.name: file.read_bytes() for file in study.model.iterdir()}
    before, measured = study.made(), study.training()
    with FakeHub() as hub:
        hub.add("models", "org/net", files | {"README.md": b"# A model", "configuration.json": b"{}"})
        study.configure({"source": "huggingface", "id": "org/net", "endpoint": hub.url})
        assert study.plan()["finetune"] == 1
        study.run()
        training = study.training()
        assert training["resumed_from_step"] == training["steps"] == measured["steps"]
        assert study.made() == before
        for name in ("load", "train_allocated"):
            assert training["peak_memory_gib"][name] >= measured["peak_memory_gib"][name], "not what training took"
        study.configure({"source": "modelscope", "id": "org/net", "endpoint": f"{hub.url}/elsewhere"})
        assert study.plan() == {"report": 1}
        study.configure({"source": "modelscope", "id": "org/net", "revision": "v2", "endpoint": hub.url})
        assert study.plan()["finetune"] == 1, "nobody knows yet what another revision is"
    study.configure()
    assert study.plan() == {"report": 1}


def test_what_a_finished_study_was_made_with_may_be_deleted(study):
    """A disk is small. What is not needed is not fetched again; what is, is."""
    with FakeHub() as hub:
        hub.add("models", "org/net", {file.name: file.read_bytes() for file in study.model.iterdir()})
        study.configure({"source": "huggingface", "id": "org/net", "endpoint": hub.url})
        study.run()
        shutil.rmtree(study.folder / "resources" / "models")
        assert study.plan() == {}
        (study.folder / "results/base/predictions.jsonl").unlink()
        assert study.plan()["fetch_model"] == 1
        study.run()
    study.configure()


def test_a_kill_while_another_model_is_fetched_loses_nothing(study):
    before = study.made()
    with FakeHub() as hub:
        hub.add("models", "org/other", {file.name: file.read_bytes() for file in study.model.iterdir()})
        hub.stalls["model.safetensors"] = 1000
        study.configure({"source": "huggingface", "id": "org/other", "endpoint": hub.url})
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        study.served = False
        process = subprocess.Popen(study.command(*RUN), cwd=study.called_from, env=study.environment(), **quiet)
        study.served = True
        while not hub.stalled.wait(0.1):
            assert process.poll() is None, "the process ended before it downloaded"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    study.configure()
    study.run(*RUN)
    training = study.training()
    assert training["resumed_from_step"] in (None, training["steps"])
    assert study.made() == before
