"""Which cards a job may take, and that no two jobs ever have the same one."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from threading import Thread

import pytest
from filelock import FileLock, Timeout

from fake_nvml import FakeCard, FakeNvml
from medscale.base import cards
from medscale.base.cards import Card, driver_version, leased_cards, lock_file, visible_cards
from medscale.base.errors import UserError
from places import ROOT, SCRIPTS

FOUR = [FakeCard(f"GPU-{letter}000") for letter in "abcd"]
SLICED = FakeCard("GPU-e000", slices=(FakeCard("MIG-1"), FakeCard("MIG-2")))


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A function that puts cards into this machine; without a call it has none."""
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.setenv(name, "")  # so that it is as before when the test is over
        monkeypatch.delenv(name)
    monkeypatch.setenv("MEDSCALE_LOCK_DIR", str(tmp_path))
    monkeypatch.setattr(cards, "PROC", tmp_path / "no driver")
    monkeypatch.setattr(cards, "POLL", 0.01)

    def put(*found, visible=None):
        monkeypatch.setattr(cards, "pynvml", FakeNvml(list(found) if found else None))
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    put()
    return put


def names():
    return [card.name for card in visible_cards()]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["GPU-a000", "GPU-b000", "GPU-c000", "GPU-d000"]),
        ("2,0", ["GPU-c000", "GPU-a000"]),
        (" 1 , 3 ", ["GPU-b000", "GPU-d000"]),
        ("GPU-b,GPU-d000", ["GPU-b000", "GPU-d000"]),
        ("0,9,1", ["GPU-a000"]),  # CUDA stops at what it does not know
        ("0,0", ["GPU-a000"]),
        ("GPU-", []),  # could be any
        ("-1", []),
        ("", []),
        ("NoDevFiles", []),  # what Slurm sets for a job without cards
    ],
)
def test_visible_cards_are_those_that_cuda_would_show(machine, visible, expected):
    machine(*FOUR, visible=visible)
    assert names() == expected


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["GPU-a000", "MIG-1", "MIG-2"]),
        ("MIG-2", ["MIG-2"]),
        ("1", ["MIG-1"]),  # by number CUDA gives the first slice of a card
        ("MIG-GPU-e000/1/0,0", ["MIG-GPU-e000/1/0", "GPU-a000"]),
    ],
)
def test_slices_of_a_card_are_cards(machine, visible, expected):
    machine(FOUR[0], SLICED, visible=visible)
    assert names() == expected


def test_a_card_whose_driver_does_not_answer_is_known_from_proc(monkeypatch, tmp_path):
    for bus in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "nvidia" / "gpus" / bus).mkdir(parents=True)
    (tmp_path / "nvidia" / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
    )
    monkeypatch.setattr(cards, "PROC", tmp_path / "nvidia")
    assert visible_cards() == [Card("0"), Card("1")]
    assert driver_version() == "550.54.15"


def test_the_drivers_version_is_what_it_says(machine):
    assert driver_version() is None
    machine(*FOUR)
    assert driver_version() == "580.65.06"


