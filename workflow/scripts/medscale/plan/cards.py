"""Cards that need not be here: their memory, and the rates that the computed plan takes for them. No torch.

The peaks are the vendor's. What a program sustains of them is assumed, the same shares for all cards of a kind, and
nowhere fitted to a measurement; `benchmarks/results` keeps measured runs beside computed ones.
"""

import re
from typing import Any, NamedTuple

from medscale.base.errors import UserError

LAUNCH_SECONDS = 9e-6
"""Assumed: what Python, PyTorch and PEFT take to give a card one kernel. A card that is faster than that waits."""
BANDWIDTH_SHARE = 0.75
"""Assumed: share of the peak bandwidth that elementwise kernels sustain."""
PRODUCT_SHARE = 0.5
"""Assumed: share of the peak arithmetic that matrix products of a training sustain; a card's own where one is given."""
SPREAD = 0.25
"""Assumed: how far all rates together may be off, to either side; it makes the range."""
DISK_BYTES = 2e8
"""Assumed: bytes a second at which a checkpoint is written, and a model read for the first time."""
CACHED_BYTES = 1e9
"""Assumed: bytes a second at which a model is loaded that was read shortly before."""


class Card(NamedTuple):
    """A kind of card.

    Attributes:
        title: what it is called.
        memory_gib: what torch sees of its memory.
        bandwidth: peak bytes a second.
        peak: peak floating-point operations a second in dense matrix products that add up in float32, by precision.
        capability: compute capability.
        source: where memory, bandwidth and peaks are from.
        sustained: share of the peak that matrix products sustain.
        why: what that share rests on.
        price_per_hour: price of an hour, or None.
    """

    title: str
    memory_gib: float
    bandwidth: float
    peak: dict[str, float]
    capability: tuple[int, int]
    source: str
    sustained: float = PRODUCT_SHARE
    why: str = "assumed"
    price_per_hour: float | None = None

    @property
    def flash(self) -> bool:
        """Whether it has flash attention."""
        return self.capability >= (8, 0)

    def precision(self, asked: str) -> str:
        """Return what `model.precision.precision` answers on this card."""
        if asked != "auto":
            return asked
        return "bf16" if self.capability >= (8, 0) else "fp16"


def _peaks(half: float, single: float, bfloat: float | None = None) -> dict[str, float]:
    """Return peaks by precision from TFLOP/s; a card without bf16 units emulates it in float32."""
    return {"fp16": 1e12 * half, "bf16": 1e12 * (bfloat or single), "fp32": 1e12 * single}


CARDS = {
    "t4": Card(
        "Tesla T4",
        14.56,
        320e9,
        _peaks(65.0, 8.1),
        (7, 5),
        "NVIDIA T4 datasheet; memory as torch tells it",
        0.37,
        "assumed: its 70 W do not keep the clock of the peak up",
    ),
    "p100": Card(
        "Tesla P100 16 GB",
        15.89,
        732e9,
        _peaks(9.3, 9.3),
        (6, 0),
        "NVIDIA P100 datasheet; products in fp16 that add up in float32 run at the rate of float32",
        0.7,
        "assumed: without tensor cores a larger share of the peak is reached",
    ),
    "v100": Card(
        "Tesla V100 16 GB", 15.77, 900e9, _peaks(125.0, 15.7), (7, 0), "NVIDIA V100 datasheet (SXM2)", 0.4, "assumed"
    ),
    "3090": Card(
        "GeForce RTX 3090", 23.68, 936e9, _peaks(71.0, 35.6, 71.0), (8, 6), "NVIDIA GA102 whitepaper", 0.75, "assumed"
    ),
    "4090": Card(
        "GeForce RTX 4090", 23.64, 1008e9, _peaks(165.2, 82.6, 165.2), (8, 9), "NVIDIA Ada whitepaper", 0.65, "assumed"
    ),
    "a10": Card("A10", 22.06, 600e9, _peaks(125.0, 31.2, 125.0), (8, 6), "NVIDIA A10 datasheet", 0.4, "assumed"),
    "l4": Card(
        "L4",
        22.05,
        300e9,
        _peaks(121.0, 30.3, 121.0),
        (8, 9),
        "NVIDIA L4 datasheet",
        0.4,
        "assumed: its 72 W do not keep the clock of the peak up",
    ),
    "a100-40": Card("A100 40 GB", 39.4, 1555e9, _peaks(312.0, 19.5, 312.0), (8, 0), "NVIDIA A100 datasheet"),
    "a100-80": Card("A100 80 GB", 79.15, 2039e9, _peaks(312.0, 19.5, 312.0), (8, 0), "NVIDIA A100 datasheet (SXM)"),
    "h100": Card(
        "H100 80 GB", 79.1, 3350e9, _peaks(989.4, 66.9, 989.4), (9, 0), "NVIDIA H100 datasheet (SXM)", 0.4, "assumed"
    ),
}
"""Cards by the name that one types."""


OTHERS = {"ti", "d", "laptop", "mobile", "super", "mig", "grid", "nvl"}
"""Words in the name of a card that is another one than that of the table, or a slice of it."""
SAME_MEMORY = 0.06


def card_of(name: str, own: dict[str, Any]) -> Card:
    """Return a card by its name.

    Args:
        name: such as ``t4``; capitals and spaces do not matter.
        own: the resolved section `plan.own_cards`; a card there comes before a known one of the same name.

    Raises:
        UserError: there is no such card.
    """
    key = _key(name)
    for title, facts in own.items():
        if _key(title) == key:
            return _own(title, facts)
    known = {_key(short): card for short, card in CARDS.items()}
    if key not in known:
        raise UserError(
            "P101",
            f"plan.cards: {name!r} is no known card. Known are {', '.join([*own, *CARDS])}; describe another one in "
            "plan.own_cards, as config/README.md tells",
        )
    return known[key]


def known_card(model: str | None, memory_gib: float | None = None) -> str | None:
    """Return the name of the card that the driver calls ``model``; None for one that is not in the table.

    A slice of a card is not in it, nor one with other memory than the table's, if ``memory_gib`` says how much it has.

    >>> known_card("NVIDIA A100-SXM4-80GB"), known_card("Tesla T4"), known_card("NVIDIA GeForce RTX 4090 D")
    ('a100-80', 't4', None)
    """
    words = re.findall("[a-z0-9]+", (model or "").lower())
    if not OTHERS.isdisjoint(words) or {"h100", "pcie"} <= set(words):
        return None
    if "a100" in words:
        name = next((name for name, size in (("a100-40", "40gb"), ("a100-80", "80gb")) if size in words), None)
    else:
        name = next((name for name in CARDS if name in words), None)
    if name and memory_gib and abs(memory_gib / CARDS[name].memory_gib - 1) > SAME_MEMORY:
        return None
    return name


def spread(value: float | None) -> list[float] | None:
    """Return the least and the most that a computed time or price may be, by the spread of the rates."""
    return None if value is None else [value / (1 + SPREAD), value / (1 - SPREAD)]


def _own(name: str, facts: dict[str, Any]) -> Card:
    peak = {kind: 1e12 * value for kind, value in facts["tflops"].items()}
    capability = facts["compute_capability"]
    return Card(
        name,
        facts["memory_gib"],
        1e9 * facts["bandwidth_gb_per_second"],
        peak,
        (int(capability), round(10 * (capability - int(capability)))),
        "plan.own_cards",
        facts.get("sustained", PRODUCT_SHARE),
        "plan.own_cards",
        facts.get("price_per_hour"),
    )


def _key(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
