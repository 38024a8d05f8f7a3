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
    "compare": Room(
        ("compare",),
        ("tests/compare",),
        # Up to a dozen simulated studies each, more than half of the room's time, for statements about their average.
        deselected=(
            "tests/compare/test_scaling_law.py::test_a_base_model_apart_is_left_out_of_the_law",
            "tests/compare/test_scaling_law.py::test_a_clear_law_is_chosen_and_its_intervals_mostly_hold_the_truth",
            "tests/compare/test_scaling_law.py::test_chance_is_not_taken_for_a_law",
        ),
    ),
    # The sentences of the demo corpus are data: no test should hold their wording.
    "data": Room(
        ("data",),
        ("tests/data",),
        left_out=("data/demo/phrasings.py",),
        # Eight seconds of starting processes, over every line of the room.
        deselected=(
            "tests/data/test_data_at_scale.py::TestResults::test_any_number_of_processes_gives_the_same_bytes",
        ),
    ),
    "train": Room(
        ("train",),
        ("tests/train",),
        # Whole runs of training; each is left with another pair of parameters.
        deselected=(
            "tests/train/test_training.py::test_a_resumed_run_equals_an_uninterrupted_one[3-qlora]",
            "tests/train/test_training.py::test_a_resumed_run_equals_an_uninterrupted_one[7-qlora]",
            "tests/train/test_training.py::test_a_resumed_run_equals_an_uninterrupted_one[7-lora]",
            "tests/train/test_training.py::test_gradient_checkpointing_changes_nothing_but_memory[lora-1]",
            "tests/train/test_training.py::test_gradient_checkpointing_changes_nothing_but_memory[qlora-2]",
        ),
    ),
    "evaluate": Room(
        ("evaluate",),
        ("tests/evaluate",),
        # Nine seconds, most of them for the import of torch in two processes.
        deselected=("tests/evaluate/test_bertscore.py::test_score_takes_the_model_and_loads_torch_only_for_it",),
    ),
    "staleness": Room(
        (
            *("base/digest.py", "base/study.py", "base/config.py", "base/identity.py", "base/settings.py"),
            *("fetch/hashes.py", "fetch/manifest.py", "fetch/model_files.py", "fetch/sources.py"),
        ),
        (
            "tests/base/test_config.py",
            "tests/base/test_digest.py",
            "tests/base/test_identity.py",
            "tests/base/test_settings.py",
            "tests/base/test_study.py",
            "tests/fetch/test_manifest.py",
            "tests/fetch/test_sources.py",
        ),
        # Six seconds for the start of Snakemake, over every line of the configuration.
        deselected=("tests/base/test_config.py::test_snakemake_shows_the_message_without_a_traceback",),
    ),
}
