"""The archive of a study: what goes in, what comes out, and what it refuses."""

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake.persistence import MetadataRecord
from snakemake.persistence.file import FilePersistence

from medscale.base.backup import pack as packing
from medscale.base.backup import unpack as unpacking
from medscale.base.backup.index import read_index
from medscale.base.backup.pack import pack
from medscale.base.backup.study_folder import StudyFolder
from medscale.base.backup.unpack import unpack
from medscale.base.errors import UserError
from medscale.base.files import sha256_json, write_json
from places import SCRIPTS

CONFIGURATION = {"study": {"sizes": [16]}}
ROWS = ["lora_16", "base"]
CHECKPOINT = "results/lora_16/checkpoints/0123456789abcdef"
FILES = {
    "results/data/model.json": b'{"content": "m"}',
    "results/data/corpus.json": b'{"content": "c"}',
    "results/data/train_16.jsonl": b"{}\n" * 16,
    "results/lora_16/adapter/adapter_model.safetensors": b"weights" * 1000,
    "results/lora_16/adapter/.snakemake_timestamp": b"",
    "results/lora_16/training.json": b"{}",
    "results/lora_16/eval.json": b"{}",
    "results/base/predictions.jsonl": "{}\n答\n".encode(),
    "results/summary/report.html": b"<html>",
    "results/pilot/lora.json": b"{}",
    "logs/evaluate_base.benchmark.tsv": b"s\n1.0\n",
}
OTHERS = (
    "results/plan/plan.json",
    "results/pilot/checkpoints/lora/16/0123456789abcdef/0.001.json",
    "results/lora_32/eval.json",
    "logs/evaluate_base.log",
    "results/base/.hidden",
)


class Place:
    """A study in a folder of its own, of which nothing is made yet."""

    def __init__(self, folder: Path, results: str = "results", logs: str = "logs"):
        self.folder = folder
        records = folder / ".snakemake"
        records.mkdir(parents=True)
        self.study = StudyFolder(str(folder / results), str(folder / logs), records)
        self.snakemake = FilePersistence(path=records)

    def write(self, files: dict[str, bytes]) -> None:
        for number, (name, content) in enumerate(sorted(files.items())):
            path = self.study.path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.utime(path, ns=(10**18 + number, 10**18 + number))

    def files(self) -> dict[str, bytes]:
        tops = {"results": Path(self.study.results), "logs": Path(self.study.logs)}
        return {
            f"{root}/{path.relative_to(top).as_posix()}": path.read_bytes()
            for root, top in tops.items()
            for path in top.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path / "study")
    made.write(FILES)
    return made


@pytest.fixture
def fresh(tmp_path):
    return Place(tmp_path / "fresh", "other/ergebnisse", "other/logs")


@pytest.fixture
def archive(tmp_path):
    return tmp_path / "disk" / "archive"


def back_up(place, archive, **options):
    pack(place.study, archive, ROWS, CONFIGURATION, **options)


def bring_back(place, archive):
    unpack(place.study, archive, CONFIGURATION)


def contents(archive):
    """Return the digests that the archive keeps, and the time of each file."""
    return {path.name: path.stat().st_mtime_ns for path in archive.glob("objects/*/*")}


def test_what_went_in_comes_out_and_nothing_else(place, fresh, archive):
    place.write(dict.fromkeys(OTHERS, b"of no row of the study"))
    back_up(place, archive)
    bring_back(fresh, archive)
    assert fresh.files() == FILES
    for name in FILES:
        assert fresh.study.path(name).stat().st_mtime_ns == place.study.path(name).stat().st_mtime_ns
    assert (archive / "RESTORE.txt").read_text(encoding="utf-8").count("snakemake restore") == 2


def test_a_second_backup_writes_nothing_and_a_new_run_brings_its_files_only(place, archive, capsys):
    back_up(place, archive)
    before = {path: path.stat().st_mtime_ns for path in archive.rglob("*")}
    back_up(place, archive)
    assert {path: path.stat().st_mtime_ns for path in archive.rglob("*")} == before
    assert "nothing new; 1 of 2 rows are finished" in capsys.readouterr().out
    kept = contents(archive)
    place.write({"results/base/eval.json": b'{"run": "base"}', "results/base/scores.parquet": b"PAR1"})
    place.write(FILES)
    back_up(place, archive)
    assert "bringing 2 of 13 files" in capsys.readouterr().out
    assert kept.items() < contents(archive).items()
    assert len(contents(archive)) == len(kept) + 2


