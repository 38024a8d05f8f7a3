"""Fine-tuning with the Hugging Face Trainer: the order of the data, the log, the checkpoints."""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from tqdm import tqdm
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
from transformers.trainer_utils import EvalLoopOutput

from medscale.chat import IGNORED
from medscale.checkpoints import mark_complete
from medscale.errors import UserError

GROUP = 32  # effective batches whose rows are sorted by length together


class EpochOrder(Sampler[int]):
    """An order of the rows that depends on (seed, epoch, effective batch) alone, with similar lengths side by side.

    Rows are shuffled, sorted by length within groups of `GROUP` effective batches, cut into effective batches, and the
    batches are shuffled. A micro-batch is a slice of an effective batch, so neither its size nor a resume changes which
    rows make an optimiser step.

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


class StudyTrainer(Trainer):
    """The Trainer with our order of the data, a validation loss per token, and a clock that goes on through resumes."""

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int]:
        rows = self.train_dataset if train_dataset is None else train_dataset
        lengths = [len(ids) for ids in rows["input_ids"]]
        effective = self.args.train_batch_size * self.args.gradient_accumulation_steps
        steps = math.ceil(len(rows) / effective)
        return EpochOrder(lengths, effective, self.args.seed, lambda: self.state.global_step // steps)

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> EvalLoopOutput:
        """Give the loss as nats per answer token, as training does.

        The Trainer's own is a mean over batches' means, which depends on the micro-batch, and with it would the choice
        of the best checkpoint.
        """
        self._nll, self._tokens = 0.0, 0
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        output.metrics[f"{metric_key_prefix}_loss"] = self._nll / self._tokens
        return output

    def prediction_step(self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> tuple:
        """Add the batch to the sums of the validation loss."""
        loss, logits, labels = super().prediction_step(model, inputs, *args, **kwargs)
        tokens = int((inputs["labels"][:, 1:] != IGNORED).sum())
        self._nll, self._tokens = self._nll + float(loss) * tokens, self._tokens + tokens
        return loss, logits, labels

    def start_clock(self) -> None:
        """Begin to count the seconds at what the log of an earlier, interrupted process had reached."""
        self._began = time.perf_counter()
        self._before = max((entry.get("seconds", 0.0) for entry in self.state.log_history), default=0.0)

    def seconds(self) -> float:
        """Return the seconds of training and validation so far; steps that were lost to a kill are not counted."""
        return self._before + time.perf_counter() - self._began

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the seconds so far to each entry of the log."""
        logs["seconds"] = round(self.seconds(), 3)
        super().log(logs, start_time)


class Supervisor(TrainerCallback):
    """Watches a run: finite losses, a checkpoint every few minutes, a last validation, a progress bar with the loss."""

    def __init__(self, trainer: StudyTrainer, save_minutes: float):
        self.trainer, self.save_seconds = trainer, 60 * save_minutes
        self.bar: tqdm | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.trainer.start_clock()
        self.saved_at = time.monotonic()
        self.bar = tqdm(
            total=state.max_steps, initial=state.global_step, desc="fine-tuning", unit="step", mininterval=2, ncols=100
        )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.bar.update(state.global_step - self.bar.n)
        if state.global_step >= state.max_steps:
            control.should_evaluate = control.should_save = True
        elif time.monotonic() - self.saved_at > self.save_seconds:
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.saved_at = time.monotonic()
        mark_complete(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: Any
    ) -> None:
        for name in ("loss", "eval_loss", "grad_norm"):
            if name in logs and not math.isfinite(logs[name]):
                raise UserError(
                    f"{name} is {logs[name]} at step {state.global_step}: the run has diverged. Its last checkpoint is "
                    "kept. Lower training.learning_rate, or set training.precision to bf16 or fp32 if it is fp16"
                )
        shown = {name: f"{logs[name]:.3f}" for name in ("loss", "eval_loss") if name in logs}
        if shown and self.bar is not None:
            self.bar.set_postfix(shown, refresh=False)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.bar.close()


def planned_steps(rows: int, training: dict[str, Any]) -> int:
    """Return the optimiser steps of a run: ``max_steps``, or the epochs' steps with the last batch of each counted."""
    if training["max_steps"]:
        return training["max_steps"]
    return max(1, math.ceil(training["epochs"] * math.ceil(rows / training["effective_batch"])))


def trainer_arguments(
    folder: Path, training: dict[str, Any], rows: int, micro_batch: int, precision: str, seed: int
) -> TrainingArguments:
    """Return the Trainer's arguments for a run.

    Args:
        folder: where checkpoints and TensorBoard files go.
        training: the resolved `training` section.
        rows: training rows.
        micro_batch: samples a forward pass; accumulation makes up the rest of the effective batch.
        precision: bf16, fp16 or fp32.
        seed: seed of the run.
    """
    steps = planned_steps(rows, training)
    interval = max(1, round(steps * training["eval_interval"]))
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=training["epochs"],
        max_steps=training["max_steps"] or -1,
        learning_rate=training["learning_rate"],
        lr_scheduler_type=training["lr_scheduler"],
        warmup_steps=math.ceil(steps * training["warmup_ratio"]),
        weight_decay=training["weight_decay"],
        max_grad_norm=training["max_grad_norm"],
        optim=training["optimizer"],
        per_device_train_batch_size=micro_batch,
        per_device_eval_batch_size=micro_batch,
        gradient_accumulation_steps=training["effective_batch"] // micro_batch,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not torch.cuda.is_available(),
        eval_strategy="steps",
        eval_steps=interval,
        save_strategy="steps",
        save_steps=interval,
        save_total_limit=training["save_total_limit"],
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=max(1, steps // 100),
        logging_first_step=True,
        logging_nan_inf_filter=False,
        prediction_loss_only=True,
        include_num_input_tokens_seen="non_padding",
        remove_unused_columns=True,
        dataloader_num_workers=0,
        disable_tqdm=True,
        report_to=["tensorboard"],
        seed=seed,
        data_seed=seed,
    )


def make_trainer(
    model: torch.nn.Module,
    tokenizer: Any,
    train: Dataset,
    validation: Dataset,
    arguments: TrainingArguments,
    training: dict[str, Any],
) -> StudyTrainer:
    """Return a Trainer that pads each micro-batch to its longest row and minds early stopping.

    Args:
        model: a PEFT model.
        tokenizer: pads ``input_ids``; labels are padded with the ignored value.
        train: columns ``input_ids``, ``labels``.
        validation: the same columns.
        arguments: from `trainer_arguments`.
        training: the resolved `training` section.
    """
    tokenizer.padding_side = "right"
    trainer = StudyTrainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=8 if torch.cuda.is_available() else None),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Supervisor(trainer, training["save_minutes"]))
    if training["early_stopping_patience"]:
        trainer.add_callback(EarlyStoppingCallback(training["early_stopping_patience"]))
    return trainer
