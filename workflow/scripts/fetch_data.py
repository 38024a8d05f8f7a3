"""Fetch the question-answer corpus, or point to it, or generate the demo's, and write a manifest with its sha256."""

import argparse

from medscale.base.errors import UserError, run_script
from medscale.base.files import atomic_path
from medscale.fetch.manifest import write_manifest
from medscale.fetch.program import fetch_from_hub, parse, parser_of, run_fetcher
from medscale.fetch.sources import own_path, point_to_own

DATA_ENDINGS = (".json", ".jsonl", ".csv", ".parquet")
SOURCES = {"huggingface": "", "modelscope": "", "file": "a file on this machine", "demo": ""}


def main() -> None:
    fetchers = {"huggingface": from_hub, "modelscope": from_hub, "file": from_file, "demo": generate_demo}
    run_fetcher(parse_arguments(), "data", fetchers)


def from_hub(args: argparse.Namespace) -> None:
    """Download one file of a dataset repository beside the manifest."""
    if not args.id or not args.file:
        raise UserError(
            "C123", f"data.source: {args.source} needs data.id, as owner/name, and data.file, a file of that dataset"
        )
    fetch_from_hub(args, "data", choose=lambda paths: choose(paths, args))


def choose(paths: list[str], args: argparse.Namespace) -> list[str]:
    """Return the wanted file, or say which there are."""
    if args.file not in paths:
        offered = [path for path in sorted(paths) if path.endswith(DATA_ENDINGS)]
        rest = f" and {len(offered) - 20} more" if len(offered) > 20 else ""
        raise UserError(
            "F104", f"data.file: {args.source}, {args.id} has no {args.file}; it has {', '.join(offered[:20])}{rest}"
        )
    return [args.file]


def from_file(args: argparse.Namespace) -> None:
    """Point to a file, which stays where it is."""
    point_to_own("data", own_path("data", args.path), args.output)


def generate_demo(args: argparse.Namespace) -> None:
    """Write the demo's corpus, in the schema of Toyhom, beside the manifest."""
    from medscale.data.demo.corpus import generate, load_conditions, write_toyhom_csv

    folder = args.output.parent
    rows = generate(load_conditions(args.conditions), args.rows, args.seed, noise=args.noise)
    with atomic_path(folder / "demo.csv") as temporary:
        write_toyhom_csv(temporary, rows)
    write_manifest(folder, kind="data", source="demo", files=["demo.csv"])


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "data", SOURCES)
    parser.add_argument("--file", help="path of the file in the dataset")
    parser.add_argument("--rows", type=int, default=6000, help="question-answer pairs (demo; default: %(default)s)")
    parser.add_argument("--seed", type=int, default=42, help="seed of the phrasings (demo; default: %(default)s)")
    parser.add_argument("--noise", type=float, default=0.05, help="share of faulty rows (demo; default: %(default)s)")
    return parse(parser, "data")


if __name__ == "__main__":
    run_script(main)
