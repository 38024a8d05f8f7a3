"""Try learning rates for a method on the smallest and the largest size, and choose by the loss on validation rows."""

import argparse
import json

from medscale.base.arguments import add_source
from medscale.base.cards import leased_cards
from medscale.base.errors import run_script
from medscale.base.imports import leave_out, needs_bitsandbytes
from medscale.base.progress import working


def main() -> None:
    args = parse_arguments()
    args.largest = args.largest or args.method
    optimizers = {spec["settings"]["training"]["optimizer"] for spec in json.loads(args.settings)["sizes"].values()}
    if not any(needs_bitsandbytes(args.method, optimizer) for optimizer in optimizers):
        leave_out("bitsandbytes")  # which the Trainer's PEFT would import
    with leased_cards(threads=args.threads):
        with working("importing torch"):
            from medscale.train.pilot import run  # torch is imported when one card is left to see

        run(args)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", required=True, choices=["lora", "qlora"], help="fine-tuning method")
    parser.add_argument("--seed", type=int, required=True, help="seed of the adapter's weights and of the data's order")
    parser.add_argument(
        "--settings", required=True, help="JSON text: the section pilot, and what is tried on each size"
    )
    parser.add_argument("--micro-batch", type=json.loads, required=True, help="JSON text: by size, a number or auto")
    parser.add_argument(
        "--largest", choices=["lora", "qlora"], help="the study's method that needs most memory (default: this one)"
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of torch (default: %(default)s)")
    add_source(parser, "model", "base model")
    parser.add_argument(
        "--train",
        required=True,
        type=by_size,
        nargs="+",
        help="SIZE=FILE: encoded training rows of each size (Parquet)",
    )
    parser.add_argument("--validation", required=True, help="encoded validation rows (Parquet)")
    parser.add_argument("--kept", required=True, help="folder for what is finished, and for checkpoints")
    parser.add_argument("--output", required=True, help="JSON file with every rate, and the choice")
    args = parser.parse_args()
    args.train = dict(args.train)
    return args


def by_size(text: str) -> tuple[str, str]:
    """Read ``SIZE=FILE``."""
    size, _, path = text.partition("=")
    return size, path


if __name__ == "__main__":
    run_script(main)
