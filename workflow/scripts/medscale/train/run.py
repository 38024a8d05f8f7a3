"""One run of fine-tuning: its inputs checked, trained from its newest checkpoint, its results written."""

import argparse
import csv
import gc
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import torch
from datasets import Dataset
from datasets.table import InMemoryTable
from transformers import PreTrainedConfig, PreTrainedModel

from medscale.base.errors import UserError
from medscale.base.events import EventLog, now
from medscale.base.files import atomic_folder, atomic_path, read_json, sha256_file, sha256_json, write_json, write_text
from medscale.base.identity import trained_fingerprint
from medscale.base.progress import working
from medscale.base.torchrun import rank, world
from medscale.fetch.manifest import content_of, read_manifest, root_of, verify
from medscale.model.hardware import EnergyMeter, MemoryMeter, device, hardware, software
from medscale.model.loading import add_adapter, checkpoint_layers, load_base, trainable_parameters
from medscale.model.precision import precision
from medscale.model.tokenizer import load_tokenizer
from medscale.train.accelerations import usable
from medscale.train.checkpoints import best_of, foreign_pickles_refused, newest_checkpoint, slim
from medscale.train.disk import require_room
from medscale.train.distributed import gathered
from medscale.train.fitting import Fit, choose, lower
from medscale.train.rates import chosen_rate
from medscale.train.saved_adapter import name_base, require_trained
from medscale.train.trackers.asked import OWN
from medscale.train.trackers.callback import tracked
from medscale.train.trainer import StudyTrainer, logged, make_trainer, planned_steps, trainer_arguments


class Study(NamedTuple):
    """What a run works with, and where it leaves things."""

    args: argparse.Namespace
    settings: dict[str, Any]
    train: Dataset
    validation: Dataset
    provenance: dict[str, str]
    folder: Path
    events: EventLog
    memory: MemoryMeter
    energy: EnergyMeter
    title: str = "fine-tuning"
    by_row: bool = False  # whether the last validation keeps the loss of each row


