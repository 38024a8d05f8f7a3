"""The training step part by part: what the Trainer is told, how a batch is cut, what is logged and watched."""

import math
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from transformers import PrinterCallback, Trainer, TrainingArguments

from medscale.base import progress
from medscale.base.errors import UserError
from medscale.base.imports import needs_bitsandbytes
from medscale.base.progress import Progress
from medscale.train import trainer as training
from medscale.train.accelerations import usable
from medscale.train.answer_loss import answer_positions
from medscale.train.checkpoints import mark_complete, newest_checkpoint
from medscale.train.trainer import (
    GROUP,
    EpochOrder,
    Patience,
    StudyTrainer,
    Supervisor,
    logged,
    make_trainer,
    micro_batches,
    packed,
    planned_steps,
    trainer_arguments,
    validation_places,
)

WHOLE = SimpleNamespace(bf16=False, fp16=False)  # the Trainer's arguments without autocast
SECTION = {
    "epochs": 2.5,
    "max_steps": None,
    "learning_rate": 0.003,
    "lr_scheduler": "cosine",
    "warmup_ratio": 0.1,
    "weight_decay": 0.02,
    "max_grad_norm": 0.7,
    "optimizer": "adafactor",
    "effective_batch": 8,
    "max_length": 128,
    "eval_interval": 0.25,
    "validation_rows": 200,
    "save_minutes": 2,
    "save_total_limit": 9,
    "early_stopping_patience": None,
    "packing": False,
    "liger_kernel": False,
}
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


def test_the_order_is_drawn_from_seed_and_epoch():
    """Of rows of one length in batches of one, it is a permutation of a permutation."""
    generator = torch.Generator().manual_seed(5 * 100_003 + 2)
    rows = torch.randperm(20, generator=generator).tolist()
    order = torch.randperm(20, generator=generator).tolist()
    assert list(EpochOrder([7] * 20, 1, 5, lambda: 2)) == [rows[i] for i in order]


def test_batches_are_neighbours_in_length_within_each_group():
    count, lengths = 2 * GROUP * 2 + 3, list(range(2 * GROUP * 2 + 3))
    rows = torch.randperm(count, generator=torch.Generator().manual_seed(100_003)).tolist()
    groups = [sorted(rows[start : start + 2 * GROUP]) for start in range(0, count, 2 * GROUP)]
    expected = [group[start : start + 2] for group in groups for start in range(0, len(group), 2)]
    made = list(EpochOrder(lengths, 2, 1, lambda: 0))
    batches = [made[start : start + 2] for start in range(0, count, 2)]
    assert sorted(batches) == sorted(expected)
    assert batches[-1] == [max(groups[-1])]


def batch_of(lengths, width):
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    ids = (torch.arange(1, len(lengths) * width + 1).view(len(lengths), width)) * mask
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


@pytest.mark.parametrize(
    ("tokens", "multiple", "expected"),
    [
        (10, 1, [([1, 3], 5), ([0, 2], 3)]),
        (9, 1, [([1], 5), ([3], 5), ([0, 2], 3)]),
        (5, 1, [([1], 5), ([3], 5), ([0], 3), ([2], 2)]),
        (1, 1, [([1], 5), ([3], 5), ([0], 3), ([2], 2)]),
        (100, 1, [([1, 3, 0, 2], 5)]),
        (10, 4, [([1], 6), ([3], 6), ([0, 2], 4)]),
        (12, 3, [([1, 3], 6), ([0, 2], 3)]),
    ],
)
def test_a_batch_is_cut_at_the_longest_first_row_by_row(tokens, multiple, expected):
    batch = batch_of([3, 5, 2, 5], 6)
    parts = list(micro_batches(batch, tokens, multiple))
    assert [part.keys() for part in parts] == [batch.keys()] * len(expected)
    for part, (rows, width) in zip(parts, expected, strict=True):
        for name, values in batch.items():
            assert torch.equal(part[name], values[rows, :width])


def test_lengths_are_not_rounded_unless_asked_and_an_empty_row_is_a_row():
    assert [part["input_ids"].shape for part in micro_batches(batch_of([3], 6), 10)] == [(1, 3)]
    assert [part["input_ids"].shape for part in micro_batches(batch_of([0, 0], 6), 1)] == [(1, 0), (1, 0)]


def test_rows_are_joined_without_padding_and_begin_anew():
    part = {
        "input_ids": torch.tensor([[11, 12, 13], [14, 15, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]]),
        "labels": torch.tensor([[11, 12, 13], [14, 15, -100]]),
    }
    row = packed(part)
    assert {name: values.tolist() for name, values in row.items()} == {
        "input_ids": [[11, 12, 13, 14, 15]],
        "labels": [[-100, 12, 13, -100, 15]],
        "position_ids": [[0, 1, 2, 0, 1]],
    }
    assert part["labels"][:, 0].tolist() == [11, 14]


