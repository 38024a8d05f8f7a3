"""The embedded default model: a small Qwen2 with a tokenizer of its own, pre-trained for about a minute on a CPU.

It exists so that the whole study runs where there is no network and no GPU. It is small, but nothing about it is faked:
the architecture, the chat template, the file formats and the loading path are those of Qwen2.5-3B-Instruct.
"""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from medscale.base.progress import Progress

BLOCK = 128  # tokens a training row
BATCH = 16
PEAK_LEARNING_RATE = 6e-3

# Qwen2's own split of text into words, before byte-level BPE.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# ChatML as Qwen2.5-Instruct writes it, without tools.
CHAT_TEMPLATE = (
    "{%- if messages[0]['role'] != 'system' %}"
    "{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}"
    "{%- endif %}"
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def build(folder: str | Path, settings: dict[str, Any], seed: int, texts: list[str]) -> None:
    """Write tokenizer and pre-trained weights into ``folder`` as a Hugging Face model directory.

    Args:
        folder: where the files go; made if it is not there.
        settings: ``vocab_size``, ``hidden_size`` (a multiple of 64), ``layers``, ``steps`` of optimisation.
        seed: seed of the weights and of the order of the texts. Equal seeds give equal bytes on one machine.
        texts: what it learns the language from.
    """
    tokenizer = train_tokenizer(texts, settings["vocab_size"])
    model = pretrain(new_model(tokenizer, settings, seed), tokenizer, texts, settings["steps"], seed)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def train_tokenizer(texts: list[str], vocab_size: int, words: str = WORDS) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer with Qwen's special tokens and chat template, learned from ``texts``.

    Args:
        texts: what it is learned from.
        vocab_size: how many tokens it gets.
        words: regular expression of the parts that no token crosses.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=special, initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=["<|im_start|>"],
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
    )


def new_model(tokenizer: PreTrainedTokenizerFast, settings: dict[str, Any], seed: int) -> Qwen2ForCausalLM:
    """Return an untrained Qwen2 of the asked shape, in float32."""
    hidden = settings["hidden_size"]
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            intermediate_size=hidden * 8 // 3 // 64 * 64,
            num_hidden_layers=settings["layers"],
            num_attention_heads=hidden // 32,
            num_key_value_heads=hidden // 64,
            max_position_embeddings=2048,
            rope_parameters={"rope_type": "default", "rope_theta": settings.get("rope_theta", 10_000.0)},
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            dtype="float32",
            initializer_range=0.08,
        )
    )


def pretrain(
    model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: list[str], steps: int, seed: int
) -> Qwen2ForCausalLM:
    """Train ``model`` on ``texts`` as one stream of tokens cut into blocks, and return it."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(texts), generator=generator).tolist()
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    stream = torch.tensor([token for index in order for token in [*tokenizer.encode(texts[index]), end]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=0.1, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=steps + 1, pct_start=0.1)
    model.train()
    with Progress("pre-training the small model", steps, "steps") as progress:
        for _ in range(steps):
            starts = torch.randint(len(stream) - BLOCK, (BATCH,), generator=generator)
            batch = torch.stack([stream[start : start + BLOCK] for start in starts])
            loss = model(input_ids=batch, labels=batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            progress.update(1, {"loss": loss.item()})
    return model.eval()
