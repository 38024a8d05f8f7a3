"""Simulate what a training step of Qwen2.5-3B takes on cards that need not be here; nothing is measured on a card.

python benchmarks/simulated_memory.py                      # a few minutes on one core
python benchmarks/simulated_memory.py --output benchmarks/results/simulated_memory.json

For LoRA and QLoRA, without gradient checkpointing, as the study chooses it, and in every layer: the peak of the memory,
and for a micro-batch the floating-point operations, the bytes read and written, and the kernels launched.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from transformers import AutoConfig

from circumstances import circumstances, told
from medscale.base.config import resolve
from medscale.base.errors import run_script
from medscale.base.files import write_json
from medscale.plan.shapes import SHAPES
from medscale.train.fitting import ROWS, Needs, fitted
from medscale.train.simulation import Step

PACKAGES = ("torch", "transformers", "peft", "bitsandbytes")
MODEL = "Qwen/Qwen2.5-3B"


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
            method: Needs(
                config,
                Step(
                    method,
                    card.precision,
                    defaults["lora"],
                    defaults["quantization"],
                    rows=ROWS,
                    width=training["max_length"],
                    flash=card.flash,
                ),
            )
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
    result |= {"steps": rows, "seconds": round(time.perf_counter() - began, 1)}
    print(told(result))
    if args.output:
        write_json(args.output, result)


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
