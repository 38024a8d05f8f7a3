"""Which runs take a learning rate that a pilot chooses, and what the pilot of a method tries.

A pilot trains the smallest and the largest size of a method for a share of their steps at each rate of a grid. A run
whose ``training.learning_rate`` is ``auto`` takes what is chosen from that; with ``pilot.check`` the fixed rates of a
method that has no such run are tried beside the grid, and nothing but the report depends on it.
"""

import math
from typing import Any

from medscale.base.settings import settings_for, training_settings
from medscale.base.study import Run, runs_of

AUTO = "auto"
DECIDES = ("rates", "share", "least_steps", "validations", "extend")
"""Keys of the section `pilot` that decide what is chosen."""


def is_auto(config: dict, run: Run) -> bool:
    """Return whether a run takes the rate that the pilot of its method chooses."""
    return settings_for(config, run)["training"]["learning_rate"] == AUTO


def piloted(config: dict, method: str) -> list[Run]:
    """Return the runs that stand for the smallest and the largest size whose rate is to be found out, or no run.

    They are of the main arm and of the first seed; where only one size is meant, it is one run.
    """
    of_method = [run for run in runs_of(config) if run.method == method]
    main = {run.size: run for run in reversed(of_method) if run.arm == "main"}  # the first seed
    sizes = {run.size for run in of_method if is_auto(config, run)} & main.keys()
    if not sizes and config["pilot"]["check"]:  # beside a choice it would add sizes, and with them another choice
        sizes = {*main}
    return [main[size] for size in sorted({min(sizes), max(sizes)})] if sizes else []


def pilots_of(config: dict) -> list[str]:
    """Return the methods that have a pilot, in the order of the study."""
    return [method for method in config["study"]["methods"] if piloted(config, method)]


def rates_of(config: dict, run: Run) -> list[float]:
    """Return the rates that the pilot tries on the size of ``run``, the smallest first; a fixed one is among them."""
    fixed = fixed_rate(config, run)
    return sorted({*config["pilot"]["rates"], *([] if fixed is None else [fixed])})


def fixed_rate(config: dict, run: Run) -> float | None:
    """Return the rate that the configuration gives a run; None where the pilot chooses it."""
    rate = settings_for(config, run)["training"]["learning_rate"]
    return None if rate == AUTO else rate


def pilot_steps(pilot: dict[str, Any], steps: int) -> int:
    """Return the optimiser steps of a pilot of a run of ``steps`` steps; never more than the run has itself.

    >>> pilot_steps({"share": 0.03, "least_steps": 50}, 6250)
    188
    """
    share = math.ceil(round(pilot["share"] * steps, 6))  # 0.1 × 1250 is a little more than 125
    return min(steps, max(pilot["least_steps"], share))


def piloted_settings(config: dict, run: Run) -> dict[str, Any]:
    """Return all that decides the weights of a pilot of ``run``, except its data and its rate."""
    settings = training_settings(config, run)
    return settings | {"training": settings["training"] | {"learning_rate": None}}


def chosen_by(config: dict, run: Run) -> dict[str, Any]:
    """Return what decides the rate that is chosen for ``run``: the grid, and the settings that it is tried with."""
    ends = piloted(config, run.method)
    tried = {end.size_label: [rates_of(config, end), piloted_settings(config, end)] for end in ends}
    return {key: config["pilot"][key] for key in DECIDES} | {"sizes": tried}


def without_pilot(config: dict) -> list[Run]:
    """Return the runs that are to take a pilot's rate and have none: controls whose method and size no main run has."""
    runs = runs_of(config)
    main = {(run.method, run.size) for run in runs if run.arm == "main"}
    return [run for run in runs if is_auto(config, run) and (run.method, run.size) not in main]
