"""The set-up: which build of torch a machine gets, and an environment where Python lacks what makes one."""

import ensurepip
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from medscale.base.digest import with_imports
from medscale.base.torch_builds import BUILDS, build_for, how_to_install
from places import ROOT

PREFERRED, OLDER = BUILDS


@pytest.fixture
def install():
    spec = importlib.util.spec_from_file_location("install", ROOT / "envs" / "install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """A function that puts an nvidia-smi on the path which says this."""

    def put(text, status=0):
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho '{text}'\nexit {status}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return put


@pytest.mark.parametrize(
    ("driver", "capability", "build"),
    [
        (None, None, PREFERRED),
        ("580.65.06", (8, 9), PREFERRED),
        ("595.1", None, PREFERRED),
        ("550.54.15", (7, 5), OLDER),  # Colab, AutoDL and many clusters
        ("579.99", (9, 0), OLDER),
        ("580.65.06", (6, 0), OLDER),  # a P100
        ("580.65.06", (7, 0), OLDER),  # a V100
        ("525.60.13", (8, 0), OLDER),
        ("470.256.02", (7, 5), None),
        ("595.1", (3, 7), None),
    ],
)
def test_the_build_fits_the_driver_and_the_card(driver, capability, build):
    assert build_for(driver, capability) == build


def test_what_to_install_is_a_line_to_type():
    assert how_to_install(OLDER).endswith(
        "pip install --force-reinstall -r requirements.lock --extra-index-url https://download.pytorch.org/whl/cu126"
    )
    assert how_to_install(PREFERRED).endswith("pip install --force-reinstall -r requirements.lock")
    assert how_to_install(None) == "update the driver to 580 or newer"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("550.54.15, 7.5", ("550.54.15", (7, 5))),
        ("580.65.06, 8.9\n580.65.06, 6.0", ("580.65.06", (6, 0))),
        ("550.54.15, [N/A]", ("550.54.15", None)),
    ],
)
def test_nvidia_smi_is_asked(install, smi, said, expected):
    smi(said)
    assert install.card() == expected


def test_proc_is_asked_where_nvidia_smi_fails(install, smi, tmp_path, monkeypatch):
    smi("Failed to initialize NVML: Driver/library version mismatch", status=18)
    monkeypatch.setattr(install, "PROC", tmp_path / "version")
    assert install.card() == (None, None)
    text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build\nGCC version: 12.2.0\n"
    (tmp_path / "version").write_text(text)
    assert install.card() == ("570.86.10", None)


def test_a_hidden_card_is_none(install, smi, monkeypatch):
    smi("550.54.15, 7.5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert install.card() == (None, None)


@pytest.fixture
def commands(install, monkeypatch, smi):
    """What is called, instead of calling it; a program in ``failing`` fails."""
    called = []

    def run(command, **_):
        words = [str(word) for word in command]
        if "-r" in words:
            words[words.index("-r") + 1] = Path(words[words.index("-r") + 1]).read_text(encoding="utf-8")
        called.append(words)
        return subprocess.CompletedProcess(command, int(any(word in run.failing for word in words)), "", "")

    run.failing = []
    monkeypatch.setattr(install, "card", lambda: ("550.54.15", (7, 5)))
    monkeypatch.setattr(install.subprocess, "run", run)
    called_with = lambda *words: (monkeypatch.setattr(sys, "argv", ["install.py", *words]), install.main(), called)[2]  # noqa: E731
    called_with.run = run
    return called_with


def test_an_old_driver_gets_the_older_build(commands, tmp_path):
    *_, last = commands("--venv", str(tmp_path / "venv"))
    assert last[last.index("--extra-index-url") + 1] == "https://download.pytorch.org/whl/cu126"
    assert "torch==2.13.0\n" in last[-1]


def test_a_mirror_can_be_named(commands, tmp_path):
    *_, last = commands("--venv", str(tmp_path / "venv"), "--torch-index", "https://mirror.example/cu126")
    assert last[last.index("--extra-index-url") + 1] == "https://mirror.example/cu126"


def test_a_driver_too_old_for_every_build_is_an_error(commands, install, monkeypatch, tmp_path):
    monkeypatch.setattr(install, "card", lambda: ("470.256.02", (7, 5)))
    with pytest.raises(SystemExit, match=r"driver is 470\.256\.02; the oldest .* is 525.* \[B131\]$"):
        commands("--venv", str(tmp_path / "venv"))


def test_a_notebooks_torch_stays_with_its_family(commands, install, monkeypatch):
    monkeypatch.setattr(install, "installed", {"torch": "2.12.1+cu126", "torchvision": "0.27.1+cu126"}.get)
    *before, last = commands("--system")
    assert not [words for words in before if "uninstall" in words]
    assert "torch==2.12.1+cu126\n" in last[-1]
    assert "torch==2.13.0" not in last[-1]


@pytest.mark.parametrize(
    ("torch", "sees"), [("2.12.1+cu130", False), ("2.10.0+cu126", True)], ids=["blind to the card", "too old"]
)
def test_a_notebooks_torch_that_cannot_stay_goes_with_its_family(commands, install, monkeypatch, torch, sees):
    monkeypatch.setattr(install, "installed", {"torch": torch, "torchvision": "0.27.1"}.get)
    commands.run.failing = [] if sees else [install.SEES_A_CARD]
    *_, removal, last = commands("--system")
    assert removal[3:] == ["uninstall", "--quiet", "--yes", "torch", "torchvision"]
    assert "torch==2.13.0\n" in last[-1]


def wheel(folder: Path, name: str, version: str) -> None:
    """Write a package of one module that is its version."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", f"version = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def offline(tmp_path):
    """The set-up beside a lock file of two small packages, and the environment in which pip finds these alone."""
    script = ROOT / "envs" / "install.py"
    for path in (*with_imports(script), ROOT / "pyproject.toml"):
        target = tmp_path / "repo" / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (tmp_path / "repo" / "requirements.lock").write_text("torch==2.13.0\nother==1.0\n")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name, version in (("torch", "2.13.0"), ("torch", "2.13.0+cu126"), ("other", "1.0")):
        wheel(wheels, name, version)
    bundled = next(Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl"))
    (wheels / bundled.name).write_bytes(bundled.read_bytes())
    environment = os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "CUDA_VISIBLE_DEVICES": ""}
    return tmp_path / "repo", environment


def run_in(repo: Path, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "envs/install.py", *words]
    return subprocess.run(command, cwd=repo, env=environment, capture_output=True, text=True)


def test_snakemake_finds_the_view_of_a_running_study_in_the_environment(commands, tmp_path):
    packages = tmp_path / "venv" / "lib" / "python3.12" / "site-packages"
    packages.mkdir(parents=True)
    commands("--venv", str(tmp_path / "venv"))
    folder = Path((packages / "medscale-logger.pth").read_text(encoding="utf-8").strip())
    assert (folder / "snakemake_logger_plugin_medscale" / "__init__.py").is_file()
    assert folder == ROOT / "workflow" / "logger"


@pytest.mark.parametrize("lacking", ["", "ensurepip"])
def test_a_python_without_ensurepip_makes_an_environment_too(offline, tmp_path, lacking):
    repo, environment = offline
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in lacking.split())
    )
    done = run_in(repo, environment | {"PYTHONPATH": str(tmp_path / "site")})
    assert done.returncode == 0, done.stdout + done.stderr
    python = repo / ".venv" / "bin" / "python"
    shown = subprocess.run(
        [python, "-c", "import torch, other; print(torch.version, other.version)"], capture_output=True, text=True
    )
    assert shown.stdout.split()[1] == "1.0", shown.stderr


def test_a_python_without_pip_and_ensurepip_says_what_to_install(offline, tmp_path):
    repo, environment = offline
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import sys\nsys.modules['ensurepip'] = sys.modules['pip'] = None\n"
    )
    done = run_in(repo, environment | {"PYTHONPATH": str(tmp_path / "site")})
    assert done.returncode == 1
    assert "apt install python3-venv" in done.stderr
    assert done.stderr.endswith(" [B141]\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["--system", "--venv", "x"], ["--unknown"]])
def test_a_wrong_argument_is_named(offline, words):
    done = run_in(*offline, *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
