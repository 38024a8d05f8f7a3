"""What `make mutants` can be run on: the files that are mutated, and the tests that have to notice."""

from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path("workflow/scripts/medscale")
# Tests that take minutes or need a browser, a cluster or a card are not run thousands of times.
MARKERS = "not workflow and not slow and not browser and not slurm and not gpu"


@dataclass(frozen=True)
class Room:
    """Paths are relative to the package for ``files`` and ``left_out``, and to the repository for ``tests``.

    ``left_out`` names files that are not mutated, ``deselected`` tests that are not run.
    """

    files: tuple[str, ...]
    tests: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    deselected: tuple[str, ...] = ()

    def paths(self, root: Path) -> list[Path]:
        """Return the files to mutate."""
        package = root / PACKAGE
        found: set[Path] = set()
        for name in self.files:
            path = package / name
            found |= set(path.rglob("*.py")) if path.is_dir() else {path}
        return sorted(found - {package / name for name in self.left_out})


ROOMS = {
    "compare": Room(("compare",), ("tests/compare",)),
    # The sentences of the demo corpus are data: no test should hold their wording.
    "data": Room(("data",), ("tests/data",), left_out=("data/demo/phrasings.py",)),
    "train": Room(("train",), ("tests/train",)),
    "evaluate": Room(("evaluate",), ("tests/evaluate",)),
    "staleness": Room(
        ("base/digest.py", "base/study.py", "base/config.py"),
        ("tests/base",),
    ),
}
