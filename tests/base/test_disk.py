"""What is said to be written is on the disk: at no step of writing does a power cut leave half of it."""

import errno
import os
import subprocess
import sys

import pytest

from medscale.base import disk
from medscale.base.checked_lines import CheckedLines
from medscale.base.disk import existing, full_disk_named, make_folder, require_space
from medscale.base.errors import UserError
from medscale.base.events import EventLog
from medscale.base.files import atomic_folder, remove_folder, write_json, write_text
from power_cut import Disk


def kinds(cuts):
    return {cut.kind for cut in cuts}


def test_the_helper_finds_what_was_never_flushed(tmp_path):
    with Disk(tmp_path) as recorded:
        (tmp_path / "new").write_text("content")
        os.replace(tmp_path / "new", tmp_path / "file")
    ends = {cut.kind: cut.tree for cut in recorded.cuts if cut.before == "the end"}
    assert ends["all"] == recorded.end == {"file": b"content"}
    assert recorded.cuts[0].tree == {}  # nothing was flushed
    names = [cut.tree for cut in recorded.cuts if cut.kind == "names"]
    assert any(tree.get("file", b"content") != b"content" for tree in names)


def test_the_helper_finds_a_folder_that_was_not_flushed(tmp_path):
    (tmp_path / "old").write_text("old")
    with Disk(tmp_path) as recorded:
        with open(tmp_path / "new", "w") as handle:
            handle.write("content")
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(tmp_path / "new", tmp_path / "old")
    flushed = [cut.tree for cut in recorded.cuts if cut.kind == "flushed"]
    assert flushed == [{"old": b"old"}]
    assert recorded.end == {"old": b"content"}


@pytest.mark.parametrize("before", [None, "old\n"])
def test_a_file_is_the_old_one_or_the_new_one(tmp_path, before):
    path = tmp_path / "a" / "b" / "eval.json"
    if before is not None:
        make_folder(path.parent)
        path.write_text(before)
    with Disk(tmp_path) as recorded:
        write_text(path, "new\n")
        with open(tmp_path / "built on it", "w") as handle:
            os.fsync(handle.fileno())
    assert kinds(recorded.cuts) == {"flushed", "names", "all"}
    for cut in recorded.cuts:
        assert cut.tree.get("a/b/eval.json") in (None if before is None else before.encode(), b"new\n")
    assert recorded.flushed["a/b/eval.json"] == b"new\n"


def test_a_folder_is_the_old_one_none_or_the_new_one(tmp_path):
    with atomic_folder(tmp_path / "adapter") as folder:
        (folder / "old.bin").write_text("old")
    with Disk(tmp_path) as recorded:
        with atomic_folder(tmp_path / "adapter") as folder:
            (folder / "deep").mkdir()
            (folder / "deep" / "one.bin").write_text("one")
            (folder / "two.bin").write_text("two")
        write_text(tmp_path / "mark", "")
    new = {"adapter": None, "adapter/deep": None, "adapter/deep/one.bin": b"one", "adapter/two.bin": b"two"}
    found = []
    for cut in recorded.cuts:
        found.append(cut.holds("adapter"))
        assert found[-1] in ({}, {"adapter": None, "adapter/old.bin": b"old"}, new), cut
        assert "mark" not in cut.tree or found[-1] == new
    assert new in found
    assert recorded.end == new | {"mark": b""}


def test_a_folder_whose_writing_fails_leaves_the_old_one(tmp_path):
    with atomic_folder(tmp_path / "adapter") as folder:
        (folder / "old").touch()

    def fail():
        with atomic_folder(tmp_path / "adapter") as folder:
            (folder / "new").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["adapter", "adapter/old"]


def test_what_a_killed_writer_of_a_folder_left_is_no_part_of_the_next(tmp_path):
    for name in (".adapter.tmp", ".adapter.gone.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").touch()
    with atomic_folder(tmp_path / "adapter") as folder:
        (folder / "new").touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["adapter", "new"]


def test_a_removal_leaves_the_folder_whole_or_away(tmp_path):
    for name in ("one", "two"):
        write_text(tmp_path / "folder" / name, name)
    with Disk(tmp_path) as recorded:
        remove_folder(tmp_path / "folder")
        remove_folder(tmp_path / "folder")
    whole = {"folder": None, "folder/one": b"one", "folder/two": b"two"}
    assert all(cut.holds("folder") in ({}, whole) for cut in recorded.cuts)
    assert recorded.end == {}


def test_lines_and_events_of_any_cut_are_a_beginning_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr("medscale.base.checked_lines.SYNC_SECONDS", -1)
    (tmp_path / "run").mkdir()
    with Disk(tmp_path / "run") as recorded:
        lines, events = CheckedLines(tmp_path / "run" / "lines.jsonl"), EventLog(tmp_path / "run" / "events.jsonl")
        for number in range(4):
            lines.add({"number": number})
            events.add("warning", f"number {number}")
    longest = 0
    for number, cut in enumerate(recorded.cuts):
        after = cut.restore(tmp_path / str(number))
        found = [value["number"] for value in CheckedLines(after / "lines.jsonl").values]
        told = [event["message"] for event in EventLog(after / "events.jsonl").all()]
        assert found == list(range(len(found)))
        assert told == [f"number {n}" for n in range(len(told))]
        # What an event tells of has happened, and the event before it is not lost any more.
        assert cut.kind != "flushed" or abs(len(found) - len(told)) <= 1
        longest = max(longest, len(told))
    assert longest == 4


