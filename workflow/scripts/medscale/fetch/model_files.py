"""Which files a model is loaded from: safetensors, JSON, tokenizer and licence; nothing that could be executed."""

import fnmatch
import re
from pathlib import Path

from medscale.base.errors import UserError
from medscale.fetch.weights import weight_map

ALLOWED = ["*.safetensors", "*.json", "*.model", "*.tiktoken", "*.jinja", "merges.txt", "vocab.txt", "tokenizer*.txt"]
ALLOWED += ["LICENSE*", "LICENCE*", "NOTICE*", "README.md"]
ADAPTERS = ["adapter_config.json", "adapter*.safetensors"]
"""What is never a part of a model: transformers would put it on the model by itself."""
WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
TOKENIZERS = [{"tokenizer.json"}, {"tokenizer.model"}, {"vocab.json", "merges.txt"}, {"vocab.txt"}]


def model_files(paths: list[str], where: str) -> list[str]:
    """Return those of ``paths`` that a model is loaded from, of its top folder; `UserError` if a part is missing."""
    top = [path for path in paths if "/" not in path and not path.startswith(".")]
    allowed = [
        path
        for path in top
        if any(fnmatch.fnmatchcase(path, name) for name in ALLOWED)
        and not any(fnmatch.fnmatchcase(path, name) for name in ADAPTERS)
    ]
    weights = [path for path in allowed if path.endswith(".safetensors")]
    missing = []
    if "config.json" not in allowed:
        if "adapter_config.json" in top:
            raise UserError("M109", f"{where}: is an adapter and not a model; name the model that it was trained on")
        missing.append("config.json")
    if not weights:
        missing.append(_other_weights(top))
    elif "model.safetensors" not in weights and "model.safetensors.index.json" not in allowed:
        sharded = [path for path in weights if WEIGHTS.fullmatch(path)]
        missing.append(
            "model.safetensors.index.json, which says what its shards hold"
            if sharded
            else f"model.safetensors, by which name its weights are looked for (there is {', '.join(weights)})"
        )
    if not has_tokenizer(allowed):
        missing.append("tokenizer (tokenizer.json, or tokenizer.model, or vocab.json with merges.txt)")
    if missing:
        raise UserError("F105", f"{where}: has no {', and no '.join(missing)}; choose a complete Hugging Face model")
    if any(map(WEIGHTS.fullmatch, weights)):
        # Some repositories hold their weights a second time. Other names may be in the index (such as mtp.safetensors).
        return sorted(path for path in allowed if path not in weights or not path.startswith("consolidated"))
    return sorted(allowed)


def _other_weights(top: list[str]) -> str:
    """Return what is said where there are no safetensors: how to make them of what is there."""
    said = "weights in safetensors (*.bin and other files that can hold code are never loaded)"
    if any(path.endswith(".gguf") for path in top):
        return f"{said}; GGUF is quantised already: take the model that it was made from"
    if any(path.endswith((".bin", ".pt", ".pth")) for path in top):
        return (
            f"{said}; where you trust who made them, convert them once, in a Python of its own: AutoModelForCausalLM"
            '.from_pretrained("FOLDER").save_pretrained("NEW_FOLDER"), and copy the tokenizer files beside them'
        )
    return said


def has_tokenizer(paths: list[str]) -> bool:
    """Say whether the files suffice for a tokenizer of one of the usual kinds."""
    return any(kind <= set(paths) for kind in TOKENIZERS) or any(path.endswith(".tiktoken") for path in paths)


def require_shards(root: Path, where: str) -> None:
    """Raise `UserError` if the index of the weights names a file that is not there."""
    index = root / "model.safetensors.index.json"
    if index.is_file() and not (root / "model.safetensors").is_file():
        shards = set(weight_map(index, where).values())
        absent = sorted(name for name in shards if not (root / name).is_file())
        if absent:
            raise UserError(
                "F106",
                f"{where}: {index.name} names weights that are not there: {', '.join(absent)}; get all of the model's "
                "files",
            )


def licence_of(root: Path) -> str | None:
    """Return the licence that the YAML head of the model's README.md states, or None."""
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    head = text.partition("\n---")[0] if text.startswith("---") else ""
    stated = dict(re.findall(r"^(license_name|license): *(\S.*?) *$", head, re.MULTILINE))
    return stated.get("license_name") or stated.get("license")
