"""Run the real workflow in a copy of the repository or from it, with sizes so small that it takes a minute or two."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml

from noted_imports import noting
from places import ROOT
from served import program

PARTS = ("Snakefile", "rules", "workflow", "config", "profiles", "envs", "resources/demo")

SMALL = {
    "model": {"source": "tiny", "tiny": {"vocab_size": 1024, "hidden_size": 64, "layers": 2, "steps": 5}},
    "data": {
        "source": "demo",
        "rows": 300,
        "columns": {"question": ["title", "ask"], "answer": "answer", "department": "department"},
    },
    "study": {"sizes": [16, 32], "test_size": 8, "validation_size": 6},
    "training": {"epochs": 2, "learning_rate": 0.003, "effective_batch": 8, "max_length": 512},
    "evaluation": {"max_new_tokens": 12, "batch_size": 4, "bootstrap_resamples": 100},
}


class Study:
    """The small study in a folder of its own, run by a checkout that lies elsewhere; jobs note imports, if asked to.

    Its command is served, see `served`, where it is a plan, or ``served`` is not set to False and no imports are noted.
    """

    served = True

    def __init__(self, checkout: Path, folder: Path, imports: Path | None = None):
        self.checkout, self.folder, self.imports = checkout, folder, imports
        folder.mkdir(parents=True, exist_ok=True)
        self.configure()

    def configure(self, **changes: dict) -> None:
        """Write small.yaml: the small study with some sections changed."""
        config = {key: {**SMALL.get(key, {}), **changes.get(key, {})} for key in {*SMALL, *changes}}
        (self.folder / "small.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of Snakemake on the small study; it is called from the folder above the study."""
        place = ["-s", str(self.checkout / "Snakefile"), "--directory", str(self.folder)]
        configured = ["--configfile", str(self.folder / "small.yaml")]
        return [self.python(arguments), "-m", "snakemake", *arguments, *place, *configured]

    def python(self, arguments: Iterable[str]) -> str:
        """Return the Python that runs Snakemake with these arguments."""
        return program() if "-n" in arguments or (self.served and not self.imports) else sys.executable

    @property
    def called_from(self) -> Path:
        return self.folder.parent

    def environment(self, notes: bool = True) -> dict[str, str]:
        """Return an environment with a lock folder of the study's own, in which jobs note imports, if they are to."""
        base = noting(self.imports) if self.imports and notes else os.environ
        return {**base, "MEDSCALE_LOCK_DIR": str(self.folder.parent / "locks")}

    def run(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        """Run Snakemake and return what it printed, on one stream."""
        done = subprocess.run(
            self.command(*(arguments or ("--cores", "2", "--resources", "gpu=1"))),
            cwd=self.called_from,
            env=self.environment(notes="-n" not in arguments) | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        assert not check or done.returncode == 0, done.stdout[-6000:]
        return done

    def plan(self, *arguments: str) -> dict[str, int]:
        """Return how often each rule would run; empty where nothing is to be done."""
        return job_counts(self.run("-n", *arguments).stdout)


def copy_parts(folder: Path, parts: Iterable[str]) -> None:
    """Copy files and folders of the repository into a folder."""
    for part in parts:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)


class Copy(Study):
    """A copy of the repository in which the workflow runs on its own."""

    def __init__(self, folder: Path, imports: Path | None = None):
        copy_parts(folder, PARTS)
        super().__init__(folder, folder, imports)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of Snakemake on the small study, as it is typed in the folder of the repository."""
        return [self.python(arguments), "-m", "snakemake", *arguments, "--configfile", "small.yaml"]

    @property
    def called_from(self) -> Path:
        return self.folder

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text in a file of the copy; the text must be there."""
        text = (self.folder / path).read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {path}"
        (self.folder / path).write_text(text.replace(old, new, 1), encoding="utf-8")

    def restore(self) -> None:
        """Bring back the code and the configuration, with new file times."""
        for part in ("rules", "workflow", "config", "resources/demo"):
            shutil.copytree(
                ROOT / part,
                self.folder / part,
                dirs_exist_ok=True,
                copy_function=shutil.copy,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        self.configure()


def job_counts(output: str) -> dict[str, int]:
    """Read the table of job counts that Snakemake prints before it runs or plans."""
    table = re.search(r"^job +count\n-+ +-+\n(.*?)\n\n", output, re.MULTILINE | re.DOTALL)
    if table is None:
        assert "Nothing to be done" in output, output[-4000:]
        return {}
    counts = dict(line.split() for line in table[1].splitlines())
    return {rule: int(count) for rule, count in counts.items() if rule not in ("all", "total")}
