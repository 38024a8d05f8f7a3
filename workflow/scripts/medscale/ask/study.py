"""Which runs of a study can be asked, and with what: the settings that each was trained and tested with. No torch."""

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from medscale.base.config import SCHEMA, resolve
from medscale.base.errors import UserError
from medscale.base.files import read_json, read_jsonl
from medscale.base.settings import prediction_settings
from medscale.base.study import runs_of
from medscale.fetch.manifest import content_of, read_manifest
from medscale.fetch.sources import follow, source_of

ROOT = SCHEMA.parents[2]
CONDITIONS = ROOT / "resources" / "demo" / "conditions.json"
DEFAULT = "config/config.yaml"
BASE = "base"
LONGEST_LIST = 8


class Asked(NamedTuple):
    """A run that can be asked, or the base model alone.

    Attributes:
        name: as its folder of results is called; ``base`` for the base model.
        method: ``lora``, ``qlora`` or ``base``.
        adapter: the folder of its adapter; None for the base model.
        model: the digest of the base model that it was trained on; None where any will do.
        chat, quantization, precision, max_length: what prediction uses, too.
    """

    name: str
    method: str
    adapter: Path | None
    model: str | None
    chat: dict[str, Any]
    quantization: dict[str, Any]
    precision: str
    max_length: int


class Study:
    """The folder of a study, seen by who asks its runs.

    Args:
        config: the resolved configuration.
        called: the options of the command that name the study, for messages that tell what to call.
    """

    def __init__(self, config: dict[str, Any], called: str = ""):
        self.config, self.called = config, called
        self.results = Path(config["paths"]["results"])
        source = source_of(config, "model", CONDITIONS)
        follow(source)
        self.manifest = Path(source.manifest)

    @property
    def max_new_tokens(self) -> int:
        """Tokens of the longest answer, as in the study."""
        return self.config["evaluation"]["max_new_tokens"]

    def finished(self) -> list[str]:
        """Return the names of the trained runs, those of the configuration first and in its order."""
        there = {file.parent.name for file in self.results.glob("*/training.json") if _is_whole(file.parent)}
        planned = [run.name for run in runs_of(self.config) if run.name in there]
        return planned + sorted(there - set(planned))

    def asked(self, name: str) -> Asked:
        """Return what a run is asked with.

        Raises:
            UserError: there is no such run, it is not trained yet, or another base model lies there now.
        """
        if name == BASE:
            told = prediction_settings(self.config, None)
            return Asked(
                *(BASE, BASE, None, None, told["chat"], told["quantization"], told["precision"], told["max_length"])
            )
        if name not in self.finished():
            raise self._not_there(name)
        folder = self.results / name
        training = read_json(folder / "training.json")
        settings, model = training["settings"], training["provenance"]["model_manifest_sha256"]
        if content_of(read_manifest(self.manifest)) != model:
            raise UserError(
                "K103",
                f"{folder / 'training.json'}: {name} was trained on another base model than the one that "
                f"{self.manifest} describes; set model back to that one, or train the run anew: "
                f"snakemake {self._target(name)}",
            )
        trained = settings["training"]
        return Asked(
            *(name, settings["method"], folder / "adapter", model, settings["chat"], settings["quantization"]),
            *(trained["precision"], trained["max_length"]),
        )

    def first_choice(self, page: bool) -> str:
        """Return the run that a page begins with where none is named; a terminal wants it named.

        Raises:
            UserError: nothing can be asked, or one of several must be named.
        """
        finished = self.finished()
        if page and finished:
            return finished[-1]
        raise UserError("K113", f"which run? Name it: make ask RUN=…; {self._listed(finished)}")

    def examples(self, count: int) -> list[dict[str, Any]]:
        """Return the first rows of the test set; none where it was not made yet."""
        path = self.results / "data" / "test.jsonl"
        return list(islice(read_jsonl(path), count)) if path.is_file() else []

    def _not_there(self, name: str) -> UserError:
        there = self._listed(self.finished())
        planned = [run.name for run in runs_of(self.config)]
        if name in planned:
            return UserError("K101", f"{name} is not trained yet; {there}. To make it: snakemake {self._target(name)}")
        return UserError(
            "K102",
            f"RUN = {name}: no such run in this study; {there}. It has {', '.join(planned[:LONGEST_LIST])}"
            f"{', …' if len(planned) > LONGEST_LIST else ''} and {BASE}; another study is named by CONFIG=…",
        )

    def _listed(self, finished: list[str]) -> str:
        if not finished:
            return f"none is finished in {self.results}"
        return f"finished: {', '.join(finished[:LONGEST_LIST])}" + (", …" if len(finished) > LONGEST_LIST else "")

    def _target(self, name: str) -> str:
        return f"{self.results / name}/adapter --cores 2 --resources gpu=1{self.called}"


def open_study(configfiles: Sequence[str], directory: str | None) -> Study:
    """Return the study that these options name, with its folder as the current one, as Snakemake has it.

    Args:
        configfiles: merged in this order into the study's own configuration, or the repository's where it has none.
        directory: the folder of the study; None for the current one.

    Raises:
        UserError: a file is not there or no configuration, or its values are not allowed.
    """
    files = [Path(name).absolute() for name in configfiles]
    if directory is not None:
        if not Path(directory).is_dir():
            raise UserError("K104", f"--directory: {directory} is not a folder; name that of the study")
        os.chdir(directory)
    own = Path(DEFAULT)
    config: dict[str, Any] = {}
    for path in (own if own.is_file() else ROOT / DEFAULT, *files):
        _merge(config, path)
    called = "".join(f" --configfile {path}" for path in configfiles[:1]) + "".join(f" {p}" for p in configfiles[1:])
    return Study(resolve(config), called + (f" --directory {directory}" if directory else ""))


def _merge(config: dict[str, Any], path: Path) -> None:
    """Merge a file into the configuration as Snakemake does."""
    from snakemake.common.configfile import load_configfile
    from snakemake.exceptions import WorkflowError
    from snakemake.utils import update_config

    try:
        update_config(config, load_configfile(path))
    except (WorkflowError, OSError, UnicodeDecodeError) as error:
        raise UserError("K104", f"{path}: cannot be read as a configuration ({error}); name another file") from error


def _is_whole(folder: Path) -> bool:
    return (folder / "adapter" / "adapter_config.json").is_file()
