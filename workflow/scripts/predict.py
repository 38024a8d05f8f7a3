"""Answer every test question with one run's model, and measure how likely it finds the reference answers."""

import argparse
import json

from medscale.base.arguments import add_tuned_model
from medscale.base.cards import leased_cards
from medscale.base.errors import run_script
from medscale.base.imports import leave_out
from medscale.base.progress import working


def main() -> None:
    args = parse_arguments()
    if json.loads(args.settings)["evaluation"]["engine"] == "transformers" and args.method != "qlora":
        leave_out("bitsandbytes")  # which PEFT would import for LoRA, too
    with leased_cards(threads=args.threads):
        with working("importing torch"):
            from medscale.evaluate.run import run  # torch is imported when one card is left to see

        run(args)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_tuned_model(parser)
    parser.add_argument(
        "--settings", required=True, help="JSON text: evaluation, chat, quantization, precision, max_length"
    )
    parser.add_argument("--test", required=True, help="test rows (JSON lines)")
    parser.add_argument("--output", required=True, help="predictions (JSON lines)")
    parser.add_argument("--inference", required=True, help="JSON file with speed and memory")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
