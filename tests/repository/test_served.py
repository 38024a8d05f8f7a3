"""A served script behaves as one that Python runs: what it sees, what it says, how it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from medscale.base.environment import prepare_environment
from places import ROOT
from served import ALWAYS, JOBS, WORKFLOW_S, program, read_at_start
from workflow_runner import Study

JOB = WORKFLOW_S | os.environ | ALWAYS
WHO = "import os, sys\nprint('torch' in sys.modules, os.getppid())\n"
pytestmark = pytest.mark.skipif(program() == sys.executable, reason="nothing is served here")


@pytest.fixture
def script(tmp_path):
    """Write the text of a script that would be served, and return its path."""

    def write(text, name="score.py"):
        path = tmp_path / "scripts" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def call(*words, python=None, **options):
    command = [python or program(), *map(str, words)]
    environment = JOB | options.pop("env", {})
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, **options)


def both(*words, **options):
    """Call Python and the served program, and return what each has done."""
    told = [call(*words, python=python, **options) for python in (sys.executable, program())]
    return [(done.returncode, done.stdout, done.stderr) for done in told]


def test_it_has_the_libraries_already_and_others_have_not(script):
    assert call(script(WHO)).stdout.startswith("True")
    assert call(script(WHO, "safety.py")).stdout.startswith("False")
    assert call("-c", WHO).stdout.startswith("False")


@pytest.mark.parametrize("name", ["LC_ALL", "PYTHONPATH", "HF_HOME", "OMP_WAIT_POLICY", "UNKNOWN"])
def test_what_may_be_read_at_the_start_is_read_by_a_start(script, name):
    call(script(WHO))
    assert call(script(WHO), env={name: "C"}).stdout.startswith("False")
    assert name in read_at_start({name: "C"})


def test_jobs_are_served_in_the_environment_that_the_workflow_makes(monkeypatch):
    for name in (*ALWAYS, "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    expected = WORKFLOW_S | os.environ | ALWAYS
    for name in expected.keys() - os.environ.keys():
        monkeypatch.setenv(name, "")  # so that it is taken away again
        monkeypatch.delenv(name)
    prepare_environment()
    assert read_at_start(os.environ) == read_at_start(expected)


def test_what_a_job_is_told_is_seen(script):
    text = "import os, torch\nprint(os.environ['MEDSCALE_X'], os.environ['LLAMA_CPP'], torch.get_num_threads())\n"
    text += "print(os.environ.get('MEDSCALE_Y'))\n"
    for number in ("1", "2"):
        told = {"MEDSCALE_X": f"梅{number}", "LLAMA_CPP": "", "OMP_NUM_THREADS": number}
        assert call(script(text), env=told).stdout.split() == [f"梅{number}", number, "None"]


def test_a_script_finds_itself_as_python_would_tell_it(script, tmp_path):
    (tmp_path / "scripts" / "beside.py").parent.mkdir(exist_ok=True)
    (tmp_path / "scripts" / "beside.py").write_text("x = '旁'\n", encoding="utf-8")
    text = "import os, sys, beside\nprint(sys.argv, __file__, __name__, os.getcwd(), sys.path[0], beside.x)\n"
    text += "print(sys.modules['__main__'].text if (text := 'here') else '', sys.executable, sys.orig_argv)\n"
    text += "print(sys.stdin.read(), sys.stdout.encoding, sys.stderr.errors, sys.stdout.line_buffering, sys.path[1:])"
    python, served = both(script(text), "--a", "é 旁", cwd=tmp_path, input="typed")
    assert served == python


@pytest.mark.parametrize(
    "text",
    ["", "raise SystemExit(3)", "raise SystemExit('no 旁')", "raise SystemExit", "import os; os._exit(4)", "f(", "x"],
)
def test_an_end_is_the_same(script, text):
    python, served = both(script(text))
    assert served[:2] == python[:2]
    assert served[2].splitlines()[-1:] == python[2].splitlines()[-1:]


def test_a_traceback_names_the_script_and_comes_after_what_was_printed(script):
    path = script(
        "import atexit\natexit.register(print, 'end')\nprint('first')\ndef f():\n    raise ValueError('旁')\nf()\n"
    )
    done = call(path)
    assert (done.returncode, done.stdout) == (1, "first\nend\n")
    lines = done.stderr.splitlines()
    assert lines[0].startswith("Traceback")
    assert f'File "{path}", line 5, in f' in done.stderr
    assert lines[-1] == "ValueError: 旁"


def test_threads_are_waited_for(script):
    text = "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.2), print('done'))).start()\n"
    assert call(script(text)).stdout == "done\n"


def running(text, script):
    """Start a script that writes down its number, and return the program and that number when it has."""
    note = script("", "x").with_name("number")
    text = f"import os, pathlib, signal, sys, time\n{text}\npathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n"
    path = script(f"{text}time.sleep(60)\n")
    process = subprocess.Popen([program(), path], stderr=subprocess.DEVNULL, env=JOB)
    while not (note.exists() and note.read_text()):
        assert process.poll() is None
        time.sleep(0.01)
    return process, int(note.read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_script_and_ends_both(script, number):
    process, script_s = running("signal.signal(signal.SIGHUP, signal.SIG_DFL)", script)
    process.send_signal(number)
    assert process.wait(30) == -number
    assert not psutil.pid_exists(script_s)


def test_a_signal_that_the_script_takes_ends_it_as_it_says(script):
    process, _ = running("signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))", script)
    process.terminate()
    assert process.wait(30) == 7


@pytest.mark.parametrize("which", ["program", "script"])
def test_a_kill_of_one_is_the_end_of_the_other(script, which):
    process, script_s = running("", script)
    os.kill(process.pid if which == "program" else script_s, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    end = time.monotonic() + 30
    while psutil.pid_exists(script_s):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_scripts_that_run_at_once_have_their_own_streams(script):
    path = script("import sys, time\ntime.sleep(0.1)\nprint(sys.argv[1])\nsys.exit(int(sys.argv[1]))\n")
    started = [
        subprocess.Popen([program(), path, str(n)], stdout=subprocess.PIPE, text=True, env=JOB) for n in range(6)
    ]
    assert [process.communicate()[0] for process in started] == [f"{number}\n" for number in range(6)]
    assert [process.returncode for process in started] == list(range(6))


def test_every_job_that_is_served_is_a_script():
    scripts = Path(__file__).parents[2] / "workflow" / "scripts"
    assert {path.stem for path in scripts.glob("*.py")} >= JOBS


def test_the_server_ends_with_who_asked_for_it():
    text = """
import os, psutil, served, subprocess
assert subprocess.run([served.program(), "-m", "snakemake", "--version"]).returncode == 0
print(*(process.pid for process in psutil.Process().children(recursive=True)))
os.kill(os.getpid(), 9)
"""
    helpers = str(Path(sys.modules["served"].__file__).parent)
    done = call("-uc", text, python=sys.executable, env={"PYTHONPATH": helpers})
    numbers = [int(word) for word in done.stdout.splitlines()[1].split()]
    assert len(numbers) == 2
    end = time.monotonic() + 30
    while any(map(psutil.pid_exists, numbers)):
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.workflow
def test_a_study_and_its_jobs_are_served(tmp_path):
    """Where they were not, nothing would fail, and all would take as long as before."""
    study = Study(ROOT, tmp_path / "study")
    study.run("results/data/encoded/train_16.parquet", "--cores", "2", MEDSCALE_SERVED_ONLY="1")
    assert (study.folder / "results" / "data" / "encoded" / "train_16.parquet").is_file()
    refused = study.run("-n", check=False, MEDSCALE_SERVED_ONLY="1", LC_ALL="C")
    assert refused.returncode == 1
    assert "not served" in refused.stdout
