"""The environment of the page: its own packages above, the study's beneath, and torch there once."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lock
from places import ROOT


def pins(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines if "==" in line}


def test_the_lock_file_holds_what_the_extra_names_and_of_the_core_only_what_differs():
    core, own = pins("requirements.lock"), pins("requirements-ask.lock")
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {canonicalize_name(each.name): each for each in map(Requirement, extra["ask"])}
    assert named.keys() >= {"gradio"}
    for name, requirement in named.items():
        assert requirement.specifier.contains((core | own)[name]), requirement
    assert {name for name in own if name in core} <= named.keys(), (
        "another version than the study's, and nobody said so"
    )
    assert not own.items() & core.items(), "what the study has need not be there twice"
    assert "torch" not in own


def test_what_is_locked_is_what_pip_would_add(monkeypatch):
    report = {
        "install": [{"metadata": {"name": n, "version": v}} for n, v in (("b_b", "2"), ("A", "1"), ("pillow", "12"))]
    }
    asked = []

    def run(command, **_):
        asked.extend([command, Path(command[command.index("-c") + 1]).read_text(encoding="utf-8")])
        return subprocess.CompletedProcess(command, 0, lock.json.dumps(report), "")

    monkeypatch.setattr(lock.subprocess, "run", run)
    found = lock.resolve_over("python", ["B-b==2", "Pillow==13", "c==3"], ["gradio>=6", "pillow<13"])
    assert found == ["A==1", "pillow==12"]
    command, constraints = asked
    assert constraints == "B-b==2\nc==3\n"
    assert {"--dry-run", "gradio>=6", "pillow<13"} <= set(command)


@pytest.fixture
def laid_over(tmp_path, monkeypatch):
    """The Python of an environment that install.py laid over this one, with pip's part left out."""
    spec = importlib.util.spec_from_file_location("install", ROOT / "envs" / "install.py")
    install = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(install)
    folder, real, called = tmp_path / "page", subprocess.run, []
    real([sys.executable, "-m", "venv", "--without-pip", folder], check=True)

    def run(command, **options):
        called.append([str(word) for word in command])
        return subprocess.CompletedProcess(command, 0) if "pip" in command else real(command, **options)

    monkeypatch.setattr(install, "virtual_environment", lambda _: folder / "bin" / "python")
    monkeypatch.setattr(install.subprocess, "run", run)
    install.lay_over(folder)
    assert called[0][-4:] == ["--quiet", "--no-deps", "-r", str(ROOT / "requirements-ask.lock")]
    return folder / "bin" / "python"


def test_its_own_packages_come_before_the_studys(laid_over):
    code = "import sysconfig, numpy, PIL; print(numpy.__file__); print(PIL.mine)"
    (site,) = laid_over.parents[1].glob("lib/python*/site-packages")
    (site / "PIL").mkdir()
    (site / "PIL" / "__init__.py").write_text("mine = True\n", encoding="utf-8")
    done = subprocess.run([laid_over, "-c", code], capture_output=True, text=True)
    import numpy

    assert done.stdout == f"{numpy.__file__}\nTrue\n", done.stderr
