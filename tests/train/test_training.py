"""The training step: accumulation, resumes, the order of the data, both methods, and what stops a run."""

import json
import math
import re
import shutil

import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import TrainerCallback

from medscale.base.errors import UserError
from medscale.evaluate.generation import generate
from medscale.fetch.manifest import verify, write_manifest
from medscale.model.chat import Chat
from medscale.model.hardware import EnergyMeter, supported
from medscale.model.loading import add_adapter, checkpoint_layers, decoder_layers, load_adapter, load_base
from medscale.model.tokenizer import load_tokenizer
from medscale.train import trainer as training
from medscale.train.accelerations import usable
from medscale.train.adapter_dropout import BitDropout
from medscale.train.checkpoints import newest_checkpoint, slim
from medscale.train.trainer import (
    EpochOrder,
    Supervisor,
    logged,
    make_trainer,
    packed,
    planned_steps,
    trainer_arguments,
)
from sentences import TEXTS

TRAINING = {
    "epochs": 2,
    "max_steps": None,
    "learning_rate": 0.003,
    "lr_scheduler": "cosine",
    "warmup_ratio": 0.1,
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "optimizer": "adamw_torch",
    "effective_batch": 8,
    "max_length": 128,
    "eval_interval": 0.25,
    "validation_rows": 200,
    "save_minutes": 15,
    "save_total_limit": 9,
    "early_stopping_patience": None,
    "packing": False,
    "liger_kernel": False,
}
LORA = {"r": 4, "alpha": 8, "dropout": 0.1, "target_modules": "all-linear", "use_rslora": False}
NF4 = {"quant_type": "nf4", "double_quant": True}


@pytest.fixture(scope="module")
def rows(tiny_model):
    chat = Chat(load_tokenizer(tiny_model), None)
    samples = [chat.sample(f"第{i}个问题：{text[:6]}", text[: 12 + i % 20], 128) for i, text in enumerate(TEXTS)]
    return Dataset.from_dict({"input_ids": [s.input_ids for s in samples], "labels": [s.labels for s in samples]})


def trainer_for(tiny_model, rows, folder, method="lora", micro_batch=8, checkpointing=0, lora=LORA, **changes):
    section = TRAINING | changes
    model = load_base(verify(tiny_model), method, NF4, "fp32")
    model = add_adapter(model, lora, seed=1)
    checkpoint_layers(model, checkpointing)
    arguments = trainer_arguments(folder, section, len(rows), "fp32", seed=1)
    tokenizer, validation = load_tokenizer(tiny_model), rows.select(range(6))
    with EnergyMeter() as energy:
        return make_trainer(model, tokenizer, rows, validation, arguments, section, micro_batch, energy)


def losses(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def adapter_weights(trainer):
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}


def test_accumulating_eight_singles_equals_one_batch_of_eight(tiny_model, rows, tmp_path):
    """Answers differ in length, so this fails when losses are averaged a micro-batch and not a token."""
    no_dropout = LORA | {"dropout": 0.0}
    whole = trainer_for(tiny_model, rows, tmp_path / "a", micro_batch=8, lora=no_dropout)
    single = trainer_for(tiny_model, rows, tmp_path / "b", micro_batch=1, lora=no_dropout)
    whole.train()
    single.train()
    assert len(losses(whole)) == 10
    assert losses(single) == pytest.approx(losses(whole), abs=2e-5)
    assert single.state.best_metric == pytest.approx(whole.state.best_metric, abs=2e-5)