def test_an_interrupted_backup_is_continued_by_the_same_call(place, fresh, archive, monkeypatch):
    calls = []

    def copy(source, target, *size):
        calls.append(source)
        if len(calls) == 4:
            Path(target).write_bytes(b"half")
            raise KeyboardInterrupt
        return original(source, target, *size)

    original = packing.copy
    monkeypatch.setattr(packing, "copy", copy)
    with pytest.raises(KeyboardInterrupt):
        back_up(place, archive)
    with pytest.raises(UserError, match=r"holds no backup, because it has no index\.json"):
        bring_back(fresh, archive)
    arrived = contents(archive)
    assert len(arrived) == 3
    back_up(place, archive)
    assert arrived.items() < contents(archive).items()
    assert len(calls) == 4 + len({*FILES.values()}) - 3
    bring_back(fresh, archive)
    assert fresh.files() == FILES


def test_an_interrupted_restore_is_continued_by_the_same_call(place, fresh, archive, monkeypatch):
    back_up(place, archive)
    original, calls = unpacking.copy, []

    def copy(source, target):
        calls.append(source)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(source, target)

    monkeypatch.setattr(unpacking, "copy", copy)
    with pytest.raises(KeyboardInterrupt):
        bring_back(fresh, archive)
    assert len(fresh.files()) == 3
    bring_back(fresh, archive)
    assert fresh.files() == FILES
    assert len(calls) == 4 + len(FILES) - 3


@pytest.mark.parametrize("harm", ["a byte", "cut", "gone", "longer", "index byte", "index cut", "index empty"])
def test_a_damaged_archive_is_refused_by_name_and_nothing_is_restored(place, fresh, archive, harm):
    back_up(place, archive)
    name = "results/lora_16/adapter/adapter_model.safetensors"
    index = archive / "index.json"
    victim = next(archive.glob(f"objects/*/{read_index(archive).files[name].sha256}"))
    if harm.startswith("index"):
        victim, name = index, "index.json"
    whole = victim.read_bytes()
    middle = len(whole) // 2
    harmed = {
        "byte": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "cut": whole[:middle],
        "empty": b"",
        "longer": whole + b"\0",
    }
    if harm == "gone":
        victim.unlink()
    else:
        victim.write_bytes(harmed[harm.split()[-1]])
    with pytest.raises(UserError) as caught:
        bring_back(fresh, archive)
    assert str(victim) in str(caught.value)
    assert name in str(caught.value)
    assert fresh.files() == {}
    if harm.startswith("index"):
        with pytest.raises(UserError, match=r"index\.json: is damaged"):
            back_up(place, archive)
    elif harm != "a byte":  # what anybody sees without reading it all is mended by the next backup
        back_up(place, archive)
        bring_back(fresh, archive)
        assert fresh.files() == FILES


def test_what_is_there_is_never_overwritten(place, fresh, archive):
    back_up(place, archive)
    fresh.write({"results/base/predictions.jsonl": b"mine", "results/lora_16/training.json": b"{}"})
    before = fresh.files()
    with pytest.raises(UserError, match=r"1 files are here with other content, so nothing was restored: .*predictions"):
        bring_back(fresh, archive)
    assert fresh.files() == before
    fresh.study.path("results/base/predictions.jsonl").unlink()
    fresh.study.path("results/base").rmdir()
    fresh.study.path("results/base").write_bytes(b"a file where a folder must be")
    with pytest.raises(UserError, match="other content"):
        bring_back(fresh, archive)


def test_a_link_that_leads_out_of_the_results_is_not_followed(place, fresh, archive, tmp_path):
    back_up(place, archive)
    (tmp_path / "outside").mkdir()
    Path(fresh.study.results).mkdir(parents=True)
    fresh.study.path("results/base").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="a link on the way leads out"):
        bring_back(fresh, archive)
    assert not list((tmp_path / "outside").iterdir())


def forged(archive, change):
    """Change the index of an archive and give it the digest that fits."""
    value = json.loads((archive / "index.json").read_text(encoding="utf-8"))
    change(value)
    del value["sha256"]
    write_json(archive / "index.json", value | {"sha256": sha256_json(value)})


@pytest.mark.parametrize(
    "name",
    [
        *("../evil", "results/../../evil", "/etc/evil", "results//evil", "results/./evil", "C:/evil", "results/C:evil"),
        *("results/a\0b", "results/a\nb", "results/.git/hooks/pre-commit", "results\\evil", "config/config.yaml", ""),
        *("results/nul", "results/BASE/predictions.jsonl", "results/base/predictions.jsonl/deeper"),
    ],
)
@pytest.mark.parametrize("part", ["files", "records"])
def test_names_that_lead_elsewhere_are_refused(place, fresh, archive, name, part):
    back_up(place, archive)
    forged(archive, lambda value: value[part].update({name: next(iter(value["files"].values()))}))
    if part == "records" and "predictions.jsonl" in name:
        return  # a record is a note about a file, not one
    with pytest.raises(UserError, match="nothing was done"):
        bring_back(fresh, archive)
    assert fresh.files() == {}
    assert not list((fresh.folder / ".snakemake" / "metadata").rglob("*"))


