"""Write requirements.lock, -dev.lock, -trackers.lock and -ask.lock: the newest versions that pyproject.toml allows.

The versions are what pip installs into an empty environment. torch is pinned by hand, because its newest release brings
gigabytes of CUDA libraries; pip adds the CUDA libraries that torch itself asks for where there is a GPU build.
requirements-ask.lock holds what is laid over them in an environment of its own: other versions of what the extra `ask`
names, and all else beside the core's.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINNED = ["torch==2.13.0"]
HEADER = "# Written by `make lock` from pyproject.toml; do not edit.\n"


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        base = install_and_freeze(python, PINNED + project["dependencies"])
        laid_over = resolve_over(python, base, project["optional-dependencies"]["ask"])
        full = install_and_freeze(python, [*base, *project["optional-dependencies"]["dev"]])
        trackers = beside(Path(folder) / "trackers", full, project["optional-dependencies"]["trackers"])
    write("requirements.lock", base)
    write("requirements-dev.lock", [pin for pin in full if pin not in base])
    write("requirements-trackers.lock", [pin for pin in trackers if pin not in base])
    write("requirements-ask.lock", laid_over)


def beside(folder: Path, pins: list[str], wanted: list[str]) -> list[str]:
    """Return the versions of requirements in an environment of their own that go with ``pins``."""
    venv.create(folder, with_pip=True)
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pins), encoding="utf-8")
    return install_and_freeze(folder / "bin" / "python", ["-c", str(constraints), *wanted])


def install_and_freeze(python: Path, wanted: list[str]) -> list[str]:
    """Install requirements and return every version that is there then, without build labels such as ``+cpu``."""
    subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    frozen = subprocess.run(
        [python, "-m", "pip", "freeze", "--all"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return [pin.split("+")[0] for pin in frozen if pin.split("==")[0] not in ("pip", "wheel")]


def resolve_over(python: Path, base: list[str], wanted: list[str]) -> list[str]:
    """Return what ``wanted`` needs beside the versions of ``base``, which stay but for those that it names itself."""
    named = {normalised(requirement) for requirement in wanted}
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(pin for pin in base if normalised(pin) not in named) + "\n")
        file.flush()
        command = ["install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-", "-c", file.name, *wanted]
        done = subprocess.run([python, "-m", "pip", *command], check=True, capture_output=True, text=True)
    found = [part["metadata"] for part in json.loads(done.stdout)["install"]]
    pins = sorted((f"{part['name']}=={part['version']}" for part in found), key=str.lower)
    there = {(normalised(pin), pin.split("==")[1]) for pin in base}
    return [pin for pin in pins if (normalised(pin), pin.split("==")[1]) not in there]


def normalised(requirement: str) -> str:
    """Return the name in a requirement as indexes compare it.

    >>> normalised("Python_Multipart>=0.0.18")
    'python-multipart'
    """
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def write(name: str, pins: list[str]) -> None:
    (ROOT / name).write_text(HEADER + "\n".join(pins) + "\n", encoding="utf-8")
    print(f"{name}: {len(pins)} packages", file=sys.stderr)


if __name__ == "__main__":
    main()
