"""Which files a model is loaded from: safetensors, JSON, tokenizer and licence; nothing that could be executed."""

import fnmatch
import re
from pathlib import Path

from medscale.base.errors import UserError
from medscale.base.files import read_json

ALLOWED = ["*.safetensors", "*.json", "*.model", "*.tiktoken", "*.jinja", "merges.txt", "vocab.txt", "tokenizer*.txt"]
ALLOWED += ["LICENSE*", "LICENCE*", "NOTICE*", "README.md"]
WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
TOKENIZERS = [{"tokenizer.json"}, {"tokenizer.model"}, {"vocab.json", "merges.txt"}, {"vocab.txt"}]


def model_files(paths: list[str], where: str) -> list[str]:
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
        raise UserError("F105", f"{where}: has no {', and no '.join(missing)}; choose a complete Hugging Face model")
    if any(map(WEIGHTS.fullmatch, weights)):
        # Some repositories hold their weights a second time under a name that nothing here loads.
        return sorted(path for path in allowed if path not in weights or WEIGHTS.fullmatch(path))
    return sorted(allowed)


def has_tokenizer(paths: list[str]) -> bool:
    """Say whether the files suffice for a tokenizer of one of the usual kinds."""
    return any(kind <= set(paths) for kind in TOKENIZERS) or any(path.endswith(".tiktoken") for path in paths)


def require_shards(root: Path, where: str) -> None:
    """Raise `UserError` if the index of the weights names a file that is not there."""
    index = root / "model.safetensors.index.json"
    if index.is_file():
        shards = set(read_json(index).get("weight_map", {}).values())
        absent = sorted(name for name in shards if not (root / name).is_file())
        if absent:
            raise UserError("F106", f"{where}: {index.name} names weights that are not there: {', '.join(absent)}")


def licence_of(root: Path) -> str | None:
    """Return the licence that the YAML head of the model's README.md states, or None."""
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    head = text.partition("\n---")[0] if text.startswith("---") else ""
    stated = dict(re.findall(r"^(license_name|license): *(\S.*?) *$", head, re.MULTILINE))
    return stated.get("license_name") or stated.get("license")
