"""What Python runs first in each process that a test starts: take the mutant, or record which lines run.

`mutation.running` sets the variables, and puts this folder on PYTHONPATH.
"""

import atexit
import os
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location


class Mutated(SourceFileLoader):
    """Load one file from other source text, under its own path."""

    def __init__(self, name: str, path: str, source: str):
        super().__init__(name, path)
        self.text = source

    def get_code(self, fullname: str):
        """Compile the other text; nothing is cached on disk."""
        return compile(self.text, self.path, "exec")


class Finder:
    """Find the module of the mutant, and no other."""

    def __init__(self, name: str, path: str, source: str):
        self.name, self.path, self.source = name, path, source

    def find_spec(self, fullname: str, path=None, target=None) -> ModuleSpec | None:
        """Return the mutant where its module is asked for."""
        if fullname != self.name:
            return None
        return spec_from_file_location(fullname, self.path, loader=Mutated(fullname, self.path, self.source))


def record(folder: str) -> None:
    """Record the lines that this process runs, for the test that started it."""
    from multiprocessing.util import Finalize

    import coverage

    recorder = coverage.Coverage(
        data_file=os.path.join(folder, f"lines.{os.getpid()}"),
        config_file=False,
        source_pkgs=["medscale"],
        context=os.environ["MUTATION_TEST"],
        messages=False,
    )
    recorder._warn_no_data = False
    recorder.start()
    saved = []

    def save() -> None:
        if not saved:
            saved.append(True)
            recorder.stop()
            recorder.save()

    atexit.register(save)
    Finalize(None, save, exitpriority=0)  # a worker process ends without atexit


if mutant := os.environ.get("MUTATION_MUTANT"):
    with open(mutant, encoding="utf-8") as file:
        name, path, source = file.read().split("\0")
    sys.meta_path.insert(0, Finder(name, path, source))
elif folder := os.environ.get("MUTATION_LINES"):
    record(folder)
