"""Execute a notebook as a session of Colab or Kaggle would, with folders of a test in the place of the service's."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import psutil
import yaml

from killing import end_all
from places import ROOT
from served import program
from workflow_runner import PARTS, SMALL, copy_parts

# One training of 40 steps with a checkpoint at each tenth: long enough to be killed in its midst.
TINY = SMALL | {
    "study": {"methods": ["lora"], "sizes": [16], "test_size": 8, "validation_size": 6},
    "training": {**SMALL["training"], "epochs": 20},
    "evaluation": {**SMALL["evaluation"], "floors": []},
    "paths": {"results": "results/demo"},
}
DRIVE = """from pathlib import Path


def mount(place):
    Path(place, "MyDrive").mkdir(parents=True, exist_ok=True)
    print("Mounted at", place)
"""


def repository(folder: Path) -> Path:
    """Make a repository to clone, in which the demo is a study of seconds."""
    copy_parts(folder, (*PARTS, "notebooks", "pyproject.toml", "requirements.lock"))
    (folder / "config" / "demo.yaml").write_text(yaml.safe_dump(TINY, allow_unicode=True), encoding="utf-8")
    git = ["git", "-C", folder, "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "The study of a test"]):
        subprocess.run([*git, *words], check=True)
    return folder


class Session:
    """A session of a service: a home and a disk of its own, which end with it, and a folder that is kept.

    What its cells call is served, see `served`, but not where everything is to be killed.

    Parameters
    ----------
    name : of the notebook, such as colab.en.
    folder : in which the session lives.
    repository : what is cloned.
    kept : the drive of Colab, or the output of Kaggle.
    attached : the output of an earlier session, for Kaggle.
    """

    def __init__(self, name: str, folder: Path, repository: Path, kept: Path, attached: Path | None = None):
        self.folder, self.kept = folder, kept
        for part in ("home", "site/google/colab", "work", "input"):
            (folder / part).mkdir(parents=True)
        (folder / "site" / "google" / "colab" / "__init__.py").touch()
        (folder / "site" / "google" / "colab" / "drive.py").write_text(DRIVE)
        kept.mkdir(parents=True, exist_ok=True)
        values = {"REPOSITORY": repository, "DEMO": True, "FIRST": "lora_16", "WORK": folder / "work"}
        if name.startswith("colab"):
            values |= {"DRIVE": kept, "KEPT": kept / "MyDrive" / "medscale"}
        else:
            values |= {"KEPT": kept, "INPUT": attached or folder / "input"}
        self.notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        parameters = self.cell("parameters")
        lines = [f"{name} = {value if value is True else str(value)!r}" for name, value in values.items()]
        injected = nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": ["injected-parameters"]})
        self.notebook.cells.insert(self.notebook.cells.index(parameters) + 1, injected)

    def cell(self, tag: str) -> nbformat.NotebookNode:
        """Return the cell with a tag."""
        (found,) = (cell for cell in self.notebook.cells if tag in cell.metadata.get("tags", []))
        return found

    def without(self, *tags: str) -> "Session":
        """Leave cells out."""
        for tag in tags:
            self.notebook.cells.remove(self.cell(tag))
        return self

    def client(self):
        from nbclient import NotebookClient

        return NotebookClient(self.notebook, timeout=1800, kernel_name="python3")

    @property
    def environment(self) -> dict[str, str]:
        """What the kernel sees: this Python first on the path, no index to install from, no card."""
        paths = {"HOME": str(self.folder / "home"), "PYTHONPATH": str(self.folder / "site")}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        own = {"PATH": path, "PIP_NO_INDEX": "1", "CUDA_VISIBLE_DEVICES": "", "IPYTHONDIR": str(self.folder / "home")}
        return os.environ | paths | own | {"MEDSCALE_LOCK_DIR": str(self.folder / "locks")}

    def run(self) -> "Session":
        """Execute all cells; one that fails is an error that shows its output."""
        self.cell("injected-parameters").source += f"\nimport sys\nsys.executable = {program()!r}"
        self.client().execute(env=self.environment)
        return self

    def run_until(self, reached) -> None:
        """Execute cells until something is reached, and kill everything at that instant: the machine is taken away."""
        from nbclient.exceptions import DeadKernelError

        client, ended = self.client(), []

        def execute() -> None:
            try:
                client.execute(env=self.environment)
            except DeadKernelError as error:
                ended.append(error)

        thread = threading.Thread(target=execute)
        thread.start()
        while thread.is_alive() and not reached():
            thread.join(0.05)
        assert thread.is_alive(), f"ended before that:\n{self.output('one')[-3000:]}"
        kernel = psutil.Process(client.km.provisioner.pid)
        end_all([kernel.pid, *(child.pid for child in kernel.children(recursive=True))])
        thread.join(60)
        assert ended, "the kernel outlived its end"

    def output(self, tag: str) -> str:
        """Return what a cell has printed."""
        return "".join(part.text for part in self.cell(tag).get("outputs", []) if part.output_type == "stream")

    def shown(self, tag: str, kind: str = "text/html") -> str:
        """Return what a cell has displayed of a kind."""
        outputs = self.cell(tag).get("outputs", [])
        return "".join(str(part.data.get(kind, "")) for part in outputs if part.output_type == "display_data")
