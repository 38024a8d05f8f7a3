"""Loading the tokenizer of a fetched model, without running any code that came with it."""

from typing import Any

from medscale.base.errors import UserError
from medscale.fetch.manifest import verify


def load_tokenizer(manifest: str, content: str | None = None) -> Any:
    """Return the Hugging Face tokenizer beside ``manifest``, with a padding token.

    Where the model names no padding token, its end-of-sequence token pads. That is harmless here, because labels are
    masked by position and never by token.

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
    return tokenizer
