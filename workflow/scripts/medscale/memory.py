"""A model of the memory that training takes, to choose gradient checkpointing before the first step."""

from typing import Any

GIB = 1024**3


def training_gib(config: Any, weights_gib: float, tokens: int) -> float:
    """Estimate the peak of one training step without gradient checkpointing, in GiB.

    Weights, plus in 16 bits what the backward pass of each decoder layer keeps (about 14 vectors of the hidden and 5 of
    the intermediate width a token), plus float32 logits with their gradient and one copy.

    Args:
        config: the model's configuration (hidden_size, intermediate_size, num_hidden_layers, vocab_size).
        weights_gib: what the loaded weights take.
        tokens: tokens of a micro-batch, padding included.
    """
    intermediate = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    layer = 2 * (14 * config.hidden_size + 5 * intermediate)
    logits = 3 * 4 * config.vocab_size
    return weights_gib + tokens * (config.num_hidden_layers * layer + logits) / GIB


def wants_checkpointing(asked: bool | str, needed_gib: float, card_gib: float | None) -> bool:
    """Decide on gradient checkpointing.

    Args:
        asked: True, False, or ``auto``, which turns it on where ``needed_gib`` is above nine tenths of the card.
        needed_gib: estimate without checkpointing.
        card_gib: memory of the card, or None on a CPU, where ``auto`` leaves it off.
    """
    if asked != "auto":
        return bool(asked)
    return card_gib is not None and needed_gib > 0.9 * card_gib
