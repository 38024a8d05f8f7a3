"""What the Trainer is told, of what it is made, and what the machine can run of it."""

from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainingArguments

from medscale.base.imports import needs_bitsandbytes
from medscale.train import trainer as training
from medscale.train.accelerations import usable
from medscale.train.trainer import (
    Patience,
    Supervisor,
    make_trainer,
    planned_steps,
    trainer_arguments,
)
from trainer_section import SECTION

WHOLE = SimpleNamespace(bf16=False, fp16=False)  # the Trainer's arguments without autocast
CPU = not torch.cuda.is_available()


@pytest.mark.parametrize(
    ("rows", "changes", "steps"),
    [
        (80, {"epochs": 1}, 10),
        (81, {"epochs": 1}, 11),
        (100, {}, 33),
        (100, {"epochs": 0.5}, 7),
        (1, {"epochs": 0.001}, 1),
        (80, {"max_steps": 5}, 5),
        (80, {"max_steps": 1}, 1),
    ],
)
def test_the_steps_of_a_run_count_the_last_batch_of_each_epoch(rows, changes, steps):
    assert planned_steps(rows, SECTION | changes) == steps


def test_the_trainer_is_told_all_that_the_section_says(tmp_path):
    arguments = trainer_arguments(tmp_path / "run", SECTION, 100, "fp32", seed=11)
    expected = {
        "output_dir": str(tmp_path / "run"),
        "num_train_epochs": 2.5,
        "max_steps": -1,
        "learning_rate": 0.003,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 4,
        "weight_decay": 0.02,
        "max_grad_norm": 0.7,
        "optim": "adafactor",
        "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "bf16": False,
        "fp16": False,
        "use_cpu": CPU,
        "eval_strategy": "steps",
        "eval_steps": 8,
        "save_strategy": "steps",
        "save_steps": 8,
        "save_total_limit": None,  # the Trainer removes before it is sure; see `checkpoints.rotate`
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
        "logging_steps": 1,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "prediction_loss_only": True,
        "include_num_input_tokens_seen": "non_padding",
        "use_liger_kernel": False,
        "liger_kernel_config": {
            **{"rope": True, "rms_norm": True, "swiglu": True},
            **{"cross_entropy": False, "fused_linear_cross_entropy": False},  # the loss is ours
        },
        "remove_unused_columns": True,
        "dataloader_num_workers": 0,
        "disable_tqdm": True,
        "report_to": ["tensorboard"],
        "seed": 11,
        "data_seed": 11,
    }
    assert {name: getattr(arguments, name) for name in expected} == expected


def test_a_long_run_is_logged_a_hundred_times_and_a_short_one_at_each_step(tmp_path):
    long = trainer_arguments(tmp_path, SECTION | {"max_steps": 1210, "effective_batch": 6}, 8000, "fp32", seed=1)
    assert (long.max_steps, long.logging_steps, long.eval_steps, long.warmup_steps) == (1210, 12, 302, 121)
    assert (long.per_device_train_batch_size, long.per_device_eval_batch_size) == (6, 6)
    short = trainer_arguments(tmp_path, SECTION | {"max_steps": 1}, 8000, "fp32", seed=1)
    assert (short.max_steps, short.logging_steps, short.eval_steps, short.save_steps) == (1, 1, 1, 1)


def test_the_precision_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "TrainingArguments", lambda **told: SimpleNamespace(n_gpu=1, **told))
    for precision in ("bf16", "fp16", "fp32"):
        told = trainer_arguments(tmp_path, SECTION, 100, precision, seed=1)
        assert (told.bf16, told.fp16) == (precision == "bf16", precision == "fp16")
    assert trainer_arguments(tmp_path, SECTION | {"liger_kernel": True}, 100, "bf16", seed=1).use_liger_kernel


def test_a_training_that_sees_two_cards_is_refused(tmp_path, monkeypatch):
    """The Trainer would take twice the batch, in half the steps, and double a loss that is a sum."""
    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda arguments: 2))
    with pytest.raises(RuntimeError, match="2 cards are visible to a training that is meant for one"):
        trainer_arguments(tmp_path, SECTION, 100, "fp32", seed=1)


