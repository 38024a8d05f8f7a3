"""The run matrix: which runs a study has, and what they are called."""

import re
from collections.abc import Iterable
from typing import NamedTuple


class Run(NamedTuple):
    """One fine-tuning run of the study: a method on a number of training rows with one seed.

    ``epochs`` is None where they are those of the training section, and a number in a control that repeats a size for
    others. ``mix`` is the percentage of general rows in a control that trains on such beside its own, and else None.
    """

    name: str
    method: str
    size: int
    size_label: str
    seed: int
    epochs: int | None = None
    mix: int | None = None

    @property
    def arm(self) -> str:
        """``main``, or ``control`` for a run that repeats a size in another way."""
        return "main" if self.epochs is None and self.mix is None else "control"

    @property
    def part(self) -> str:
        """The part of the data that the run is trained on, as it stands in file names."""
        return f"train_{self.size_label}" + ("" if self.mix is None else f"_mix{self.mix}")


def size_label(size: int) -> str:
    """Return how a size is written in file names.

    >>> size_label(20000), size_label(200)
    ('20k', '200')
    """
    return f"{size // 1000}k" if size % 1000 == 0 else str(size)


def runs_of(config: dict) -> list[Run]:
    """Return the runs in the order of the study: method, then size, then seed; controls last, those with a mix behind.

    The first seed keeps the bare name; the others add ``_seed{n}``, and are trained at the sizes of `seed_sizes` alone.
    """
    study, percent = config["study"], mix_percent(config)
    arms: list[tuple[str, int, int | None, int | None]] = [
        (method, size, None, None) for method in study["methods"] for size in study["sizes"]
    ]
    arms += [(control["method"], control["size"], control["epochs"], None) for control in study["controls"]]
    arms += [(method, size, None, percent) for method, size in mixed_arms(config)]
    several = seed_sizes(config)
    runs = []
    for method, size, epochs, mix in arms:
        label = size_label(size)
        bare = f"{method}_{label}" + (f"_{epochs}epochs" if epochs else "") + (f"_mix{mix}" if mix else "")
        for position, seed in enumerate(study["seeds"] if size in several else study["seeds"][:1]):
            runs.append(Run(bare + (f"_seed{seed}" if position else ""), method, size, label, seed, epochs, mix))
    return runs


def seed_sizes(config: dict) -> set[int]:
    """Return the sizes at which a study trains with all of its seeds; at the others it does with the first."""
    study = config["study"]
    if study.get("seeds_at") is None:
        return set(study["sizes"])
    ends = {"smallest": min(study["sizes"]), "largest": max(study["sizes"])}
    return {ends.get(each, each) for each in study["seeds_at"]}


def mix_percent(config: dict) -> int | None:
    """Return the percentage of general rows of the runs that train on such; None where the study has none."""
    mix = config["study"].get("mix")
    return round(100 * mix["share"]) if mix else None


def mixed_arms(config: dict) -> list[tuple[str, int]]:
    """Return method and size of each run that is repeated with general rows among its own."""
    study = config["study"]
    if not study.get("mix"):
        return []
    if study["mix"]["runs"] is None:
        return [(method, max(study["sizes"])) for method in study["methods"]]
    return [(run["method"], run["size"]) for run in study["mix"]["runs"]]


def mixed_rows(size: int, percent: int) -> int:
    """Return how many general rows come to ``size`` rows, so that they are ``percent`` in a hundred of all.

    >>> mixed_rows(900, 10), mixed_rows(200, 10)
    (100, 22)
    """
    return round(size * percent / (100 - percent))


def mix_of(run: str) -> int | None:
    """Return the percentage of general rows by the name of a run; None for a run without such.

    >>> mix_of("lora_20k_mix10_seed43"), mix_of("lora_20k_5epochs")
    (10, None)
    """
    found = re.fullmatch(r"\w+?_mix(\d+)(_seed\d+)?", run)
    return int(found[1]) if found else None


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
    matrix, floors, sizes = runs_of(config), config["evaluation"]["floors"], sizes_of(config)
    runs = [run.name for run in matrix]
    mixed = list(dict.fromkeys(run.part.removeprefix("train_") for run in matrix if run.mix is not None))
    exams = config["evaluation"]["exams"]
    return {
        "run": "|".join([*runs, "base", *floors_of(config)]),
        "model": "|".join([*runs, "base"]),
        "floor": "|".join(floors) or "none",
        "tuned": "|".join(runs),
        "size": "|".join(sizes),
        "mixed": "|".join(mixed) or "none",
        "part": "|".join(["validation", *(f"train_{size}" for size in [*sizes, *mixed])]),
        "exam": "|".join(exams) or "none",
        "set": "|".join(["retention", "mix", *(f"exam_{exam}" for exam in exams)]),
    }


def folder_name(repository: str) -> str:
    """Return the folder of a model or data set: the last part of its id or path.

    >>> folder_name("Qwen/Qwen2.5-3B-Instruct")
    'Qwen2.5-3B-Instruct'
    """
    return repository.rstrip("/").rsplit("/", 1)[-1]
