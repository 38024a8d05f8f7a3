"""The repository keeps its own promises: generated files, rules, scripts, style."""

import importlib.util
import re
import subprocess
import sys
from importlib.metadata import requires

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from places import ROOT
from slowest import SLOWEST

ON_REQUEST = ("plan", "backup", "restore")  # rules without outputs, of which a benchmark file would be one
BUILT_IN = ("local", "dryrun", "touch")  # executors that are part of Snakemake


def test_generated_files_are_in_step():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for path, text in generate.generated().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of step: run `make docs`"


def test_every_rule_tells_its_code_log_and_needs():
    for path in (ROOT / "rules").glob("*.smk"):
        for rule in re.split(r"^rule ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            name = rule.split(":")[0]
            script = re.search(r'script=script\("(\w+\.py)"\)', rule)[1]
            # What is fetched is content: only its bytes make a result stale.
            assert f'code=code("{script}")' in rule or name.startswith("fetch_"), name
            assert "python {params.script:q} " in rule, name
            for part in ("log:", "benchmark:", "conda:", "resources:", "message:", "mem_mb=", "runtime="):
                assert part in rule or (part == "benchmark:" and name in ON_REQUEST), f"{name} has no {part}"


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "workflow" / "scripts").glob("*.py")))
def test_every_script_explains_itself(script):
    done = subprocess.run(
        [sys.executable, ROOT / "workflow" / "scripts" / script, "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split("\n\n")[1].strip()) > 20


def test_no_machine_path_and_no_leftover_stands_in_tracked_files():
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in files:
        if name.endswith((".py", ".smk", ".yaml", ".md", "Snakefile", "Makefile")):
            text = (ROOT / name).read_text(encoding="utf-8")
            assert not re.search(r"/(home|root|Users)/\w", text), name
            assert not re.search(r"\b(TODO|FIXME)\b", text) or name == "tests/repository/test_repository.py", name


@pytest.mark.parametrize("profile", sorted(path.name for path in (ROOT / "profiles").iterdir()))
def test_the_executor_of_a_profile_comes_with_the_lock_file(profile):
    """And so does all that it needs itself, so that `pip install -r requirements.lock` suffices on a cluster."""
    settings = yaml.safe_load((ROOT / "profiles" / profile / "config.yaml").read_text(encoding="utf-8"))
    executor = settings.get("executor", "local")
    if executor in BUILT_IN:
        return
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines if "==" in line}
    plugin = f"snakemake-executor-plugin-{executor}"
    assert plugin in pins
    for needed in map(Requirement, requires(plugin)):
        assert needed.specifier.contains(pins[canonicalize_name(needed.name)]), needed


def test_the_lines_that_the_slurm_profile_offers_are_understood(tmp_path):
    """Those in comments, too: a key that the plugin does not know would end the call before anything is planned."""
    text = (ROOT / "profiles" / "slurm" / "config.yaml").read_text(encoding="utf-8")
    offered = re.sub(r"^( *)# (?=[a-z_-]+: \S+$)", r"\1", text, flags=re.MULTILINE)
    assert offered.count("\nslurm-status-command: squeue\n") == 1
    (tmp_path / "config.yaml").write_text(offered, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "-n",
        "--workflow-profile",
        tmp_path,
        "--configfile",
        "config/demo.yaml",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_longest_files_of_tests_begin_first():
    """pytest-xdist would begin with the files that have most tests, and the longest have few."""
    assert [name for name in SLOWEST if len(list((ROOT / "tests").rglob(f"test_{name}.py"))) != 1] == []
    assert "--dist loadfile --no-loadscope-reorder" in (ROOT / "Makefile").read_text(encoding="utf-8")
