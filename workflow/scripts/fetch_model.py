"""Fetch the base model, point to it, copy the demo's, or build the small one; write its manifest with all sha256.

Only weights in safetensors, JSON, tokenizer and licence files are fetched: nothing that could be executed.
"""

import argparse
import json
import shutil
from pathlib import Path

from medscale.base.errors import UserError, run_script
from medscale.base.files import atomic_path
from medscale.fetch.manifest import read_manifest, root_of, write_manifest
from medscale.fetch.model_config import require_kind, require_usable
from medscale.fetch.model_files import licence_of, model_files, require_shards
from medscale.fetch.program import fetch_from_hub, parse, parser_of, run_fetcher
from medscale.fetch.sources import (
    NOT_AS_SHIPPED,
    SHIPPED,
    own_path,
    point_to_own,
    require_all_targets,
    shipped_manifest,
)

SOURCES = {"huggingface": "", "modelscope": "", "local": "folder of a model", "tiny": "", "demo": ""}


def main() -> None:
    fetchers = {
        **{"huggingface": from_hub, "modelscope": from_hub},
        **{"local": from_folder, "tiny": build_tiny, "demo": from_repository},
    }
    args = parse_arguments()
    run_fetcher(args, "model", fetchers)
    require_all_targets(root_of(args.output), args.targets, args.source)


def from_hub(args: argparse.Namespace) -> None:
    """Download the files of a model repository beside the manifest."""
    if not args.id:
        raise UserError(
            "C123", f"model.id is not set; with model.source: {args.source} it is the repository, as owner/name"
        )
    where = f"{args.source}, {args.id}"
    fetch_from_hub(
        args,
        "model",
        choose=lambda paths: model_files(paths, where),
        check=lambda folder: check(folder, where),
        licence=licence_of,
        first=("config.json", lambda folder: require_kind(folder, where)),  # before gigabytes of weights
    )


def check(folder: Path, where: str) -> None:
    """Raise `UserError` if what was downloaded is no model that can be used."""
    require_shards(folder, where)
    require_usable(folder, where)


def from_folder(args: argparse.Namespace) -> None:
    """Point to a Hugging Face model directory, which stays where it is."""
    point_to_own("model", own_path("model", args.path), args.output)


def from_repository(args: argparse.Namespace) -> None:
    """Copy the demo's base model, which the repository holds, beside the manifest."""
    shipped = shipped_manifest(args.conditions)
    names = [entry["path"] for entry in shipped["files"]]
    source, folder = args.conditions.parent / SHIPPED, args.output.parent
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():  # what is there is of another version
        if stale.is_file() and stale.name not in names:
            stale.unlink()
    for name in names:
        if not (source / name).is_file():
            raise UserError("F160", f"{source / name} is missing: {NOT_AS_SHIPPED}")
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(source / name, temporary)
    known = {key: shipped[key] for key in ("id", "revision", "licence")}
    manifest = read_manifest(write_manifest(folder, kind="model", source="demo", files=names, **known))
    if changed := [entry["path"] for entry in manifest["files"] if entry not in shipped["files"]]:
        args.output.unlink()
        raise UserError("F160", f"{source}: {', '.join(changed)} changed since: {NOT_AS_SHIPPED}")


def build_tiny(args: argparse.Namespace) -> None:
    """Pre-train the small embedded model beside the manifest."""
    settings = dict(args.tiny or {})
    if "seed" not in settings:
        raise UserError("C124", "model.tiny.seed is not set; with model.source: tiny it decides the weights")
    import torch  # here, because it is slow to import and no other source needs it

    from medscale.data.demo.corpus import load_conditions, textbook
    from medscale.model.tiny import build

    if args.threads:
        torch.set_num_threads(args.threads)
    folder = args.output.parent
    folder.mkdir(parents=True, exist_ok=True)
    seed = settings.pop("seed")
    build(folder, settings, seed, textbook(load_conditions(args.conditions), seed))
    write_manifest(folder, kind="model", source="tiny")


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "model", SOURCES)
    parser.add_argument("--tiny", type=json.loads, help="JSON: vocab_size, hidden_size, layers, steps, seed (tiny)")
    parser.add_argument(
        "--targets", type=json.loads, default=[], help="JSON: list of the values that lora.target_modules has"
    )
    parser.add_argument(
        "--threads", type=int, help="CPU threads to build the tiny model; default: PyTorch's own choice"
    )
    return parse(parser, "model")


if __name__ == "__main__":
    run_script(main)
