"""What the headers of a model's safetensors say, without reading a weight: names, shapes, types, what is missing.

transformers fills a weight that is not there with random numbers and only warns. So what a model needs is looked for
before anything is computed.
"""

import json
import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from medscale.base.errors import UserError
from medscale.fetch.loadable import text_config

INDEX, WHOLE = "model.safetensors.index.json", "model.safetensors"
LARGEST_HEADER = 100_000_000  # bytes: what the format allows
LAYER = re.compile(r"^(?:model\.|language_model\.|transformer\.|gpt_neox\.|decoder\.)*(?:layers|h)\.(\d+)\.(.+)$")
EMBEDDING = re.compile(r"(?:^|\.)(?:embed_tokens|wte|word_embeddings|embed_in|tok_embeddings)\.weight$")
WHOLE_NUMBERS = re.compile(r"^(?:[IU]\d+|F8_.*|F4|F6_.*|BOOL)$")
UNEVEN = re.compile(r"expert|moe|mamba|ssm|linear_(?:attn|key|num)|hybrid|cross_attention|kv_shared|attn_layer|conv")
"""Keys of configurations whose layers need not have the same weights."""
BEYOND = re.compile(r"nextn|mtp")


class Tensor(NamedTuple):
    """A tensor as its header describes it."""

    dtype: str
    shape: tuple[int, ...]
    file: str


def header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file by tensor.

    Raises:
        UserError: the file is none, or is cut off.
    """
    size = path.stat().st_size
    remedy = "get this file again: it is damaged, or its download was cut off"
    with open(path, "rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size < 8 or length > min(size - 8, LARGEST_HEADER):
            start = b"version https://git-lfs"[:8]
            with open(path, "rb") as again:
                if again.read(8) == start:
                    remedy = "it is a pointer of Git LFS; run `git lfs pull` in the model's folder"
            raise UserError("M114", f"{path}: has no safetensors header; {remedy}")
        try:
            found = json.loads(handle.read(length))
            found.pop("__metadata__", None)
            ends = [entry["data_offsets"][1] for entry in found.values()]
            for entry in found.values():
                Tensor(str(entry["dtype"]), tuple(entry["shape"]), path.name)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise UserError("M114", f"{path}: its safetensors header cannot be read ({error}); {remedy}") from error
    whole = 8 + length + max(ends, default=0)
    if size != whole:
        raise UserError("M114", f"{path}: has {size} bytes, and its header tells of {whole}; {remedy}")
    return found


def tensors(root: Path, where: str) -> dict[str, Tensor]:
    """Return the tensors that a model is loaded from, by name.

    Raises:
        UserError: a file is broken, or the index names what is not there.
    """
    index = root / INDEX
    if (root / WHOLE).is_file() or not index.is_file():
        expected, files = {}, [root / WHOLE]
    else:
        expected = weight_map(index, where)
        files = [root / name for name in sorted(set(expected.values()))]
    found = {}
    for file in files:
        for name, entry in header(file).items():
            found[name] = Tensor(entry["dtype"], tuple(entry["shape"]), file.name)
    absent = sorted(name for name, file in expected.items() if name not in found or found[name].file != file)
    if absent:
        raise UserError(
            "M115",
            f"{where}: {INDEX} names {len(absent)} weights that its files do not hold, such as {absent[0]} in "
            f"{expected[absent[0]]}; get index and weights again from one place",
        )
    return found


def weight_map(index: Path, where: str) -> dict[str, str]:
    """Return the file of each weight by an index; one that is broken or names other folders is a `UserError`."""
    try:
        found = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = set(found.values())
        if not names or not all(isinstance(name, str) and os.path.basename(name) == name for name in names):
            raise ValueError("its weight_map does not say which file beside it holds which weight")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            "M112", f"{where}: {index.name} is no index of weights ({error}); get the model's files again"
        ) from error
    return found


def require_complete(found: dict[str, Tensor], config: dict[str, Any], where: str) -> None:
    """Raise `UserError` if the weights are quantised, do not fit config.json, or some of them are missing."""
    for name, tensor in found.items():
        if (name.endswith("weight") and WHOLE_NUMBERS.match(tensor.dtype)) or name.endswith((".qweight", ".absmax")):
            raise UserError(
                "M111",
                f"{where}: {tensor.file} holds {name} as {tensor.dtype}: these weights are quantised already, and "
                "adapters are trained on whole ones; take the model that they were made from, in bf16, fp16 or fp32",
            )
    text = text_config(config)
    _require_layers(found, text, where)
    rows, vocabulary = _embedding(found), text.get("vocab_size")
    if rows and isinstance(vocabulary, int) and rows != vocabulary:
        raise UserError(
            "M115",
            f"{where}: its embedding has {rows} rows, and vocab_size in config.json is {vocabulary}; take config.json "
            "and weights from one place",
        )
    tied = config.get("tie_word_embeddings", text.get("tie_word_embeddings"))
    if tied is False and "model.embed_tokens.weight" in found and "lm_head.weight" not in found:
        raise UserError(
            "M115",
            f"{where}: has no lm_head.weight, and tie_word_embeddings in config.json is false, so that its head would "
            "be random; get all of the weights, or the config.json that belongs to them",
        )


def _require_layers(found: dict[str, Tensor], text: dict[str, Any], where: str) -> None:
    layers: dict[int, set[str]] = defaultdict(set)
    for name in found:
        if match := LAYER.match(name):
            layers[int(match[1])].add(match[2])
    count = next((text[key] for key in ("num_hidden_layers", "n_layer", "num_layers") if key in text), None)
    if not layers or not isinstance(count, int):
        return
    absent = sorted(set(range(count)) - layers.keys())
    beyond = sorted(layers.keys() - set(range(count)))
    if absent or (beyond and not any(map(BEYOND.search, text))):
        said = f"has no weights of the layers {absent}" if absent else f"has weights of the layers {beyond} too"
        raise UserError(
            "M115",
            f"{where}: {said}, and config.json tells of {count} layers (0 to {count - 1}); take config.json and all "
            "weights from one place",
        )
    kinds = set(text.get("layer_types") or ())
    if kinds - {"full_attention", "sliding_attention", "chunked_attention"} or any(map(UNEVEN.search, text)):
        return
    every = set().union(*layers.values())
    for layer, names in sorted(layers.items()):
        if lacking := sorted(every - names):
            raise UserError(
                "M115",
                f"{where}: layer {layer} has no {', no '.join(lacking[:3])}, which other layers have, and would be "
                "given random weights; get all weights again from one place",
            )


def embedding_rows(root: Path) -> int | None:
    """Return how many tokens a model's embedding has rows for, or None where neither weights nor config.json tell."""
    if (root / WHOLE).is_file() or (root / INDEX).is_file():
        rows = _embedding(tensors(root, str(root)))
        if rows:
            return rows
    config = root / "config.json"
    return text_config(json.loads(config.read_text(encoding="utf-8"))).get("vocab_size") if config.is_file() else None


