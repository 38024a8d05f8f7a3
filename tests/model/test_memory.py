"""The model of training's memory against sums worked out by hand, and the choice of what is checkpointed."""

import pytest

from medscale.model.memory import GIB, HEAD_BYTES, Activations, layers_to_checkpoint, training_gib

MIB = 1024**2
STEP = {
    "activations": Activations(layer=100 * 1024, boundary=4 * 1024, rest=8 * 1024, layers=10),
    "weights_gib": 2.0,
    "trainable": 10 * MIB,
    "tokens": 1024,
}


@pytest.mark.parametrize(
    ("checkpointed", "activations_mib"),
    [
        (0, 10 * 100 + 8),  # all kept
        (1, 9 * 100 + 4 + 100 + 8),  # one boundary, and that layer once more in the backward pass
        (4, 6 * 100 + 4 * 4 + 100 + 8),
        (10, 10 * 4 + 100 + 8),
    ],
)
def test_the_peak_is_weights_activations_optimiser_and_head(checkpointed, activations_mib):
    """The optimiser holds a gradient and two moments of 4 bytes for each trained parameter."""
    optimiser_mib, head_mib = 12 * 10, 256
    expected = 2.0 + (activations_mib + optimiser_mib + head_mib) / 1024
    assert training_gib(**STEP, checkpointed=checkpointed) == pytest.approx(expected, rel=1e-12)


def test_nothing_is_checkpointed_by_default():
    assert training_gib(**STEP) == training_gib(**STEP, checkpointed=0)


def test_units():
    assert GIB == 2**30
    assert HEAD_BYTES == 2 * 128 * MIB, "a chunk of logits and one of their gradient"


def test_auto_checkpoints_as_few_layers_as_fit_into_nine_tenths_of_the_card():
    """One checkpointed layer takes more than none, because it is computed once more: it is never the answer."""
    for wanted in (0, 2, 3, 9):
        needed = training_gib(**STEP, checkpointed=wanted)
        assert layers_to_checkpoint("auto", needed / 0.9 * 1.000001, **STEP) == wanted
        assert layers_to_checkpoint("auto", needed / 0.9 * 0.999999, **STEP) == max(2, wanted + 1)


def test_a_card_that_is_too_small_gets_all_there_is():
    assert layers_to_checkpoint("auto", 0.1, **STEP) == 10


@pytest.mark.parametrize(("asked", "count"), [(True, 10), (False, 0)])
@pytest.mark.parametrize("card", [0.1, 80.0, None])
def test_what_is_asked_for_is_done_on_every_card(asked, count, card):
    assert layers_to_checkpoint(asked, card, **STEP) == count


def test_a_cpu_keeps_everything():
    assert layers_to_checkpoint("auto", None, **STEP) == 0
