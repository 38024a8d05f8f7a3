"""The run matrix: which runs a study has, and what they are called."""

from collections.abc import Iterable
from typing import NamedTuple


class Run(NamedTuple):
    """One fine-tuning run of the study: a method on a number of training rows with one seed.

    ``epochs`` is None in the main arm, whose epochs are those of the training section, and a number in a control.
    """

    name: str
    method: str
    size: int
    size_label: str
    seed: int
    epochs: int | None = None

    @property
    def arm(self) -> str:
        """``main``, or ``control`` for a run that repeats a size for another number of epochs."""
        return "main" if self.epochs is None else "control"


def size_label(size: int) -> str:
    """Return how a size is written in file names.

    >>> size_label(20000), size_label(200)
    ('20k', '200')
    """
    return f"{size // 1000}k" if size % 1000 == 0 else str(size)


def runs_of(config: dict) -> list[Run]:
    """Return the runs in the order of the study: method, then size, then seed; controls last.

    The first seed keeps the bare name; the others add ``_seed{n}``.
    """
    study = config["study"]
    arms = [(method, size, None) for method in study["methods"] for size in study["sizes"]]
    arms += [(control["method"], control["size"], control["epochs"]) for control in study["controls"]]
    runs = []
    for method, size, epochs in arms:
        label = size_label(size)
        bare = f"{method}_{label}" + (f"_{epochs}epochs" if epochs else "")
        for position, seed in enumerate(study["seeds"]):
            runs.append(Run(bare + (f"_seed{seed}" if position else ""), method, size, label, seed, epochs))
    return runs


def floors_of(config: dict) -> list[str]:
    """Return the rows of the study that no model makes, as ``floor_{name}``."""
    return [f"floor_{name}" for name in config["evaluation"]["floors"]]


def files_of(folder: str, rows: Iterable[str], name: str) -> list[str]:
    """Return the file of that name of each row of the study."""
    return [f"{folder}/{row}/{name}" for row in rows]


def sizes_of(config: dict) -> dict[str, int]:
    """Return the training sizes by the label that stands in file names."""
    return {size_label(size): size for size in config["study"]["sizes"]}


def wildcard_patterns(config: dict) -> dict[str, str]:
    """Return what the wildcards of the rules may be, as regular expressions that match whole names."""
    runs, floors, sizes = [run.name for run in runs_of(config)], config["evaluation"]["floors"], sizes_of(config)
    exams = config["evaluation"]["exams"]
    return {
        "run": "|".join([*runs, "base", *floors_of(config)]),
        "model": "|".join([*runs, "base"]),
        "floor": "|".join(floors) or "none",
        "tuned": "|".join(runs),
        "size": "|".join(sizes),
        "part": "|".join(["validation", *(f"train_{size}" for size in sizes)]),
        "exam": "|".join(exams) or "none",
        "set": "|".join(["retention", "mix", *(f"exam_{exam}" for exam in exams)]),
    }


def folder_name(repository: str) -> str:
    """Return the folder of a model or data set: the last part of its id or path.

    >>> folder_name("Qwen/Qwen2.5-3B-Instruct")
    'Qwen2.5-3B-Instruct'
    """
    return repository.rstrip("/").rsplit("/", 1)[-1]
