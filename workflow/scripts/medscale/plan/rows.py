"""The rows of the plan: what was measured, turned into time, memory, energy, money and sessions of each run."""

import json
import os
from collections.abc import Sequence
from typing import Any

from medscale.base.settings import settings_for
from medscale.base.study import Run, runs_of
from medscale.plan.arithmetic import (
    TIMES,
    Passes,
    answer_lengths,
    answer_passes,
    energy_kwh,
    fits,
    money,
    prediction_seconds,
    spent,
    totals,
)
from medscale.plan.cards import spread
from medscale.plan.exam_passes import Examinations
from medscale.plan.lengths import Lengths
from medscale.plan.outcome import Examining, Machine, Outcome
from medscale.plan.sessions import SET_UP_SECONDS, Job, Limit, pack
from medscale.plan.table import duration

COMPUTED = {"optimizer": ("adamw_torch", "adamw_torch_fused"), "packing": (False,), "liger_kernel": (False,)}
"""The values for which a plan is computed."""
A_PASS = 10.0
"""Seconds of an examination that are taken to be lost where a session's end cuts a pass off."""


def planned_passes(config: dict[str, Any], lengths: Lengths, tuned: bool) -> Passes:
    """Return the passes over the model in which the test questions are answered."""
    evaluation, test = config["evaluation"], lengths.parts["test"]
    prompts, limit = [row.total - row.answer for row in test], evaluation["max_new_tokens"]
    answers = answer_lengths([row.answer for row in test], limit, tuned)
    return answer_passes(prompts, answers, limit, evaluation["batch_size"])


def run_row(
    config: dict[str, Any], run: Run, settings: dict[str, Any], outcome: Outcome, lengths: Lengths, machine: Machine
) -> dict[str, Any]:
    """Return what plan.json says of a fine-tuned run."""
    from medscale.plan.training import training_seconds

    measured, steps, train, between = outcome.training, None, None, None
    if measured:
        steps, train, between = training_seconds(
            measured,
            # Computed are padded passes.
            settings["training"] | ({"packing": False} if machine.computed else {}),
            lengths.parts[run.part],
            lengths.parts["validation"],
            run.seed,
        )
    chosen = {
        "micro_batch": measured.micro_batch if measured else None,
        "checkpointed_layers": measured.checkpointed_layers if measured else None,
        "precision": measured.precision if measured else None,
    }
    peaks = [part for part in (measured, outcome.prediction, outcome.examination) if part]
    memory = {
        "allocated": max((part.allocated_gib for part in peaks), default=None),
        "reserved": max((part.reserved_gib for part in peaks if part.reserved_gib), default=None),
        "training": measured.allocated_gib if measured else None,
    }
    row = {"run": run.name, "method": run.method, "train_size": run.size, "seed": run.seed, "steps": steps}
    row |= {"train_seconds": train, "seconds_between_checkpoints": between, "peak_memory_gib": memory}
    energy = energy_kwh(train, measured.watts) if measured else None
    return row | finish(config, outcome, lengths, row, energy, chosen, machine)


def base_row(config: dict[str, Any], outcome: Outcome, lengths: Lengths, machine: Machine) -> dict[str, Any]:
    """Return what plan.json says of the base model, which is only asked."""
    prediction = outcome.prediction
    peaks = [part for part in (prediction, outcome.examination) if part]
    memory = {
        "allocated": max((part.allocated_gib for part in peaks), default=None),
        "reserved": max((part.reserved_gib for part in peaks if part.reserved_gib), default=None),
    }
    row = {"run": "base", "method": "base", "train_size": 0, "seed": None, "steps": None, "train_seconds": None}
    row |= {"seconds_between_checkpoints": None, "peak_memory_gib": memory}
    chosen = {"precision": prediction.precision if prediction else None}
    return row | finish(config, outcome, lengths, row, 0.0, chosen, machine)


