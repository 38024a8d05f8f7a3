"""Processes of one run: each sees its own card, and a failure of one is told."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from medscale.base import torchrun
from medscale.base.cards import VISIBLE
from places import SCRIPTS


@pytest.mark.parametrize(
    ("visible", "rank", "own"),
    [("GPU-a,GPU-b,GPU-c", "1", "GPU-b"), ("0,2", "1", "2"), ("MIG-x", "0", "MIG-x"), ("", "1", "")],
)
def test_a_process_sees_its_own_card_as_the_first(monkeypatch, visible, rank, own):
    monkeypatch.setenv(VISIBLE, visible)
    monkeypatch.setenv("LOCAL_RANK", rank)
    monkeypatch.setenv(torchrun.LAUNCHER, str(os.getpid()))
    with torchrun.own_card():
        assert os.environ[VISIBLE] == own
        assert os.environ["LOCAL_RANK"] == ("0" if own else rank)


def test_without_torchrun_there_is_one_process(monkeypatch):
    """Clusters set RANK and WORLD_SIZE too, for what they start."""
    monkeypatch.delenv(torchrun.LAUNCHER, raising=False)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert not torchrun.started()
    assert (torchrun.rank(), torchrun.world()) == (0, 1)
    monkeypatch.setenv(torchrun.LAUNCHER, "1")
    assert torchrun.started()
    assert (torchrun.rank(), torchrun.world()) == (2, 4)


@pytest.mark.slow
def test_the_same_command_runs_in_each_process_and_a_failure_ends_it(tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        "import os, sys\n"
        f"sys.path.insert(0, {str(SCRIPTS)!r})\n"
        "from medscale.base.torchrun import rank, run_here, started\n"
        "if not started():\n"
        "    run_here(2)\n"
        "else:\n"
        "    open(f'{os.path.dirname(__file__)}/{rank()}.txt', 'w').write(' '.join(sys.argv[1:]))\n"
        "    sys.exit(int(sys.argv[2] == 'bad' and rank() == 1))\n",
        encoding="utf-8",
    )

    def call(word):
        return subprocess.run([sys.executable, script, "--run", word, "中 文"], capture_output=True, text=True)

    assert call("good").returncode == 0
    assert [(tmp_path / f"{rank}.txt").read_text(encoding="utf-8") for rank in range(2)] == ["--run good 中 文"] * 2
    bad = call("bad")
    assert bad.returncode == 1
    assert "one of 2 processes of this training failed" in bad.stderr


@pytest.fixture
def running(tmp_path):
    """A launcher, and the processes that wait for one another; they are ended with the test."""
    script = tmp_path / "job.py"
    script.write_text(
        "import os, sys, time\n"
        f"sys.path.insert(0, {str(SCRIPTS)!r})\n"
        "from medscale.base.torchrun import own_card, rank, run_here, started\n"
        "if not started():\n"
        "    run_here(2)\n"
        "else:\n"
        "    with own_card():\n"
        "        open(f'{os.path.dirname(__file__)}/{rank()}.pid', 'w').write(str(os.getpid()))\n"
        "        time.sleep(300)\n",
        encoding="utf-8",
    )
    launcher = subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE)
    files, end = [tmp_path / "0.pid", tmp_path / "1.pid"], time.monotonic() + 120
    while not all(path.is_file() and path.read_text() for path in files):
        assert time.monotonic() < end
        time.sleep(0.1)
    started = [psutil.Process(int(path.read_text())) for path in files]
    yield launcher, started
    for process in [psutil.Process(launcher.pid), *started] if launcher.poll() is None else started:
        if process.is_running():
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_whoever_ends_the_launcher_ends_its_processes(running, number):
    """The lease of the cards goes with the launcher, so nobody may compute on them after it."""
    launcher, started = running
    launcher.send_signal(number)
    launcher.wait(60)
    if number != signal.SIGKILL:
        assert not any(process.is_running() for process in started), "it waited for them"
    gone, alive = psutil.wait_procs(started, timeout=10)
    assert (len(gone), alive) == (2, [])
