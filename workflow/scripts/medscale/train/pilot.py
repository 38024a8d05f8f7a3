"""The pilot of a method: each rate of a grid on the smallest and the largest size, trained as the runs are, compared.

A pilot has the trainer, the order of the data, the batch, the precision and the memory settings of the run whose rate
is to be found, and a whole schedule, warm-up and decay, over a share of its steps. What is finished is kept, a file a
rate, and what is not goes on from its newest checkpoint.
"""

import argparse
import gc
import json
import time
from pathlib import Path
from typing import Any

import torch

from medscale.base.errors import UserError
from medscale.base.events import EventLog
from medscale.base.files import read_json, remove_folder, sha256_file, sha256_json, write_json
from medscale.base.pilots import pilot_steps
from medscale.fetch.manifest import content_of, read_manifest, verify
from medscale.model.hardware import EnergyMeter, MemoryMeter, hardware, software
from medscale.train.checkpoints import newest_checkpoint
from medscale.train.rates import best_rate, edge, extension
from medscale.train.run import Study, finetune, read_encoded
from medscale.train.trainer import logged, planned_steps

DIGITS = 6
DIVERGED = "T101"


def run(args: argparse.Namespace) -> None:
    """Do what the arguments of ``pilot.py`` ask for, on the device that is visible."""
    torch.set_num_threads(args.threads)
    verify(args.model, content=args.content)
    pilot = json.loads(args.settings)
    sizes = {}
    with EnergyMeter() as energy:
        for label, spec in pilot["sizes"].items():
            sizes[label] = tried_size(args, pilot, label, spec, energy)
    print(
        f"chosen for {args.method}: "
        + ", ".join(f"{size['chosen']:g} on {label} rows" for label, size in sizes.items())
    )
    write_json(
        args.output,
        {
            "schema_version": 1,
            "method": args.method,
            "seed": args.seed,
            "pilot": {name: value for name, value in pilot.items() if name != "sizes"},
            "sizes": sizes,
            "seconds": round(sum(rate["seconds"] for size in sizes.values() for rate in size["rates"]), 3),
            "hardware": hardware(),
            "software": software(),
            "provenance": {
                "validation_sha256": sha256_file(args.validation),
                "model_manifest_sha256": content_of(read_manifest(args.model)),
            },
        },
    )


def tried_size(
    args: argparse.Namespace,
    pilot: dict[str, Any],
    label: str,
    spec: dict[str, Any],
    energy: EnergyMeter,
) -> dict[str, Any]:
    """Try every rate on one size, one more where the best lies at the end of the grid, and return what came of it.

    Args:
        args: of ``pilot.py``.
        pilot: what is tried; see `base.pilots.chosen_by`.
        label: of the size.
        spec: its ``size``, ``fixed`` rate or None, ``rates``, ``settings`` and ``fingerprint``.
        energy: a meter that runs.

    Raises:
        UserError: every rate has diverged.
    """
    found: dict[float, dict[str, Any]] = {}

    def losses() -> dict[float, float | None]:
        return {rate: result["nll"] for rate, result in found.items()}

    def attempt(rate: float, beyond: bool) -> None:
        found[rate] = tried_rate(args, pilot, label, spec, rate, energy) | {"extended": beyond}

    for rate in spec["rates"]:
        attempt(rate, beyond=False)
    best = best_rate(losses())
    if best is not None and pilot["extend"] and (further := extension(list(found), best)):
        attempt(further, beyond=True)
        best = best_rate(losses())
    if best is None:
        raise UserError(
            "T110",
            f"pilot.rates = {spec['rates']}: with {args.method} on {label} rows, training diverged at each; name "
            "smaller rates, or set training.precision to bf16 or fp32 if it is fp16",
        )
    at_edge = edge(list(found), best)
    if at_edge:
        print(f"warning: {label} rows: the best rate, {best:g}, lies at the {at_edge} end of those tried", flush=True)
    first = next(iter(found.values()))
    return {
        "size": spec["size"],
        "steps": first["steps"],
        "steps_of_a_run": first["steps_of_a_run"],
        "fixed": spec["fixed"],
        "chosen": best,
        "at_edge": at_edge,
        "answer_tokens": next(result["answer_tokens"] for result in found.values() if result["nll"] is not None),
        "rates": [
            {
                key: value
                for key, value in found[rate].items()
                if key not in ("answer_tokens", "steps", "steps_of_a_run")
            }
            for rate in sorted(found)
        ],
    }


