"""Read a Dockerfile and an Apptainer recipe, and carry their steps out in a folder in the place of an image.

Paths that are absolute in an image lie below that folder, so texts have them replaced. The environment into which
packages are installed is laid there before; it sees the packages of the tests, so that installing finds them all.
"""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from places import ROOT

PLACES = ("/opt/medscale", "/study")
# Build arguments as somebody with an older driver gives them; nothing is asked of an index.
ARGUMENTS = {"TORCH_INDEX": "https://index.example/cu126", "PIP_NO_INDEX": "1", "CUDA_VISIBLE_DEVICES": ""}


@dataclass
class Recipe:
    """What a recipe says: files of the repository and where they go, steps with their folder, and what a run calls."""

    files: list[tuple[str, str]] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    call: str = ""


def dockerfile(path: Path) -> Recipe:
    """Read a Dockerfile; an instruction that is not known here is an error."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    recipe, words = Recipe(), {}
    for name, rest in re.findall(r"^([A-Z]+) +(.+)$", text, flags=re.MULTILINE):
        if name == "COPY":
            source, target = rest.split()
            recipe.files.append((source, os.path.normpath(os.path.join(recipe.workdir, target))))
        elif name == "RUN":
            recipe.steps.append((recipe.workdir, rest))
        elif name == "WORKDIR":
            recipe.workdir = rest
        elif name == "ENV":
            recipe.environment |= dict(word.split("=", 1) for word in rest.split())
        elif name in ("ENTRYPOINT", "CMD"):
            words[name] = json.loads(rest)
        else:
            assert name in ("FROM", "ARG", "USER", "VOLUME"), name
    recipe.call = f'set -- {" ".join(words["CMD"])}\nexec {" ".join(words["ENTRYPOINT"])} "$@"'
    return recipe


def apptainer(path: Path) -> Recipe:
    """Read an Apptainer recipe; a section that is not known here is an error."""
    _, *parts = re.split(r"^%(\w+)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    assert sections.keys() == {"files", "post", "environment", "runscript"}
    files = [tuple(line.split()) for line in sections["files"].splitlines() if line.strip()]
    environment = dict(re.findall(r"^ *export (\w+)=(.*)$", sections["environment"], flags=re.MULTILINE))
    return Recipe(files, [("/", f"set -e\n{sections['post']}")], environment, "/", sections["runscript"])


def ignored(name: str, patterns: list[str]) -> bool:
    """Return whether a .dockerignore leaves a file out: the last pattern that fits it or a folder of it decides."""
    parts = Path(name).parts
    names = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    out = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        if any(fits(one, wanted) for one in names):
            out = not pattern.startswith("!")
    return out


def fits(name: str, pattern: str) -> bool:
    """Return whether a path has the form of a pattern, in which * is no slash and **/ any number of folders.

    >>> fits("a/b", "*"), fits("a/b", "a/*"), fits("a/b/c", "**/c"), fits("c", "**/c")
    (False, True, True, True)
    """
    if pattern.startswith("**/"):
        return fnmatch.fnmatch(Path(name).name, pattern[3:])
    return name.count("/") == pattern.count("/") and fnmatch.fnmatch(name, pattern)


class Image:
    """A folder in the place of an image, with what a recipe copies."""

    def __init__(self, recipe: Recipe, folder: Path, context: Path):
        self.recipe, self.folder = recipe, folder
        (folder / "opt" / "medscale").mkdir(parents=True)
        ignore = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
        for source, target in recipe.files:
            for path in [context / source] if (context / source).is_file() else (context / source).rglob("*"):
                name = path.relative_to(context).as_posix()
                if path.is_file() and not (source == "." and ignored(name, ignore)):
                    inner = path.relative_to(context / source) if path != context / source else Path()
                    place = Path(self.mapped(target)) / inner
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(path, place)
        self.copied = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    def build(self) -> "Image":
        """Carry out the steps."""
        lay_environment(self.folder / "opt" / "medscale" / ".venv")
        for workdir, step in self.recipe.steps:
            self.shell(step, workdir)
        return self

    def mapped(self, text: str) -> str:
        """Return a text in which the image's folders lie below this one."""
        for place in PLACES:
            text = re.sub(rf"(?<![\w.]){place}\b", f"{self.folder}{place}", text)
        return text

    def run(self, *arguments: str) -> str:
        """Call the container with arguments, or with its own where there are none, and return what it prints."""
        call = self.recipe.call
        if arguments and call.startswith("set -- "):  # what follows the image's name replaces CMD
            call = call.split("\n", 1)[1]
        return self.shell(call, self.recipe.workdir, *arguments)

    def shell(self, text: str, workdir: str, *arguments: str) -> str:
        own = {name: os.path.expandvars(self.mapped(value)) for name, value in self.recipe.environment.items()}
        environment = os.environ | own | ARGUMENTS
        folder = Path(self.mapped(workdir)) if workdir != "/" else self.folder
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["sh", "-c", self.mapped(text), "sh", *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout[-3000:]}"
        return done.stdout


def lay_environment(folder: Path) -> None:
    """Make a virtual environment in which the packages of this Python are found, snakemake's command among them."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    packages = [path for path in sys.path if path.endswith("site-packages")]
    (site / "tests.pth").write_text("\n".join(packages) + "\n")
    command = folder / "bin" / "snakemake"
    command.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" -m snakemake "$@"\n')
    command.chmod(0o755)