def finish(
    config: dict[str, Any],
    outcome: Outcome,
    lengths: Lengths,
    row: dict[str, Any],
    train_energy: float | None,
    chosen: dict[str, Any],
    machine: Machine,
) -> dict[str, Any]:
    """Return the part of a row that base model and runs share: prediction, exams, energy, money, settings."""
    prediction, answers, likelihood, energy = outcome.prediction, None, None, None
    examined = examination(outcome.examination, lengths.examined)
    if prediction:
        answers = prediction_seconds(planned_passes(config, lengths, row["run"] != "base"), prediction.decoding)
        likelihood = prediction.likelihood * sum(row.total for row in lengths.parts["test"])
        asked = energy_kwh(answers + likelihood, prediction.watts)
        energy = None if asked is None or train_energy is None else train_energy + asked
    if energy is not None and outcome.examination:
        more = energy_kwh(examined["examine_seconds"], outcome.examination.watts)
        energy = None if more is None else energy + more
    peak = row["peak_memory_gib"]
    fit = outcome.problem is None and fits(peak["reserved"] or peak["allocated"], machine.memory_gib)
    times = {"train_seconds": row["train_seconds"], "predict_seconds": answers, "likelihood_seconds": likelihood}
    cost = money(spent(times | examined), machine.price_per_hour) if fit else None
    ranges = {name: (times | examined)[name] for name in ("train_seconds", "predict_seconds", "examine_seconds")}
    ranges |= {"cost": cost}
    return {
        "basis": "computed, not measured" if machine.computed else "measured",
        "predict_seconds": answers,
        "likelihood_seconds": likelihood,
        **examined,
        "fits": fit,
        "problem": outcome.problem,
        "energy_kwh": energy if fit else None,
        "cost": cost,
        "ranges": {name: spread(value) for name, value in ranges.items()} if machine.computed else None,
        "settings": chosen | {"evaluation_batch_size": prediction.batch_size if prediction else None},
    }


def examination(measured: Examining | None, examined: Examinations) -> dict[str, Any]:
    """Return what a model's examination takes: in all, by set, and the loading of the model; None where there is none.

    The seconds count as those of examination.json do, which are without the loading.
    """
    if measured is None:
        return {"examine_seconds": None, "examine_load_seconds": None, "examine_seconds_by_set": {}}
    by_set = {each.name: measured.model.seconds(one.step for one in each.passes) for each in examined.sets}
    return {
        "examine_seconds": sum(by_set.values()),
        "examine_load_seconds": measured.load,
        "examine_seconds_by_set": by_set,
    }


