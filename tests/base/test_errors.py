"""A message ends with its code, wherever it is shown and whichever process it comes from."""

import ast
import copy
import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.base.config import ConfigError, resolve
from medscale.base.digest import with_imports
from medscale.base.errors import UserError
from medscale.base.files import read_json
from medscale.base.parallel import ordered_map
from medscale.base.scarcity import disk_advice
from places import ROOT, SCRIPTS


def test_a_message_ends_with_its_code():
    error = UserError("D107", "a.csv: damaged, 第 3 行")
    assert str(error) == f"{error}" == "a.csv: damaged, 第 3 行 [D107]"
    assert (error.code, error.text) == ("D107", "a.csv: damaged, 第 3 行")
    assert repr(error) == "UserError('D107', 'a.csv: damaged, 第 3 行')"


def test_a_text_without_a_code_is_shown_as_it_is():
    error = UserError("a.csv: damaged")
    assert (str(error), error.code, error.text) == ("a.csv: damaged", None, "a.csv: damaged")


def test_who_takes_the_text_into_another_message_shows_one_code():
    inner = UserError("B101", "config.json: no such file")
    assert str(UserError("F105", f"model.path: {inner.text}")) == "model.path: config.json: no such file [F105]"


@given(st.sampled_from([UserError, ConfigError]), st.text(), st.none() | st.text())
def test_it_comes_through_pickle_and_copy_as_it_was(kind, text, code):
    error = kind(text) if code is None else kind(code, text)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is kind
        assert (str(other), other.code, other.text) == (str(error), code, text)


def fail(path):
    return read_json(path)


def refuse(value):
    return resolve({"training": {"epochs": value, "warmup_ratio": 2}})


def test_it_comes_from_another_process_as_it_was(tmp_path):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        with pytest.raises(UserError) as caught:
            pool.submit(fail, tmp_path / "x.json").result()
        assert (caught.value.code, str(caught.value)) == ("B101", f"{tmp_path}/x.json: no such file [B101]")
        with pytest.raises(ConfigError, match=r"epochs = 0: must be greater than 0 \[C104\]\n.* at most 1 \[C104\]$"):
            pool.submit(refuse, 0).result()


def test_it_comes_from_the_workers_of_a_step(tmp_path):
    (tmp_path / "a.json").write_text("{}", encoding="utf-8")
    pieces = [tmp_path / "a.json"] * 9 + [tmp_path / "b.json"]
    with pytest.raises(UserError, match=r"b\.json: no such file \[B101\]$"):
        list(ordered_map(fail, pieces, 2))


@pytest.mark.parametrize("text", ["one line", "two\n  - lines", "中文"])
def test_a_script_ends_with_the_message_and_its_code(text):
    code = f"from medscale.base.errors import *\ndef main(): raise UserError('T101', {text!r})\nrun_script(main)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, cwd=SCRIPTS, env={"PYTHONIOENCODING": "utf-8"}
    )
    assert (done.returncode, done.stderr.decode()) == (1, f"error: {text} [T101]\n")


def test_each_mistake_of_a_configuration_has_its_code_once():
    with pytest.raises(ConfigError) as caught:
        resolve({"traning": {}, "training": {"epochs": 0}, "study": {"methods": ["full"]}, "model": {"source": 3}})
    error = caught.value
    lines = str(error).split("\n  - ")
    assert lines[0] == "the configuration is not usable:"
    assert sorted(line[-6:] for line in lines[1:]) == ["[C101]", "[C103]", "[C103]", "[C104]"]
    assert all(line.count("[C") == 1 for line in lines[1:])
    assert str(error) == f"{error.text} [{error.code}]"
    assert lines[-1].endswith(f"[{error.code}]")


def test_the_set_up_ends_with_the_code_too():
    """envs/install.py, called by a Python that is too old: it must come as far as its message."""
    code = (
        "import runpy, sys\nsys.version_info = (3, 9, 2)\nsys.version = '3.9.2 (old)'\nsys.argv = ['install.py']\n"
        "runpy.run_path('envs/install.py', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("Python 3.11 or newer is needed; this is 3.9.2. ")
    assert done.stderr.endswith(" [B140]\n")


def test_what_the_set_up_imports_is_understood_by_an_older_python():
    """It would compute annotations such as ``str | None`` when it defines the function, and fail."""
    install = ROOT / "envs" / "install.py"
    assert {path.name for path in with_imports(install)} >= {"errors.py", "torch_builds.py"}
    for path in with_imports(install):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text, feature_version=(3, 9))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        notes = [node.returns for node in functions] + [arg.annotation for node in functions for arg in node.args.args]
        new = any(isinstance(part, ast.BinOp) for note in notes if note for part in ast.walk(note))
        assert not new or "\nfrom __future__ import annotations" in text, path.name


@pytest.mark.parametrize("name", [7, "/not/here/at/all.json", b"/not/here", "", None])
def test_a_full_disk_is_told_whatever_file_it_names(name):
    error = OSError(28, "No space left on device", name)
    assert "GiB free in /" in disk_advice(error)