@pytest.fixture
def made(monkeypatch):
    """Return a function that makes a trainer of which nothing is real, and what it was made with."""

    class Recorder:
        def __init__(self, **told):
            self.told, self.removed, self.added = told, [], []

        def remove_callback(self, kind):
            self.removed.append(kind)

        def add_callback(self, callback):
            self.added.append(callback)

    changed = []
    monkeypatch.setattr(training, "StudyTrainer", Recorder)
    monkeypatch.setattr(training, "use_answer_loss", lambda model: changed.append(("loss", model)) or True)
    monkeypatch.setattr(training, "keep_input_type", lambda model, keep: changed.append((keep, model)))
    monkeypatch.setattr(training, "use_bit_dropout", lambda model: changed.append(("dropout", model)))
    monkeypatch.setattr(training, "device", lambda: torch.device("cpu"))
    model = SimpleNamespace(get_base_model=lambda: "base")
    tokenizer = SimpleNamespace(padding_side="left")
    validation = Dataset.from_dict({"input_ids": [[1] * n for n in (3, 1, 2)], "labels": [[1] * n for n in (3, 1, 2)]})

    def make(arguments=WHOLE, **changes):
        changed.clear()
        trainer = make_trainer(model, tokenizer, "train", validation, arguments, SECTION | changes, 4, "energy")
        return trainer, model, tokenizer, list(changed)

    return make


def test_a_trainer_is_made_of_what_it_is_given(made):
    trainer, model, tokenizer, changed = made()
    told = trainer.told
    assert (told["model"], told["train_dataset"], told["energy"]) == (model, "train", "energy")
    assert told["args"] is WHOLE
    assert [len(ids) for ids in told["eval_dataset"]["input_ids"]] == [1, 2, 3]
    assert (told["micro_batch_tokens"], told["packing"], told["answer_loss"]) == (4 * 128, False, True)
    assert told["processing_class"] is told["data_collator"].tokenizer is tokenizer
    assert told["data_collator"].pad_to_multiple_of == (None if CPU else 8)
    assert tokenizer.padding_side == "right"
    assert changed == [(False, model), ("loss", "base"), ("dropout", model), (False, model)]
    assert trainer.removed == [PrinterCallback]
    (supervisor,) = trainer.added
    assert (supervisor.trainer, supervisor.save_seconds) == (trainer, 120)


def test_a_trainer_on_a_card_keeps_its_dropout_and_pads_to_eighths(made, monkeypatch):
    monkeypatch.setattr(training, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    trainer, model, _, changed = made(packing=True, early_stopping_patience=3)
    assert changed == [(False, model), ("loss", "base"), (False, model)]
    assert trainer.told["data_collator"].pad_to_multiple_of == 8
    assert trainer.told["packing"] is True
    assert [type(callback) for callback in trainer.added] == [Supervisor, Patience]
    assert trainer.added[1].early_stopping_patience == 3


@pytest.mark.parametrize("kind", ["bf16", "fp16"])
def test_under_autocast_adapters_take_their_input_as_it_is(made, kind):
    """But for the trial of the loss, which is outside of it."""
    _, model, _, changed = made(SimpleNamespace(**{"bf16": False, "fp16": False} | {kind: True}))
    assert changed[:2] == [(False, model), ("loss", "base")]
    assert changed[-1] == (True, model)


@pytest.mark.parametrize(
    ("method", "optimizer", "needed"),
    [
        ("lora", "adamw_torch", False),
        ("base", "adamw_torch", False),
        ("qlora", "adamw_torch", True),
        ("lora", "paged_adamw_8bit", True),
    ],
)
def test_bitsandbytes_is_needed_for_four_bits_and_its_optimizer(method, optimizer, needed):
    assert needs_bitsandbytes(method, optimizer) is needed


OLD = "training.liger_kernel is left out: its kernels need a card of compute capability 8.0 or higher"
ABSENT = "training.liger_kernel is left out: the package liger-kernel is not installed"
PAGED = "training.optimizer is adamw_torch: paged_adamw_8bit needs a CUDA device"


@pytest.mark.parametrize(
    ("cuda", "capability", "installed", "asked", "left", "reasons"),
    [
        (False, None, True, (True, "paged_adamw_8bit"), (False, "adamw_torch"), [OLD, PAGED]),
        (False, None, True, (False, "adafactor"), (False, "adafactor"), []),
        (True, (7, 5), True, (True, "paged_adamw_8bit"), (False, "paged_adamw_8bit"), [OLD]),
        (True, (8, 0), True, (True, "adafactor"), (True, "adafactor"), []),
        (True, (9, 0), False, (True, "adafactor"), (False, "adafactor"), [ABSENT]),
        (True, (9, 0), False, (False, "adafactor"), (False, "adafactor"), []),
    ],
)
def test_accelerations_are_those_that_the_machine_can_run(
    monkeypatch, cuda, capability, installed, asked, left, reasons
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "get_device_capability", {0: capability}.__getitem__)
    found = {"liger_kernel": "spec"} if installed else {}
    monkeypatch.setattr("medscale.train.accelerations.find_spec", found.get)
    section = SECTION | {"liger_kernel": asked[0], "optimizer": asked[1]}
    before = dict(section)
    assert usable(section) == (before | {"liger_kernel": left[0], "optimizer": left[1]}, reasons)
    assert section == before
