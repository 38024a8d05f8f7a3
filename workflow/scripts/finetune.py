"""Fine-tune the base model with LoRA or QLoRA on one subset, resuming the run's own checkpoints."""

import argparse
import json
from pathlib import Path

from medscale.base.arguments import add_source
from medscale.base.cards import leased_cards
from medscale.base.errors import UserError, run_script
from medscale.base.imports import leave_out, needs_bitsandbytes
from medscale.base.progress import working
from medscale.base.torchrun import own_card, run_here, started
from medscale.train.trackers.asked import OWN, TRACKERS, require_installed


def main() -> None:
    args = parse_arguments()
    args.largest = args.largest or args.method
    require_installed(args.report_to)
    if not needs_bitsandbytes(args.method, json.loads(args.settings)["training"]["optimizer"]):
        leave_out("bitsandbytes")  # which the Trainer's PEFT would import
    if args.granted is not None and args.granted < args.gpus:
        raise UserError(
            "B121",
            f"training.gpus_per_run = {args.gpus}, and Snakemake gives a job {args.granted}: call it with --resources "
            f"gpu={args.gpus}, or raise the limit of gpu in the profile",
        )
    if args.gpus > 1 and not started():
        with leased_cards(args.gpus, args.threads):
            run_here(args.gpus)
        return
    with own_card() if started() else leased_cards(threads=args.threads):
        with working("importing torch", not started()):
            from medscale.train.run import run  # torch is imported when one card is left to see

        run(args)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="name of the run, such as lora_20k")
    parser.add_argument("--method", required=True, choices=["lora", "qlora"], help="fine-tuning method")
    parser.add_argument("--seed", type=int, required=True, help="seed of the adapter's weights and of the data's order")
    parser.add_argument(
        "--settings", required=True, help="JSON text with the sections training, lora, quantization and more"
    )
    parser.add_argument("--micro-batch", required=True, help="samples of full length a forward pass, or auto")
    parser.add_argument(
        "--largest", choices=["lora", "qlora"], help="the study's method that needs most memory (default: this one)"
    )
    parser.add_argument("--gpus", type=int, default=1, help="cards that share the run (default: %(default)s)")
    parser.add_argument("--granted", type=int, help="cards that Snakemake gives this job (default: as many)")
    parser.add_argument("--fingerprint", required=True, help="digest of the settings and of the code")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of torch (default: %(default)s)")
    add_source(parser, "model", "base model")
    parser.add_argument("--train", required=True, help="encoded training rows (Parquet)")
    parser.add_argument("--train-report", required=True, help="report of the encoding of the training rows (JSON)")
    parser.add_argument("--validation", required=True, help="encoded validation rows (Parquet)")
    parser.add_argument("--test", required=True, help="test rows (JSON lines), for provenance only")
    parser.add_argument("--pilot", help="the pilot's file, where the learning rate is auto")
    parser.add_argument("--size", type=int, help="training rows as the study names them, to take the pilot's rate for")
    parser.add_argument("--adapter", required=True, help="folder for the adapter; checkpoints lie beside it")
    parser.add_argument("--training", required=True, help="JSON file with what was measured")
    parser.add_argument("--train-log", required=True, help="CSV file with the losses by step")
    parser.add_argument("--tensorboard", required=True, help="folder for TensorBoard")
    parser.add_argument(
        "--report-to",
        nargs="*",
        choices=TRACKERS,
        default=[OWN],
        help="where the losses go beside the log (default: %(default)s)",
    )
    parser.add_argument("--offline", action="store_true", help="trackers send nothing, whatever the environment holds")
    parser.add_argument("--project", default="medscale", help="what trackers call the study (default: %(default)s)")
    parser.add_argument(
        "--trackers", type=Path, default=Path("trackers"), help="folder for what trackers keep (default: %(default)s)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