@pytest.mark.parametrize("method", ["lora", "qlora"])
@pytest.mark.parametrize("interrupted_at", [3, 7])
def test_a_resumed_run_equals_an_uninterrupted_one(tiny_model, rows, tmp_path, method, interrupted_at):
    """Also where the resume falls into the second epoch (five steps are one)."""

    class Kill(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            if state.global_step == interrupted_at:
                raise KeyboardInterrupt

    straight = trainer_for(tiny_model, rows, tmp_path / "straight", method)
    straight.train()
    killed = trainer_for(tiny_model, rows, tmp_path / "killed", method)
    killed.add_callback(Kill())
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    resumed = trainer_for(tiny_model, rows, tmp_path / "killed", method)
    checkpoint, _ = newest_checkpoint(tmp_path / "killed")
    assert int(checkpoint.name.split("-")[1]) == (2 if interrupted_at == 3 else 6)
    resumed.train(resume_from_checkpoint=str(checkpoint))

    assert losses(resumed) == losses(straight)
    for name, weight in adapter_weights(straight).items():
        assert torch.equal(weight, adapter_weights(resumed)[name]), name


def test_a_torn_checkpoint_is_set_aside_and_kept_until_the_next(tiny_model, rows, tmp_path):
    trainer_for(tiny_model, rows, tmp_path).train()
    newest = max(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    (newest / "complete").unlink()
    checkpoint, found = newest_checkpoint(tmp_path)
    assert checkpoint.name == "checkpoint-8"
    torn = tmp_path / "torn-checkpoint-10"
    assert found == [(torn, "it was not completely written")]
    assert (torn / "adapter_model.safetensors").exists()
    assert newest_checkpoint(tmp_path) == (checkpoint, [])
    assert torn.exists()
    for _ in range(2):
        (tmp_path / "checkpoint-10").mkdir()
        newest_checkpoint(tmp_path)
    assert [path.name for path in tmp_path.glob("torn-*")] == ["torn-checkpoint-10"]
    assert list(torn.iterdir()) == []


def nonsense(row):
    """Return other labels for a row, whose training makes the validation loss grow."""
    return {"labels": [label if label < 0 else 300 + label % 7 for label in row["labels"]]}


def test_the_best_checkpoint_is_what_the_run_ends_with(tiny_model, rows, tmp_path):
    """Nonsense as training data makes the validation loss grow, so that the first checkpoint is the best."""
    trainer = trainer_for(tiny_model, rows, tmp_path, learning_rate=0.02)
    trainer.train_dataset = rows.map(nonsense)
    trainer.train()
    assert trainer.state.best_global_step < trainer.state.global_step
    best = load_file(tmp_path / f"checkpoint-{trainer.state.best_global_step}" / "adapter_model.safetensors")
    last = load_file(tmp_path / f"checkpoint-{trainer.state.global_step}" / "adapter_model.safetensors")
    kept = {name.replace(".default", ""): weight for name, weight in adapter_weights(trainer).items()}
    assert all(torch.equal(weight, best[name]) for name, weight in kept.items())
    assert any(not torch.equal(weight, last[name]) for name, weight in kept.items())


def test_qlora_has_the_same_gradients_after_a_validation(tiny_model, rows, tmp_path, monkeypatch):
    """On some CPUs bitsandbytes switches to a kernel without a backward pass at the first evaluation."""

    def gradients(trainer):
        batch = trainer.data_collator([rows[i] for i in range(4)])
        trainer.model.train()
        trainer.model.zero_grad()
        trainer.model(**batch).loss.backward()
        return {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}

    trainer = trainer_for(tiny_model, rows, tmp_path, "qlora", lora=LORA | {"dropout": 0.0})
    before = gradients(trainer)
    monkeypatch.chdir(tmp_path)  # a validation without a training writes TensorBoard's files here
    trainer.start_clock()
    trainer.evaluate()
    after = gradients(trainer)
    assert any(gradient.abs().max() > 0 for gradient in before.values())
    for name, gradient in before.items():
        assert torch.equal(gradient, after[name]), name


def test_qlora_trains_adapters_on_a_frozen_four_bit_base(tiny_model, rows, tmp_path):
    import bitsandbytes

    trainer = trainer_for(tiny_model, rows, tmp_path, "qlora")
    four_bit = [m for m in trainer.model.modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]
    assert len(four_bit) == 2 * 7  # two layers: q, k, v, o, gate, up, down
    assert all(m.weight.quant_type == "nf4" and m.weight.quant_state.nested for m in four_bit)
    frozen = [m.weight.data.clone() for m in four_bit]
    before = adapter_weights(trainer)
    trainer.train()
    assert all(torch.equal(a, m.weight.data) for a, m in zip(frozen, four_bit, strict=True))
    after = adapter_weights(trainer)
    assert {p.dtype for p in after.values()} == {torch.float32}
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(("method", "layers"), [("lora", 1), ("lora", 2), ("qlora", 2)])
def test_gradient_checkpointing_changes_nothing_but_memory(tiny_model, rows, tmp_path, method, layers):
    no_dropout = LORA | {"dropout": 0.0}
    plain = trainer_for(tiny_model, rows, tmp_path / "a", method, lora=no_dropout, epochs=1)
    saving = trainer_for(tiny_model, rows, tmp_path / "b", method, checkpointing=layers, lora=no_dropout, epochs=1)
    assert [layer.gradient_checkpointing for layer in decoder_layers(saving.model)] == [True, layers == 2]
    plain.train()
    saving.train()
    assert losses(saving) == pytest.approx(losses(plain), abs=1e-5)


def test_a_resumed_run_stops_as_early_as_an_uninterrupted_one(tiny_model, rows, tmp_path):
    """The validations without a better loss are counted through the resume."""

    class Kill(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            if state.global_step == 7:
                raise KeyboardInterrupt

    def trainer(folder):
        settings = {"learning_rate": 0.02, "epochs": 4, "eval_interval": 0.1, "early_stopping_patience": 3}
        trainer = trainer_for(tiny_model, rows, tmp_path / folder, **settings)
        trainer.train_dataset = rows.map(nonsense)
        return trainer

    straight, killed = trainer("straight"), trainer("killed")
    straight.train()
    assert straight.state.global_step == 8  # of 20: the first of four validations was the best
    killed.add_callback(Kill())
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    resumed = trainer("killed")
    resumed.train(resume_from_checkpoint=str(newest_checkpoint(tmp_path / "killed")[0]))
    assert resumed.state.global_step == 8


class Battery:
    """An energy meter that has used a kWh at each look."""

    def __init__(self):
        self.used = 0.0

    def so_far(self):
        self.used += 1
        return self.used


def test_energy_is_counted_through_a_resume_or_not_at_all(tiny_model, rows, tmp_path):
    def run(energy, epochs, checkpoint=None):
        trainer = trainer_for(tiny_model, rows, tmp_path, epochs=2)
        trainer.energy = energy
        trainer.args.num_train_epochs = epochs
        trainer.train(resume_from_checkpoint=checkpoint)
        return logged(trainer.state.log_history, "energy_kwh")

    first = run(Battery(), 1)
    assert first >= 5
    checkpoint = str(newest_checkpoint(tmp_path)[0])
    assert run(Battery(), 2, checkpoint) > first
    for file in tmp_path.glob("checkpoint-*/trainer_state.json"):  # as if the first process had measured nothing
        file.write_text(re.sub(r'"energy_kwh": [0-9.]+,', "", file.read_text()))
    assert run(Battery(), 2, checkpoint) is None


class Scaler:
    def __init__(self, scale):
        self.get_scale = lambda: scale


def test_an_overflow_in_fp16_is_usual_until_no_scale_is_small_enough(tiny_model, rows, tmp_path):
    trainer = trainer_for(tiny_model, rows, tmp_path)
    supervisor = next(c for c in trainer.callback_handler.callbacks if isinstance(c, Supervisor))
    trainer.args.fp16 = True
    overflow = {"loss": 2.3, "grad_norm": math.inf}
    trainer.accelerator.scaler = Scaler(32768.0)
    supervisor.on_log(trainer.args, trainer.state, trainer.control, overflow)
    trainer.accelerator.scaler = Scaler(0.5)
    with pytest.raises(UserError, match="overflow at every scale"):
        supervisor.on_log(trainer.args, trainer.state, trainer.control, overflow)
    trainer.args.fp16 = False
    with pytest.raises(UserError, match="grad_norm is inf"):
        supervisor.on_log(trainer.args, trainer.state, trainer.control, overflow)


@pytest.mark.parametrize(
    ("capability", "runs"), [((6, 0), False), ((7, 0), False), ((7, 5), True), ((8, 9), True), ((12, 1), True)]
)
def test_a_card_too_old_for_this_torch_is_known(capability, runs):
    assert supported(capability, ["sm_75", "sm_80", "sm_86", "sm_90", "compute_120"]) == runs


def test_a_packed_sample_has_the_loss_of_its_own(tiny_model, rows, tmp_path):
    """A sample beside others in one row, against the sample alone: no attention crosses from one to another."""
    model = trainer_for(tiny_model, rows, tmp_path).model.eval()
    collator = trainer_for(tiny_model, rows, tmp_path).data_collator
    batch = collator([rows[i] for i in (3, 17, 30)])
    with torch.no_grad():
        for place in range(3):
            alone = collator([rows[(3, 17, 30)[place]]])
            others = torch.arange(3)[:, None] != place
            together = packed({**batch, "labels": batch["labels"].masked_fill(others, -100)})
            assert together["input_ids"].shape == (1, int(batch["attention_mask"].sum()))
            torch.testing.assert_close(model(**together).loss, model(**alone).loss, rtol=1e-5, atol=1e-5)


def test_packing_changes_nothing_but_the_padding(tiny_model, rows, tmp_path):
    no_dropout = LORA | {"dropout": 0.0}
    plain, dense = (
        trainer_for(tiny_model, rows, tmp_path / str(packing), lora=no_dropout, packing=packing)
        for packing in (False, True)
    )
    plain.train()
    dense.train()
    assert losses(dense) == pytest.approx(losses(plain), abs=2e-5)


def test_the_fast_path_has_the_loss_curve_of_the_plain_one(tiny_model, rows, tmp_path, monkeypatch):
    """50 steps at one seed: answer positions in micro-batches of constant tokens against the model's own loss."""
    settings = {"lora": LORA | {"dropout": 0.0}, "epochs": 10, "micro_batch": 3}
    fast = trainer_for(tiny_model, rows, tmp_path / "fast", **settings)
    monkeypatch.setattr(training, "use_answer_loss", lambda model: False)
    plain = trainer_for(tiny_model, rows, tmp_path / "plain", **settings | {"micro_batch": 1000})
    assert fast.model.get_base_model().forward != plain.model.get_base_model().forward
    fast.train()
    plain.train()
    assert len(losses(fast)) == 50
    assert losses(fast) == pytest.approx(losses(plain), abs=1e-4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a card PyTorch's own dropout is the fast one")
def test_every_dropout_of_the_adapter_is_the_fast_one(tiny_model, rows, tmp_path):
    kinds = {
        type(m) for m in trainer_for(tiny_model, rows, tmp_path).model.modules() if isinstance(m, torch.nn.Dropout)
    }
    assert kinds == {BitDropout}


def test_what_this_machine_cannot_run_is_left_out_and_told():
    asked = TRAINING | {"liger_kernel": True, "optimizer": "paged_adamw_8bit"}
    used, reasons = usable(asked)
    if not torch.cuda.is_available():
        assert (used["liger_kernel"], used["optimizer"]) == (False, "adamw_torch")
        assert len(reasons) == 2
    assert usable(TRAINING) == (TRAINING, [])


def test_early_stopping_ends_a_run_that_gets_worse(tiny_model, rows, tmp_path):
    trainer = trainer_for(
        tiny_model,
        rows,
        tmp_path,
        learning_rate=1.0,
        warmup_ratio=1.0,
        max_grad_norm=1e9,
        epochs=4,
        eval_interval=0.1,
        early_stopping_patience=1,
    )
    trainer.train()
    assert trainer.state.global_step < planned_steps(len(rows), TRAINING | {"epochs": 4})


def test_a_run_that_diverges_stops_with_advice(tiny_model, rows, tmp_path):
    trainer = trainer_for(tiny_model, rows, tmp_path)
    with torch.no_grad():
        next(p for p in trainer.model.parameters() if p.requires_grad).fill_(math.nan)
    with pytest.raises(UserError, match=r"loss is nan and grad_norm is nan at step 1.*learning_rate"):
        trainer.train()


def test_an_unknown_target_module_is_named(tiny_model):
    model = load_base(verify(tiny_model), "lora", NF4, "fp32")
    with pytest.raises(UserError, match=r"lora\.target_modules = \['nonsense'\]"):
        add_adapter(model, LORA | {"target_modules": ["nonsense"]}, seed=1)


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 500), min_size=1, max_size=400),
    batch=st.sampled_from([1, 2, 8, 16]),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 20),
)
def test_the_order_is_a_permutation_that_depends_on_seed_and_epoch_alone(lengths, batch, seed, epoch):
    order = list(EpochOrder(lengths, batch, seed, lambda: epoch))
    assert sorted(order) == list(range(len(lengths)))
    assert order == list(EpochOrder(lengths, batch, seed, lambda: epoch))
    if len(lengths) > 50:
        assert order != list(EpochOrder(lengths, batch, seed, lambda: epoch + 1))


