"""Make of one run what others can load, measure each form again, and write the card that tells both."""

import argparse
from pathlib import Path

from medscale.base.arguments import add_paths, add_source, whole_number
from medscale.base.cards import leased_cards
from medscale.base.errors import run_script
from medscale.base.imports import leave_out


def main() -> None:
    args = parse_arguments()
    if args.part is None:
        with leased_cards(threads=args.threads):
            from medscale.export.program import run

            run(args)
        return
    if args.method != "qlora":
        leave_out("bitsandbytes")  # which PEFT would import for LoRA, too
    # The card is that of the process that asked for this part.
    from medscale.export.part import run as run_part

    run_part(args)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="name of the run, such as lora_20k")
    parser.add_argument("--method", required=True, choices=["lora", "qlora"], help="how the run was tuned")
    parser.add_argument("--settings", required=True, help="JSON text: export, resamples, and those of predict.py")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of torch (default: %(default)s)")
    parser.add_argument(
        "--converter", help="convert_hf_to_gguf.py, or the checkout with it; left out: it is looked for"
    )
    add_source(parser, "model", "base model")
    add_paths(
        parser,
        adapter="folder of the run's adapter",
        training="training.json of the run",
        predictions="predictions.jsonl of the run",
        inference="inference.json of the run",
        eval="eval.json of the run",
        test="test rows (JSON lines)",
        clean_report="clean_report.json of the study",
        split_report="split_report.json of the study",
        corpus="the study's copy of the corpus's manifest",
        output="folder to write; parts that are not finished lie beside it",
    )
    own = parser.add_argument_group("a part alone, as the program calls itself")
    own.add_argument("--part", help="make:FORM or measure:FORM; left out: everything")
    own.add_argument("--work", type=Path, help="folder of the parts")
    own.add_argument("--form", type=Path, help="folder or file of the form that is measured")
    own.add_argument("--precision", choices=["bf16", "fp16", "fp32"], help="of the weights")
    own.add_argument("--sample", type=whole_number, help="test rows to measure on")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