def require_targets(found: dict[str, Tensor], config: dict[str, Any], targets: str | list[str], where: str) -> None:
    """Raise `UserError` if a name in `lora.target_modules` is of no linear layer, or of a weight with two uses."""
    if isinstance(targets, str):
        return
    modules = {name.removesuffix(".weight") for name, tensor in found.items() if len(tensor.shape) == 2}
    embedding = {name.removesuffix(".weight") for name in found if EMBEDDING.search(name)}
    tied = config.get("tie_word_embeddings", text_config(config).get("tie_word_embeddings"))
    tied = "lm_head.weight" not in found if tied is None else tied
    for target in targets:
        reached = {name for name in modules | {"lm_head"} if name == target or name.endswith("." + target)}
        if not reached:
            names = sorted({name.rsplit(".", 1)[-1] for name in modules - embedding if LAYER.match(name + ".weight")})
            raise UserError(
                "M107",
                f"lora.target_modules: {where} has no linear layer called {target}; its layers have {', '.join(names)}",
            )
        if tied and reached & (embedding | {"lm_head"}):
            raise UserError(
                "M116",
                f"lora.target_modules: {target} is of {where} the embedding and the head at once "
                "(tie_word_embeddings in config.json): an adapter on one would change both when it is merged; leave "
                f"{target} out, all-linear does too",
            )


def _embedding(found: dict[str, Tensor]) -> int | None:
    shapes = [tensor.shape for name, tensor in found.items() if EMBEDDING.search(name) and len(tensor.shape) == 2]
    return max((shape[0] for shape in shapes), default=None)
