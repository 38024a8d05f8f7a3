"""Model FLOP utilisation: the useful arithmetic of training an adapter, and the peaks of cards.

Useful is what a frozen model with an adapter needs on real tokens: a product with each weight matrix forward, and one
backward for the activations; none for the frozen weights' gradients, none for padding, none for what checkpointing
computes again, and the language-model head at answer tokens alone. A multiply-add is two operations, so

    FLOP = 4 × (linear weights of all layers) × tokens + 4 × (head weights) × answer tokens
           + 6 × layers × heads × head size × Σ length²

where the last term is attention: scores and values, forward once and backward twice, half of the square for the causal
mask. The adapter's own products, under 2 % of that, are left out. Padding and recomputation lower the utilisation.
"""

from collections.abc import Iterable
from typing import Any

PEAK_TFLOPS = (
    ("B200", 2250.0),
    ("H200", 989.4),
    ("H100 PCIe", 756.5),
    ("H100 NVL", 835.5),
    ("H100", 989.4),
    ("A100", 312.0),
    ("L40S", 362.1),
    ("L4", 121.0),
    ("A10", 125.0),
    ("4090", 165.2),
    ("3090", 71.2),
    ("V100", 125.0),
    ("T4", 65.1),
    ("P100", 18.7),
)
"""Dense 16-bit peak by a part of the card's name, from NVIDIA's data sheets, in TFLOPS; for the GeForce cards that with
float32 accumulation, for the P100 that without tensor cores (PCIe). The first match counts."""


def training_flop(shape: dict[str, Any], lengths: Iterable[int], answer_tokens: int) -> float:
    """Return the useful FLOP of one pass over rows of these lengths.

    Args:
        shape: fields of a Qwen2 config.json.
        lengths: tokens of each row, without padding.
        answer_tokens: labelled tokens of all rows.
    """
    lengths = list(lengths)
    hidden, layers = shape["hidden_size"], shape["num_hidden_layers"]
    attention = 6 * layers * hidden * sum(length * length for length in lengths)
    return 4 * layers * layer_weights(shape) * sum(lengths) + 4 * head_weights(shape) * answer_tokens + attention


def layer_weights(shape: dict[str, Any]) -> int:
    """Return the weights of one layer's linear maps: attention's four and the MLP's three."""
    hidden = shape["hidden_size"]
    keys = hidden // shape["num_attention_heads"] * shape["num_key_value_heads"]
    return hidden * (2 * hidden + 2 * keys + 3 * shape["intermediate_size"])


def head_weights(shape: dict[str, Any]) -> int:
    """Return the weights of the language-model head."""
    return shape["hidden_size"] * shape["vocab_size"]


def head_share(shape: dict[str, Any]) -> float:
    """Return the share of the head in the multiply-adds of a forward pass at every position."""
    head = head_weights(shape)
    return head / (head + shape["num_hidden_layers"] * layer_weights(shape))


def peak_tflops(card: str | None) -> float | None:
    """Return the peak of a card by its name; None for one that is not in the table and for a CPU."""
    return next((peak for part, peak in PEAK_TFLOPS if card and part in card), None)
