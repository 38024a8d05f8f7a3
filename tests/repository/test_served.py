"""A served script behaves as one that Python runs: what it sees, what it says, how it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from killing import mind_signals
from places import ROOT
from served import JOBS, MOST, program, read_at_start
from workflow_runner import Study

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
    environment = os.environ | options.pop("env", {})
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, **options)


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def running(text, path, words=(), environment=None):
    """Start a script that writes down its number, and return the program and that number when it has."""
    note = path.with_name("number")
    text = f"import os, pathlib, signal, sys, time\n{text}\npathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n"
    path.write_text(f"{text}time.sleep(60)\n", encoding="utf-8")
    command = [program(), *map(str, words or [path])]
    options = {"stderr": subprocess.DEVNULL, "preexec_fn": mind_signals}
    process = subprocess.Popen(command, env=os.environ | (environment or {}), **options)
    wait_for(lambda: process.poll() is not None or (note.exists() and note.read_text()))
    return process, int(note.read_text())


def both(*words, **options):
    """Call Python and the served program, and return what each has done."""
    told = [call(*words, python=python, **options) for python in (sys.executable, program())]
    return [(done.returncode, done.stdout, done.stderr) for done in told]


def test_it_has_the_libraries_already_and_others_have_not(script):
    assert call(script(WHO)).stdout.startswith("True")
    assert call(script(WHO, "safety.py")).stdout.startswith("False")
    assert call("-c", WHO).stdout.startswith("False")


@pytest.mark.parametrize("name", ["LC_ALL", "UNKNOWN"])
def test_what_may_be_read_at_the_start_is_read_by_a_start(script, name):
    """By that of another process with the libraries, which then has all calls in this environment."""
    plain, other, again = (call(script(WHO), env=env).stdout for env in ({}, {name: "C"}, {name: "C"}))
    assert plain.startswith("True")
    assert other == again != plain
    assert name in read_at_start({name: "C"})


def test_modules_of_a_path_and_the_locale_are_those_of_the_caller(script):
    path = script("import locale, sys\nprint(sys.path[1:], locale.getpreferredencoding(), sys.flags.utf8_mode)\n")
    python, served = both(path, env={"PYTHONPATH": str(path.parent / "旁"), "LC_ALL": "C", "PYTHONUTF8": "0"})
    assert served == python


def test_the_process_of_the_least_recent_environment_ends_after_its_last_call(script):
    path = script("", "Snakefile")
    process, snakemake_s = running("", path, ["-m", "snakemake", "-n", "-s", path], {"UNKNOWN": "first"})
    serves = psutil.Process(snakemake_s).parent()
    for number in range(MOST):
        assert serves.status() != psutil.STATUS_ZOMBIE
        assert call("-m", "snakemake", "--version", env={"UNKNOWN": str(number)}).returncode == 0
    assert serves.is_running()
    process.kill()
    wait_for(lambda: not serves.is_running() or serves.status() == psutil.STATUS_ZOMBIE)
    assert not psutil.pid_exists(snakemake_s)


def test_its_folder_may_come_first_on_a_path(tmp_path):
    """Snakemake is served, and its calls of Python are; the words are those that Snakemake sees."""
    text = "rule all:\n    run:\n        import sys\n        print(sys.argv, sys.executable, 'torch' in sys.modules)\n"
    (tmp_path / "Snakefile").write_text(text, encoding="utf-8")
    path = os.pathsep.join([str(Path(program()).parent), os.environ["PATH"]])
    for name in ("snakemake", "python3"):
        words = [name, *(["-m", "snakemake"] if name == "python3" else []), "-c1", "-q", "all"]
        env = os.environ | {"PATH": path, "MEDSCALE_SERVED_ONLY": "1"}
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert program() in done.stdout


def test_a_word_keeps_calls_from_being_served(script):
    path = script("import os, sys\nprint('torch' in sys.modules)")
    assert call(path, "finetune:", env={"MEDSCALE_UNSERVED": "finetune:"}).stdout == "False\n"
    assert call(path, "predict:", env={"MEDSCALE_UNSERVED": "finetune:"}).stdout == "True\n"
    assert call(path, env={"MEDSCALE_UNSERVED": "1"}).stdout == "False\n"


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_script_and_ends_both(script, number):
    process, script_s = running("signal.signal(signal.SIGHUP, signal.SIG_DFL)", script(""))
    process.send_signal(number)
    assert process.wait(30) == -number
    assert not psutil.pid_exists(script_s)


def test_a_signal_that_the_script_takes_ends_it_as_it_says(script):
    process, _ = running("signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))", script(""))
    process.terminate()
    assert process.wait(30) == 7


@pytest.mark.parametrize("which", ["program", "script"])
def test_a_kill_of_one_is_the_end_of_the_other(script, which):
    process, script_s = running("", script(""))
    os.kill(process.pid if which == "program" else script_s, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    wait_for(lambda: not psutil.pid_exists(script_s))


def test_scripts_that_run_at_once_have_their_own_streams(script):
    path = script("import sys, time\ntime.sleep(0.1)\nprint(sys.argv[1])\nsys.exit(int(sys.argv[1]))\n")
    started = [subprocess.Popen([program(), path, str(n)], stdout=subprocess.PIPE, text=True) for n in range(6)]
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
print(served.program())
os.kill(os.getpid(), 9)
"""
    helpers = str(Path(sys.modules["served"].__file__).parent)
    done = call("-uc", text, python=sys.executable, env={"PYTHONPATH": helpers})
    _version, processes, path = done.stdout.splitlines()
    numbers = [int(word) for word in processes.split()]
    assert len(numbers) == 2
    wait_for(lambda: not any(map(psutil.pid_exists, numbers)))
    assert not Path(path).parents[1].exists(), "nor is its folder left"


@pytest.mark.workflow
def test_a_study_and_its_jobs_are_served(tmp_path):
    """Where they were not, nothing would fail, and all would take as long as before."""
    study = Study(ROOT, tmp_path / "study")
    encoded = "results/data/encoded/train_16.parquet"
    served = {"MEDSCALE_SERVED_ONLY": "1"}
    refused = study.run(encoded, "--cores", "2", check=False, MEDSCALE_UNSERVED="scripts/fetch_model.py", **served)
    assert refused.returncode == 1
    assert "not served" in refused.stdout
    study.run(encoded, "--cores", "2", **served)
    assert (study.folder / encoded).is_file()
