"""Fine-tuning with the Hugging Face Trainer: the order of the data, the log, the checkpoints."""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import DataLoader, Sampler
from transformers import (
    DataCollatorForSeq2Seq,
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import EvalLoopOutput, TrainOutput

from medscale.base.disk import full_disk_named
from medscale.base.errors import UserError
from medscale.base.files import remove_folder
from medscale.base.progress import Progress
from medscale.base.torchrun import rank, world
from medscale.model.chat import IGNORED
from medscale.model.hardware import EnergyMeter, device
from medscale.train.accelerations import LIGER, keep_input_type
from medscale.train.adapter_dropout import use_bit_dropout
from medscale.train.answer_loss import answer_positions, use_answer_loss
from medscale.train.checkpoints import mark_complete, rotate
from medscale.train.disk import checkpoint_bytes
from medscale.train.distributed import gathered, share, total

GROUP = 32  # effective batches whose rows are sorted by length together
WATCHED = 5  # steps after which a loss that is no number is seen, at the latest


class EpochOrder(Sampler[int]):
    """An order of the rows that depends on (seed, epoch, effective batch) alone, with similar lengths side by side.

    Rows are shuffled, sorted by length within groups of `GROUP` effective batches, cut into effective batches, and the
    batches are shuffled. Micro-batches are cut from an effective batch, so neither their size nor a resume changes
    which rows make an optimiser step.

    Args:
        lengths: tokens of each row.
        effective_batch: rows of an optimiser step.
        seed: seed of the run.
        epoch: called at the start of each pass; returns the number of the epoch.
    """

    def __init__(self, lengths: list[int], effective_batch: int, seed: int, epoch: Callable[[], int]):
        self.lengths, self.effective_batch, self.seed, self.epoch = lengths, effective_batch, seed, epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch())
        rows = torch.randperm(len(self.lengths), generator=generator).tolist()
        size = self.effective_batch
        batches = []
        for start in range(0, len(rows), GROUP * size):
            group = sorted(rows[start : start + GROUP * size], key=self.lengths.__getitem__)
            batches += [group[i : i + size] for i in range(0, len(group), size)]
        # An incomplete batch stays last: the Trainer counts on full ones before it.
        full = [batch for batch in batches if len(batch) == size]
        incomplete = [batch for batch in batches if len(batch) < size]
        order = torch.randperm(len(full), generator=generator).tolist()
        for batch in [full[i] for i in order] + incomplete:
            yield from batch


