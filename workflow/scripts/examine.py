"""Answer every exam question with one run's model by the likelihood of its options, and read general texts with it."""

import argparse
from pathlib import Path

from medscale.base.arguments import add_tuned_model
from medscale.base.cards import leased_cards
from medscale.base.errors import run_script
from medscale.base.imports import leave_out
from medscale.base.progress import working


def main() -> None:
    args = parse_arguments()
    if args.method != "qlora":
        leave_out("bitsandbytes")  # which PEFT would import for LoRA, too
    with leased_cards(threads=args.threads):
        with working("importing torch"):
            from medscale.evaluate.examination import run  # torch is imported when one card is left to see

        run(args)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_tuned_model(parser)
    parser.add_argument(
        "--settings", required=True, help="JSON text: exams by name, retention, quantization, precision"
    )
    parser.add_argument("--exams", type=Path, nargs="*", default=[], help="questions (JSON lines), one file an exam")
    parser.add_argument("--retention", type=Path, help="general texts (JSON lines); left out where there are none")
    parser.add_argument(
        "--answers", required=True, help="what was chosen (Parquet), one row a question and permutation"
    )
    parser.add_argument("--texts", required=True, help="likelihoods of the general texts (Parquet)")
    parser.add_argument("--examination", required=True, help="JSON file with seconds, memory and prompts")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
