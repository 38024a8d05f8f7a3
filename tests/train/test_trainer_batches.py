"""In which order rows are seen, how a batch is cut, and how the losses of its parts add up."""

from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from transformers import Trainer

from medscale.train.answer_loss import answer_positions
from medscale.train.trainer import (
    GROUP,
    EpochOrder,
    StudyTrainer,
    micro_batches,
    packed,
    validation_places,
)


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