def micro_batches(batch: dict[str, torch.Tensor], tokens: int, multiple: int = 1) -> Iterator[dict[str, torch.Tensor]]:
    """Cut a right-padded batch into micro-batches of about ``tokens`` tokens, each padded to its own longest row.

    Args:
        batch: ``input_ids``, ``attention_mask`` and ``labels`` of shape (rows, longest).
        tokens: most tokens of a micro-batch, padding included; a single row may be longer.
        multiple: lengths are rounded up to a multiple of this, where the batch is wide enough.
    """
    lengths = batch["attention_mask"].sum(1)
    order = torch.argsort(lengths, descending=True, stable=True)
    widths = ((lengths[order] + multiple - 1) // multiple * multiple).clamp(max=batch["input_ids"].shape[1]).tolist()
    start = 0
    while start < len(order):
        rows = order[start : start + max(1, tokens // max(1, widths[start]))]
        yield {name: values[rows, : widths[start]] for name, values in batch.items()}
        start += len(rows)


def packed(part: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Join the rows of a micro-batch to one row without padding, whose positions begin anew with each sample.

    The model's attention tells samples by their positions, so none sees another. The first label of each is ignored:
    it would be predicted from the sample before.
    """
    rows = part["attention_mask"].bool()
    labels = part["labels"].clone()
    labels[:, 0] = IGNORED
    positions = torch.arange(rows.shape[1], device=rows.device).expand_as(rows)
    row = {"input_ids": part["input_ids"], "labels": labels, "position_ids": positions}
    return {name: values[rows][None] for name, values in row.items()}


class StudyTrainer(Trainer):
    """The Trainer with our order of the data, micro-batches of constant tokens, and a clock that outlives resumes.

    A batch of the data loader is an effective batch. It is cut into micro-batches here and not by the Trainer's
    accumulation, whose micro-batches have a constant number of rows: short rows then leave the device idle, and only
    the longest decide the memory.

    Args:
        micro_batch_tokens: most tokens of a forward pass, padding included.
        packing: whether the rows of a micro-batch are joined to one without padding.
        answer_loss: whether the model computes its loss from answer positions, as `answer_loss.use_answer_loss` says.
        energy: a meter that runs.
    """

    losses: torch.Tensor | float = 0.0  # the sum since `Supervisor` looked at it
    title = "fine-tuning"  # what its progress is called
    by_row: list[tuple[float, int]] | None = None  # if a list: (nats, answer tokens) of each row of the last validation
    progress: Progress | None = None  # from the first step on
    validated: Progress | None = None

    def __init__(
        self,
        *args: Any,
        micro_batch_tokens: int,
        packing: bool,
        answer_loss: bool,
        energy: EnergyMeter,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.micro_batch_tokens, self.packing = micro_batch_tokens, packing
        self.answer_loss, self.energy = answer_loss, energy

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        """Train; an attempt that fails, as for lack of memory, says no more of how far it is."""
        try:
            return super().train(*args, **kwargs)
        finally:
            if self.progress is not None:
                self.progress.end(finished=False)

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Add up the gradients of the micro-batches; each loss is a sum over the answer tokens of the whole batch.

        Where several processes share the batch, the mean over them is taken once, at the last micro-batch.
        """
        inputs = share(self._prepare_inputs(inputs))
        parts = micro_batches(inputs, self.micro_batch_tokens, self.data_collator.pad_to_multiple_of or 1)
        if self.packing:
            parts = map(packed, parts)
        if self.answer_loss:
            # All at once, before the device has work: to count them it must have done what it was given.
            parts = [part | {"answers": answer_positions(part["labels"])} for part in parts]
        if world() == 1:
            loss = sum(super(StudyTrainer, self).training_step(model, part, num_items_in_batch) for part in parts)
            return self._noted(loss)
        *first, last = parts
        items = num_items_in_batch / world()  # the mean over the processes divides once more
        with self.accelerator.no_sync(model):
            loss = sum(super(StudyTrainer, self).training_step(model, part, items) for part in first)
        return self._noted(loss + super().training_step(model, last, items))

    def _noted(self, loss: torch.Tensor) -> torch.Tensor:
        """Add the loss to the sum by which `Supervisor` sees one that is no number, without waiting for the device."""
        self.losses = self.losses + loss.detach()
        return loss

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Make the steps of an epoch; none where the run has ended, which the Trainer sees only behind a step."""
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
        if not self.control.should_training_stop:
            super()._run_epoch(*args, **kwargs)

    def get_train_dataloader(self) -> DataLoader:
        """Return whole effective batches, for each process all of them; `training_step` takes its share."""
        return _whole(super().get_train_dataloader())

    def get_eval_dataloader(self, eval_dataset: Dataset | None = None) -> DataLoader:
        """Return whole batches, for each process all of them; `prediction_step` takes its share."""
        return _whole(super().get_eval_dataloader(eval_dataset))

    def _track_num_input_tokens(self, inputs: dict[str, Any]) -> None:
        if world() > 1:  # what all processes count is added up
            inputs = {name: values[rank() :: world()] for name, values in inputs.items()}
        super()._track_num_input_tokens(inputs)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int]:
        rows = self.train_dataset if train_dataset is None else train_dataset
        lengths = [len(ids) for ids in rows["input_ids"]]
        effective = self.args.train_batch_size
        steps = math.ceil(len(rows) / effective)
        return EpochOrder(lengths, effective, self.args.seed, lambda: self.state.global_step // steps)

    def evaluation_loop(
        self, dataloader: DataLoader, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any
    ) -> EvalLoopOutput:
        """Give the loss as nats per answer token, as training does.

        The Trainer's own is a mean over batches' means, which depends on the micro-batch, and with it would the choice
        of the best checkpoint.
        """
        self._nll, self._tokens = 0.0, 0
        if self.by_row is not None:
            self.by_row = []
        with Progress("validation", len(dataloader), "batches", shown=rank() == 0) as self.validated:
            output = super().evaluation_loop(dataloader, *args, metric_key_prefix=metric_key_prefix, **kwargs)
        output.metrics[f"{metric_key_prefix}_loss"] = total(self._nll) / total(self._tokens)
        return output

    def prediction_step(self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> tuple:
        """Add the batch, micro-batch by micro-batch, to the sums of the validation loss."""
        inputs = share(self._prepare_inputs(inputs))
        loss = torch.zeros((), device=inputs["labels"].device)
        apart = self.by_row is not None
        tokens = 1 if apart else self.micro_batch_tokens  # fewer than a row has: each is a micro-batch
        for part in micro_batches(inputs, tokens, self.data_collator.pad_to_multiple_of or 1):
            if (world() > 1 or apart) and not (part["labels"] != IGNORED).any():
                continue
            loss, _, _ = super().prediction_step(model, part, *args, **kwargs)
            tokens = int((part["labels"][:, 1:] != IGNORED).sum())
            if apart:
                self.by_row.append((float(loss) * tokens, tokens))
            self._nll, self._tokens = self._nll + float(loss) * tokens, self._tokens + tokens
        if self.validated is not None:
            self.validated.update(1)
        return loss, None, None

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Write a checkpoint; on a full disk say so, and leave nothing of it, which would take what room there is."""
        folder = Path(self.args.output_dir)
        name = f"checkpoint-{self.state.global_step}"
        try:
            with full_disk_named(folder, name, checkpoint_bytes(self.model, self.args.optim)):
                super()._save_checkpoint(*args, **kwargs)
        except UserError:
            if rank() == 0:
                remove_folder(folder / name)
            raise

    def start_clock(self) -> None:
        """Begin to count seconds and energy at what the log of an earlier, interrupted process had reached."""
        self._began = time.perf_counter()
        self._before = {name: logged(self.state.log_history, name) for name in ("seconds", "energy_kwh")}
        self._fresh = not self.state.log_history

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add to each entry of the log the seconds and the energy so far; steps lost to a kill are not counted."""
        logs["seconds"] = round((self._before["seconds"] or 0.0) + time.perf_counter() - self._began, 3)
        used = total(self.energy.so_far())
        if used is not None and (self._fresh or self._before["energy_kwh"] is not None):
            logs["energy_kwh"] = round((self._before["energy_kwh"] or 0.0) + used, 6)
        super().log(logs, start_time)


def _whole(loader: DataLoader) -> DataLoader:
    """Return a loader that gives this process every batch; it would be given each second one of two processes."""
    if world() > 1:
        shard = loader.batch_sampler
        shard.num_processes, shard.process_index, shard.even_batches = 1, 0, False
    return loader


def logged(history: list[dict[str, float]], name: str) -> float | None:
    """Return the largest value of ``name`` in a Trainer's log; None where it was never measured."""
    return max((entry[name] for entry in history if name in entry), default=None)


class Supervisor(TrainerCallback):
    """Watches a run: finite losses, a checkpoint every few minutes, a last validation, its progress with the loss."""

    def __init__(self, trainer: StudyTrainer, save_minutes: float, save_total_limit: int):
        self.trainer, self.save_seconds, self.save_total_limit = trainer, 60 * save_minutes, save_total_limit

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.trainer.start_clock()
        if state.best_global_step:  # the Trainer notes a whole path, which is another where the study was moved to
            best = Path(args.output_dir) / f"checkpoint-{state.best_global_step}"
            state.best_model_checkpoint = str(best)
            if not best.is_dir():
                self._forget_best(state, Path(args.output_dir) / f"checkpoint-{state.global_step}")
        self.saved_at = time.monotonic()
        progress = Progress(self.trainer.title, state.max_steps, "steps", state.global_step, shown=rank() == 0)
        self.trainer.progress = progress.start()
        self.began, self.seen = time.monotonic(), state.num_input_tokens_seen

    @staticmethod
    def _forget_best(state: TrainerState, newest: Path) -> None:
        """Let the checkpoint that the run goes on from be the best, if it was validated, or else the next that is."""
        here = [entry for entry in state.log_history if "eval_loss" in entry and entry["step"] == state.global_step]
        state.best_metric = here[-1]["eval_loss"] if here else None
        state.best_global_step = state.global_step if here else 0
        state.best_model_checkpoint = str(newest) if here else None

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        seconds, tokens = time.monotonic() - self.began, state.num_input_tokens_seen - self.seen
        speed = {"tokens/s": tokens / seconds} if seconds > 0 else {}
        progress = self.trainer.progress
        progress.update(state.global_step - progress.done, speed)
        if state.global_step >= state.max_steps:
            control.should_evaluate = control.should_save = True
        elif gathered(time.monotonic() - self.saved_at > self.save_seconds)[0]:  # all save, or none
            control.should_save = True
        # Where the step is logged, the log tells more, and before anything is saved.
        if (control.should_save or state.global_step % WATCHED == 0) and not control.should_log:
            self._require_numbers(state.global_step)

    def _require_numbers(self, step: int) -> None:
        """Raise `UserError` if a loss since the last look was no number: before a checkpoint would keep the damage."""
        losses, self.trainer.losses = float(self.trainer.losses), 0.0
        if not all(map(math.isfinite, gathered(losses))):
            raise self.diverged(f"loss is {losses}", step)

    @staticmethod
    def diverged(problems: str, step: int) -> UserError:
        """Return what ends a run whose numbers are none any more."""
        return UserError(
            "T101",
            f"{problems} at step {step}: the run has diverged. Its last checkpoint is kept. Lower "
            "training.learning_rate, or set training.precision to bf16 or fp32 if it is fp16",
        )

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.saved_at = time.monotonic()
        gathered(None)  # each process has written its part
        if rank() == 0:
            folder = Path(args.output_dir)
            with full_disk_named(folder, f"the mark of checkpoint-{state.global_step}"):
                mark_complete(folder / f"checkpoint-{state.global_step}")
            rotate(folder, self.save_total_limit)
        gathered(None)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: Any
    ) -> None:
        # In fp16 an infinite gradient norm is usual: the scaler skips that step and lowers its scale.
        scaler = self.trainer.accelerator.scaler if args.fp16 else None
        watched = ("loss", "eval_loss") if scaler else ("loss", "eval_loss", "grad_norm")
        problems = [f"{name} is {logs[name]}" for name in watched if name in logs and not math.isfinite(logs[name])]
        if scaler and scaler.get_scale() < 1:
            problems.append("gradients overflow at every scale")
        if problems:
            raise self.diverged(" and ".join(problems), state.global_step)
        told = {"loss": "loss", "eval_loss": "validation loss"}
        if self.trainer.progress is not None:
            self.trainer.progress.update(0, {told[name]: logs[name] for name in told if name in logs})

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.trainer.progress.end()


class Patience(EarlyStoppingCallback):
    """Early stopping that counts from the log, so that a resumed run stops where an uninterrupted one does.

    One that had stopped makes no further step.
    """

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        super().on_train_begin(args, state, control)
        losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        best = min(range(len(losses)), key=losses.__getitem__, default=0)
        self.early_stopping_patience_counter = max(0, len(losses) - 1 - best)
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True


def planned_steps(rows: int, training: dict[str, Any]) -> int:
    """Return the optimiser steps of a run: ``max_steps``, or the epochs' steps with the last batch of each counted."""
    if training["max_steps"]:
        return training["max_steps"]
    return max(1, math.ceil(training["epochs"] * math.ceil(rows / training["effective_batch"])))


def validation_places(lengths: list[int], count: int) -> list[int]:
    """Return the places of the rows on which checkpoints are compared, from the shortest to the longest.

    They are drawn evenly from all rows in the order of their lengths, the same ones at each validation: what differs
    between two checkpoints is then told by few rows.

    Args:
        lengths: tokens of each row.
        count: most rows; all are taken where there are no more.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    count = min(count, len(order))
    return [order[(2 * place + 1) * len(order) // (2 * count)] for place in range(count)]


def trainer_arguments(
    folder: Path, training: dict[str, Any], rows: int, precision: str, seed: int, tensorboard: bool = True
) -> TrainingArguments:
    """Return the Trainer's arguments for a run.

    Args:
        folder: where checkpoints and TensorBoard files go.
        training: the resolved `training` section.
        rows: training rows.
        precision: bf16, fp16 or fp32.
        seed: seed of the run.
        tensorboard: whether TensorBoard files are written.
    """
    steps = planned_steps(rows, training)
    interval = max(1, round(steps * training["eval_interval"]))
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=training["epochs"],
        max_steps=training["max_steps"] or -1,
        learning_rate=training["learning_rate"],
        lr_scheduler_type=training["lr_scheduler"],
        warmup_steps=math.ceil(steps * training["warmup_ratio"]),
        weight_decay=training["weight_decay"],
        max_grad_norm=training["max_grad_norm"],
        optim=training["optimizer"],
        per_device_train_batch_size=training["effective_batch"],
        per_device_eval_batch_size=training["effective_batch"],
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not torch.cuda.is_available(),
        average_tokens_across_devices=False,  # each process knows the tokens of the whole batch
        ddp_find_unused_parameters=False if world() > 1 else None,
        ddp_backend=None if world() == 1 or torch.cuda.is_available() else "gloo",
        eval_strategy="steps",
        eval_steps=interval,
        save_strategy="steps",
        save_steps=interval,
        save_total_limit=None,  # the Trainer would remove older ones before the new one is marked; `Supervisor` does it
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=max(1, steps // 100),
        logging_first_step=True,
        logging_nan_inf_filter=False,
        prediction_loss_only=True,
        include_num_input_tokens_seen="non_padding",
        use_liger_kernel=training["liger_kernel"],
        liger_kernel_config=LIGER,
        remove_unused_columns=True,
        dataloader_num_workers=0,
        disable_tqdm=True,
        report_to=["tensorboard"] if tensorboard else [],
        seed=seed,
        data_seed=seed,
    )
    if arguments.n_gpu > 1:  # the Trainer would multiply the batch and run a replica on each, whose losses add up
        raise RuntimeError(f"{arguments.n_gpu} cards are visible to a training that is meant for one")
    return arguments


def make_trainer(
    model: torch.nn.Module,
    tokenizer: Any,
    train: Dataset,
    validation: Dataset,
    arguments: TrainingArguments,
    training: dict[str, Any],
    micro_batch: int,
    energy: EnergyMeter,
) -> StudyTrainer:
    """Return a Trainer that pads each micro-batch to its longest row and minds early stopping.

    Args:
        model: a PEFT model.
        tokenizer: pads ``input_ids``; labels are padded with the ignored value.
        train: columns ``input_ids``, ``labels``.
        validation: the same columns.
        arguments: from `trainer_arguments`.
        training: the resolved `training` section.
        micro_batch: rows of full length in a forward pass; of shorter rows, as many more as make as many tokens.
        energy: a meter that runs.
    """
    keep_input_type(model, keep=False)  # outside of autocast, as the loss is tried, the adapters need their own type
    answer_loss = use_answer_loss(model.get_base_model())
    if device().type == "cpu":
        use_bit_dropout(model)
    keep_input_type(model, keep=arguments.bf16 or arguments.fp16)
    lengths = [len(ids) for ids in validation["input_ids"]]
    validation = validation.select(validation_places(lengths, training["validation_rows"]))
    tokenizer.padding_side = "right"
    trainer = StudyTrainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=8 if torch.cuda.is_available() else None),
        processing_class=tokenizer,
        micro_batch_tokens=micro_batch * training["max_length"],
        packing=training["packing"],
        answer_loss=answer_loss,
        energy=energy,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Supervisor(trainer, training["save_minutes"], training["save_total_limit"]))
    if training["early_stopping_patience"]:
        trainer.add_callback(Patience(training["early_stopping_patience"]))
    return trainer
