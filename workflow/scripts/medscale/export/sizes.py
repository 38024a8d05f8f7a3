"""How much room an export takes, from the headers of the base model's weights. No torch."""

from math import prod
from pathlib import Path

from medscale.fetch.manifest import root_of
from medscale.fetch.weights import tensors

BYTES = {"bf16": 2.0, "fp16": 2.0, "fp32": 4.0, "q8_0": 34 / 32}
"""Bytes a weight; q8_0 holds 32 weights in 34 bytes."""
OTHER_FILES = 64 * 2**20  # tokenizer, configuration and header of one form


def parameters(manifest: str | Path) -> int:
    """Return how many weights a base model has, as its files hold them."""
    root = root_of(manifest)
    return sum(prod(tensor.shape) for tensor in tensors(root, str(root)).values())


def room_needed(manifest: str | Path, kinds: list[str]) -> int:
    """Return the bytes that copies of a base model take, one of each of the given kinds."""
    count = parameters(manifest)
    return sum(int(count * BYTES[kind]) + OTHER_FILES for kind in kinds)
