"""Which settings the trainings of a study are given on a card: the same for all, and less where others use it."""

from types import SimpleNamespace

import pytest
import torch

from medscale.base.config import resolve
from medscale.base.settings import largest_method
from medscale.model import hardware
from medscale.train import fitting
from medscale.train.fitting import Fit, choose, fitted, lower


class Line:
    """Needs that are as plain as can be: weights, and so much for each row and layer."""

    layers = 36

    def __init__(self, weights=6.0, layer=0.08):
        self.weights, self.layer = weights, layer

    def gib(self, rows, checkpointed):
        again = self.layer if checkpointed else 0.0
        return self.weights + rows * ((36 - checkpointed) * self.layer + checkpointed * 0.002 + again)


LORA, QLORA = Line(), Line(weights=2.0)


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        (8.0, (4, 36)),
        (16.0, (4, 36)),  # a small card checkpoints everything
        (19.9, (4, 36)),
        (22.5, (4, 0)),  # 6 + 4 x 36 x 0.08 = 17.52
        (40.0, (8, 0)),  # 8 rows take 29.04, 16 take 52.08
        (80.0, (16, 0)),
    ],
)
def test_every_run_of_a_study_gets_the_settings_of_the_largest(card, expected):
    for own in (LORA, QLORA):
        fit = fitted(own, LORA, card, card, effective_batch=16)
        assert (fit.rows, fit.checkpointed) == expected
        assert fit.gib == own.gib(*expected)
        assert fit.unchecked_gib == LORA.gib(expected[0], 0)


@pytest.mark.parametrize("layer", [0.05, 0.1, 0.13, 0.2])
def test_no_layer_more_than_needed_is_checkpointed(layer):
    needs = Line(layer=layer)
    count = fitted(needs, needs, 24.0, 24.0, effective_batch=16, rows=4).checkpointed
    fitting_counts = [number for number in range(37) if needs.gib(4, number) <= 0.9 * 24]
    assert count == min(fitting_counts)


def test_what_fits_at_no_count_is_checkpointed_whole():
    needs = Line(weights=30.0)
    assert fitted(needs, needs, 24.0, 100.0, effective_batch=16).checkpointed == 36


def test_a_card_that_others_use_gives_this_run_less():
    """80 GiB of which 10 are free: every layer first, then fewer rows, where the study has 16 rows and none."""
    fit = fitted(LORA, LORA, 80.0, 10.0, effective_batch=16)
    assert (fit.rows, fit.checkpointed) == (16, 36)
    assert fit.gib <= 10.0
    fit = fitted(LORA, LORA, 80.0, 6.5, effective_batch=16)
    assert (fit.rows, fit.checkpointed) == (2, 36)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [({"rows": 2}, (2, 0)), ({"checkpointing": True}, (4, 36)), ({"rows": 8, "checkpointing": False}, (8, 0))],
)
def test_what_is_asked_for_is_given(asked, expected):
    fit = fitted(LORA, LORA, 80.0, 80.0, effective_batch=16, **asked)
    assert (fit.rows, fit.checkpointed) == expected


def test_the_ladder_ends_at_one_row_with_every_layer():
    steps, place = [], (4, 0)
    while place := lower(*place, 36):
        steps.append(place)
    assert steps == [(4, 36), (2, 36), (1, 36)]


def config(layers=36):
    return SimpleNamespace(get_text_config=lambda: SimpleNamespace(num_hidden_layers=layers))


def settings(**training):
    resolved = resolve({})
    return {"training": resolved["training"] | training, "lora": resolved["lora"], "quantization": {}}


@pytest.mark.parametrize(
    ("rows", "asked", "expected"),
    [
        ("auto", "auto", Fit(1, 0, 36)),
        ("3", "auto", Fit(3, 0, 36)),
        (2, True, Fit(2, 36, 36)),
        ("auto", False, Fit(1, 0, 36)),
    ],
)
def test_a_cpu_keeps_everything_and_takes_one_row(rows, asked, expected):
    assert choose(config(), "lora", "lora", settings(gradient_checkpointing=asked), rows) == (expected, None)


@pytest.fixture
def card(monkeypatch):
    """A card of 24 GB; what is simulated of which method is noted."""
    asked = []
    monkeypatch.setattr(fitting, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(fitting, "card_gib", lambda: 22.0)
    monkeypatch.setattr(fitting, "free_gib", lambda: 21.0)
    monkeypatch.setattr(hardware.torch.cuda, "get_device_capability", lambda _: (7, 5))
    monkeypatch.setattr(fitting, "precision", lambda _: "fp16")

    def needs(_, step):
        asked.append(step)
        return LORA if step.method == "lora" else QLORA

    monkeypatch.setattr(fitting, "Needs", needs)
    return asked


def test_on_a_card_both_methods_are_simulated_at_the_longest_rows(card):
    fit, problem = choose(config(), "qlora", "lora", settings(max_length=300), "auto")
    assert problem is None
    assert (fit.rows, fit.checkpointed, fit.gib) == (4, 0, QLORA.gib(4, 0))
    assert [(step.method, step.width, step.precision, step.flash) for step in card] == [
        ("qlora", 300, "fp16", False),
        ("lora", 300, "fp16", False),
    ]


def test_a_model_that_cannot_be_simulated_is_checkpointed_whole_and_said_so(card, monkeypatch):
    def needs(*_):
        raise NotImplementedError("no fake kernel")

    monkeypatch.setattr(fitting, "Needs", lambda *_: SimpleNamespace(layers=36, gib=needs))
    fit, problem = choose(config(), "lora", "lora", settings(), "auto")
    assert fit == Fit(4, 36, 36)
    assert problem == "the memory of this model cannot be simulated (NotImplementedError: no fake kernel)"


@pytest.mark.parametrize(
    ("methods", "largest"), [(["lora", "qlora"], "lora"), (["qlora", "lora"], "lora"), (["qlora"], "qlora")]
)
def test_the_largest_of_the_methods(methods, largest):
    assert largest_method({"study": {"methods": methods}}) == largest
