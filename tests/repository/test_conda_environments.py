"""The conda environments of the rules: what they pin fits together, Snakemake finds them, and conda resolves them."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import requires

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from places import ROOT
from workflow_runner import SMALL

FILES = sorted((ROOT / "envs").glob("*.yaml"))
PROGRAMS = ("micromamba", "mamba", "conda")
OFFLINE = re.compile(
    r"CondaHTTPError|Could not resolve host|Download error|ConnectionError|ProxyError|Connection failed"
)


def pins(lines) -> dict[str, str]:
    """Return which version a list of pins names of each package."""
    found = (line.split("==") for line in lines if "==" in line)
    return {canonicalize_name(name): version for name, version in found}


def pip_part(path) -> list[str]:
    dependencies = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    (listed,) = (part["pip"] for part in dependencies if isinstance(part, dict))
    return listed


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_an_environment_pins_fits_together(path):
    """And with all that comes along with it: the versions of the lock file are one solution, so pip finds one."""
    locked = pins((ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines())
    wanted = pins(pip_part(path))
    assert wanted.items() <= locked.items()
    todo, done = list(wanted), set()
    while todo:
        name = todo.pop()
        done.add(name)
        for needed in map(Requirement, requires(name) or []):
            if needed.marker and not needed.marker.evaluate({"extra": ""}):
                continue
            other = canonicalize_name(needed.name)
            # The lock file names no CUDA libraries: which of them torch brings depends on its build.
            if other not in locked and name == "torch":
                continue
            assert needed.specifier.contains(locked[other], prereleases=True), f"{name} needs {needed}"
            todo += {other} - done


CONDA = """#!/bin/sh
case "$*" in
  "info --json") echo '{{"conda_prefix": "{folder}", "platform": "linux-64"}}' ;;
  "--version") echo "conda 26.1.0" ;;
  "config --get channel_priority --json") echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
  "clean -y --tarballs") ;;
  "env create"*)
    while [ "$1" != "--file" ] && [ "${{1#--file=}}" = "$1" ]; do shift; done
    file="${{1#--file=}}"; [ "$file" = "--file" ] && file="$2"
    cp "$file" "{folder}/created/$(md5sum < "$file" | cut -c1-32).yaml" ;;
  *) echo "unexpected: $*" >&2; exit 2 ;;
esac
"""


def test_snakemake_gives_every_environment_to_conda(tmp_path):
    """From a study elsewhere: a program in conda's place keeps what it is asked to create."""
    (tmp_path / "created").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "conda").write_text(CONDA.format(folder=tmp_path))
    (tmp_path / "bin" / "conda").chmod(0o755)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL, allow_unicode=True), encoding="utf-8")
    call = [
        *(sys.executable, "-m", "snakemake", "--sdm", "conda", "--conda-create-envs-only", "--cores", "1"),
        *("-s", ROOT / "Snakefile", "--directory", tmp_path / "study", "--configfile", tmp_path / "small.yaml"),
        *("--", "all", "results/lora_16/export"),  # the export is no part of the study
    ]
    path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
    done = subprocess.run(call, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    created = {path.read_text(encoding="utf-8") for path in (tmp_path / "created").iterdir()}
    assert created == {path.read_text(encoding="utf-8") for path in FILES}


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_conda_resolves_an_environment(path, tmp_path):
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(PROGRAMS)} is installed here")
    words = ["create", "--dry-run", "--yes"] if program.endswith("micromamba") else ["env", "create", "--dry-run"]
    call = [program, *words, "--file", path, "--prefix", tmp_path / "environment"]
    done = subprocess.run(call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode and OFFLINE.search(done.stdout):
        pytest.skip(f"conda-forge is not reached from here: {OFFLINE.search(done.stdout)[0]}")
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"\bpython\b.*3\.11", done.stdout)
