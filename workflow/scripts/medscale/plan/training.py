"""A few dozen real training steps, and what each part of them took: steps, validations, checkpoints, memory, power."""

import gc
import statistics
import tempfile
import time
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from medscale.base.errors import UserError
from medscale.model.chat import IGNORED
from medscale.model.hardware import EnergyMeter, MemoryMeter, device
from medscale.model.loading import add_adapter, checkpoint_layers, trainable_parameters
from medscale.model.precision import precision
from medscale.model.tokenizer import load_tokenizer
from medscale.plan.arithmetic import Step, batches, cut, fit, saves
from medscale.plan.lengths import Row
from medscale.plan.outcome import CPU_FLOPS, Measured
from medscale.plan.random_model import blank_tokenizer, config_of, load_shape
from medscale.plan.shapes import Shape
from medscale.train.accelerations import usable
from medscale.train.fitting import Fit, choose, lower
from medscale.train.trainer import (
    EpochOrder,
    StudyTrainer,
    make_trainer,
    planned_steps,
    trainer_arguments,
    validation_places,
)

WARM_UP = 4
STEPS = 32  # measured; the order sorts so many batches by length together, so the longest rows meet
LEAST = 4
VALIDATION_ROWS = 64
STEP_SECONDS = 10.0
ROUGH = "A whole batch would take minutes here: steps of {rows} rows were measured and scaled up, which is rough."


