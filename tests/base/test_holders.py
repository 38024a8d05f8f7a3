"""Whose lock it is: dead and living holders here and elsewhere, strangers, and newcomers at the same moment."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.base import holders
from medscale.base.errors import UserError
from medscale.base.holders import FOLDER, SLACK, Holder, Lock, hold_folder, left_behind, settle
from medscale.base.orphans import VARIABLE, successor_mark
from medscale.base.processes import place, start_of
from places import SCRIPTS

ELSEWHERE = ["login2", "b7f4", "pid:[1]"]
SECOND = 1_000_000_000
NOBODY = 2**22 + 1  # above the highest number of a process on Linux


@pytest.fixture
def records(tmp_path):
    """Snakemake's folder, with a lock in it."""
    (tmp_path / "locks").mkdir()
    (tmp_path / FOLDER).mkdir()
    return tmp_path


def lock(records, number=0, age=0.0):
    """Write a lock as Snakemake does, some seconds ago."""
    path = records / "locks" / f"{number}.output.lock"
    path.write_text("results/base/eval.json\n")
    at(path, age)
    return path


def at(path, age):
    when = time.time_ns() - int(age * SECOND)
    os.utime(path, ns=(when, when))


def holder(records, name="other", age=5.0, beaten=0.0, **changes):
    """Write the registration of a holder that registered and beat some seconds ago; by default it is dead."""
    facts = {"id": name, "place": place(), "pid": NOBODY, "process_start": "1", "started_at": "2026-11-27T08:00:00Z"}
    facts |= {"registered": time.time_ns() - int(age * SECOND), "beat": 3} | changes
    path = records / FOLDER / f"{name}.json"
    path.write_text(json.dumps(facts))
    at(path, beaten)
    return path


def me(**changes):
    """What a registration says of a process that lives: this one."""
    return {"pid": os.getpid(), "process_start": start_of(os.getpid()), **changes}


def test_the_lock_of_a_dead_process_is_removed_with_one_line(records, capfd):
    path, registration = lock(records), holder(records)
    settle(records, "own")
    assert not path.exists()
    assert not registration.exists()
    assert successor_mark(registration).exists()
    line = capfd.readouterr().err
    assert line.count("\n") == 1
    assert f"pid {NOBODY} on {place()[0]}, started 2026-11-27T08:00:00Z" in line
    assert "its lock was removed" in line
    settle(records, "own")
    assert capfd.readouterr().err == ""


def test_a_dead_process_without_a_lock_is_no_news(records, capfd):
    registration = holder(records)
    settle(records, "own")
    assert not registration.exists()
    assert capfd.readouterr().err == ""


def test_the_lock_of_a_living_process_is_left_alone(records, capfd):
    path, registration = lock(records), holder(records, **me())
    settle(records, "own")
    assert path.exists()
    assert registration.exists()
    assert capfd.readouterr().err == ""


def test_another_process_of_the_same_number_is_not_the_holder(records):
    path = lock(records)
    holder(records, **me(process_start="12"))
    settle(records, "own")
    assert not path.exists()


def test_a_zombie_is_dead(records):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start, path = start_of(process.pid), lock(records)
    holder(records, pid=process.pid, process_start=start)
    settle(records, "own")
    assert path.exists()
    holder(records, pid=process.pid, process_start=start)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    settle(records, "own")
    assert not path.exists()
    process.wait()


def test_a_lock_that_may_be_a_living_ones_is_settled_when_that_one_has_ended(records):
    """Two calls for different results in one folder, of which the younger was killed."""
    living = holder(records, "living", age=20, **me())
    registration, path = holder(records, age=10), lock(records, age=5)
    settle(records, "own")
    assert path.exists()
    assert successor_mark(registration).exists(), "its jobs on other machines must end"
    living.unlink()
    settle(records, "own")
    assert not path.exists()
    assert not registration.exists()


def test_a_lock_without_a_registration_is_a_strangers(records, capfd):
    path = lock(records)
    settle(records, "own")
    assert path.exists()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("age", "stays"), [(9, True), (4, False), (1, False), (4 - SLACK, False), (-SLACK, True)])
def test_only_a_lock_of_its_lifetime_is_the_dead_ones(records, age, stays):
    path = lock(records, age=age)
    holder(records, age=5, beaten=2)
    settle(records, "own")
    assert path.exists() == stays


def test_a_newer_holder_protects_only_what_it_can_have_locked(records):
    before, after = lock(records, 0, age=4), lock(records, 1, age=2)
    holder(records, "dead", age=5)
    holder(records, "refused", age=3, **me())
    settle(records, "own")
    assert not before.exists()
    assert after.exists()