@pytest.mark.parametrize("tail", [b'{"torn": ', b"\0" * 30, b"\0" * 10 + b"\n", b"\xff\n"])
def test_events_that_a_cut_has_torn_are_dropped_and_the_others_stay(tmp_path, tail):
    EventLog(tmp_path / "events.jsonl").add("started", "a run")
    with open(tmp_path / "events.jsonl", "ab") as handle:
        handle.write(tail)
    events = EventLog(tmp_path / "events.jsonl")
    events.add("finished", "it")
    assert [event["kind"] for event in events.all()] == ["started", "finished"]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "small", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no disk may be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_with_its_folder_and_the_old_file_stays(small_disk):
    write_json(small_disk / "eval.json", "old")
    with pytest.raises(
        UserError, match=rf"^{small_disk}: eval\.json could not be written: no space is left, .* free there"
    ):
        write_json(small_disk / "eval.json", "x" * 200_000)
    assert [path.name for path in small_disk.iterdir()] == ["eval.json"]
    assert (small_disk / "eval.json").read_text() == '"old"\n'
    write_json(small_disk / "eval.json", "new")


def test_lines_on_a_full_disk_stay_as_they_were_and_go_on_when_there_is_room(small_disk):
    lines = CheckedLines(small_disk / "lines.jsonl")
    lines.add("first")
    with pytest.raises(UserError, match=r"lines\.jsonl could not be written: no space is left"):
        lines.add("x" * 100_000)
    again = CheckedLines(small_disk / "lines.jsonl")
    assert again.values == ["first"]
    again.add("second")
    assert CheckedLines(small_disk / "lines.jsonl").values == ["first", "second"]


def write_parquet(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [os.urandom(400_000)]}), path)


def write_tensors(path):
    import torch
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(100_000)}, path)


def write_archive(path):
    import torch

    torch.save({"a": torch.zeros(100_000)}, path)


@pytest.mark.parametrize("write", [write_parquet, write_tensors, write_archive])
def test_what_libraries_say_of_a_full_disk_is_understood(small_disk, write):
    with pytest.raises(UserError, match=r"the file takes 400000 bytes and could not be written"):  # noqa: SIM117
        with full_disk_named(small_disk, "the file", 400_000):
            write(small_disk / "file")


@pytest.mark.parametrize("error", [OSError(errno.EIO, "I/O error"), RuntimeError("other"), FileNotFoundError(2, "no")])
def test_other_errors_stay_what_they_are(tmp_path, error):
    with pytest.raises(type(error)), full_disk_named(tmp_path, "the file"):
        raise error


def test_room_is_asked_for_where_the_folder_will_be(tmp_path, monkeypatch):
    asked = []

    def usage(folder):
        asked.append(folder)
        return type("Usage", (), {"free": 5 * 2**30})()

    monkeypatch.setattr(disk.shutil, "disk_usage", usage)
    require_space(tmp_path / "not" / "yet", 5 * 2**30, "it", "wait")
    assert asked == [tmp_path]
    with pytest.raises(
        UserError, match=r"not/yet: it needs 6\.0 GiB and 5\.0 GiB are free there; .*, or wait \[F103\]$"
    ):
        require_space(tmp_path / "not" / "yet", 6 * 2**30, "it", "wait")
    assert existing("relative/folder").is_dir()


SCRIPT = """
import sys
from medscale.base.errors import run_script
def main():
    {}
run_script(main)
"""
ENDS = {
    "numpy": ("import numpy; numpy.ones(10**13)", "the main memory does not suffice (Unable to allocate"),
    "arrow": ("import pyarrow; pyarrow.allocate_buffer(10**16)", "the main memory does not suffice (malloc of size"),
    "plain": ("bytearray(10**15)", "the main memory does not suffice (an allocation failed)"),
    "limit": (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31)); bytearray(2**32)",
        "and this process may have 2.0 (ulimit -v)",
    ),
    "torch": ("import torch; torch.ones(10**14)", "you tried to allocate 400000000000000 bytes"),
    "disk": ("import errno; raise OSError(errno.ENOSPC, 'No space left on device')", "no space is left on a disk ("),
    "quota": ("import errno; raise OSError(errno.EDQUOT, 'x', '/tmp/a')", "the quota is used up on a disk ("),
    "worker": (
        "from concurrent.futures import ThreadPoolExecutor as P; P(1).submit(bytearray, 10**15).result()",
        "main",
    ),
}


def run_script(code):
    environment = os.environ | {"PYTHONPATH": str(disk.__file__).split("/medscale/")[0]}
    return subprocess.run([sys.executable, "-c", SCRIPT.format(code)], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("name", ENDS)
def test_a_script_without_room_ends_with_a_message(name):
    code, said = ENDS[name]
    done = run_script(code)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.endswith(f"run the same command again [{'B107' if name in ('disk', 'quota') else 'B108'}]\n")


def test_a_defect_keeps_its_traceback():
    assert "Traceback" in run_script("raise RuntimeError('a defect')").stderr


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EBADF])
def test_a_folder_far_above_that_cannot_be_flushed_ends_nothing(tmp_path, monkeypatch, number):
    flush = disk.sync_folder

    def sync_folder(folder):
        if folder == failing:
            raise OSError(number, "no")
        flush(folder)

    monkeypatch.setattr(disk, "sync_folder", sync_folder)
    failing = tmp_path
    disk.make_folder(tmp_path / "study" / "results")
    failing = tmp_path / "study"
    with pytest.raises(OSError, match="no"):
        disk.make_folder(tmp_path / "study" / "more")
