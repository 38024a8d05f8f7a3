"""Fetch the base model, or point to it, or build the small one, and write its manifest with the sha256 of each file.

Only weights in safetensors, JSON, tokenizer and licence files are fetched: nothing that could be executed.
"""

import argparse
import fnmatch
import json
import re
from pathlib import Path

from medscale.base.errors import UserError, run_script
from medscale.base.files import read_json, sha256_file
from medscale.fetch.download import fetch
from medscale.fetch.hub import Repository, prepare_client
from medscale.fetch.manifest import is_current, read_manifest, remember, write_manifest

ALLOWED = ["*.safetensors", "*.json", "*.model", "*.tiktoken", "*.jinja", "merges.txt", "vocab.txt", "tokenizer*.txt"]
ALLOWED += ["LICENSE*", "LICENCE*", "NOTICE*", "README.md"]
WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
TOKENIZERS = [{"tokenizer.json"}, {"tokenizer.model"}, {"vocab.json", "merges.txt"}, {"vocab.txt"}]


def main() -> None:
    args = parse_arguments()
    fetchers = {"huggingface": from_hub, "modelscope": from_hub, "local": from_folder, "tiny": build_tiny}
    if args.source not in fetchers:
        raise UserError(f"model.source: {args.source} is none of {', '.join(fetchers)}")
    request = request_of(args)
    if is_current(args.output, request):
        print(f"{args.output}: already there, every file verified")
        return
    fetchers[args.source](args)
    remember(args.output, request)
    files = read_manifest(args.output)["files"]
    print(f"{args.output}: {len(files)} files, {sum(file['size'] for file in files):,} bytes")


def request_of(args: argparse.Namespace) -> dict:
    """Return what decides which model is meant."""
    if args.source == "local":
        return {"source": "local", "path": args.path}
    if args.source == "tiny":
        if not args.conditions or not args.conditions.is_file():
            raise UserError("model.source: tiny needs the table of medical facts; --conditions names no file")
        return {"source": "tiny", "tiny": args.tiny, "conditions": sha256_file(args.conditions)}
    return {"source": args.source, "id": args.id, "revision": args.revision}


def from_hub(args: argparse.Namespace) -> None:
    """Download the files of a model repository beside the manifest."""
    if not args.id:
        raise UserError(f"model.id is not set; with model.source: {args.source} it is the repository, as owner/name")
    prepare_client(args.source, args.endpoint)
    folder = args.output.parent
    repository = Repository(args.source, "model", args.id, args.revision or None)
    listing = fetch(repository, folder, lambda paths: choose(paths, f"{args.source}, {args.id}"), wait=args.retry_wait)
    files = [file.path for file in listing.files]
    check_shards(folder, f"{args.source}, {args.id}")
    write_manifest(
        folder,
        kind="model",
        source=args.source,
        id=args.id,
        revision=listing.revision,
        licence=listing.licence or licence_of(folder),
        files=files,
    )


def from_folder(args: argparse.Namespace) -> None:
    """Point to a Hugging Face model directory, which stays where it is."""
    if not args.path:
        raise UserError("model.path is not set; with model.source: local it is the folder of the model")
    root = Path(args.path).expanduser().absolute()
    if not root.is_dir():
        raise UserError(f"model.path: {root} is not a folder")
    files = choose([path.name for path in root.iterdir() if path.is_file()], f"model.path, {root}")
    check_shards(root, f"model.path, {root}")
    write_manifest(args.output.parent, kind="model", source="local", root=root, licence=licence_of(root), files=files)


def build_tiny(args: argparse.Namespace) -> None:
    """Pre-train the small embedded model beside the manifest."""
    settings = dict(args.tiny or {})
    if "seed" not in settings:
        raise UserError("model.tiny.seed is not set; with model.source: tiny it decides the weights")
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


def choose(paths: list[str], where: str) -> list[str]:
    """Return those of ``paths`` that a model is loaded from, of its top folder; `UserError` if a part is missing."""
    top = [path for path in paths if "/" not in path and not path.startswith(".")]
    allowed = [path for path in top if any(fnmatch.fnmatchcase(path, name) for name in ALLOWED)]
    weights = [path for path in allowed if path.endswith(".safetensors")]
    missing = []
    if "config.json" not in allowed:
        missing.append("config.json")
    if not weights:
        missing.append("weights in safetensors (*.bin and other files that can hold code are never loaded)")
    if not has_tokenizer(allowed):
        missing.append("tokenizer (tokenizer.json, or tokenizer.model, or vocab.json with merges.txt)")
    if missing:
        raise UserError(f"{where}: has no {', and no '.join(missing)}; choose a complete Hugging Face model")
    if any(map(WEIGHTS.fullmatch, weights)):
        # Some repositories hold their weights a second time under a name that nothing here loads.
        return sorted(path for path in allowed if path not in weights or WEIGHTS.fullmatch(path))
    return sorted(allowed)


def has_tokenizer(paths: list[str]) -> bool:
    """Say whether the files suffice for a tokenizer of one of the usual kinds."""
    return any(kind <= set(paths) for kind in TOKENIZERS) or any(path.endswith(".tiktoken") for path in paths)


def check_shards(root: Path, where: str) -> None:
    """Raise `UserError` if the index of the weights names a file that is not there."""
    index = root / "model.safetensors.index.json"
    if index.is_file():
        shards = set(read_json(index).get("weight_map", {}).values())
        absent = sorted(name for name in shards if not (root / name).is_file())
        if absent:
            raise UserError(f"{where}: {index.name} names weights that are not there: {', '.join(absent)}")


def licence_of(root: Path) -> str | None:
    """Return the licence that the YAML head of the model's README.md states, or None."""
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    head = text.partition("\n---")[0] if text.startswith("---") else ""
    stated = dict(re.findall(r"^(license_name|license): *(\S.*?) *$", head, re.MULTILINE))
    return stated.get("license_name") or stated.get("license")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=json.loads, default={}, help="JSON: the section model of the configuration")
    parser.add_argument("--source", help="huggingface, modelscope, local or tiny; goes before --model, as all below")
    parser.add_argument("--id", help="repository on the hub, owner/name")
    parser.add_argument("--revision", help="branch, tag or commit; default: the hub's default branch")
    parser.add_argument("--endpoint", help="address of the hub or a mirror; default: as in the environment")
    parser.add_argument("--path", help="folder of a model (local)")
    parser.add_argument("--tiny", type=json.loads, help="JSON: vocab_size, hidden_size, layers, steps, seed (tiny)")
    parser.add_argument("--conditions", type=Path, help="table of medical facts that the tiny model reads (tiny)")
    parser.add_argument(
        "--threads", type=int, help="CPU threads to build the tiny model; default: PyTorch's own choice"
    )
    parser.add_argument("--retry-wait", type=float, default=3.0, help="seconds before a second attempt (default: 3)")
    parser.add_argument("--output", type=Path, required=True, help="manifest.json; downloaded files go beside it")
    section = parser.parse_known_args()[0]
    parser.set_defaults(**{key: value for key, value in section.model.items() if key in vars(section)})
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
