"""Loading the tokenizer of a fetched model, without running any code that came with it."""

from pathlib import Path
from typing import Any

from medscale.base.errors import UserError
from medscale.base.files import read_json
from medscale.fetch.loadable import require_rows, tokens_of_media, vocabulary_size
from medscale.fetch.manifest import verify


def load_tokenizer(manifest: str, content: str | None = None) -> Any:
    """Return the Hugging Face tokenizer beside ``manifest``, with a padding token.

    Where the model names no padding token, its end-of-sequence token pads. That is harmless here, because labels are
    masked by position and never by token. At which tokens the library's `generate` would end an answer of this model,
    beside the tokenizer's own end, is noted as ``model_end_ids``.

    Args:
        manifest: the model's manifest.json.
        content: what `manifest.content_of` it must be; default None, anything.

    Raises:
        UserError: a file is not the one that was fetched, or they make no tokenizer, or there is no token to pad with.
    """
    from transformers import AutoTokenizer

    folder = verify(manifest, skip=(".safetensors",), content=content)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (ValueError, OSError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise UserError(
            "M101",
            f"{folder}: its files make no tokenizer ({type(error).__name__}: {error}); get the model's own tokenizer "
            "files again",
        ) from error
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token is None:
            raise UserError("M102", f"{folder}: the tokenizer has neither a padding nor an end-of-sequence token")
        tokenizer.pad_token = tokenizer.eos_token
    rows = vocabulary_size(folder)
    added = {token.content: number for number, token in tokenizer.added_tokens_decoder.items()}
    require_rows(tokenizer.get_vocab() | added, rows, str(folder), tokens_of_media(folder, str(folder)))
    tokenizer.model_end_ids = [token for token in end_ids(folder) if 0 <= token < (rows or len(tokenizer))]
    return tokenizer


def end_ids(folder: Path) -> list[int]:
    """Return the tokens that end an answer by generation_config.json, or by config.json where there is none."""
    for name in ("generation_config.json", "config.json"):
        settings = read_json(folder / name) if (folder / name).is_file() else {}
        ends = settings.get("eos_token_id")
        if ends is None and name == "config.json":
            ends = (settings.get("text_config") or {}).get("eos_token_id")
        if ends is not None:
            return [token for token in (ends if isinstance(ends, list) else [ends]) if isinstance(token, int)]
    return []