class Watch(TrainerCallback):
    """Notes when steps, validations and checkpoints end, and stops when there are enough."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.steps: list[float] = []
        self.validations: list[float] = []
        self.saves: list[float] = []
        self.end = 0.0

    def _lap(self) -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        lap, self.mark = now - self.mark, now
        return lap

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.began = self.mark = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.steps.append(self._lap())
        enough = len(self.steps) >= WARM_UP + LEAST and self.mark - self.began > self.seconds
        if enough:
            control.should_training_stop = control.should_evaluate = control.should_save = True

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.validations.append(self._lap())

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.saves.append(self._lap())

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.end = self._lap()


def measure_training(
    shape: Shape, method: str, settings: dict[str, Any], train: list[Row], validation: list[Row], seconds: float
) -> Measured:
    """Train for a few dozen steps, with less memory where it does not suffice, as the run itself will.

    Args:
        shape: the model.
        method: lora or qlora.
        settings: sections training, lora, quantization, and the study's ``largest`` method.
        train, validation: lengths of rows; a sample is drawn from each.
        seconds: stop after so long, once a few steps are done.

    Raises:
        UserError: not even one row with gradient checkpointing in every layer fits.
    """
    notes: list[str] = []
    rows = settings["training"]["micro_batch"]
    chosen, problem = choose(config_of(shape), method, settings["largest"], settings, rows)
    if problem:
        notes.append(problem)
    while True:
        try:
            return _attempt(shape, method, settings, train, validation, seconds, chosen, notes)
        except torch.OutOfMemoryError as error:
            message = f"out of memory with micro_batch {chosen.rows}: {str(error).splitlines()[0]}"
        gc.collect()
        torch.cuda.empty_cache()
        notes.append(message)
        less = lower(chosen.rows, chosen.checkpointed, chosen.layers)
        if less is None:
            raise UserError("T103", f"{message}, with one row and gradient checkpointing in every layer")
        chosen = chosen._replace(rows=less[0], checkpointed=less[1])


def _attempt(
    shape: Shape,
    method: str,
    settings: dict[str, Any],
    train: list[Row],
    validation: list[Row],
    seconds: float,
    chosen: Fit,
    notes: list[str],
) -> Measured:
    training, left_out = usable(settings["training"])
    kind, memory = precision(training["precision"]), MemoryMeter()
    memory.restart()
    model = load_shape(shape, method, settings["quantization"], kind)
    load_gib = memory.allocated()
    vocabulary, parameters = model.config.get_text_config().vocab_size, model.num_parameters()
    model = add_adapter(model, settings["lora"], seed=0)

    effective = rows_at_once(training["effective_batch"], parameters, train)
    measured = training | {
        "effective_batch": effective,
        "epochs": 1,
        "max_steps": None,
        "eval_interval": 0.5,
        "learning_rate": 1e-5,
        "early_stopping_patience": None,
    }
    whole = effective == training["effective_batch"]
    rows = spread(train, effective * (WARM_UP + (STEPS if whole else LEAST)))
    judged = spread(validation, min(len(validation), training["validation_rows"], VALIDATION_ROWS if whole else 2))
    tokenizer = load_tokenizer(shape.manifest) if shape.manifest else blank_tokenizer(min(vocabulary, 1000))
    with tempfile.TemporaryDirectory() as folder, EnergyMeter() as energy:
        arguments = trainer_arguments(folder, measured, len(rows), kind, seed=0)
        trainer = make_trainer(
            model,
            tokenizer,
            random_rows(rows, vocabulary),
            random_rows(judged, vocabulary),
            arguments,
            measured,
            chosen.rows,
            energy,
        )
        tokens = trainer.micro_batch_tokens
        checkpoint_layers(model, chosen.checkpointed)
        order = list(trainer._get_train_sampler())
        watch = Watch(seconds)
        trainer.add_callback(watch)
        memory.restart()
        trainer.train()
        used = energy.so_far()
        spent = time.perf_counter() - watch.began
        if whole:
            heaviest_step(trainer, train, training["effective_batch"], vocabulary)
        multiple = trainer.data_collator.pad_to_multiple_of or 1
        sizes = [
            cut([rows[i].total for i in part], tokens, multiple, training["packing"])
            for part in batches(order, effective)
        ]
        found = fit(sizes[WARM_UP : len(watch.steps)], watch.steps[WARM_UP:])
        return Measured(
            micro_batch=chosen.rows,
            checkpointed_layers=chosen.checkpointed,
            precision=kind,
            multiple=multiple,
            steps=len(watch.steps) - WARM_UP,
            model=found,
            startup=max(0.0, sum(watch.steps[:WARM_UP]) - found.seconds(sizes[:WARM_UP])),
            validation=validation_times(trainer, judged, effective, watch.validations[-1]),
            checkpoint=statistics.median(watch.saves),
            end=watch.end,
            load_gib=load_gib,
            allocated_gib=memory.allocated(),
            reserved_gib=memory.reserved(),
            watts=None if used is None else 3.6e6 * used / spent,
            trainable_parameters=trainable_parameters(model),
            notes=[*notes, *left_out, *([] if whole else [ROUGH.format(rows=effective)])],
        )


def rows_at_once(effective_batch: int, parameters: int, train: list[Row]) -> int:
    """Return the rows of a measured step: the effective batch, or on a CPU as many as take seconds and not minutes."""
    if device().type == "cuda":
        return effective_batch
    row = sum(row.total for row in train) / len(train)
    return max(1, min(effective_batch, int(STEP_SECONDS * CPU_FLOPS / (6 * parameters * row))))


def spread(rows: list[Row], count: int) -> list[Row]:
    """Return ``count`` rows, drawn evenly from the rows in the order of their lengths; of fewer rows, some twice."""
    ordered = sorted(rows)
    return [ordered[int((place + 0.5) * len(ordered) / count)] for place in range(count)]


def random_rows(rows: list[Row], vocabulary: int) -> Dataset:
    """Return encoded rows of these lengths, whose tokens are random."""
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(2, vocabulary, (row.total,), generator=generator).tolist() for row in rows]
    labels = [
        [IGNORED] * (row.total - row.answer) + tokens[row.total - row.answer :]
        for row, tokens in zip(rows, ids, strict=True)
    ]
    return Dataset.from_dict({"input_ids": ids, "labels": labels})


def heaviest_step(trainer: StudyTrainer, train: list[Row], effective_batch: int, vocabulary: int) -> None:
    """Run the longest rows through a step, for the peak of the memory."""
    rows = random_rows(sorted(train)[-effective_batch:], vocabulary)
    batch = trainer.data_collator([rows[i] for i in range(len(rows))])
    answers = (batch["labels"] != IGNORED).sum().to(device())
    trainer.training_step(trainer.model_wrapped, batch, answers)
    trainer.model.zero_grad(set_to_none=True)


def validation_times(
    trainer: StudyTrainer, judged: list[Row], effective_batch: int, whole: float
) -> tuple[float, float]:
    """Return the seconds of a validation as (constant, a token), from one of all rows and one of a quarter of them."""
    rows = trainer.eval_dataset
    few = rows.select(range(0, len(rows), 4))
    part = []
    for _ in range(2):
        began = time.perf_counter()
        trainer.evaluate(few)
        part.append(time.perf_counter() - began)
    lengths = sorted(row.total for row in judged)
    tokens, some = validation_tokens(lengths, effective_batch), validation_tokens(lengths[::4], effective_batch)
    token = max(0.0, (whole - min(part)) / (tokens - some)) if tokens > some else whole / tokens
    return max(0.0, whole - token * tokens), token


def validation_tokens(lengths: list[int], effective_batch: int) -> int:
    """Return the tokens of a validation, padding included."""
    return sum(len(part) * max(part) for part in batches(sorted(lengths), effective_batch))


def training_seconds(
    measured: Measured, training: dict[str, Any], train: list[Row], validation: list[Row], seed: int
) -> tuple[int, float, float]:
    """Return a run's optimiser steps, its seconds, and the seconds between two of its checkpoints.

    Args:
        measured: from `measure_training`.
        training: the run's resolved `training` section.
        train, validation: lengths of all its rows.
        seed: seed of the run, which decides the order of its rows.
    """
    effective, count = training["effective_batch"], planned_steps(len(train), training)
    lengths, budget = [row.total for row in train], measured.micro_batch * training["max_length"]
    sizes: list[Step] = []
    while len(sizes) < count:
        epoch = len(sizes) // -(-len(train) // effective)
        order = EpochOrder(lengths, effective, seed, lambda epoch=epoch: epoch)
        rows = [lengths[i] for i in order]
        sizes += [cut(part, budget, measured.multiple, training["packing"]) for part in batches(rows, effective)]
    seconds = measured.model.seconds(sizes[:count])
    validations, checkpoints = saves(count, training["eval_interval"], training["save_minutes"], seconds)
    constant, token = measured.validation
    judged = [row.total for row in validation]
    judged = [judged[place] for place in validation_places(judged, training["validation_rows"])]
    one = constant + token * validation_tokens(judged, effective)
    seconds += measured.startup + measured.end + validations * one + checkpoints * measured.checkpoint
    return count, seconds, seconds / checkpoints