def further(config: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what the further seeds and the runs with general rows take, which are in the totals.

    By ``seeds`` and ``mix``, where the study has such: the trainings, and the seconds and money of their training and
    answers; None where they do not fit the card.
    """
    first = {run.name.removesuffix(f"_seed{run.seed}") for run in runs_of(config)}
    of = {
        "seeds": [run.name for run in runs_of(config) if run.name not in first],
        "mix": [run.name for run in runs_of(config) if run.mix is not None and run.name in first],
    }
    by_run = {row["run"]: row for row in rows}
    found = {}
    for kind, names in of.items():
        if names:
            sums = totals([by_run[name] for name in names], (*TIMES, "cost"))
            known = None if None in (sums["train_seconds"], sums["predict_seconds"]) else spent(sums)
            found[kind] = {"trainings": len(names), "seconds": known, "cost": sums["cost"]}
    return found


def session(
    limits: dict[str, Any], rows: list[dict[str, Any]], machine: Machine, pilots: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Return how the runs that fit the memory, and the longest of them alone, fit the sessions of a service.

    The pilots of the learning rate come first: they are part of the study.

    Of computed times both ends are packed: ``study`` and ``longest_run`` are the least, ``…_at_most`` the most.
    """
    limit = Limit(limits["hours"], limits.get("hours_per_week"))
    parts = ("study", "longest_run", "study_at_most", "longest_run_at_most")
    found = {"hours": limit.hours, "hours_per_week": limit.hours_per_week} | dict.fromkeys(parts)
    fitting = [row for row in rows if row["fits"]]
    if not fitting:
        return found
    before = [row for row in pilots if row["fits"]]
    longest = max(fitting, key=lambda row: row["train_seconds"] or 0.0)
    ends = dict(zip(("", "_at_most"), spread(1.0), strict=True)) if machine.computed else {"": 1.0}
    for end, factor in ends.items():
        found[f"study{end}"] = pack([job for row in before + fitting for job in jobs(row, factor)], limit)._asdict()
        found[f"longest_run{end}"] = pack(jobs(longest, factor), limit)._asdict()
    return found


def jobs(row: dict[str, Any], factor: float = 1.0) -> list[Job]:
    """Return the training, the prediction, which begins anew, and the examination; ``factor`` times as long.

    A training resumes, and an examination goes on from the last pass that ended, once its model is loaded again.
    """
    if row["predict_seconds"] is None:
        between = factor * row["seconds_between_checkpoints"]
        return [Job(f"{row['run']}", factor * row["train_seconds"], between)]
    seconds = factor * (row["predict_seconds"] + row["likelihood_seconds"])
    found = [Job(f"prediction of {row['run']}", seconds)]
    if row["train_seconds"] is not None:
        between = factor * row["seconds_between_checkpoints"]
        found.insert(0, Job(f"training of {row['run']}", factor * row["train_seconds"], between))
    if row.get("examine_seconds") is not None:
        load = factor * row["examine_load_seconds"]
        found.append(Job(f"examination of {row['run']}", load + factor * row["examine_seconds"], load + A_PASS))
    return found


def measured_facts(kind: str, outcome: Outcome) -> dict[str, Any]:
    """Return the coefficients that the forecast was made from."""
    training, prediction, examined = outcome.training, outcome.prediction, outcome.examination
    return {
        "method": json.loads(kind)[0],
        "training": training._asdict() | {"model": training.model._asdict()} if training else None,
        "prediction": prediction._asdict() | {"decoding": [d._asdict() for d in prediction.decoding]}
        if prediction
        else None,
        "examination": examined._asdict() | {"model": examined.model._asdict()} if examined else None,
        "problem": outcome.problem,
    }


def notes(
    config: dict[str, Any], rows: list[dict[str, Any]], outcomes: dict[str, Outcome], machine: Machine
) -> list[str]:
    """Return what a reader should know of how the figures came about."""
    found = [
        "Training time counts as training.json does: steps, validations and checkpoints, without loading the model. "
        "Prediction time counts as inference.json does: the answers alone.",
        "An answer of a tuned model is taken to be as long as its reference, but for one in 38, which goes on to "
        "evaluation.max_new_tokens as every answer of the base model is taken to.",
        *_likelihoods(rows),
        f"A session is taken to need {SET_UP_SECONDS / 60:g} minutes before work goes on.",
    ]
    if machine.device == "cpu":
        found.append("On a CPU, the memory is the resident peak of the process, and there is no price and no energy.")
    if not machine.computed and (load := os.getloadavg()[0]) > (os.cpu_count() or 1) + 1:
        found.append(f"The machine was busy with other work (load average {load:.1f}): the times are too long.")
    trainings = [settings_for(config, run)["training"] for run in runs_of(config)]
    if any(training["gpus_per_run"] > 1 for training in trainings):
        found.append("training.gpus_per_run is not counted: the times are those of one card.")
    if machine.computed:
        found += [
            f"training.{key} is not counted: the figures are those of {json.dumps(values[0])}."
            for key, values in COMPUTED.items()
            if any(training[key] not in values for training in trainings)
        ]
    if config["study"]["mix"]:
        found.append("The general rows of study.mix are taken to be as long as those of the corpus.")
    found += _examinations(rows)
    if config["evaluation"]["engine"] == "vllm":
        found.append("The answers' time and memory are those of transformers; what vLLM takes is not known.")
    found += [note for outcome in outcomes.values() if outcome.training for note in outcome.training.notes]
    missing = [row for row in rows if not row["fits"]]
    found += [f"{row['run']} does not fit: {row['problem']}" for row in missing]
    if 0 < len(missing) < len(rows):
        found.append("Sums and sessions are those of the runs that fit.")
    return found


def _examinations(rows: list[dict[str, Any]]) -> list[str]:
    """Return how exams and general texts are counted."""
    loads = [row["examine_load_seconds"] for row in rows if row.get("examine_load_seconds")]
    if not loads:
        return []
    return [
        "The time of exams and general texts counts as examination.json does: the passes alone. Each model is loaded "
        f"once more for them, which is taken to need {duration(sum(loads))} in all: that is in money and sessions, and "
        "in no column of the table."
    ]


def _likelihoods(rows: list[dict[str, Any]]) -> list[str]:
    known = [row["likelihood_seconds"] for row in rows if row["likelihood_seconds"]]
    if not known:
        return []
    return [
        f"The likelihoods of the references take {duration(sum(known))} in all: they are in money and sessions, and in "
        "no column of the table."
    ]
