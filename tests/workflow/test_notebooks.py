"""The notebooks, executed cell by cell, and sessions that end: what was finished is not done again."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("nbclient", reason="nbclient and ipykernel execute the notebooks: make test installs them")
pytest.importorskip("ipykernel", reason="nbclient and ipykernel execute the notebooks: make test installs them")
if shutil.which("git") is None:
    pytest.skip("the notebooks clone with git", allow_module_level=True)

from notebook_sessions import Session, repository

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


@pytest.fixture(scope="module")
def cloned(tmp_path_factory) -> Path:
    return repository(tmp_path_factory.mktemp("repository") / "仓库 repo")


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory, cloned) -> Session:
    """The Chinese notebook for Kaggle, executed whole."""
    folder = tmp_path_factory.mktemp("kaggle")
    return Session("kaggle.zh", folder / "session", cloned, folder / "working").run()


def made(study: Path) -> dict[str, bytes]:
    """Return what tells a study's results: answers and metrics of each run, without times."""
    found = {}
    for path in sorted((study / "results" / "demo").glob("*/eval.json")):
        found[path.parent.name] = (path.parent / "predictions.jsonl").read_bytes()
        found[f"{path.parent.name} metrics"] = json.dumps(json.loads(path.read_text())["metrics"]).encode()
    return found


def training(study: Path) -> dict:
    return json.loads((study / "results" / "demo" / "lora_16" / "training.json").read_text())


def test_all_cells_run_and_show_what_was_made(kaggle):
    study = kaggle.kept / "study"
    assert "finetune" in kaggle.output("one")
    assert "finetune" not in kaggle.output("all")
    assert "lora_16" in kaggle.shown("one", "text/markdown")
    assert kaggle.shown("one", "image/png")
    assert "lora_16" in kaggle.output("plan")
    assert made(study).keys() == {"base", "base metrics", "lora_16", "lora_16 metrics"}
    for run in ("lora_16", "base"):
        assert f"<td>{run}</td>" in kaggle.shown("table")
    report = (study / "results" / "demo" / "summary" / "report.html").read_text(encoding="utf-8")
    assert kaggle.shown("report").count("<iframe srcdoc=") == 1
    assert len(kaggle.shown("report")) > len(report)
    assert "nothing new; 2 of 2 rows" in kaggle.output("backup"), "each call has ended with a backup"
    assert not (study / "resources").exists(), "what is fetched again at need lies on the disk that is lost"


def test_a_new_session_goes_on_from_the_attached_output(kaggle, cloned, tmp_path):
    attached = tmp_path / "input" / "medscale-notebook"
    attached.mkdir(parents=True)
    shutil.copy2(kaggle.kept / "medscale-commit.txt", attached)
    shutil.copytree(kaggle.kept / "backup", attached / "backup")
    session = Session("kaggle.zh", tmp_path / "session", cloned, tmp_path / "working", tmp_path / "input")
    session.without("plan").run()
    assert "Nothing to be done" in session.output("one")
    assert "Nothing to be done" in session.output("all")
    assert made(session.kept / "study") == made(kaggle.kept / "study")
    assert training(session.kept / "study") == training(kaggle.kept / "study")
    assert session.shown("table") == kaggle.shown("table")


def test_a_session_that_is_taken_away_goes_on_from_the_drive(kaggle, cloned, tmp_path):
    drive = tmp_path / "drive"
    study = drive / "MyDrive" / "medscale" / "study"
    first = Session("colab.en", tmp_path / "first", cloned, drive).without("plan")
    first.run_until(lambda: any(study.glob("results/demo/lora_16/checkpoints/*/checkpoint-*/complete")))
    assert not (study / "results/demo/lora_16/training.json").exists()
    shutil.rmtree(first.folder)
    before = {path: path.stat().st_mtime_ns for path in (study / "results/demo/data").rglob("*") if path.is_file()}
    assert {"model.json", "clean.parquet", "validation.parquet"} <= {path.name for path in before}

    second = Session("colab.en", tmp_path / "second", cloned, drive)
    second.without("plan", "all", "table", "report").run()
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what is fetched again makes nothing anew"
    assert training(study)["training"]["resumed_from_step"] > 0
    whole = made(kaggle.kept / "study")
    assert made(study) == {name: whole[name] for name in ("lora_16", "lora_16 metrics")}
    assert "lora_16" in second.shown("one", "text/markdown")
