"""What is looked at again whenever a model's files are loaded: that it is whole, and has a row for each token.

Kept apart from all that is asked of a model when it is fetched, so that training does not depend on that.
"""

import json
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError

ADAPTER = "adapter_config.json"


def require_whole(root: Path, where: str) -> None:
    """Raise `UserError` if a folder holds an adapter beside a model, or a model that is quantised already.

    It takes no time: the user's own folder is looked at whenever the workflow is planned.
    """
    if (root / ADAPTER).is_file():
        raise UserError(
            f"{where}: holds an adapter beside the model ({ADAPTER}), which transformers would put on the model by "
            f"itself; move {ADAPTER} and adapter_model.* out of the folder, or merge the adapter into the model first"
        )
    config = read_object(root / "config.json", where)
    for part in (config, config.get("text_config")):
        said = isinstance(part, dict) and (part.get("quantization_config") or part.get("compression_config"))
        if said:
            method = said.get("quant_method", "of some kind") if isinstance(said, dict) else said
            raise UserError(
                f"{where}: is quantised already (quantization_config in config.json: {method}), and adapters are "
                "trained on whole weights; take the model that it was made from, in bf16, fp16 or fp32. QLoRA "
                "quantises it by itself"
            )


def require_rows(tokens: dict[str, int], rows: int | None, where: str) -> None:
    """Raise `UserError` if a tokenizer knows a token that the embedding has no row for."""
    count = max(tokens.values(), default=-1) + 1
    if rows is not None and count > rows:
        beyond = sorted(token for token, number in tokens.items() if number >= rows)
        raise UserError(
            f"{where}: its tokenizer has {count} tokens and its embedding {rows} rows, so that "
            f"{', '.join(beyond[:3])} and the like cannot be looked up; take the tokenizer files that belong to these "
            "weights, or a model whose embedding was enlarged with its tokenizer"
        )


def read_object(path: Path, where: str) -> dict[str, Any]:
    """Return the JSON object in a file; `UserError` if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"it holds {type(found).__name__}, not an object")
    except ValueError as error:
        raise UserError(f"{where}: {path.name} is no JSON ({error}); get the model's own {path.name} again") from error
    return found


def text_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a configuration that describes the language model."""
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config


def vocabulary_size(root: Path) -> int | None:
    """Return how many tokens config.json tells of, which the embedding had rows for when the model was fetched."""
    size = text_config(read_object(root / "config.json", str(root))).get("vocab_size")
    return size if isinstance(size, int) else None
