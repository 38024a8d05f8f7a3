"""Fetch the question-answer corpus, or point to it, or generate the demo's, and write a manifest with its sha256."""

import argparse

from medscale.base.errors import UserError, run_script
from medscale.base.files import atomic_path
from medscale.fetch.corpus_files import chosen_files
from medscale.fetch.manifest import write_manifest
from medscale.fetch.program import fetch_from_hub, parse, parser_of, run_fetcher
from medscale.fetch.sources import own_path, point_to_own

SOURCES = {"huggingface": "", "modelscope": "", "file": "a file, folder or pattern on this machine", "demo": ""}


def main() -> None:
    fetchers = {"huggingface": from_hub, "modelscope": from_hub, "file": from_file, "demo": generate_demo}
    run_fetcher(parse_arguments(), "data", fetchers)


def from_hub(args: argparse.Namespace) -> None:
    """Download files of a dataset repository beside the manifest."""
    if not args.id or not args.file:
        raise UserError(
            "F153",
            f"data.source: {args.source} needs data.id, as owner/name, and data.file, a file of that dataset, "
            "a folder, a pattern such as data/train-*.parquet, or a list of these",
        )
    fetch_from_hub(args, "data", choose=lambda paths: chosen_files(paths, args.file, "data", args.source, args.id))


def from_file(args: argparse.Namespace) -> None:
    """Point to files, which stay where they are."""
    point_to_own("data", own_path("data", args.path), args.output)


def generate_demo(args: argparse.Namespace) -> None:
    """Write the demo's corpus, in the schema of Toyhom, beside the manifest."""
    from medscale.data.demo.corpus import generate, load_conditions, some, write_toyhom_csv

    folder = args.output.parent
    conditions = some(load_conditions(args.conditions), args.condition_count, args.seed)
    rows = generate(conditions, args.rows, args.seed, noise=args.noise)
    with atomic_path(folder / "demo.csv") as temporary:
        write_toyhom_csv(temporary, rows)
    write_manifest(folder, kind="data", source="demo", files=["demo.csv"])


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "data", SOURCES)
    parser.add_argument("--file", help="path of a file in the dataset, of a folder, or a pattern")
    parser.add_argument("--rows", type=int, default=6000, help="question-answer pairs (demo; default: %(default)s)")
    parser.add_argument("--condition-count", type=int, help="conditions of the table they are about (demo; all)")
    parser.add_argument("--seed", type=int, default=42, help="seed of the phrasings (demo; default: %(default)s)")
    parser.add_argument("--noise", type=float, default=0.05, help="share of faulty rows (demo; default: %(default)s)")
    return parse(parser, "data")


if __name__ == "__main__":
    run_script(main)
