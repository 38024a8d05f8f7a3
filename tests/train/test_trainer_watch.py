"""What is logged and shown of a training, and when it is ended, saved or resumed."""

import math
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import Trainer

from medscale.base import progress
from medscale.base.errors import UserError
from medscale.base.progress import Progress
from medscale.train import trainer as training
from medscale.train.checkpoints import mark_complete, newest_checkpoint
from medscale.train.trainer import Patience, StudyTrainer, Supervisor, logged


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
        title="fine-tuning",
        start_clock=lambda: started.append(True),
        accelerator=accelerator,
        losses=0.0,
        progress=None,
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