def test_the_largest_value_of_a_log_is_taken():
    history = [{"seconds": 1.0}, {"seconds": 3.0, "loss": 2.0}, {"seconds": 2.0}]
    assert logged(history, "seconds") == 3.0
    assert logged(history, "energy_kwh") is None


def test_a_trainer_keeps_what_is_ours_and_hands_on_the_rest(monkeypatch):
    told = []
    monkeypatch.setattr(Trainer, "__init__", lambda self, *args, **kwargs: told.append((args, kwargs)))
    ours = {"micro_batch_tokens": 7, "packing": True, "answer_loss": False, "energy": "energy"}
    trainer = StudyTrainer("model", **ours, args="arguments")
    assert {name: getattr(trainer, name) for name in ours} == ours
    assert told == [(("model",), {"args": "arguments"})]


def bare(**attributes):
    """Return a trainer without anything but what is given."""
    made = StudyTrainer.__new__(StudyTrainer)
    made.data_collator = SimpleNamespace(pad_to_multiple_of=None)
    made._prepare_inputs = lambda inputs: inputs
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("answer_loss", [True, False])
@pytest.mark.parametrize(
    ("packing", "multiple", "shapes"),
    [
        (False, None, [(2, 5), (2, 3)]),
        (False, 4, [(1, 6), (1, 6), (2, 4)]),
        (True, None, [(1, 10), (1, 5)]),
    ],
)
def test_a_step_adds_up_the_losses_of_its_micro_batches(monkeypatch, packing, multiple, shapes, answer_loss):
    """Each is told where its answers are, if the loss asks for it."""
    seen = []

    def step(self, model, inputs, items):
        if answer_loss:
            assert torch.equal(inputs["answers"], answer_positions(inputs["labels"]))
        else:
            assert "answers" not in inputs
        seen.append((model, tuple(inputs["input_ids"].shape), items))
        return torch.tensor(float(len(seen)))

    monkeypatch.setattr(Trainer, "training_step", step)
    trainer = bare(micro_batch_tokens=10, packing=packing, answer_loss=answer_loss)
    trainer.data_collator.pad_to_multiple_of = multiple
    loss = trainer.training_step("model", batch_of([3, 5, 2, 5], 6), "items")
    assert seen == [("model", shape, "items") for shape in shapes]
    assert loss == sum(range(1, len(shapes) + 1))


def test_the_validation_loss_is_a_mean_over_answer_tokens(monkeypatch):
    """The first label of a row has nothing before it, and does not count."""
    values = iter([2.0, 5.0, 7.0])
    seen = []

    def step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        seen.append((model, tuple(inputs["input_ids"].shape), prediction_loss_only, ignore_keys))
        return torch.tensor(next(values)), "logits", "labels"

    def loop(self, loader, metric_key_prefix="eval"):
        results = [self.prediction_step("model", batch, True, ignore_keys=[]) for batch in loader]
        return SimpleNamespace(metrics={f"{metric_key_prefix}_loss": 99.0}, results=results)

    monkeypatch.setattr(Trainer, "prediction_step", step)
    monkeypatch.setattr(Trainer, "evaluation_loop", loop)
    trainer = bare(micro_batch_tokens=10)
    output = trainer.evaluation_loop([batch_of([3, 5, 2, 5], 6), batch_of([4], 6)], metric_key_prefix="test")
    assert seen == [("model", shape, True, []) for shape in ((2, 5), (2, 3), (1, 4))]
    assert output.metrics == {"test_loss": pytest.approx((2 * 8 + 5 * 3 + 7 * 3) / 14)}
    assert [(float(loss), *rest) for loss, *rest in output.results] == [(5.0, None, None), (7.0, None, None)]

    values = iter([4.0])
    assert trainer.evaluation_loop([batch_of([4], 6)]).metrics == {"eval_loss": 4.0}


def test_validation_pads_as_training_does(monkeypatch):
    shapes = []
    monkeypatch.setattr(
        Trainer,
        "prediction_step",
        lambda self, model, inputs: shapes.append(tuple(inputs["input_ids"].shape)) or (torch.tensor(1.0), None, None),
    )
    trainer = bare(micro_batch_tokens=10, _nll=0.0, _tokens=0)
    trainer.data_collator.pad_to_multiple_of = 4
    trainer.prediction_step("model", batch_of([3, 5], 6))
    assert shapes == [(1, 6), (1, 4)]


