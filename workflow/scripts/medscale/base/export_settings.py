"""What an export is told of the configuration, apart from `settings`: trainings know nothing of it."""

from typing import Any

from medscale.base.errors import UserError
from medscale.base.settings import prediction_settings
from medscale.base.study import Run

PRIVATE = ("gguf_converter",)
"""Keys of the section `export` that name a place on this machine."""


def export_settings(config: dict, run: Run) -> dict[str, Any]:
    """Return all that decides what the export of a run holds, except the run's own files."""
    told = {key: value for key, value in config["export"].items() if key not in PRIVATE}
    resamples = config["evaluation"]["bootstrap_resamples"]
    return {"export": told, "resamples": resamples, **prediction_settings(config, run)}


def exported_run(runs: dict[str, Run], name: str) -> Run:
    """Return the run of that name.

    Raises:
        UserError: it is the base model or a floor, which have no adapter.
    """
    if name not in runs:
        kind = "the base model itself" if name == "base" else "a floor, which no model makes"
        raise UserError(
            "G101",
            f"results/{name}/export: {name} is {kind}, so there is nothing to export; name a run: {', '.join(runs)}",
        )
    return runs[name]


def without_export(config: dict) -> dict[str, Any]:
    """Return the configuration without `export` and `judging`: the report of a study does not depend on them."""
    return {name: section for name, section in config.items() if name not in ("export", "judging")}


def without_private(config: dict) -> dict[str, Any]:
    """Return the configuration with a section `export` that names no place on this machine."""
    kept = {key: value for key, value in config["export"].items() if key not in PRIVATE}
    return config | {"export": kept}
