"""Fetch the question-answer corpus, or point to it, or generate the demo's, and write a manifest with its sha256."""

import argparse
import json
from pathlib import Path

from medscale.base.errors import UserError, run_script
from medscale.base.files import atomic_path, sha256_file
from medscale.fetch.download import fetch
from medscale.fetch.hub import Repository, prepare_client
from medscale.fetch.manifest import is_current, read_manifest, remember, write_manifest

DATA_ENDINGS = (".json", ".jsonl", ".csv", ".parquet")


def main() -> None:
    args = parse_arguments()
    fetchers = {"huggingface": from_hub, "modelscope": from_hub, "file": from_file, "demo": generate_demo}
    if args.source not in fetchers:
        raise UserError(f"data.source: {args.source} is none of {', '.join(fetchers)}")
    request = request_of(args)
    if is_current(args.output, request):
        print(f"{args.output}: already there, every file verified")
        return
    fetchers[args.source](args)
    remember(args.output, request)
    files = read_manifest(args.output)["files"]
    print(f"{args.output}: {', '.join(file['path'] for file in files)}, {sum(file['size'] for file in files):,} bytes")


def request_of(args: argparse.Namespace) -> dict:
    """Return what decides which corpus is meant."""
    if args.source == "file":
        return {"source": "file", "path": args.path}
    if args.source == "demo":
        if not args.conditions or not args.conditions.is_file():
            raise UserError("data.source: demo needs the table of medical facts; --conditions names no file")
        facts = sha256_file(args.conditions)
        return {"source": "demo", "rows": args.rows, "seed": args.seed, "noise": args.noise, "conditions": facts}
    return {"source": args.source, "id": args.id, "revision": args.revision, "file": args.file}


def from_hub(args: argparse.Namespace) -> None:
    """Download one file of a dataset repository beside the manifest."""
    if not args.id or not args.file:
        raise UserError(
            f"data.source: {args.source} needs data.id, as owner/name, and data.file, a file of that dataset"
        )
    prepare_client(args.source, args.endpoint)
    folder = args.output.parent
    repository = Repository(args.source, "data", args.id, args.revision or None)
    listing = fetch(repository, folder, lambda paths: choose(paths, args), wait=args.retry_wait)
    write_manifest(
        folder,
        kind="data",
        source=args.source,
        id=args.id,
        revision=listing.revision,
        licence=listing.licence,
        files=[args.file],
    )


def choose(paths: list[str], args: argparse.Namespace) -> list[str]:
    """Return the wanted file, or say which there are."""
    if args.file not in paths:
        offered = [path for path in sorted(paths) if path.endswith(DATA_ENDINGS)]
        rest = f" and {len(offered) - 20} more" if len(offered) > 20 else ""
        raise UserError(
            f"data.file: {args.source}, {args.id} has no {args.file}; it has {', '.join(offered[:20])}{rest}"
        )
    return [args.file]


def from_file(args: argparse.Namespace) -> None:
    """Point to a file, which stays where it is."""
    if not args.path:
        raise UserError("data.path is not set; with data.source: file it is the file of questions and answers")
    path = Path(args.path).expanduser().absolute()
    if not path.is_file():
        raise UserError(f"data.path: {path} is {'a folder' if path.is_dir() else 'not there'}; name one file")
    try:
        write_manifest(args.output.parent, kind="data", source="file", root=path.parent, files=[path.name])
    except PermissionError as error:
        raise UserError(f"data.path: {error.filename} may not be read; change its permissions") from error


def generate_demo(args: argparse.Namespace) -> None:
    """Write the demo's corpus, in the schema of Toyhom, beside the manifest."""
    from medscale.data.demo.corpus import generate, load_conditions, write_toyhom_csv

    folder = args.output.parent
    rows = generate(load_conditions(args.conditions), args.rows, args.seed, noise=args.noise)
    with atomic_path(folder / "demo.csv") as temporary:
        write_toyhom_csv(temporary, rows)
    write_manifest(folder, kind="data", source="demo", files=["demo.csv"])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=json.loads, default={}, help="JSON: the section data of the configuration")
    parser.add_argument("--source", help="huggingface, modelscope, file or demo; goes before --data, as all below")
    parser.add_argument("--id", help="dataset on the hub, owner/name")
    parser.add_argument("--revision", help="branch, tag or commit; default: the hub's default branch")
    parser.add_argument("--file", help="path of the file in the dataset")
    parser.add_argument("--endpoint", help="address of the hub or a mirror; default: as in the environment")
    parser.add_argument("--path", help="a file on this machine (file)")
    parser.add_argument("--rows", type=int, default=6000, help="question-answer pairs (demo; default: %(default)s)")
    parser.add_argument("--seed", type=int, default=42, help="seed of the phrasings (demo; default: %(default)s)")
    parser.add_argument("--noise", type=float, default=0.05, help="share of faulty rows (demo; default: %(default)s)")
    parser.add_argument("--conditions", type=Path, help="table of medical facts (demo)")
    parser.add_argument("--retry-wait", type=float, default=3.0, help="seconds before a second attempt (default: 3)")
    parser.add_argument("--output", type=Path, required=True, help="manifest.json; downloaded files go beside it")
    section = parser.parse_known_args()[0]
    parser.set_defaults(**{key: value for key, value in section.data.items() if key in vars(section)})
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