def test_the_order_groups_lengths():
    lengths = torch.randint(20, 400, (4000,), generator=torch.Generator().manual_seed(0)).tolist()
    order = list(EpochOrder(lengths, 8, 1, lambda: 0))
    padded = sum(8 * max(lengths[i] for i in order[start : start + 8]) for start in range(0, 4000, 8))
    assert padded / sum(lengths) < 1.05


def test_a_base_with_several_ends_is_trained_as_one_with_one(tiny_model, rows, tmp_path):
    """Instruction models list the end of a turn and of a text in config.json."""
    folder = tmp_path / "several"
    shutil.copytree(tiny_model.parent, folder)
    for name in ("config.json", "generation_config.json"):
        facts = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(facts | {"eos_token_id": [facts["eos_token_id"], 5]}), encoding="utf-8")
    several = write_manifest(folder, kind="model", source="tiny")
    one = trainer_for(tiny_model, rows, tmp_path / "a", epochs=1)
    one.train()
    two = trainer_for(several, rows, tmp_path / "b", epochs=1)
    two.train()
    assert losses(one) == losses(two)
    two.model.save_pretrained(tmp_path / "adapter")
    model = load_adapter(load_base(folder, "lora", NF4, "fp32"), tmp_path / "adapter", merge=True)
    chat = Chat(load_tokenizer(several), None)
    answers = generate(model, chat, ["头痛怎么办？"], 12, 2, "test").answers
    model = load_adapter(load_base(verify(tiny_model), "lora", NF4, "fp32"), tmp_path / "adapter", merge=True)
    assert generate(model, chat, ["头痛怎么办？"], 12, 2, "test").answers == answers


