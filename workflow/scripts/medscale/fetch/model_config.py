"""Whether a study can use the files of a model, by what its JSON files and the headers of its weights say.

Nothing slow is imported and no weight is read, so a model is refused when it is fetched and not on a card.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError
from medscale.fetch.loadable import read_object, require_rows, require_whole, tokens_of_media
from medscale.fetch.weights import embedding_rows, require_complete, tensors

READ = ("generation_config.json", "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json", "vocab.json")


def require_usable(root: Path, where: str) -> None:
    """Raise `UserError` unless the files in ``root`` are of a model that can be loaded as it was meant."""
    config = require_kind(root, where)
    for name in READ:
        if (root / name).is_file():
            read_object(root / name, where)
    require_complete(tensors(root, where), config, where)
    require_rows(known_tokens(root, where), embedding_rows(root), where, tokens_of_media(root, where))


def require_kind(root: Path, where: str) -> dict[str, Any]:
    """Return a model's config.json; `UserError` if it tells of one that is quantised or that nothing here can load."""
    require_whole(root, where)
    config = read_object(root / "config.json", where)
    require_known(config, where)
    return config


def known_tokens(root: Path, where: str) -> dict[str, int]:
    """Return the tokens of a tokenizer with their numbers, as far as its JSON files tell."""
    found: dict[str, int] = {}
    settings = {
        name: read_object(root / name, where) if (root / name).is_file() else {}
        for name in ("tokenizer.json", "tokenizer_config.json")
    }
    try:
        vocabulary = (settings["tokenizer.json"].get("model") or {}).get("vocab") or {}
        if isinstance(vocabulary, list):  # of a unigram model: token and score, by number
            found |= {entry[0]: number for number, entry in enumerate(vocabulary)}
        else:
            found |= vocabulary
        found |= {entry["content"]: entry["id"] for entry in settings["tokenizer.json"].get("added_tokens") or ()}
        added = settings["tokenizer_config.json"].get("added_tokens_decoder") or {}
        found |= {entry["content"]: int(number) for number, entry in added.items()}
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UserError(
            "M101",
            f"{where}: tokenizer.json or tokenizer_config.json is not as a tokenizer writes it "
            f"({type(error).__name__}: {error}); get the model's own tokenizer files again",
        ) from error
    return found


def require_known(config: dict[str, Any], where: str) -> None:
    """Raise `UserError` if the installed transformers has no causal language model of this kind of its own."""
    kind = config.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise UserError("M112", f"{where}: config.json does not say model_type; get the model's own config.json again")
    if is_known(kind):
        return
    own_code = (
        "; the code that came with the model (auto_map in config.json) is never run" if config.get("auto_map") else ""
    )
    raise UserError(
        "M106",
        f"{where}: model_type {kind} in config.json is none that the installed transformers can load as a causal "
        f"language model{own_code}; take another model, or a newer transformers",
    )


def is_known(kind: str) -> bool:
    """Say whether transformers has a causal language model of this type.

    Its files are looked at first: to import its tables takes seconds.
    """
    spec = find_spec("transformers")
    if spec is None or not spec.submodule_search_locations:
        return True  # the jobs that load a model have it, and say what they know
    folder = Path(spec.submodule_search_locations[0]) / "models" / kind.replace("-", "_")
    code = folder / f"modeling_{folder.name}.py"
    if re.fullmatch(r"\w+", folder.name) and code.is_file():
        return re.search(r"^class \w+(ForCausalLM|LMHeadModel)\b", code.read_text(encoding="utf-8"), re.M) is not None
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