def run(args: argparse.Namespace) -> None:
    """Do what the arguments of ``finetune.py`` ask for, on the device that is visible."""
    torch.set_num_threads(max(1, args.threads // world()))
    with EnergyMeter() as energy:
        study = prepare(args, energy)
        trainer, facts = finetune(study)
        if rank() > 0:
            return
        study.events.add("finished", f"{trainer.state.global_step} steps")
        write_outputs(study, trainer, facts)
        slim(study.folder, trainer.state.best_model_checkpoint)


def prepare(args: argparse.Namespace, energy: EnergyMeter) -> Study:
    """Read and check the inputs, and open the folder that belongs to exactly this run."""
    verify(args.model, content=args.content)
    settings, chosen = json.loads(args.settings), None
    if args.pilot:
        chosen = chosen_rate(read_json(args.pilot), args.size, args.pilot)
        settings["training"]["learning_rate"] = chosen
    report = read_json(args.train_report)
    provenance = {
        "config_sha256": sha256_json(settings),
        "train_sha256": report["rows_sha256"],
        "test_sha256": sha256_file(args.test),
        "model_manifest_sha256": content_of(read_manifest(args.model)),
    }
    fingerprint = trained_fingerprint(
        args.fingerprint,
        args.run,
        provenance["train_sha256"],
        sha256_file(args.validation),
        provenance["model_manifest_sha256"],
        chosen,
    )
    provenance = {"fingerprint": fingerprint, **provenance}
    folder = Path(args.adapter).parent / "checkpoints" / provenance["fingerprint"]
    events = EventLog(folder / "events.jsonl" if rank() == 0 else None)
    train, validation = read_encoded(args.train), read_encoded(args.validation)
    study = Study(args, settings, train, validation, provenance, folder, events, MemoryMeter(), energy)
    if any(event["kind"] == "started" for event in events.all()):
        return study
    rate = "" if chosen is None else f", learning rate {chosen:g} as the pilot has chosen"
    events.add("started", f"{args.run} on {device().type}{rate}")
    if report["prompts_too_long"]:
        events.add(
            "warning",
            f"{len(report['prompts_too_long'])} rows have prompts of {report['max_length']} tokens or more",
            "left out of training; raise training.max_length to keep them",
        )
    if report["answers_truncated"]:
        events.add(
            "warning", f"{report['answers_truncated']} answers are longer than fits", "cut to training.max_length"
        )
    if looking := report.get("control_text", {}).get("rows"):
        events.add("warning", f"{looking} rows hold text that looks like the model's control tokens", "kept as text")
    return study


def read_encoded(path: str) -> Dataset:
    """Return the encoded rows, in memory and straight from the file: a cache between the two could be stale."""
    return Dataset(InMemoryTable(pq.read_table(path, columns=["input_ids", "labels"])))


def finetune(study: Study) -> tuple[StudyTrainer, dict[str, Any]]:
    """Train; where the card's memory does not suffice, checkpoint every layer, and then halve the micro-batch.

    The effective batch and the order of the data stay as they were.
    """
    fit = None
    while True:
        model, load_peak = load(study)
        fit = fit or fit_to_device(study, model.config)
        try:
            return attempt(study, model, load_peak, fit)
        except torch.OutOfMemoryError as error:
            message = f"out of memory with micro_batch {fit.rows}: {str(error).splitlines()[0]}"
        if world() > 1:  # the others wait for this process, and cannot be told
            raise UserError(
                "T102", f"{message}; lower training.micro_batch, or set training.gradient_checkpointing to true"
            )
        del model
        gc.collect()
        torch.cuda.empty_cache()
        less = lower(fit.rows, fit.checkpointed, fit.layers)
        if less is None:
            raise UserError(
                "T103",
                f"{message}; even one sample with gradient checkpointing does not fit. "
                "Lower training.max_length or lora.r, take qlora, or a smaller model",
            )
        action = "gradient checkpointing in every layer" if less[0] == fit.rows else f"micro_batch {less[0]}"
        study.events.add("fallback", message, action)
        fit = fit._replace(rows=less[0], checkpointed=less[1])


def fit_to_device(study: Study, config: PreTrainedConfig) -> Fit:
    """Return the rows of a forward pass and the checkpointed layers, and note where the card is too small for all."""
    args, settings = study.args, study.settings
    fit, problem = choose(config, args.method, args.largest, settings, args.micro_batch)
    if problem:
        study.events.add("warning", problem, "gradient checkpointing in every layer")
    elif fit.checkpointed and settings["training"]["gradient_checkpointing"] == "auto":
        study.events.add(
            "fallback",
            f"keeping every activation would take {fit.unchecked_gib:.1f} GiB of {hardware()['gpu_memory_gib']} for "
            f"{args.largest} with {fit.rows} rows, as simulated",
            f"gradient checkpointing in {fit.checkpointed} of {fit.layers} layers, in every run of the study",
        )
    return fit


def load(study: Study) -> tuple[PreTrainedModel, float]:
    """Return the base model and the peak memory of loading it, in GiB."""
    args, settings = study.args, study.settings
    study.memory.restart()
    try:
        kind = precision(settings["training"]["precision"])
        with working("loading the base model", rank() == 0):
            model = load_base(root_of(args.model), args.method, settings["quantization"], kind)
    except torch.OutOfMemoryError as error:
        raise UserError(
            "T104",
            f"the model alone does not fit into the card's memory ({str(error).splitlines()[0]}); take qlora or a "
            "smaller model, or end what else uses the card",
        ) from error
    return model, study.memory.allocated()


def attempt(study: Study, model: PreTrainedModel, load_peak: float, fit: Fit) -> tuple[StudyTrainer, dict[str, Any]]:
    """Train from the newest checkpoint or from the beginning, and return the trainer with the best adapter."""
    args, settings = study.args, study.settings
    training, left_out = usable(settings["training"])
    for reason in left_out:
        study.events.add("fallback", reason)
    kind = precision(training["precision"])
    model = add_adapter(model, settings["lora"], args.seed)
    arguments = trainer_arguments(study.folder, training, len(study.train), kind, args.seed, OWN in args.report_to)
    trainer = make_trainer(
        model, load_tokenizer(args.model), study.train, study.validation, arguments, training, fit.rows, study.energy
    )
    trainer.title, trainer.by_row = study.title, [] if study.by_row else None
    if not trainer.answer_loss:
        study.events.add(
            "warning",
            "this model's loss is more than its head and cross-entropy, so it computes the logits of every token",
            "more memory and time than for other models",
        )
    checkpoint_layers(model, fit.checkpointed)
    with arguments.main_process_first(local=False):  # which sets aside what is torn
        checkpoint, resumed_from = resume_point(study)
    require_room(study.folder, model, training, planned_steps(len(study.train), training))
    with tracked(args, settings, study.provenance, len(study.train), study.events) as tracking:
        trainer.add_callback(tracking)
        study.memory.restart()
        with foreign_pickles_refused(checkpoint):
            trainer.train(resume_from_checkpoint=checkpoint)
        if useless := require_trained(model, trainer.state, study.folder):
            study.events.add("warning", useless, "the adapter is kept as it is")
        if training["early_stopping_patience"] and trainer.state.global_step < trainer.state.max_steps:
            study.events.add(
                "warning",
                f"no better validation loss in {training['early_stopping_patience']} validations",
                "stopped early",
            )
        facts = {
            "resumed_from_step": resumed_from,
            "micro_batch": fit.rows,
            "gpus": world(),
            "precision": kind,
            "gradient_checkpointing": fit.checkpointed > 0,
            "checkpointed_layers": fit.checkpointed,
            "simulated_peak_gib": None if fit.gib is None else round(fit.gib, 3),
            "trainable_parameters": trainable_parameters(model),
            "peak_memory_gib": peak_memory(study, load_peak),
        }
        tracking.came_to(facts, trainer.state)
    return trainer, facts


def peak_memory(study: Study, load_peak: float) -> dict[str, Any]:
    """Return the peaks in GiB of loading and of training, in this process or an earlier one of this very run.

    A run that resumes at its last step trains nothing, so what it takes says nothing of training.
    """
    note = study.folder / "peak_memory.json"
    now = {"load": load_peak, "train_allocated": study.memory.allocated(), "train_reserved": study.memory.reserved()}
    parts = gathered(now)  # of several cards, that of the fullest
    now = {name: max(part[name] for part in parts) if now[name] is not None else None for name in now}
    if rank() > 0:
        return now
    before = read_json(note) if note.is_file() else {}
    peaks = {name: max(filter(None, (before.get(name), value)), default=value) for name, value in now.items()}
    write_json(note, peaks)
    return peaks | {"kind": study.memory.kind}


def resume_point(study: Study) -> tuple[str | None, int | None]:
    """Return the newest complete checkpoint of this very run with its step, and note what was found."""
    checkpoint, torn = newest_checkpoint(study.folder)
    for path, reason in torn:
        name = path.name.removeprefix("torn-")
        study.events.add("warning", f"{name} cannot be gone on from: {reason}", f"set aside as {path.name}")
    if checkpoint is None:
        return None, None
    best = best_of(checkpoint)
    if best is not None and not best.is_dir():
        study.events.add(
            "warning",
            f"{best.name}, the best so far, is lost",
            f"the best of {checkpoint.name} and the later ones is taken",
        )
    step = read_json(checkpoint / "trainer_state.json")["global_step"]
    study.events.add("resumed", f"the newest complete checkpoint is of step {step}", f"resumed from step {step}")
    return str(checkpoint), step


def write_outputs(study: Study, trainer: StudyTrainer, facts: dict[str, Any]) -> None:
    """Write the adapter, the log, the TensorBoard files and, last, training.json, which says that they are there."""
    args, state = study.args, trainer.state
    Path(args.training).unlink(missing_ok=True)
    with atomic_folder(args.adapter) as folder:
        trainer.model.save_pretrained(folder, safe_serialization=True)
        name_base(folder, read_manifest(args.model))
    with atomic_folder(args.tensorboard) as folder:
        if OWN in args.report_to:
            shutil.copytree(study.folder / "runs", folder, dirs_exist_ok=True)
        else:
            write_text(folder / "README.txt", "training.report_to does not name tensorboard.\n")
    write_log(args.train_log, state.log_history)

    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    seconds = logged(state.log_history, "seconds")
    samples = state.epoch * len(study.train)
    write_json(
        args.training,
        {
            "schema_version": 1,
            "run": args.run,
            "training": {
                "started_at": next(event["time"] for event in study.events.all() if event["kind"] == "started"),
                "finished_at": now(),
                "seconds": seconds,
                "epochs": round(state.epoch, 4),
                "steps": state.global_step,
                "samples_per_second": round(samples / seconds, 4),
                "tokens_per_second": round(state.num_input_tokens_seen / seconds, 2),
                "final_train_loss": losses[-1],
                "best_validation_loss": state.best_metric,
                "best_step": state.best_global_step,
                "effective_batch": study.settings["training"]["effective_batch"],
                "learning_rate": study.settings["training"]["learning_rate"],
                "learning_rate_from": "pilot" if args.pilot else "configuration",
                "energy_kwh": logged(state.log_history, "energy_kwh"),
                **facts,
            },
            "hardware": hardware(),
            "software": software(),
            "provenance": study.provenance,
            "settings": {"method": args.method, "seed": args.seed, **study.settings},
            "events": study.events.all(),
        },
    )


def write_log(path: str, history: list[dict[str, float]]) -> None:
    """Write the log as CSV, one row a step; a cell is blank where nothing was measured at that step."""
    rows: dict[int, dict[str, float]] = {}
    for entry in history:
        rows.setdefault(entry["step"], {}).update(entry)
    names = ("step", "epoch", "seconds", "loss", "eval_loss", "learning_rate", "grad_norm", "num_input_tokens_seen")
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([*names[:-1], "tokens"])
        for step in sorted(rows):
            writer.writerow([rows[step].get(name, "") for name in names])
