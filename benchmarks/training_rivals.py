"""Who trains in benchmarks/training.py, with which settings, and what of TRL is tried to find its best."""

from collections.abc import Iterator
from typing import Any

EFFECTIVE_BATCH = 16
CONTENDER = ("name", "kind", "weights", "autocast", "arguments")


def contender(name: str, kind: str, weights: str, autocast: str | None = None, **arguments: Any) -> dict[str, Any]:
    """Return what `training_contender.py` needs to know of a contender.

    Args:
        name: what the table calls it.
        kind: medscale, trl, llamafactory or plain.
        weights: precision of the frozen weights.
        autocast: precision of the Trainer's mixed precision, or None.
        arguments: of the trainer.
    """
    return {"name": name, "kind": kind, "weights": weights, "autocast": autocast, "arguments": arguments}


def batching(rows: int) -> dict[str, int]:
    """Return the Trainer's arguments for micro-batches of so many rows in an effective batch."""
    return {"per_device_train_batch_size": rows, "gradient_accumulation_steps": EFFECTIVE_BATCH // rows}


def contenders(precision: str, cuda: bool) -> list[dict[str, Any]]:
    """Return MedScale, TRL as it comes and the plain Trainer; TRL's best settings are found by trying.

    TRL's defaults are weights in float32 with bf16 autocast, gradient checkpointing and micro-batches of 8, on a CPU
    too.
    """
    mixed = None if precision == "fp32" else precision
    ours = [contender("MedScale", "medscale", precision)]
    if cuda:
        ours.append(contender("MedScale, all layers checkpointed", "medscale", precision, gradient_checkpointing=True))
    else:
        ours.append(contender("MedScale in bf16", "medscale", "bf16"))
    return [
        *ours,
        contender("TRL's defaults", "trl", "fp32", "fp16" if mixed == "fp16" else "bf16", **batching(8)),
        contender("plain Trainer, padded, all tokens", "plain", precision, mixed, **batching(4)),
    ]


def llamafactory(precision: str, cuda: bool) -> Iterator[dict[str, Any]]:
    """Yield LLaMA-Factory's settings: those of its example for LoRA first, then other micro-batches.

    The example has one row a micro-batch, bf16 and gradient checkpointing, which LLaMA-Factory turns on by itself.
    """
    half = "fp16" if precision == "fp16" else "bf16"
    for autocast in (half,) if cuda else (half, None):
        for rows in (1, 4, 16):
            name = f"{rows} row{'s' * (rows > 1)}, autocast {autocast}"
            yield contender(name, "llamafactory", "auto", autocast, **batching(rows))


def trials(precision: str, cuda: bool, rows_a_pack: float) -> Iterator[dict[str, Any]]:
    """Yield settings of TRL that could be its fastest; its loss never builds all logits, whatever the setting.

    All are without gradient checkpointing, but for two on a card. Small micro-batches keep a CPU's caches warm. A pack
    has as many rows as fit 512 tokens; so many packs make a step that it has an effective batch of rows, about.
    """
    half = "bf16" if precision == "fp32" else precision
    kinds = [(half, half)] if cuda else [("fp32", None), ("bf16", "bf16")]
    grouped = {"train_sampling_strategy": "group_by_length"}
    free = {"padding_free": True, "max_length": None}
    packs = max(1, round(EFFECTIVE_BATCH / rows_a_pack))
    ways = {
        "1 row": batching(1),
        "4 rows by length": {**batching(4), **grouped},
        "4 rows padding-free": {**batching(4), **free},
        "16 rows padding-free": {**batching(16), **free},
        f"{packs} packs of 512": {"per_device_train_batch_size": packs, "packing": True, "max_length": 512},
    }
    if cuda:
        ways |= {
            "16 rows by length": {**batching(16), **grouped},
            "8 rows, batch_rebalance": {**batching(8), "train_sampling_strategy": "batch_rebalance"},
        }
    for weights, autocast in kinds:
        precisions = f"weights {weights}, autocast {autocast}"
        for way, arguments in ways.items():
            yield contender(f"{way}, {precisions}", "trl", weights, autocast, gradient_checkpointing=False, **arguments)
        if cuda:
            for rows in (4, 16):
                way = f"{rows} rows by length, checkpointing, {precisions}"
                arguments = {**batching(rows), **grouped, "gradient_checkpointing": True}
                yield contender(way, "trl", weights, autocast, **arguments)


def best_of(tried: list[dict[str, Any]], precision: str, cuda: bool) -> list[dict[str, Any]]:
    """Return the fastest trial; on a CPU the fastest in MedScale's precision and the fastest in bf16."""
    ran = [trial for trial in tried if trial["samples_per_second"]]
    groups = {}
    for title, kind in (("TRL's best", "trl"), ("LLaMA-Factory's best", "llamafactory")):
        own = [trial for trial in ran if trial["kind"] == kind]
        if cuda:
            groups[title] = own
        else:
            groups[title] = [trial for trial in own if trial["autocast"] is None]
            groups[f"{title} in bf16"] = [trial for trial in own if trial["autocast"] == "bf16"]
    best = []
    for name, group in groups.items():
        if group:
            winner = max(group, key=lambda trial: trial["samples_per_second"])
            best.append({key: winner[key] for key in CONTENDER} | {"name": name})
            best[-1]["settings"] = winner["name"]
    return best
