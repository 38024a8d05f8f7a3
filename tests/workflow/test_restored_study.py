"""A finished study, backed up and brought back elsewhere: nothing is to be done there, or nothing was restored."""

import re

import pytest
import yaml

from places import ROOT
from workflow_runner import Study

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
ONE_RUN = {
    "study": {"methods": ["lora"], "sizes": [16], "test_size": 8, "validation_size": 6},
    "evaluation": {"floors": ["fixed"]},
}


class Clone(Study):
    """A folder without a study, whose configuration is that of a backup and of where things lie here."""

    def __init__(self, folder, archive, **here):
        self.archive, self.here = archive, here
        super().__init__(ROOT, folder)

    def configure(self):
        config = yaml.safe_load((self.archive / "configuration.yaml").read_text(encoding="utf-8"))
        text = yaml.safe_dump(config | self.here | {"backup": {"path": str(self.archive)}}, allow_unicode=True)
        (self.folder / "small.yaml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    base = tmp_path_factory.mktemp("backup")
    study = Study(ROOT, base / "study")
    study.configure(**ONE_RUN, backup={"path": str(base / "硬盘 disk" / "copy")})
    study.run()
    return study


@pytest.fixture(scope="module")
def archive(finished):
    """The backup of the finished study."""
    finished.run("backup", "--cores", "1")
    return finished.folder.parent / "硬盘 disk" / "copy"


def state(folder):
    """Return every file with its time and size."""
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def made(study, results):
    """Return what a study has made, byte for byte."""
    folder = study.folder / results
    kept = (path for path in folder.rglob("*") if path.is_file() and "checkpoints" not in path.parts)
    return {path.relative_to(folder): path.read_bytes() for path in kept}


@pytest.mark.parametrize("results", ["results", "elsewhere/我的 结果"])
def test_a_restored_study_has_nothing_to_be_done(finished, archive, tmp_path, results):
    assert finished.plan() == {}, "the backup made something of the study stale"
    clone = Clone(tmp_path / "clone", archive, paths={"results": results})
    assert clone.plan()["finetune"] == 1
    clone.run("restore", "--cores", "1")
    assert clone.plan() == {}
    assert made(clone, results) == made(finished, "results")
    (clone.folder / results / "lora_16" / "eval.json").unlink()
    assert clone.plan().keys() == {"evaluate", "aggregate", "report", "record"}, "it is a study like any other"


def test_a_second_backup_writes_nothing(finished, archive):
    before = state(archive)
    assert "nothing new; 3 of 3 rows" in finished.run("backup", "--cores", "1").stdout
    assert state(archive) == before


def test_no_path_of_the_machine_lies_in_it(finished, archive):
    own = [str(finished.folder.parent).encode(), str(ROOT).encode()]
    for path in archive.rglob("*"):
        if path.is_file():
            assert not any(place in path.read_bytes() for place in own), path


def test_a_damaged_backup_is_refused_by_name_and_nothing_is_restored(archive, tmp_path):
    victim = max(archive.glob("objects/*/*"), key=lambda path: path.stat().st_size)
    whole = victim.read_bytes()
    clone = Clone(tmp_path / "clone", archive)
    victim.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        done = clone.run("restore", "--cores", "1", check=False)
    finally:
        victim.write_bytes(whole)
    assert done.returncode != 0
    assert re.search(rf"error: .*nothing was restored: \S.*{victim.name} \(.*\) is damaged", done.stdout)
    assert not (clone.folder / "results").exists()


def test_a_backup_that_has_no_place_says_which_key_names_one(tmp_path):
    study = Study(ROOT, tmp_path / "study")
    done = study.run("backup", "--cores", "1", check=False)
    assert done.returncode != 0
    assert "error: backup.path = null: name the folder" in done.stdout
