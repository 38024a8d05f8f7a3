"""A model of the memory that training takes, to keep as many activations as the card has room for."""

from typing import NamedTuple

GIB = 1024**3
ROOM = 0.9
"""Share of the card that is planned for; the rest is the CUDA context, fragments and kernels' workspaces."""
HEAD_BYTES = 2 * 128 * 1024**2
"""A chunk of logits, and its log-probabilities that become the gradient; see `answer_loss.CHUNK_BYTES`."""


class Activations(NamedTuple):
    """What the forward pass keeps for the backward pass, bytes a token.

    Attributes:
        layer: of one decoder layer without checkpointing.
        boundary: of one decoder layer with checkpointing, which keeps its input alone.
        rest: of everything outside the decoder layers.
        layers: number of decoder layers.
    """

    layer: float
    boundary: float
    rest: float
    layers: int


def training_gib(
    activations: Activations, weights_gib: float, trainable: int, tokens: int, checkpointed: int = 0
) -> float:
    """Return the peak of one training step in GiB.

    Args:
        activations: from `loading.measure_activations`.
        weights_gib: what the loaded model takes.
        trainable: trained parameters; each has a float32 gradient and two moments of the optimiser.
        tokens: tokens of a micro-batch, padding included.
        checkpointed: decoder layers with checkpointing; one of them at a time is computed again in full.
    """
    kept = (activations.layers - checkpointed) * activations.layer + checkpointed * activations.boundary
    again = activations.layer if checkpointed else 0
    return weights_gib + (tokens * (kept + again + activations.rest) + 12 * trainable + HEAD_BYTES) / GIB


def layers_to_checkpoint(
    asked: bool | str,
    card_gib: float | None,
    activations: Activations,
    weights_gib: float,
    trainable: int,
    tokens: int,
) -> int:
    """Return how many decoder layers are checkpointed.

    Args:
        asked: True for all, False for none, ``auto`` for as few as let the step fit.
        card_gib: memory of the card, or None on a CPU, where ``auto`` keeps everything.
        activations, weights_gib, trainable, tokens: see `training_gib`.
    """
    if asked != "auto":
        return activations.layers if asked else 0
    if card_gib is None:
        return 0
    for count in range(activations.layers):
        if training_gib(activations, weights_gib, trainable, tokens, count) <= ROOM * card_gib:
            return count
    return activations.layers