def test_a_newcomer_does_not_stand_in_its_own_way(records):
    """The other was killed while this one was beginning."""
    path = lock(records, age=2)
    holder(records, "dead", age=5)
    own = holder(records, "own", age=3, **me())
    settle(records, "own")
    assert not path.exists()
    assert own.exists()


def test_a_holder_elsewhere_that_moves_is_alive(records, capfd):
    path, registration = lock(records), holder(records, place=ELSEWHERE)
    facts = json.loads(registration.read_text())

    def beat():
        time.sleep(0.2)
        holder(records, **facts | {"beat": 4, "age": 5})

    thread = threading.Thread(target=beat)
    thread.start()
    settle(records, "own", patience=30)
    thread.join()
    assert path.exists()
    assert registration.exists()
    assert "watching for up to 30 s" in capfd.readouterr().err


def test_a_holder_elsewhere_that_does_not_move_is_dead(records, capfd):
    path, registration = lock(records), holder(records, place=ELSEWHERE, **me())
    settle(records, "own", patience=0.3)
    assert not path.exists()
    assert not registration.exists()
    told = capfd.readouterr().err.splitlines()
    assert len(told) == 2
    assert "watching for up to 0.3 s" in told[0]
    assert "on login2" in told[1]


def test_a_beat_that_was_not_finished_is_no_beat(records):
    """Killed between the writing of the temporary file and its renaming."""
    path, registration = lock(records), holder(records, place=ELSEWHERE)
    facts = json.loads(registration.read_text())
    (records / FOLDER / ".other.login2-1.tmp.json").write_text(json.dumps(facts | {"beat": facts["beat"] + 1}))
    settle(records, "own", patience=0.3)
    assert not path.exists()


def test_a_holder_elsewhere_that_ends_by_itself_leaves_nothing_to_remove(records):
    path, registration = lock(records), holder(records, place=ELSEWHERE)
    threading.Timer(0.2, registration.unlink).start()
    settle(records, "own", patience=30)
    assert path.exists()


def test_where_the_system_hides_a_process_its_beats_decide(records, monkeypatch, capfd):
    path = lock(records)
    holder(records, **me())
    monkeypatch.setattr(holders, "start_of", lambda pid: holders.UNKNOWN)
    settle(records, "own", patience=0.3)
    assert "watching" in capfd.readouterr().err
    assert not path.exists()


def test_who_was_found_dead_is_told_for_a_month(records):
    marks = [successor_mark(holder(records, name)) for name in ("new", "old")]
    settle(records, "own")
    at(marks[1], 31 * 86400)
    settle(records, "own")
    assert [mark.exists() for mark in marks] == [True, False]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "x"}', '{"other": 1}'])
def test_a_file_that_is_no_registration_is_left_alone(records, text):
    path = lock(records)
    (records / FOLDER / "odd.json").write_text(text)
    settle(records, "own")
    assert path.exists()


def test_newcomers_at_the_same_moment_remove_a_lock_once(records, capfd):
    for _ in range(20):
        lock(records)
        holder(records)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: settle(records, f"own{number}"), range(4)))
        assert not list((records / "locks").iterdir())
        assert not list((records / FOLDER).glob("*.json"))
        assert capfd.readouterr().err.count("its lock was removed") == 1


def test_a_lock_that_took_the_place_of_the_dead_ones_stays(records):
    """A faster newcomer has removed the lock that was looked at and holds one of its own under the same name."""
    path = lock(records, age=4)
    seen = Lock.at(path)
    path.unlink()
    path.write_text("results/lora_16/eval.json\n")
    assert not holders._remove(seen, records / FOLDER / "aside")
    assert path.read_text() == "results/lora_16/eval.json\n"
    assert list((records / FOLDER).iterdir()) == []


times = st.integers(0, 100).map(lambda seconds: seconds * SECOND)
lives = st.lists(st.tuples(times, times).map(sorted))


@given(times, lives, lives)
def test_no_lock_that_a_living_holder_may_have_written_is_removed(written, dead, alive):
    seen = Lock(Path("0.output.lock"), 1, written)
    some = Holder("x", [], 1, "1", "")
    dead, alive = (
        [replace(some, registered=first, last_beat=last) for first, last in group] for group in (dead, alive)
    )
    if any(one.registered <= written for one in alive):
        assert left_behind([seen], dead, alive) == []
    elif any(one.registered <= written <= one.last_beat for one in dead):
        assert left_behind([seen], dead, alive) == [seen]
    elif not any(one.registered <= written for one in dead):
        assert left_behind([seen], dead, alive) == []


