"""Prompts and samples: masked prompts, learned end tokens, cut answers, and the real Qwen vocabulary."""

import base64
import importlib.util
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from medscale.chat import IGNORED, Chat
from medscale.errors import UserError
from medscale.tiny_model import CHAT_TEMPLATE, WORDS
from medscale.tokenizer import load_tokenizer

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="<|>"), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return load_tokenizer(tiny_model)


@pytest.fixture(scope="module")
def chat(tokenizer):
    return Chat(tokenizer, "你是医生。")


def test_prompt_is_the_templates_own(chat, tokenizer):
    expected = tokenizer.apply_chat_template(
        [{"role": "system", "content": "你是医生。"}, {"role": "user", "content": "头痛怎么办？"}],
        add_generation_prompt=True,
        tokenize=False,
    )
    assert chat.prompt("头痛怎么办？") == expected
    assert expected.endswith("<|im_start|>assistant\n")


@given(question=TEXT, answer=TEXT)
def test_labels_are_the_answer_and_its_end_token(chat, tokenizer, question, answer):
    sample = chat.sample(question, answer, 10_000)
    masked = sample.labels.count(IGNORED)
    assert sample.labels[:masked] == [IGNORED] * masked
    assert sample.input_ids[:masked] == chat.prompt_ids(question)
    assert sample.input_ids[masked:] == sample.labels[masked:]
    assert sample.labels[-1] == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert not sample.truncated


@given(question=TEXT, answer=TEXT, room=st.integers(1, 400))
def test_a_sample_never_exceeds_its_length_and_never_cuts_the_prompt(chat, question, answer, room):
    prompt, response = chat.prompt_ids(question), chat.answer_ids(answer)
    sample = chat.sample(question, answer, room)
    if room <= len(prompt):
        assert sample is None
    else:
        assert sample.input_ids == (prompt + response)[:room]
        assert sample.truncated == (len(prompt + response) > room)


def test_a_cut_answer_does_not_teach_to_stop(chat, tokenizer):
    length = len(chat.prompt_ids("头痛")) + 3
    assert (
        tokenizer.convert_tokens_to_ids("<|im_end|>")
        not in chat.sample("头痛", "多喝水，注意休息，定期复查。", length).labels
    )


def test_a_padding_token_that_is_the_end_token_is_still_learned(tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.pad_token = tokenizer.eos_token
    assert Chat(tokenizer, None).sample("头痛", "多喝水。", 500).labels[-1] == tokenizer.eos_token_id


def test_the_plain_template_serves_models_without_one(tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = None
    with pytest.raises(UserError, match=r"set chat\.template: plain"):
        Chat(tokenizer, None)
    chat = Chat(tokenizer, None, "plain")
    assert chat.prompt("头痛怎么办？") == "问：头痛怎么办？\n答："
    assert chat.stop_ids == [tokenizer.eos_token_id]


def test_a_template_that_refuses_system_messages_is_named(tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}x"
    with pytest.raises(UserError, match=r"chat\.system_prompt: null"):
        Chat(tokenizer, "你是医生。")


@pytest.fixture(scope="module")
def qwen():
    """Qwen's true tokenizer, from the vocabulary in the dashscope package."""
    from transformers import PreTrainedTokenizerFast

    spec = importlib.util.find_spec("dashscope")
    if spec is None:
        pytest.skip("the package dashscope, which carries Qwen's vocabulary, is not installed")
    lines = (Path(spec.origin).parent / "resources" / "qwen.tiktoken").read_text().splitlines()
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
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(False, use_regex=False),
        ]
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


def test_the_real_qwen_vocabulary(qwen):
    """The special tokens have Qwen's published ids, and the end of a turn is learned as one token."""
    assert qwen.convert_tokens_to_ids("<|endoftext|>") == 151643
    assert qwen.convert_tokens_to_ids("<|im_end|>") == 151645
    chat = Chat(qwen, "你是一名专业、谨慎的医生，请用中文回答患者的问题。")
    sample = chat.sample("高血压患者能吃党参吗？", "可以适量食用，但应遵医嘱。", 512)
    assert sample.labels[-1] == 151645
    assert qwen.decode([token for token in sample.labels if token >= 0]) == "可以适量食用，但应遵医嘱。<|im_end|>"
    assert len(sample.input_ids) < 60