def tried_rate(
    args: argparse.Namespace,
    pilot: dict[str, Any],
    label: str,
    spec: dict[str, Any],
    rate: float,
    energy: EnergyMeter,
) -> dict[str, Any]:
    """Train one rate on one size, or return what an earlier call has kept of it."""
    train, validation = args.train[label], args.validation
    key = [spec["fingerprint"], sha256_file(train), sha256_file(validation), args.content]
    folder = Path(args.kept) / label / sha256_json(key)[:16]
    result, work = folder / f"{float(rate)!r}.json", folder / f"{float(rate)!r}"  # as exact as the rate
    if not result.is_file():
        write_json(result, trained(args, pilot, label, spec, rate, work, energy))
        gc.collect()  # the Trainer and its callbacks hold each other, and the model
        torch.cuda.empty_cache()
    remove_folder(work)
    return read_json(result)


def trained(
    args: argparse.Namespace,
    pilot: dict[str, Any],
    label: str,
    spec: dict[str, Any],
    rate: float,
    folder: Path,
    energy: EnergyMeter,
) -> dict[str, Any]:
    """Return what one training came to: its losses over the steps, its time, and the loss of each validation row."""
    train, validation = read_encoded(args.train[label]), read_encoded(args.validation)
    whole = planned_steps(len(train), spec["settings"]["training"])
    steps = pilot_steps(pilot, whole)
    training = spec["settings"]["training"] | {
        "learning_rate": rate,
        "max_steps": steps,
        "eval_interval": 1 / pilot["validations"],
        "early_stopping_patience": None,
    }
    name = f"{args.method}_{label} at {rate:g}"
    untold = {"report_to": [], "offline": True, "project": "", "trackers": folder / "trackers"}
    own = argparse.Namespace(**vars(args) | untold | {"run": name, "micro_batch": str(args.micro_batch[label])})
    fingerprint = {"fingerprint": sha256_json([spec["fingerprint"], rate])[:16]}
    events = EventLog(folder / "events.jsonl")
    events.add("started", name)
    study = Study(
        own,
        spec["settings"] | {"training": training},
        train,
        validation,
        fingerprint,
        folder,
        events,
        MemoryMeter(),
        energy,
        title=f"{label} rows, rate {rate:g}",
        by_row=True,
    )
    checkpoint, _ = newest_checkpoint(folder)
    if checkpoint is not None and int(checkpoint.name.split("-")[1]) >= steps:
        remove_folder(checkpoint)  # the losses of the rows, of its last validation, are lost with the process
    began = time.monotonic()
    try:
        trainer, facts = finetune(study)
    except UserError as error:
        if error.code != DIVERGED:
            raise
        print(f"{name}: {error.text}", flush=True)
        return {
            "rate": rate,
            "nll": None,
            "diverged": error.text,
            "curve": [],
            "losses": [],
            "seconds": round(time.monotonic() - began, 3),
            "steps": steps,
            "steps_of_a_run": whole,
            "rows": None,
            "answer_tokens": None,
            "facts": None,
        }
    history = trainer.state.log_history
    curve = [[entry["step"], round(entry["eval_loss"], DIGITS)] for entry in history if "eval_loss" in entry]
    return {
        "rate": rate,
        "nll": round(sum(loss for loss, _ in trainer.by_row) / sum(tokens for _, tokens in trainer.by_row), DIGITS),
        "diverged": None,
        "curve": curve,
        "losses": [[entry["step"], round(entry["loss"], DIGITS)] for entry in history if "loss" in entry],
        "seconds": logged(history, "seconds"),
        "steps": steps,
        "steps_of_a_run": whole,
        "rows": [round(loss, DIGITS) for loss, _ in trainer.by_row],
        "answer_tokens": [tokens for _, tokens in trainer.by_row],
        "facts": {name: facts[name] for name in ("micro_batch", "precision", "checkpointed_layers")},
    }