REGISTER = """
import sys, time
from pathlib import Path
from medscale.base.holders import register
path = register(Path(sys.argv[1]), beat=0.05)
print(path, flush=True)
input()
"""


def start_holder(folder):
    """Start a process that registers in a folder that does not exist yet; return it and its registration."""
    process = subprocess.Popen(
        [sys.executable, "-c", REGISTER, folder / "new" / ".snakemake"],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, Path(process.stdout.readline().strip())


@pytest.mark.parametrize("killed", [False, True])
def test_a_registration_moves_while_its_process_lives_and_outlasts_only_a_kill(tmp_path, killed):
    process, path = start_holder(tmp_path)
    facts = json.loads(path.read_text())
    assert (facts["pid"], facts["process_start"]) == (process.pid, start_of(process.pid))
    end = time.monotonic() + 60
    while json.loads(path.read_text())["beat"] < 3:
        assert time.monotonic() < end, "no beat"
        time.sleep(0.01)
    assert json.loads(path.read_text())["registered"] == facts["registered"] <= path.stat().st_mtime_ns
    if killed:
        process.kill()
    process.communicate("\n")
    assert path.exists() == killed


def test_a_full_disk_does_not_end_the_heart(tmp_path, monkeypatch):
    """The next beat may come through."""
    beats, stop = [], threading.Event()

    def write(path, holder):
        beats.append(holder.beat)
        if len(beats) > 2:
            stop.set()
        raise UserError("the disk is full")

    monkeypatch.setattr(holders, "_write", write)
    here = Holder("a", place(), os.getpid(), "1", "2026-11-27T08:00:00Z")
    holders._beat(tmp_path / "a.json", here, 0.001, stop)
    assert beats == [1, 2, 3]


def test_a_holder_that_was_taken_for_dead_ends(tmp_path):
    process, path = start_holder(tmp_path)
    path.rename(successor_mark(path))
    assert process.wait(60) == 1
    assert "took this one for dead" in process.stderr.read()


def snakemake(main=True, dryrun=False):
    return SimpleNamespace(is_main_process=main, output_settings=SimpleNamespace(dryrun=dryrun))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, and no memory of having registered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(holders, "_held", set())
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path


@pytest.mark.parametrize("workflow", [snakemake(main=False), snakemake(dryrun=True)], ids=["job", "dry run"])
def test_who_takes_no_lock_leaves_no_trace(here, workflow):
    hold_folder(workflow)
    assert list(here.iterdir()) == []
    assert VARIABLE not in os.environ


def test_a_call_registers_once_and_tells_its_jobs(here, monkeypatch):
    records, made = here / ".snakemake", []
    (records / "locks").mkdir(parents=True)
    (records / FOLDER).mkdir()
    path = lock(records)
    holder(records)
    monkeypatch.setattr(holders, "register", lambda records: made.append(records) or records / FOLDER / "own.json")
    for _ in range(2):  # as where the Snakefile is read twice, as a module of another
        hold_folder(snakemake())
    assert made == [records]
    assert not path.exists()
    assert os.environ[VARIABLE] == str(here / ".snakemake" / FOLDER / "own.json")


@pytest.mark.parametrize(("number", "told"), [(errno.EROFS, False), (errno.EACCES, False), (errno.ENOSPC, True)])
def test_a_folder_that_nobody_may_write_to_has_no_holder(here, monkeypatch, number, told):
    def fail(records):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(holders, "register", fail)
    if told:
        with pytest.raises(OSError, match=os.strerror(number)):
            hold_folder(snakemake())
    else:
        hold_folder(snakemake())
    assert VARIABLE not in os.environ


def test_jobs_of_a_dead_snakemake_are_ended(records, capfd):
    registration = holder(records)
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]
    jobs = [
        subprocess.Popen(command, env={**os.environ, VARIABLE: value}, stdout=subprocess.PIPE)
        for value in (str(registration), str(records / FOLDER / "another.json"))
    ]
    for job in jobs:
        job.stdout.readline()
    settle(records, "own")
    assert jobs[0].wait(60) is not None
    assert jobs[1].poll() is None
    jobs[1].kill()
    jobs[1].wait()
    assert "1 of its processes that went on was ended" in capfd.readouterr().err


def test_a_job_that_cannot_be_ended_stops_the_newcomer(records, monkeypatch):
    path = lock(records)
    holder(records)
    monkeypatch.setattr(holders, "end_processes", lambda chosen: ([], [4711]))
    with pytest.raises(UserError, match=r"4711.*end them"):
        settle(records, "own")
    assert path.exists()
