"""Simulate what a training step of Qwen2.5-3B takes on cards that need not be here; nothing is measured on a card.

python benchmarks/simulated_memory.py                      # a few minutes on one core
python benchmarks/simulated_memory.py --output benchmarks/results/simulated_memory.json

For LoRA and QLoRA, without gradient checkpointing, as the study chooses it, and in every layer: the peak of the memory,
and for a micro-batch the floating-point operations, the bytes read and written, and the kernels launched. The same
without what was changed to save them: with the adapters' inputs in float32, as PEFT casts them, and with attention in
plain products for rows of one length. And what share of the arithmetic of a training on 20,000 rows its validations
are, of all 1,000 rows and of those that are taken.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

import torch
from transformers import AutoConfig
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from circumstances import circumstances, load_average, told
from medscale.base.config import resolve
from medscale.base.errors import run_script
from medscale.base.files import write_json
from medscale.evaluate.simulation import simulate as simulate_prediction
from medscale.model.blank import ATTENTION, Step, kernels
from medscale.plan.shapes import SHAPES
from medscale.train.fitting import ROWS, Needs, fitted
from medscale.train.simulation import Simulated, simulate

PACKAGES = ("torch", "transformers", "peft", "bitsandbytes")
MODEL = "Qwen/Qwen2.5-3B"
TRAIN_ROWS = 20_000


class Kind(NamedTuple):
    """A kind of card: the memory that it tells of in GiB, the precision of a training, and flash attention."""

    gib: float
    precision: str
    flash: bool


CARDS = {"T4": Kind(14.56, "fp16", False), "24 GB": Kind(22.5, "bf16", True), "80 GB": Kind(79.1, "bf16", True)}


def main() -> None:
    args = parse_arguments()
    result: dict[str, Any] = {"schema_version": 1, "simulated": True, **circumstances(PACKAGES), "model": MODEL}
    began, defaults, rows = time.perf_counter(), resolve({}), []
    fields = dict(SHAPES[MODEL])
    config = AutoConfig.for_model(fields.pop("model_type"), **fields)
    training = defaults["training"]
    result |= {
        "width": training["max_length"],
        "effective_batch": training["effective_batch"],
        "lora": defaults["lora"],
    }
    for name, card in CARDS.items():
        needs = {
            method: Needs(config, step_of(method, card, defaults, ROWS, training["max_length"]))
            for method in ("lora", "qlora")
        }
        for method, own in needs.items():
            fit = fitted(own, needs["lora"], card.gib, card.gib, training["effective_batch"])
            choices = {"none": (ROWS, 0), "auto": (fit.rows, fit.checkpointed), "all": (ROWS, own.layers)}
            for choice, (count, checkpointed) in choices.items():
                found = own.simulated(count, checkpointed)
                rows.append(
                    {
                        "card": name,
                        "method": method,
                        "gradient_checkpointing": choice,
                        "rows": count,
                        "checkpointed_layers": checkpointed,
                        "peak_gib": round(found.peak_gib, 2),
                        "weights_gib": round(found.weights_gib, 2),
                        "tflop": round(found.micro_batch.flops / 1e12, 2),
                        "gigabytes_moved": round(found.micro_batch.bytes / 1e9, 1),
                        "gigabytes_outside_products": round(
                            (found.micro_batch.bytes - found.micro_batch.product_bytes) / 1e9, 1
                        ),
                        "launches": round(found.micro_batch.launches),
                    }
                )
                print(line(rows[-1]), flush=True)
    result["plain_attention"] = plain_attention(config, defaults)
    result |= {"float32_inputs": float32_inputs(config, defaults), "validations": validations(config, defaults)}
    result |= {"steps": rows, "seconds": round(time.perf_counter() - began, 1)}
    print(told(result | {"load_average_after": load_average()}))
    if args.output:
        write_json(args.output, result)


def step_of(method: str, card: Kind, defaults: dict[str, Any], rows: int, width: int, answers: float = 1.0) -> Step:
    """Return what a step works on."""
    sections = defaults["lora"], defaults["quantization"]
    return Step(method, card.precision, *sections, rows, width, answers, flash=card.flash)


def float32_inputs(config: Any, defaults: dict[str, Any]) -> list[dict[str, Any]]:
    """Count a LoRA step with adapters that take their input as it is, and with those that cast it to float32."""
    rows = []
    for name, card in CARDS.items():
        step = step_of("lora", card, defaults, ROWS, defaults["training"]["max_length"])
        for checkpointed in (0, config.num_hidden_layers):
            after = simulate(config, step, checkpointed)
            with patch("medscale.train.simulation.keep_input_type", lambda model: None):
                before = simulate(config, step, checkpointed)
            rows.append({"card": name, "checkpointed_layers": checkpointed} | compared(before, after))
            print(f"{name}, LoRA, {checkpointed} layers checkpointed, before and after: {rows[-1]}", flush=True)
    return rows


def plain_attention(config: Any, defaults: dict[str, Any]) -> list[dict[str, Any]]:
    """Count a LoRA step on rows of one length on a T4, with attention in plain products and with the efficient one.

    Rows of one length need no mask; the kernel that shares keys by itself is then, without flash attention, the one in
    plain products.
    """

    @contextmanager
    def products(step: Step) -> Iterator[None]:
        with kernels(step):
            ALL_ATTENTION_FUNCTIONS.register(ATTENTION, in_products)
            yield

    def in_products(module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: Any = None, **_: Any) -> Any:
        named = {"is_causal": True, "scale": scaling, "enable_gqa": True}
        found = torch.ops.aten._scaled_dot_product_attention_math(query, key, value, **named)[0]
        return found.transpose(1, 2).contiguous(), None

    step = step_of("lora", CARDS["T4"], defaults, ROWS, defaults["training"]["max_length"])._replace(padded=False)
    rows = []
    for checkpointed in (0, config.num_hidden_layers):
        after = simulate(config, step, checkpointed)
        with patch("medscale.train.simulation.kernels", products):
            before = simulate(config, step, checkpointed)
        rows.append({"card": "T4", "checkpointed_layers": checkpointed} | compared(before, after))
        print(f"T4, LoRA, rows of one length, {checkpointed} layers checkpointed, before and after: {rows[-1]}")
    return rows


def compared(before: Simulated, after: Simulated) -> dict[str, list[float]]:
    """Return figures before and after."""
    figures = {
        "peak_gib": lambda found: round(found.peak_gib, 2),
        "tflop": lambda found: round(found.micro_batch.flops / 1e12, 2),
        "gigabytes_moved": lambda found: round(found.micro_batch.bytes / 1e9, 1),
        "gigabytes_outside_products": lambda found: round(
            (found.micro_batch.bytes - found.micro_batch.product_bytes) / 1e9, 1
        ),
        "launches": lambda found: round(found.micro_batch.launches),
    }
    return {name: [figure(before), figure(after)] for name, figure in figures.items()}


def validations(config: Any, defaults: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the share of the arithmetic of a training that its validations are, rows of the mean length all along."""
    training, found = defaults["training"], []
    width, answers = 176, 0.57
    step = step_of("lora", CARDS["T4"], defaults, 11, width, answers)
    forward = simulate_prediction(config, step, 1, True, round(answers * width)).prefill.work.flops
    for checkpointed in (0, config.num_hidden_layers):
        pass_flops = simulate(config, step, checkpointed).micro_batch.flops
        for rows in (defaults["study"]["validation_size"], training["validation_rows"]):
            validated = rows / training["eval_interval"] * forward
            share = validated / (validated + TRAIN_ROWS * pass_flops)
            found.append({"checkpointed_layers": checkpointed, "rows": rows, "share": round(share, 4)})
            print(f"validations of {rows} rows, {checkpointed} layers checkpointed: {share:.1%}", flush=True)
    return found


def line(row: dict[str, Any]) -> str:
    """Return a row as text."""
    return (
        f"{row['card']:<6} {row['method']:<6} {row['gradient_checkpointing']:<5} {row['rows']:>2} rows, "
        f"{row['checkpointed_layers']:>2} layers checkpointed: {row['peak_gib']:6.2f} GiB, {row['tflop']:7.2f} TFLOP, "
        f"{row['gigabytes_moved']:7.1f} GB ({row['gigabytes_outside_products']:.1f} outside products), "
        f"{row['launches']:>6} launches"
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
