"""Qwen's true tokenizer without a download: from the vocabulary in the dashscope package."""

import base64
import importlib.util
import itertools
import sys
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from medscale.base.errors import UserError
from medscale.model.tiny import CHAT_TEMPLATE, WORDS


def qwen_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer of Qwen2.5, its chat template without tools.

    Raises:
        UserError: the package with the vocabulary is not installed.
    """
    spec = importlib.util.find_spec("dashscope")
    if spec is None:
        raise UserError(
            "X106", "the package dashscope carries Qwen's vocabulary and is not installed: pip install dashscope"
        )
    lines = (Path(spec.origin).parent / "resources" / "qwen.tiktoken").read_text(encoding="ascii").splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(str.split, lines)}
    letters = byte_letters()
    vocabulary = {"".join(letters[byte] for byte in token): rank for token, rank in ranks.items()}
    merges = []
    for token in sorted(ranks, key=ranks.__getitem__):
        if len(token) > 1:
            left, right = merged_pair(token, ranks)
            merges.append(tuple("".join(letters[byte] for byte in part) for part in (left, right)))
    core = Tokenizer(models.BPE(vocabulary, merges))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(WORDS), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, chat_template=CHAT_TEMPLATE)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]})
    tokenizer.pad_token, tokenizer.eos_token = "<|endoftext|>", "<|im_end|>"
    return tokenizer


def byte_letters() -> dict[int, str]:
    """Return the letter that byte-level BPE writes for each byte."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {byte: chr(256 + i) for i, byte in enumerate(hidden)}


def merged_pair(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """Return the two parts that the last merge of a token joined."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pairs = [(ranks.get(a + b, 1 << 60), i) for i, (a, b) in enumerate(itertools.pairwise(parts))]
        _, i = min(pairs)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts[0], parts[1]