class NoStep(TrainerCallback):
    """Fails where the optimiser makes a step."""

    def on_pre_optimizer_step(self, *_, **__):
        raise AssertionError("a finished run made a step")


@pytest.mark.parametrize("slimmed", [False, True])
@pytest.mark.parametrize("early", [False, True])
def test_a_finished_run_makes_no_further_step(tiny_model, rows, tmp_path, early, slimmed):
    """Whether it was stopped early, or ended within an epoch, which the Trainer would finish."""
    changes = {"epochs": 4, "early_stopping_patience": 1, "learning_rate": 3.0} if early else {"max_steps": 3}
    changes["eval_interval"] = 0.1
    first = trainer_for(tiny_model, rows, tmp_path / "run", **changes)
    first.train()
    assert (first.state.global_step < first.state.max_steps) == early
    if slimmed:
        slim(tmp_path / "run", first.state.best_model_checkpoint)
    again = trainer_for(tiny_model, rows, tmp_path / "run", **changes)
    again.add_callback(NoStep())
    again.train(resume_from_checkpoint=str(newest_checkpoint(tmp_path / "run")[0]))
    assert again.state.global_step == first.state.global_step
    for name, weight in adapter_weights(first).items():
        assert torch.equal(weight, adapter_weights(again)[name]), name


def test_a_run_whose_best_checkpoint_is_lost_takes_the_best_of_the_others(tiny_model, rows, tmp_path):
    first = trainer_for(tiny_model, rows, tmp_path, max_steps=3, eval_interval=0.3, learning_rate=3.0)
    first.train()
    assert first.state.best_global_step == 1
    shutil.rmtree(tmp_path / "checkpoint-1")
    shutil.rmtree(tmp_path / "checkpoint-3")
    again = trainer_for(tiny_model, rows, tmp_path, max_steps=3, eval_interval=0.3, learning_rate=3.0)
    again.train(resume_from_checkpoint=str(newest_checkpoint(tmp_path)[0]))
    later = {entry["step"]: entry["eval_loss"] for entry in again.state.log_history if entry.get("eval_loss")}
    best = min((2, 3), key=later.__getitem__)
    assert (again.state.best_global_step, again.state.best_metric) == (best, later[best])
    assert again.state.best_model_checkpoint == str(tmp_path / f"checkpoint-{best}")