def test_a_lease_shows_one_card_and_hides_the_others(machine):
    machine(*FOUR, visible="2,1")
    with leased_cards() as taken:
        assert [card.name for card in taken] == ["GPU-c000"]
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-c000"
        assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        assert os.environ["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"


def test_what_the_user_told_the_allocator_stays(machine, monkeypatch):
    machine(*FOUR)
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:128")
    with leased_cards():
        assert "PYTORCH_ALLOC_CONF" not in os.environ
        assert os.environ["PYTORCH_CUDA_ALLOC_CONF"] == "max_split_size_mb:128"


def test_leases_beside_each_other_take_different_cards(machine, monkeypatch):
    machine(*FOUR)
    taken = []
    with leased_cards() as first:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        with leased_cards(2) as second:
            taken = [card.name for card in first + second]
    assert taken == ["GPU-a000", "GPU-b000", "GPU-c000"]


def test_what_is_released_is_free_again(machine, monkeypatch):
    machine(*FOUR)
    for _ in range(3):
        with leased_cards() as taken:
            assert taken[0].name == "GPU-a000"
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")


def test_a_card_that_others_fill_is_passed_over(machine):
    machine(FakeCard("GPU-full", used=9), FakeCard("GPU-half", used=8))
    with leased_cards() as taken:
        assert taken[0].name == "GPU-half"


def test_where_others_fill_every_card_the_emptiest_is_taken_after_a_while(machine, monkeypatch, capsys):
    monkeypatch.setattr(cards, "PATIENCE", 0.05)
    machine(FakeCard("GPU-a000", used=15), FakeCard("GPU-b000", used=12))
    began = time.monotonic()
    with leased_cards() as taken:
        assert taken[0].name == "GPU-b000"
    assert time.monotonic() - began >= 0.05
    printed = capsys.readouterr().out
    assert "waiting for the device: 94% of the memory of GPU-a000 is in use by others" in printed
    assert "device gpu-b000: 75% of its memory is in use by others" in printed


def test_more_cards_than_there_are_is_an_error(machine):
    machine(*FOUR[:2])
    with pytest.raises(UserError, match=r"training\.gpus_per_run = 3: 2 cards are visible"), leased_cards(3):
        pass


def test_without_cards_one_job_has_the_cpu(capsys):
    with leased_cards(2) as taken:
        assert taken == []
        assert "CUDA_VISIBLE_DEVICES" not in os.environ
        assert lock_file("cpu").exists()
    assert "device cpu: held from " in capsys.readouterr().out


def test_without_cards_jobs_beside_each_other_have_cores_of_their_own(monkeypatch, capsys):
    monkeypatch.setattr(cards, "available_cores", lambda: 4)

    def free():
        """Return which cores no job has."""
        found = []
        for core in cards.cores():
            lock = FileLock(lock_file(core.name))
            with suppress(Timeout), lock.acquire(timeout=0):
                found.append(core.name)
        return found

    with leased_cards(threads=1), leased_cards(threads=2):
        assert free() == ["cpu-3"]
        waiting = Thread(target=lambda: leased_cards(threads=2).__enter__(), daemon=True)
        waiting.start()
        end, printed = time.monotonic() + 60, ""
        while "waiting for the device: another job holds" not in printed:
            assert time.monotonic() < end
            printed += capsys.readouterr().out
            time.sleep(0.01)
        assert free() in (["cpu-3"], [])  # the one that waits looks, and keeps none
    waiting.join(60)
    assert not waiting.is_alive()
    with leased_cards(threads=64):  # more than there are
        assert free() == []


def test_hidden_cards_stay_hidden(machine):
    machine(*FOUR, visible="")
    with leased_cards() as taken:
        assert taken == []
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_names_of_old_slices_make_file_names():
    assert lock_file("MIG-GPU-e000/1/0").name == f"medscale-{os.getuid()}-mig-gpu-e000-1-0.lock"


WORKER = """
import os, sys, time
from pathlib import Path
sys.path[:0] = [{scripts!r}, {helpers!r}]
from fake_nvml import FakeCard, FakeNvml
from medscale.base import cards
cards.pynvml, cards.POLL = FakeNvml([FakeCard(f"GPU-{{letter}}000") for letter in "abcdefgh"]), 0.005
folder, leases, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for _ in range(leases):
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    with cards.leased_cards(count) as taken:
        for card in taken:
            (folder / card.name).mkdir()  # fails where another has it
        time.sleep(0.001)
        for card in taken:
            (folder / card.name).rmdir()
print("done", leases)
"""


@pytest.mark.parametrize(("workers", "leases", "count"), [(16, 63, 1), (6, 20, 3)])
def test_no_two_processes_ever_have_one_card(tmp_path, workers, leases, count):
    """16 processes and 1,008 leases of 8 cards; then some that take three cards at once and must not wait in a ring."""
    code = WORKER.format(scripts=str(SCRIPTS), helpers=str(ROOT / "tests" / "helpers"))
    command = [sys.executable, "-c", code, tmp_path, str(leases), str(count)]
    environment = os.environ | {"MEDSCALE_LOCK_DIR": str(tmp_path / "locks")}
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(workers)
    ]
    for process in running:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output[-2000:]
        assert output.endswith(f"done {leases}\n")


def test_the_card_of_a_killed_job_is_free(tmp_path, machine):
    machine(FOUR[0])
    code = WORKER.format(scripts=str(SCRIPTS), helpers=str(ROOT / "tests" / "helpers")).replace(
        "time.sleep(0.001)", "print('has it', flush=True); time.sleep(600)"
    )
    code = code.replace('"abcdefgh"', '"a"')
    environment = os.environ | {"MEDSCALE_LOCK_DIR": str(tmp_path)}
    (tmp_path / "held").mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "held", "1", "1"], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "has it\n"
    holder.kill()
    holder.communicate()
    with leased_cards() as taken:
        assert taken[0].name == "GPU-a000"
