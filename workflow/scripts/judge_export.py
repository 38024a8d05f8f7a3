"""Write blind pairs of answers for judges: as JSON lines, as a page that works offline, and their key, kept apart."""

import argparse
import json
from pathlib import Path

from medscale.base.errors import UserError, run_script
from medscale.base.files import read_json, sha256_file, write_json, write_jsonl, write_text
from medscale.base.judge_settings import REFERENCE, chosen_pairs
from medscale.base.plurals import how_many
from medscale.evaluate.predictions import read_predictions
from medscale.judge.page import judge_html
from medscale.judge.pairs import draw, key_of, lines_of, set_of


def main() -> None:
    args = parse_arguments()
    drawn = args.drawing
    pairs = drawn["pairs"] or chosen_pairs(read_json(args.recommendation), drawn["largest"])
    needed = {name for pair in pairs for name in pair}
    files = {path.parent.name: path for path in args.predictions}
    if not drawn["pairs"]:
        files = {name: path for name, path in files.items() if name in needed}
    predictions = {name: read_predictions(path) for name, path in files.items()}
    shown, compared = draw(pairs, predictions, drawn["items"], drawn["repeated"], drawn["seed"])
    if not shown:
        raise UserError(
            "J101",
            "judging.pairs: both sides of every pair gave the same answer to every question drawn, so there is nothing "
            "to judge; name other pairs, or raise judging.items",
        )
    digests = {name: sha256_file(path) for name, path in files.items()}
    write_jsonl(args.pairs, lines_of(shown))
    write_json(args.key, key_of(shown, compared, digests, **{key: drawn[key] for key in ("seed", "items", "repeated")}))
    write_text(args.page, judge_html(lines_of(shown), set_of(shown)))
    print(f"compared: {', '.join(f'{a} with {b}' for a, b in pairs)}")
    count = len(compared[0].items)
    fewer = f", all that the test set has (judging.items: {drawn['items']})" if count < drawn["items"] else ""
    print(f"{how_many(count, 'question')} of each comparison{fewer}")
    same = sum(len(pair.identical) for pair in compared)
    print(
        f"{args.pairs}: {how_many(len(shown), 'pair')} to judge; "
        f"{how_many(same, 'more has', 'more have')} the same answer twice and "
        + ("counts as a tie" if same == 1 else "count as ties")
    )
    print(f"{args.page}: the same for people, in any browser; {args.key} is not for judges")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--predictions",
        nargs="+",
        type=Path,
        required=True,
        help="predictions.jsonl of each configuration, in a folder of its name",
    )
    parser.add_argument(
        "--drawing",
        type=json.loads,
        required=True,
        help=f"JSON text: pairs of names ({REFERENCE} for the reference answers; null for those that follow from the "
        "recommendation), largest run of each method, items, repeated, seed",
    )
    parser.add_argument(
        "--recommendation", type=Path, help="recommendation.json, where the pairs follow from it (default: none)"
    )
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.jsonl to write")
    parser.add_argument("--key", type=Path, required=True, help="key.json to write")
    parser.add_argument("--page", type=Path, required=True, help="judge.html to write")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
