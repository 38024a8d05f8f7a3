"""Which process is meant by a number, with and without /proc."""

import os
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from medscale.base import processes
from medscale.base.processes import UNKNOWN, end_processes, place, start_of


@pytest.fixture(params=["proc", "psutil"])
def system(request, monkeypatch, tmp_path):
    """Linux, and a system without /proc."""
    if request.param == "psutil":
        monkeypatch.setattr(processes, "PROC", tmp_path)


@pytest.fixture
def child():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


@pytest.mark.usefixtures("system")
def test_a_process_has_one_start_and_none_after_its_end(child):
    assert start_of(child.pid) == start_of(child.pid) != UNKNOWN
    assert start_of(child.pid) != start_of(os.getppid())
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_of(child.pid) is None, "a zombie"
    child.wait()
    assert start_of(child.pid) is None


@pytest.mark.usefixtures("system")
def test_a_place_stays_the_same():
    assert place() == place()
    assert len(place()) == 3


def test_a_process_that_proc_hides_is_there_but_unknown(monkeypatch, tmp_path, child):
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "stat").touch()
    monkeypatch.setattr(processes, "PROC", tmp_path)
    assert start_of(child.pid) == UNKNOWN


def test_a_process_of_another_user_is_there(monkeypatch, child):
    def refuse(pid, number):
        raise PermissionError

    with monkeypatch.context() as context:
        context.setattr(os, "kill", refuse)
        assert start_of(child.pid) not in (None, UNKNOWN)


def test_this_process_and_what_it_came_from_are_spared(child, monkeypatch):
    environment = f"MEDSCALE_TEST_{os.getpid()}"
    monkeypatch.setenv(environment, "1")
    nested = (
        "from medscale.base.processes import end_processes\n"
        f"print(end_processes(lambda variables: '{environment}' in variables))"
    )
    done = subprocess.run([sys.executable, "-c", nested], capture_output=True, text=True, env=package_on_path())
    assert done.stdout == "([], [])\n", done.stderr
    started = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert end_processes(lambda variables: environment in variables) == ([started.pid], [])
    assert not psutil.pid_exists(started.pid)
    assert child.poll() is None


def package_on_path():
    return {**os.environ, "PYTHONPATH": str(processes.__file__).split("/medscale/")[0]}


def test_a_process_that_stays_is_told(monkeypatch):
    deaf = SimpleNamespace(pid=2**22 + 7, environ=lambda: {"X": "1"}, kill=lambda: None)
    monkeypatch.setattr(psutil, "process_iter", lambda: [deaf])
    monkeypatch.setattr(psutil, "wait_procs", lambda found, timeout: ([], found))
    assert end_processes(lambda variables: "X" in variables) == ([], [deaf.pid])
