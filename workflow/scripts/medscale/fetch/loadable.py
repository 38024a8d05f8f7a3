"""What is looked at again whenever a model's files are loaded: that it is whole, and has a row for each token.

Kept apart from all that is asked of a model when it is fetched, so that training does not depend on that.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError

ADAPTER = "adapter_config.json"
MEDIA = ("image", "audio", "video", "boi", "eoi", "boa", "eoa")


def require_whole(root: Path, where: str) -> None:
    """Raise `UserError` if a folder holds an adapter beside a model, or a model that is quantised already.

    It takes no time: the user's own folder is looked at whenever the workflow is planned.
    """
    if (root / ADAPTER).is_file():
        raise UserError(
            "M110",
            f"{where}: holds an adapter beside the model ({ADAPTER}), which transformers would put on the model by "
            f"itself; move {ADAPTER} and adapter_model.* out of the folder, or merge the adapter into the model first",
        )
    config = read_object(root / "config.json", where)
    for part in (config, config.get("text_config")):
        said = isinstance(part, dict) and (part.get("quantization_config") or part.get("compression_config"))
        if said:
            method = said.get("quant_method", "of some kind") if isinstance(said, dict) else said
            raise UserError(
                "M111",
                f"{where}: is quantised already (quantization_config in config.json: {method}), and adapters are "
                "trained on whole weights; take the model that it was made from, in bf16, fp16 or fp32. QLoRA "
                "quantises it by itself",
            )


def tokens_of_media(root: Path, where: str) -> set[str]:
    """Return the placeholders of pictures, sound and video that a tokenizer names, and that its template never writes.

    A model of text alone that shares its tokenizer with larger siblings (gemma-3-1b-it) has no rows for them. No text
    becomes one: they are control tokens, which stay text in a row (`model.control_text`).
    """
    path = root / "tokenizer_config.json"
    settings = read_object(path, where) if path.is_file() else {}
    template = root / "chat_template.jinja"
    written = json.dumps(settings.get("chat_template"), ensure_ascii=False)
    written += template.read_text(encoding="utf-8") if template.is_file() else ""
    named = [settings.get(f"{medium}_token") for medium in MEDIA]
    named = {token.get("content") if isinstance(token, dict) else token for token in named}
    return {token for token in named if isinstance(token, str) and token and token not in written}


def require_rows(tokens: dict[str, int], rows: int | None, where: str, unused: Iterable[str] = ()) -> None:
    """Raise `UserError` if a tokenizer knows a token that the embedding has no row for, other than ``unused`` ones."""
    tokens = {token: number for token, number in tokens.items() if token not in unused}
    count = max(tokens.values(), default=-1) + 1
    if rows is not None and count > rows:
        beyond = sorted(token for token, number in tokens.items() if number >= rows)
        raise UserError(
            "M113",
            f"{where}: its tokenizer has {count} tokens and its embedding {rows} rows, so that "
            f"{', '.join(beyond[:3])} and the like cannot be looked up; take the tokenizer files that belong to these "
            "weights, or a model whose embedding was enlarged with its tokenizer",
        )


def read_object(path: Path, where: str) -> dict[str, Any]:
    """Return the JSON object in a file; `UserError` if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"it holds {type(found).__name__}, not an object")
    except ValueError as error:
        raise UserError(
            "M112", f"{where}: {path.name} is no JSON ({error}); get the model's own {path.name} again"
        ) from error
    return found


def text_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a configuration that describes the language model."""
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config


def vocabulary_size(root: Path) -> int | None:
    """Return how many tokens config.json tells of, which the embedding had rows for when the model was fetched."""
    size = text_config(read_object(root / "config.json", str(root))).get("vocab_size")
    return size if isinstance(size, int) else None
