"""Forecast what each run of the study will take: measured on this machine, or computed for cards that are not here."""

import argparse
import json
import os
from contextlib import nullcontext
from pathlib import Path

from medscale.base.cards import VISIBLE, leased_cards
from medscale.base.errors import run_script
from medscale.plan.cards import card_of


def main() -> None:
    args = parse_arguments()
    plan = json.loads(args.config)["plan"]
    for name in plan["cards"]:
        card_of(str(name), plan["own_cards"])  # an unknown one is told before seconds of imports
    elsewhere = bool(plan["cards"])
    if elsewhere:
        os.environ[VISIBLE] = ""  # what is computed for other cards needs none
    with nullcontext() if elsewhere else leased_cards():
        from medscale.plan.forecast import run  # torch is imported when one card is left to see

        run(args)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="JSON text: the resolved configuration")
    parser.add_argument("--model", type=Path, required=True, help="manifest.json of the model; it may not exist yet")
    parser.add_argument("--corpus", type=Path, required=True, help="manifest.json of the corpus; it may not exist yet")
    parser.add_argument(
        "--sets",
        default="{}",
        help="JSON text: manifest.json of each exam (exam_NAME) and of general texts (retention); it may not exist yet",
    )
    parser.add_argument(
        "--options", default="", help="what a call of snakemake for this study needs besides, for the commands told"
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of torch (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="time to train a method for (default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for plan.json and plan.md, or plan_CARD.json and .md"
    )
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