def test_a_digest_cannot_name_another_file(place, fresh, archive):
    back_up(place, archive)
    forged(archive, lambda value: value["files"]["results/base/predictions.jsonl"].update(sha256="../../../secret"))
    with pytest.raises(UserError, match="is no sha256"):
        bring_back(fresh, archive)


def test_other_content_is_told_and_the_earlier_index_brings_the_earlier_back(place, fresh, archive, capsys):
    back_up(place, archive)
    place.write(FILES | {"results/base/predictions.jsonl": b"retrained"})
    back_up(place, archive)
    assert "1 files are others than before, such as results/base/predictions.jsonl" in capsys.readouterr().out
    bring_back(fresh, archive)
    assert fresh.files()["results/base/predictions.jsonl"] == b"retrained"
    (earlier,) = archive.glob("earlier/index-*.json")
    shutil.copy(earlier, archive / "index.json")
    shutil.rmtree(fresh.folder / "other")
    bring_back(fresh, archive)
    assert fresh.files() == FILES


def test_what_the_study_has_lost_stays_in_the_backup(place, fresh, archive):
    back_up(place, archive)
    shutil.rmtree(place.study.path("results/lora_16"))
    back_up(place, archive)
    bring_back(fresh, archive)
    assert fresh.files() == FILES


def test_the_backup_of_another_study_is_left_alone(place, archive):
    back_up(place, archive)
    before = contents(archive)
    place.write({"results/data/corpus.json": b'{"content": "another"}'})
    with pytest.raises(UserError, match="is the backup of a study with another corpus; name another folder"):
        back_up(place, archive)
    assert contents(archive) == before


def test_without_anything_finished_nothing_is_written(tmp_path, archive):
    with pytest.raises(UserError, match="nothing is finished yet"):
        back_up(Place(tmp_path / "empty"), archive)
    assert not archive.exists()


