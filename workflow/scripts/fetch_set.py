"""Fetch a set of a study (an exam, general texts or rows), or point to it, or make the demo's, and write a manifest."""

import argparse
import importlib
from pathlib import PurePosixPath

from medscale.base.errors import UserError, run_script
from medscale.base.files import atomic_path
from medscale.fetch.corpus_files import chosen_files
from medscale.fetch.manifest import write_manifest
from medscale.fetch.program import fetch_from_hub, parse, parser_of, run_fetcher
from medscale.fetch.sources import DEMO_SETS, PLAIN, own_path, point_to_own

SOURCES = {"huggingface": "", "modelscope": "", "file": "a file, folder or pattern on this machine", "demo": ""}


def main() -> None:
    args = parse_arguments()
    fetchers = {"huggingface": from_hub, "modelscope": from_hub, "file": from_file, "demo": make_demo}
    run_fetcher(args, args.kind, fetchers, args.key, args.name)


def from_hub(args: argparse.Namespace) -> None:
    """Download files of a dataset repository beside the manifest."""
    if not args.id or not args.file:
        raise UserError(
            "C137",
            f"{args.key}.source: {args.source} needs {args.key}.id, as owner/name, and {args.key}.file, a file of that "
            "dataset, a folder, a pattern such as test/*.csv, or a list of these",
        )
    asked = (args.file, args.key, args.source, args.id, args.kind in PLAIN)
    fetch_from_hub(args, "data", choose=lambda paths: chosen_files(paths, *asked))


def from_file(args: argparse.Namespace) -> None:
    """Point to files, which stay where they are."""
    point_to_own(args.kind, own_path(args.kind, args.path, args.key), args.output)


def make_demo(args: argparse.Namespace) -> None:
    """Make the demo's set from the table of medical facts or from what needs none, beside the manifest."""
    module = PurePosixPath(DEMO_SETS[args.kind]).with_suffix("").as_posix().replace("/", ".")
    with atomic_path(args.output.parent / "demo.jsonl") as temporary:
        importlib.import_module(module).write(temporary, args.conditions, vars(args))
    write_manifest(args.output.parent, kind="data", source="demo", files=["demo.jsonl"])


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "data", SOURCES)
    parser.add_argument("--key", required=True, help="where the set stands in the configuration, for messages")
    parser.add_argument("--kind", required=True, choices=[*DEMO_SETS], help="what the set is")
    parser.add_argument("--name", required=True, help="name of the set in the study")
    parser.add_argument("--file", help="path of a file in the dataset, of a folder, or a pattern")
    parser.add_argument("--rows", type=int, help="how many to make (demo; default: as many as the maker has)")
    parser.add_argument("--seed", type=int, default=42, help="seed of what is made (demo; default: %(default)s)")
    parser.add_argument("--condition-count", type=int, help="conditions that the corpus is about (demo; all)")
    parser.add_argument("--data-seed", type=int, default=42, help="seed of the corpus (demo; default: %(default)s)")
    return parse(parser, "data")


if __name__ == "__main__":
    run_script(main)
