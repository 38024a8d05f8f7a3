"""What the pilots of the learning rate take, in the form of the plan's rows, and how much that is of the study."""

from typing import Any

from medscale.base.pilots import pilot_steps, piloted, pilots_of, rates_of
from medscale.base.settings import settings_for
from medscale.base.study import Run
from medscale.plan.arithmetic import energy_kwh, fits, money, spent
from medscale.plan.cards import CACHED_BYTES, DISK_BYTES, spread
from medscale.plan.lengths import Lengths
from medscale.plan.outcome import Machine, Outcome
from medscale.plan.table import duration

WORTH = 0.1
"""A pilot that takes more than this share of the study is told to be dear."""


def pilot_row(
    config: dict[str, Any], ends: list[Run], outcomes: list[Outcome], lengths: Lengths, machine: Machine, weights: float
) -> dict[str, Any]:
    """Return what plan.json says of the pilot of a method: every rate, one more a size, and loading the model for each.

    Args:
        config: the resolved configuration.
        ends: the runs that stand for the smallest and the largest size.
        outcomes: of their kinds, in the same order.
        lengths: of all rows.
        machine: what the plan is for.
        weights: bytes of the model's weights on the disk, in 16 bits.
    """
    from medscale.plan.training import training_seconds  # torch, as in `rows`

    method, pilot = ends[0].method, config["pilot"]
    problem = next((outcome.problem for outcome in outcomes if outcome.problem), None)
    known = [outcome.training for outcome in outcomes if outcome.training]
    steps = seconds = longest = energy = None
    trained = 0
    if len(known) == len(ends):
        steps, seconds, longest = 0, 0.0, 0.0
        for end, measured in zip(ends, known, strict=True):
            training, rows = settings_for(config, end)["training"], lengths.parts[f"train_{end.size_label}"]
            short = (
                training
                | {
                    "max_steps": pilot_steps(pilot, training_steps(rows, training)),
                    "eval_interval": 1 / pilot["validations"],
                    "early_stopping_patience": None,
                }
                | ({"packing": False} if machine.computed else {})
            )
            count, one, _ = training_seconds(measured, short, rows, lengths.parts["validation"], end.seed)
            tried = len(rates_of(config, end)) + pilot["extend"]
            one += weights / CACHED_BYTES
            steps, seconds, longest, trained = (
                steps + tried * count,
                seconds + tried * one,
                max(longest, one),
                trained + tried,
            )
        seconds += weights / DISK_BYTES - weights / CACHED_BYTES  # the first time
        energy = energy_kwh(seconds, known[0].watts)
    allocated = max((part.allocated_gib for part in known), default=None)
    reserved = max((part.reserved_gib for part in known if part.reserved_gib), default=None)
    fit = problem is None and seconds is not None and fits(reserved or allocated, machine.memory_gib)
    cost = money(seconds, machine.price_per_hour) if fit else None
    ranges = {"train_seconds": seconds, "predict_seconds": None, "examine_seconds": None, "cost": cost}
    return {
        "run": f"pilot_{method}",
        "method": method,
        "train_size": None,
        "seed": ends[0].seed,
        "trainings": trained or None,
        "steps": steps,
        "train_seconds": seconds,
        "seconds_between_checkpoints": longest,
        "peak_memory_gib": {"allocated": allocated, "reserved": reserved, "training": allocated},
        "basis": "computed, not measured" if machine.computed else "measured",
        "predict_seconds": None,
        "likelihood_seconds": None,
        "examine_seconds": None,
        "examine_load_seconds": None,
        "fits": fit,
        "problem": problem,
        "energy_kwh": energy if fit else None,
        "cost": cost,
        "ranges": {name: spread(value) for name, value in ranges.items()} if machine.computed else None,
        "settings": {
            "micro_batch": known[0].micro_batch if known else None,
            "checkpointed_layers": known[0].checkpointed_layers if known else None,
            "precision": known[0].precision if known else None,
            "evaluation_batch_size": None,
        },
    }


def pilot_share(pilots: list[dict[str, Any]], runs: list[dict[str, Any]]) -> float | None:
    """Return the pilots' time by that of all runs, with answers, likelihoods and exams; None where one is not known."""
    whole = sum(spent(row) for row in runs if row["fits"])
    if not pilots or not whole or any(row["train_seconds"] is None for row in pilots):
        return None
    return sum(row["train_seconds"] for row in pilots) / whole


def pilot_notes(config: dict[str, Any], pilots: list[dict[str, Any]], runs: list[dict[str, Any]]) -> list[str]:
    """Return what the plan says of the pilots: how much of the study they are, and what was counted."""
    share = pilot_share(pilots, runs)
    if share is None:
        return []
    taken = duration(sum(row["train_seconds"] for row in pilots))
    most = (
        " and one rate more for each size, where the best lies at an end of them," if config["pilot"]["extend"] else ""
    )
    told = f"The pilots of the learning rate take {taken}, {100 * share:.1f} % of what all runs take"
    told += f": pilot.rates{most} with validations, and loading the model for each."
    if share > WORTH:
        told += " That is more than a tenth: lower pilot.share or pilot.least_steps, or fix training.learning_rate."
    return [told]


def pilot_methods(config: dict[str, Any]) -> dict[str, list[Run]]:
    """Return the runs at the ends of each method that has a pilot."""
    return {method: piloted(config, method) for method in pilots_of(config)}


def training_steps(rows: list[Any], training: dict[str, Any]) -> int:
    """Return the optimiser steps of a run on these rows."""
    from medscale.train.trainer import planned_steps

    return planned_steps(len(rows), training)
