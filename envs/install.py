"""Install what requirements.lock names, with the build of torch that this machine's driver and card can use.

python3 envs/install.py              # into .venv, which is made where it is missing
python3 envs/install.py --dev        # with what the tests need
python3 envs/install.py --system     # into this Python, as on Colab or Kaggle
.venv/bin/python envs/install.py --ask   # what the page of `make ask PAGE=1` needs, into .venv-ask

A notebook's Python brings torch, torchvision and torchaudio of one build. They are kept or replaced together: torch of
another build would break the others, and what imports them. It is kept where it is new enough and sees the card.
"""

from __future__ import annotations  # an older Python shall come to the line that tells what it lacks

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from medscale.base.errors import UserError  # noqa: E402
from medscale.base.torch_builds import BUILDS, INDEX, Build, build_for  # noqa: E402

FAMILY = ("torch", "torchvision", "torchaudio")
PROC = Path("/proc/driver/nvidia/version")
SEES_A_CARD = "import torch, sys; sys.exit(not torch.cuda.is_available())"


def main() -> None:
    args = parse_arguments()
    if sys.version_info < (3, 11):  # noqa: UP036 — this file is what an older Python is called with
        said = (
            f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}. Name another one: "
            "make PYTHON=python3.12 ..., or call it: python3.12 envs/install.py"
        )
        sys.exit(str(UserError("B140", said)))
    if args.ask:
        lay_over(ROOT / ".venv-ask")
        return
    driver, capability = card()
    build = build_for(driver, capability)
    if build is None:
        said = (
            f"The NVIDIA driver is {driver}; the oldest that torch's builds work with is {BUILDS[-1].driver}. "
            "Update it, or hide the card to compute on the CPU: CUDA_VISIBLE_DEVICES= make demo"
        )
        sys.exit(str(UserError("B131", said)))
    if driver:
        print(f"NVIDIA driver {driver}: torch's build for CUDA {build.cuda}", flush=True)
    python = Path(sys.executable) if args.system else virtual_environment(args.venv)
    locks = ["requirements.lock", "requirements-dev.lock"] if args.dev else ["requirements.lock"]
    install(python, [ROOT / name for name in locks], build, args, driver is not None)
    if not args.system:
        show_view(args.venv)


def card() -> tuple[str | None, tuple[int, int] | None]:
    """Return the driver's version and the least compute capability of the cards; None for what is not known."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip() in ("", "-1"):
        return None, None
    smi = shutil.which("nvidia-smi")
    if smi:
        query = [smi, "--query-gpu=driver_version,compute_cap", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True)
        found = re.findall(r"^\s*(\d[\d.]*)\s*,\s*(?:(\d+)\.(\d+))?", done.stdout, re.M) if done.returncode == 0 else []
        if found:
            capabilities = [(int(high), int(low)) for _, high, low in found if high]
            return found[0][0], min(capabilities, default=None)
    told = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", PROC.read_text(errors="replace")) if PROC.is_file() else None
    return (told[1] if told else None), None


def virtual_environment(folder: Path) -> Path:
    """Return the Python of a virtual environment, made where it is missing, with pip inside.

    Debian's and Colab's Python lack ensurepip, which puts pip there; then this Python's own pip does.
    """
    python = folder / "bin" / "python"
    if python.is_file() and not subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode:
        return python
    if importlib.util.find_spec("ensurepip"):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        return python
    if not importlib.util.find_spec("pip"):
        said = (
            "This Python has neither ensurepip nor pip, so it cannot make a virtual environment with packages. Install "
            "one of them (Debian, Ubuntu: apt install python3-venv), or take another Python: make PYTHON=..."
        )
        sys.exit(str(UserError("B141", said)))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "pip"], check=True)
    return python


def lay_over(folder: Path) -> None:
    """Install requirements-ask.lock into an environment of its own that sees this Python's packages beneath its own.

    So the page has Gradio and the versions that it needs, the core keeps its own, and torch is there once.
    """
    python = virtual_environment(folder)
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "--no-deps", "-r", ROOT / "requirements-ask.lock"], check=True)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    place = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    beneath = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (Path(place) / "core.pth").write_text("\n".join(beneath) + "\n", encoding="utf-8")


def install(python: Path, locks: list[Path], build: Build, args: argparse.Namespace, has_card: bool) -> None:
    """Install the locked packages; of the torch family, keep all or replace all."""
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    wanted = [line for lock in locks for line in lock.read_text(encoding="utf-8").splitlines()]
    index = args.torch_index or (INDEX.format(label=build.label) if build.label else None)
    if index:
        pip += ["--extra-index-url", index]
    if args.system and (kept := kept_torch(python, has_card)):
        print(f"torch {kept} stays, with what was built for it", flush=True)
        wanted = [f"torch=={kept}" if line.startswith("torch==") else line for line in wanted]
    elif args.system and (others := [name for name in FAMILY if installed(name)]):
        print(f"{', '.join(others)} of another build are replaced by the locked torch", flush=True)
        subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", *others], check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(wanted) + "\n")
        file.flush()
        subprocess.run([*pip, "-r", file.name], check=True)


def show_view(folder: Path) -> None:
    """Let Snakemake find the view of a running study in a virtual environment: `snakemake --logger medscale`."""
    for packages in folder.glob("lib/python3*/site-packages"):
        (packages / "medscale-logger.pth").write_text(f"{ROOT / 'workflow' / 'logger'}\n", encoding="utf-8")


def kept_torch(python: Path, has_card: bool) -> str | None:
    """Return the version of the installed torch where it can stay: new enough, and it sees the card that is there."""
    found = installed("torch")
    if found is None or numbers(found) < numbers(least_torch()):
        return None
    if has_card and subprocess.run([python, "-c", SEES_A_CARD], capture_output=True).returncode:
        return None
    return found


def installed(name: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def least_torch() -> str:
    """Return the oldest torch that pyproject.toml allows."""
    return re.search(r'"torch>=([\d.]+)', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))[1]


def numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a version.

    >>> numbers("2.13.0+cu126")
    (2, 13, 0)
    """
    return tuple(int(part) for part in re.match(r"[\d.]+", text)[0].strip(".").split("."))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--venv", type=Path, default=ROOT / ".venv", help="virtual environment (default: .venv)")
    where.add_argument("--system", action="store_true", help="install into this Python")
    where.add_argument("--ask", action="store_true", help="what the page of `make ask PAGE=1` needs, into .venv-ask")
    parser.add_argument("--dev", action="store_true", help="with what the tests need")
    parser.add_argument("--torch-index", metavar="URL", help="a mirror's index of the build of torch that fits")
    return parser.parse_args()


if __name__ == "__main__":
    main()
