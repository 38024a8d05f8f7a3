"""The forms of a run that others can load: the adapter with its tokenizer, and the adapter merged into the weights."""

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from medscale.base.errors import UserError
from medscale.base.files import atomic_folder, write_json
from medscale.export.card import EXAMPLE
from medscale.export.go_template import Untranslatable, pieces_of
from medscale.export.shipped_template import shipped_template
from medscale.model.chat import Chat
from medscale.model.loading import load_base
from medscale.model.precision import torch_dtype

CARD_OF_PEFT = "README.md"
STAMP = ".snakemake_timestamp"  # which Snakemake leaves in a folder that it has made


def ship_adapter(adapter: Path, target: Path, chat: Chat) -> None:
    """Copy an adapter as it was trained, and put the tokenizer with the study's template beside it."""
    with atomic_folder(target) as folder:
        shutil.copytree(adapter, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(CARD_OF_PEFT, STAMP))
        save_tokenizer(chat, folder)


def ship_merged(
    base: Path, adapter: Path, target: Path, chat: Chat, into: str, settings: dict[str, Any], kind: str
) -> None:
    """Merge an adapter into a base model and write it as a Hugging Face folder.

    Args:
        base: folder of the base model.
        adapter: folder of the adapter in PEFT's format.
        target: the folder to write.
        chat: of the study.
        into: ``base`` for the weights as they were fetched, ``dequantized`` for those that QLoRA was trained on,
            written out in full.
        settings: with `quantization` and `evaluation`.
        kind: bf16, fp16 or fp32, of the weights.
    """
    model = merged(base, adapter, into, settings["quantization"], kind)
    model.generation_config = generation_config(chat, settings["evaluation"]["max_new_tokens"])
    with atomic_folder(target) as folder:
        model.save_pretrained(folder)
        save_tokenizer(chat, folder)


def merged(base: Path, adapter: Path, into: str, quantization: dict[str, Any], kind: str) -> PreTrainedModel:
    """Return a base model to whose weights an adapter is added.

    Raises:
        UserError: the sum holds values that are no numbers in this precision.
    """
    from peft import PeftModel

    model = load_base(base, "qlora" if into == "dequantized" else "lora", quantization, kind)
    if into == "dequantized":
        model = dequantized(model, torch_dtype(kind))
    try:
        return PeftModel.from_pretrained(model, adapter).merge_and_unload(safe_merge=True).eval()
    except ValueError as error:
        if "NaN" not in str(error):
            raise
        raise UserError(
            "G103",
            f"{adapter}: added to the weights in {kind}, it gives values that are no numbers ({error}); train with "
            "training.precision bf16 or fp32, whose range is wider, or leave merged and gguf out of export.forms",
        ) from error


def dequantized(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """Return a 4-bit model whose weights are written out as the values that the 4 bits stand for, in ``dtype``."""
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, Linear4bit)]
    for name, module in layers:
        weight = dequantize_4bit(module.weight.data, module.weight.quant_state).to(dtype)
        with torch.device("meta"):
            plain = torch.nn.Linear(module.in_features, module.out_features, bias=module.bias is not None)
        plain.weight = torch.nn.Parameter(weight, requires_grad=False)
        if module.bias is not None:
            plain.bias = torch.nn.Parameter(module.bias.data.to(dtype), requires_grad=False)
        model.set_submodule(name, plain)
    for holder in (model, model.config):
        for trace in ("quantization_config", "hf_quantizer", "quantization_method", "is_quantized"):
            if trace in vars(holder):
                delattr(holder, trace)
    model.is_loaded_in_4bit = False
    return model


def generation_config(chat: Chat, max_new_tokens: int) -> GenerationConfig:
    """Return what makes plain `generate` answer as the study did: greedily, up to one of its end tokens."""
    return GenerationConfig(
        do_sample=False,
        eos_token_id=chat.stop_ids,
        pad_token_id=chat.tokenizer.pad_token_id,
        max_new_tokens=max_new_tokens,
    )


def save_tokenizer(chat: Chat, folder: Path) -> None:
    """Write the tokenizer with the template that makes the study's prompts."""
    tokenizer = chat.tokenizer
    before = tokenizer.chat_template
    tokenizer.chat_template = shipped_template(chat)
    try:
        tokenizer.save_pretrained(folder)
    finally:
        tokenizer.chat_template = before


def write_chat(chat: Chat, system_prompt: str | None, path: Path) -> None:
    """Write what the texts of an export say of prompts and ends: JSON, for the process without torch."""
    stops = chat.stop_ids
    try:
        pieces, reason = pieces_of(chat.tokenizer, shipped_template(chat)), None
    except Untranslatable as error:
        pieces, reason = None, str(error)
    write_json(
        path,
        {
            "system_prompt": system_prompt,
            "stop_ids": stops,
            "stop_texts": [chat.tokenizer.convert_ids_to_tokens(token) for token in stops],
            "pieces": pieces and pieces._asdict(),
            "untranslatable": reason,
            "prompt": str(chat.prompt(EXAMPLE)),
        },
    )
