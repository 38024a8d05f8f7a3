"""BERTScore with a local model: how well the tokens of a prediction and of its label match in meaning.

Each token of one side is matched with the most similar one of the other by the cosine of their hidden states. The mean
over the prediction's tokens is the precision, over the label's the recall, their harmonic mean the score (Zhang,
Kishore, Wu, Weinberger, Artzi, ICLR 2020). No weighting by rarity, no rescaling. [CLS] and [SEP] take part in the
model's attention and not in the matching.

Written here because torchmetrics 1.9 pairs a prediction with another item's label where lengths differ, and holds the
padded hidden states of all texts at once.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer

from medscale.base.errors import UserError
from medscale.base.parallel import batched
from medscale.base.progress import counted

BATCH = 16
"""Pairs that pass through the model together."""
MAX_TOKENS = 512
"""Longer texts are cut off: BERT has no more positions."""


def bertscore(pairs: Sequence[tuple[str, str]], folder: str, threads: int = 1) -> list[float]:
    """Return the F of each pair of a prediction and a label, in points of 100, computed on the CPU.

    Scoring runs beside a training, whose card it must not take memory of.

    It is 0 where either side has no token, and where the two are less alike than unrelated (a negative cosine).

    Parameters
    ----------
    pairs : predictions and labels.
    folder : directory of an encoder and its tokenizer, as ``save_pretrained`` of transformers writes it.
    threads : CPU threads of torch.

    Raises
    ------
    UserError
        If the folder does not hold a model.
    """
    torch.set_num_threads(threads)
    tokenizer, model = _load(folder)
    values = [0.0] * len(pairs)
    order = sorted(range(len(pairs)), key=lambda number: max(map(len, pairs[number])))  # little padding in a batch
    for numbers in counted(batched(order, BATCH), "scoring with BERTScore", "predictions", len(order), len):
        texts = [text for number in numbers for text in pairs[number]]
        vectors = _token_vectors(texts, tokenizer, model)
        for number, predict, label in zip(numbers, vectors[::2], vectors[1::2], strict=True):
            values[number] = _f(predict, label)
    return values


@torch.inference_mode()
def _token_vectors(texts: list[str], tokenizer: Any, model: Any) -> list[torch.Tensor]:
    """Return for each text the unit vectors of its tokens, without the special ones; shape ``(tokens, hidden)``."""
    longest = min(MAX_TOKENS, tokenizer.model_max_length, model.config.max_position_embeddings)
    batch = tokenizer(
        texts,
        padding=True,
        truncation=True,
        max_length=longest,
        return_tensors="pt",
        return_special_tokens_mask=True,
    ).to(model.device)
    special = batch.pop("special_tokens_mask").bool()
    states = model(**batch, output_hidden_states=True).hidden_states[_layer(model.config)]
    states = torch.nn.functional.normalize(states.float(), dim=-1)
    counted = batch["attention_mask"].bool() & ~special
    return [state[mask] for state, mask in zip(states, counted, strict=True)]


def _f(predict: torch.Tensor, label: torch.Tensor) -> float:
    if not len(predict) or not len(label):
        return 0.0
    cosines = predict @ label.T
    precision, recall = cosines.amax(dim=1).mean().item(), cosines.amax(dim=0).mean().item()
    if precision <= 0 or recall <= 0:
        return 0.0
    return min(100.0, 200 * precision * recall / (precision + recall))


def signature(folder: str) -> str:
    """Return in words what `bertscore` computes, with the model, its layer and the digest of its weights."""
    _, model = _load(folder)
    return (
        f"F of BERTScore (Zhang et al. 2020), greedy matching, no idf, no rescaling; model {Path(folder).name}, "
        f"weights sha256 {_weights_digest(folder)[:16]}, layer {_layer(model.config)} of "
        f"{model.config.num_hidden_layers}, transformers {version('transformers')}"
    )


def _layer(config: Any) -> int:
    """Return the layer at two thirds of the depth: of 12 the 8th, which Zhang et al.'s code takes of Chinese BERT."""
    return round(2 * config.num_hidden_layers / 3)


@lru_cache(maxsize=1)
def _load(folder: str) -> tuple[Any, Any]:
    problem = f"evaluation.bertscore_model: {folder}"
    if not (Path(folder) / "config.json").is_file():
        raise UserError(
            "E106",
            f"{problem}: no model lies there (no config.json); give the directory of a BERT and its tokenizer, "
            "such as a download of google-bert/bert-base-chinese",
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise UserError(
            "E107", f"{problem}: cannot be loaded ({error}); download the model's directory once more"
        ) from error
    return tokenizer, model.eval()


def _weights_digest(folder: str) -> str:
    digest = hashlib.sha256()
    for path in sorted(file for file in Path(folder).iterdir() if file.suffix in (".safetensors", ".bin")):
        with open(path, "rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()