def test_the_sampler_knows_lengths_seed_and_epoch():
    rows = Dataset.from_dict({"input_ids": [[1] * n for n in (3, 1, 2, 5, 4)]})
    trainer = bare(
        train_dataset=rows,
        args=SimpleNamespace(train_batch_size=2, seed=9),
        state=SimpleNamespace(global_step=5),
    )
    sampler = trainer._get_train_sampler()
    assert (sampler.lengths, sampler.effective_batch, sampler.seed, sampler.epoch()) == ([3, 1, 2, 5, 4], 2, 9, 1)
    trainer.state.global_step = 6
    assert sampler.epoch() == 2
    assert trainer._get_train_sampler(rows.select([0, 3])).lengths == [3, 5]


@pytest.mark.parametrize(
    ("history", "used", "expected"),
    [
        ([], 0.12345678, {"seconds": 2.346, "energy_kwh": 0.123457}),
        ([], None, {"seconds": 2.346}),
        ([], 0.0, {"seconds": 2.346, "energy_kwh": 0.0}),
        ([{"seconds": 10.0, "energy_kwh": 1.0}], 0.5, {"seconds": 12.346, "energy_kwh": 1.5}),
        ([{"seconds": 10.0, "energy_kwh": 1.0}], None, {"seconds": 12.346}),
        ([{"seconds": 10.0}], 0.5, {"seconds": 12.346}),
        ([{"loss": 1.0}], 0.5, {"seconds": 2.346}),
    ],
)
def test_the_log_counts_on_where_an_earlier_process_ended(monkeypatch, history, used, expected):
    now = SimpleNamespace(time=100.0)
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: now.time))
    kept = []
    monkeypatch.setattr(Trainer, "log", lambda self, logs, start: kept.append((logs, start)))
    trainer = bare(state=SimpleNamespace(log_history=history), energy=SimpleNamespace(so_far=lambda: used))
    trainer.start_clock()
    now.time = 102.34567
    trainer.log({"loss": 1.0}, 7.0)
    assert kept == [({"loss": 1.0} | expected, 7.0)]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """A run under a supervisor that saves every two minutes, at the third of ten steps."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(progress, "FIRST", 3600.0)
    started = []
    accelerator = SimpleNamespace(scaler=SimpleNamespace(get_scale=lambda: 0.5))
    trainer = SimpleNamespace(
        start_clock=lambda: started.append(True), accelerator=accelerator, losses=0.0, progress=None
    )
    args = SimpleNamespace(output_dir=str(tmp_path), fp16=False)
    state = SimpleNamespace(global_step=3, max_steps=10, best_global_step=0, num_input_tokens_seen=700)
    control = SimpleNamespace(should_evaluate=False, should_save=False, should_log=False)
    made = SimpleNamespace(clock=clock, supervisor=Supervisor(trainer, 2, 2), args=args, state=state, control=control)
    made.tell = lambda name, **more: getattr(made.supervisor, name)(args, state, control, **more)
    made.asked = lambda: (control.should_evaluate, control.should_save)
    made.started, made.accelerator, made.trainer = started, accelerator, trainer
    yield made
    if trainer.progress is not None:
        trainer.progress.end()


def test_progress_is_of_the_whole_run_and_the_speed_of_this_sitting(run):
    run.tell("on_train_begin")
    assert run.started == [True]
    assert run.trainer.progress.line()[:4] == ("fine-tuning", 3, 10, "steps")
    run.state.global_step, run.state.num_input_tokens_seen = 5, 1200
    run.clock.now += 4
    run.tell("on_step_end")
    line = run.trainer.progress.line()
    assert (line.done, line.values) == (5, {"tokens/s": 125.0})
    run.tell("on_train_end")
    assert not any(thread.name == "progress" for thread in threading.enumerate())


def test_an_attempt_that_fails_says_no_more_of_how_far_it_is(monkeypatch):
    trainer = bare(progress=Progress("fine-tuning", 10, "steps").start())
    monkeypatch.setattr(Trainer, "train", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.train()
    assert not any(thread.name == "progress" for thread in threading.enumerate())


def test_a_checkpoint_is_due_after_so_many_minutes_and_at_the_end(run):
    run.tell("on_train_begin")
    run.clock.now += 120
    run.tell("on_step_end")
    assert run.asked() == (False, False)
    run.clock.now += 0.5
    run.tell("on_step_end")
    assert run.asked() == (False, True)
    Path(run.args.output_dir, "checkpoint-3").mkdir()
    Path(run.args.output_dir, "checkpoint-3", "trainer_state.json").write_text('{"best_global_step": 3}')
    run.tell("on_save")
    assert Path(run.args.output_dir, "checkpoint-3", "complete").is_file()
    run.control.should_save = False
    run.tell("on_step_end")
    assert run.asked() == (False, False)
    run.state.global_step = 10
    run.tell("on_step_end")
    assert run.asked() == (True, True)


ADVICE = (
    " at step 3: the run has diverged. Its last checkpoint is kept. Lower training.learning_rate, or set "
    "training.precision to bf16 or fp32 if it is fp16"
)


@pytest.mark.parametrize(
    ("fp16", "scale", "logs", "problem"),
    [
        (False, 0.5, {"loss": math.nan, "grad_norm": math.inf}, "loss is nan and grad_norm is inf"),
        (False, 0.5, {"eval_loss": -math.inf}, "eval_loss is -inf"),
        (False, 0.5, {"loss": 1.0, "grad_norm": 2.0}, None),
        (False, 0.5, {"learning_rate": math.nan}, None),
        (True, 1, {"loss": 1.0, "grad_norm": math.inf}, None),
        (True, 0.99, {"loss": 1.0}, "gradients overflow at every scale"),
        (True, 2, {"loss": math.inf}, "loss is inf"),
        (True, 2, {"eval_loss": math.nan}, "eval_loss is nan"),
    ],
)
def test_a_run_that_has_diverged_ends_with_advice(run, fp16, scale, logs, problem):
    run.args.fp16 = fp16
    run.accelerator.scaler.get_scale = lambda: scale
    if problem is None:
        run.tell("on_log", logs=logs)
    else:
        with pytest.raises(UserError) as caught:
            run.tell("on_log", logs=logs)
        assert caught.value.text == problem + ADVICE


def test_progress_tells_both_losses(run):
    run.tell("on_log", logs={"loss": 1.0})
    run.tell("on_train_begin")
    run.tell("on_log", logs={"loss": 1.23456, "grad_norm": 3.0})
    run.tell("on_log", logs={"eval_loss": 2.0})
    run.tell("on_log", logs={"train_runtime": 2.0})
    assert run.trainer.progress.line().values == {"loss": 1.23456, "validation loss": 2.0}


@pytest.mark.parametrize(
    ("losses", "counted"),
    [
        ([], 0),
        ([3.0], 0),
        ([3.0, 2.0], 0),
        ([3.0, 2.0, 4.0, 5.0], 2),
        ([2.0, 2.0], 1),
        ([1.0, 2.0, 3.0], 2),
        ([1.0, 2.0, 3.0, 4.0], 3),
    ],
)
def test_patience_counts_the_validations_since_the_best(losses, counted):
    history = [{"loss": 9.0}, *({"eval_loss": loss} for loss in losses)]
    args = SimpleNamespace(load_best_model_at_end=True, metric_for_best_model="eval_loss", eval_strategy="steps")
    patience = Patience(3)
    control = SimpleNamespace(should_training_stop=False)
    patience.on_train_begin(args, SimpleNamespace(log_history=history), control)
    assert patience.early_stopping_patience_counter == counted
    assert control.should_training_stop == (counted >= 3)


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


def test_a_run_resumes_from_the_newest_whole_checkpoint(tmp_path):
    assert newest_checkpoint(tmp_path) == (None, [])
    for step in (8, 9, 10, 100, 20):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    for step in (8, 9, 10):
        mark_complete(str(tmp_path / f"checkpoint-{step}"))
        mark_complete(tmp_path / f"checkpoint-{step}")
    (tmp_path / "torn-checkpoint-5").mkdir()
    checkpoint, torn = newest_checkpoint(tmp_path)
    assert checkpoint == tmp_path / "checkpoint-10"
    assert [aside.path.name for aside in torn] == ["torn-checkpoint-20", "torn-checkpoint-100"]
    names = {"checkpoint-8", "checkpoint-9", "checkpoint-10", "torn-checkpoint-20", "torn-checkpoint-100"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert newest_checkpoint(tmp_path) == (checkpoint, [])
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    ("lengths", "count", "expected"),
    [
        ([5, 3, 9, 1], 4, [3, 1, 0, 2]),
        ([5, 3, 9, 1], 200, [3, 1, 0, 2]),
        ([5, 3, 9, 1], 2, [1, 2]),
        ([5, 3, 9, 1], 1, [0]),
        (list(range(1000)), 4, [125, 375, 625, 875]),
    ],
)
def test_checkpoints_are_compared_on_rows_of_every_length(lengths, count, expected):
    assert validation_places(lengths, count) == expected


@pytest.mark.parametrize(("step", "saving", "seen"), [(4, False, False), (5, False, True), (4, True, True)])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_seen_within_five_steps_and_before_anything_is_saved(
    run, step, saving, seen, value
):
    run.tell("on_train_begin")
    run.state.global_step, run.control.should_save = step, saving
    run.trainer.losses = torch.tensor(value)
    if seen:
        with pytest.raises(UserError, match=rf"loss is {value} at step {step}: .*training\.learning_rate"):
            run.tell("on_step_end")
    else:
        run.tell("on_step_end")
        assert not math.isfinite(run.trainer.losses)
    run.trainer.losses = torch.tensor(2.5)
    run.tell("on_step_end")