def test_a_disk_that_is_too_small_is_told_before_a_byte_is_written(place, fresh, archive, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("medscale.base.disk.shutil.disk_usage", lambda folder: usage(10, 10, 100))
    with pytest.raises(
        UserError, match=r"archive: the backup needs .* and 100 bytes are free there; .*backup\.path name"
    ):
        back_up(place, archive)
    assert not archive.exists()
    monkeypatch.undo()
    back_up(place, archive)
    monkeypatch.setattr("medscale.base.disk.shutil.disk_usage", lambda folder: usage(10, 10, 100))
    with pytest.raises(UserError, match=r"ergebnisse: what is restored needs .*let paths\.results name a folder"):
        bring_back(fresh, archive)
    assert fresh.files() == {}


def test_a_file_that_changes_meanwhile_is_named(place, archive, monkeypatch):
    victim = place.study.path("results/base/predictions.jsonl")
    original = packing.copy

    def copy(source, target, *size):
        victim.write_bytes(b"a job writes here")
        return original(source, target, *size)

    monkeypatch.setattr(packing, "copy", copy)
    with pytest.raises(UserError, match=r"predictions\.jsonl: was changed while it was packed"):
        back_up(place, archive)
    assert not (archive / "index.json").exists()


def test_outputs_of_jobs_that_did_not_end_are_left_out(place, archive):
    for name in ("results/lora_16/adapter", "results/base/predictions.jsonl"):
        place.snakemake._mark_incomplete(place.study.key(name), None)
    place.write({"results/base/.eval.host-1.tmp.json": b"being written"})
    back_up(place, archive)
    packed = read_index(archive).files.keys()
    assert packed == {name for name in FILES if "adapter" not in name and "predictions" not in name}


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("wanted", [True, False])
def test_checkpoints_go_along_of_runs_that_are_not_trained(place, archive, trained, wanted):
    steps = {f"{CHECKPOINT}/checkpoint-{at}/{name}": b"x" for at in (4, 9, 10) for name in ("model", "complete")}
    state = b'{"best_model_checkpoint": "results/of/another/place/checkpoint-4"}'
    steps[f"{CHECKPOINT}/checkpoint-10/trainer_state.json"] = state
    torn = {f"{CHECKPOINT}/{name}/model": b"torn" for name in ("checkpoint-11", "torn-checkpoint-8")}
    place.write(FILES | steps | torn | {f"{CHECKPOINT}/events.jsonl": b"{}"})
    if not trained:
        place.study.path("results/lora_16/training.json").unlink()
    back_up(place, archive, checkpoints=wanted)
    packed = {name for name in read_index(archive).files if "checkpoints" in name}
    last = {name for name in steps if "checkpoint-9" not in name} | {f"{CHECKPOINT}/events.jsonl"}
    assert packed == (last if wanted and not trained else set())


def test_records_are_those_that_snakemake_reads_without_the_machine(place, fresh, archive):
    long = f"results/lora_16/adapter/{'很' * 70}.json"  # its note lies in two pieces
    place.write({long: b"{}"})
    for name in ("results/base/predictions.jsonl", "results/lora_16/adapter", long):
        inputs = [place.study.key("results/data/model.json"), place.study.key("results/lora_16/adapter")]
        record = MetadataRecord(rule="predict", input=inputs, params=["'a'"], shellcmd="python /mnt/me/x --token hf_1")
        record.log, record.external_jobid = [place.study.key("logs/a.log")], "77"
        record.input_checksums = {inputs[0]: "sha256:1"}
        place.snakemake._write_record(place.study.key(name), record)
    back_up(place, archive)
    assert "hf_1" not in (archive / "index.json").read_text(encoding="utf-8")
    assert str(place.folder) not in (archive / "index.json").read_text(encoding="utf-8")
    bring_back(fresh, archive)
    for name in ("results/base/predictions.jsonl", "results/lora_16/adapter", long):
        record = fresh.snakemake._read_record(fresh.study.key(name))
        keys = sorted(map(fresh.study.key, ("results/data/model.json", "results/lora_16/adapter")))
        assert (record.rule, record.params, record.input) == ("predict", ["'a'"], keys)
        assert record.log == [fresh.study.key("logs/a.log")]
        assert record.input_checksums == {fresh.study.key("results/data/model.json"): "sha256:1"}
        assert record.shellcmd is None
        assert record.external_jobid is None


@given(st.text(min_size=1, max_size=400).filter(lambda text: "\0" not in text))
def test_a_note_lies_where_snakemake_looks_for_it(key):
    folder = Path(__file__).parent
    study = StudyFolder("results", "logs", folder)
    known = FilePersistence._record_path
    snakemake = type("Persistence", (), {"_max_len": os.pathconf(folder, "PC_NAME_MAX")})
    snakemake._fetch_max_len = lambda self, subject: self._max_len
    try:
        expected = known(snakemake(), str(folder / "metadata"), key)
    except UnicodeEncodeError:
        return
    assert str(study._noted("metadata", key)) == expected


@pytest.mark.parametrize("action", ["backup", "restore"])
@pytest.mark.parametrize(
    ("path", "said"),
    [("", "backup.path = null: name the folder"), ("results/b", "lies in paths.results"), ("file", "is a file")],
)
def test_a_folder_that_cannot_be_is_named(tmp_path, action, path, said):
    (tmp_path / "results").mkdir()
    (tmp_path / "file").touch()
    command = [sys.executable, SCRIPTS / "backup.py", action, "--results=results", "--logs=logs", f"--path={path}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: backup.path")
    assert said in done.stderr


def test_answers_of_a_prediction_that_goes_on_stay_out(place, archive, fresh):
    kept = {"results/base/answers/0123456789abcdef/answers.jsonl": b"{}"}
    place.write(kept)
    back_up(place, archive)
    unpack(fresh.study, archive, CONFIGURATION)
    assert fresh.files() == FILES


def test_a_run_that_goes_on_brings_the_beginning_of_what_it_appends_to(place, archive, fresh, monkeypatch):
    place.study.path("results/lora_16/training.json").unlink()
    events = f"{CHECKPOINT}/events.jsonl"
    grown = {events: b"{}\n", f"{CHECKPOINT}/runs/tfevents.1": b"a"}
    place.write(
        grown | {f"{CHECKPOINT}/checkpoint-2/complete": b"{}", f"{CHECKPOINT}/checkpoint-2 copy/complete": b"{}"}
    )
    space = packing.require_space

    def grow(*told):
        for name in grown:
            with open(place.study.path(name), "ab") as handle:
                handle.write(b"more\n")
        space(*told)

    monkeypatch.setattr(packing, "require_space", grow)
    back_up(place, archive, checkpoints=True)
    unpack(fresh.study, archive, CONFIGURATION)
    assert {name: fresh.files()[name] for name in grown} == grown


def test_the_backup_of_a_corpus_alone_goes_on_with_its_model(tmp_path, archive):
    place = Place(tmp_path / "study")
    first = "results/data/corpus.json"
    place.write({first: FILES[first]})
    back_up(place, archive)
    place.write(FILES)
    back_up(place, archive)
    place.study.path("results/data/model.json").unlink()
    back_up(place, archive)
    assert read_index(archive).study == {"corpus": "c", "model": "m"}
    place.write({"results/data/model.json": b'{"content": "other"}'})
    with pytest.raises(UserError, match="another model; name"):
        back_up(place, archive)
