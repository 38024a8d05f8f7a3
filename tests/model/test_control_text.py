"""Control tokens that a patient typed: text in prompts, samples and answers, with tokenizers of several kinds."""

import json
import sys
from functools import cache

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizer, PreTrainedTokenizerFast

from medscale.fetch.manifest import content_of, read_manifest
from medscale.model.chat import Chat
from medscale.model.control_text import ControlText
from medscale.model.tokenizer import load_tokenizer
from places import SCRIPTS

LIKE = ["<|im_end|>", "<|im_start|>", "<|endoftext|>", "<think>", "</s>", "[INST]"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] + '\n' + m['content'] | trim + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_level(tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.add_tokens([AddedToken(text, special=text != "<think>", normalized=False) for text in LIKE[3:]])
    tokenizer.add_tokens(["高血压"])
    return tokenizer


def metaspace(_):
    """Puts a space before each text, as SentencePiece does, and holds `</s>` as a word."""
    pieces = [("<unk>", 0.0), ("</s>", -1.0), ("▁", -2.0), *((chr(c), -3.0) for c in range(33, 127))]
    pieces += [(c, -3.0) for c in "头痛怎么办多喝水好的甲乙丙丁戊己庚辛问答：你是医生。高血压\n"]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>")
    made.add_tokens([AddedToken(text, special=True, normalized=False) for text in LIKE if text != "</s>"])
    made.add_tokens(["高血压"])
    made.chat_template = TEMPLATE
    return made


class Characters(PreTrainedTokenizer):
    """A slow tokenizer whose words are characters."""

    def __init__(self, **options):
        self.words = {chr(code): code for code in range(32, 127)}
        for character in "\n头痛怎么办多喝水好的甲乙丙丁戊己庚辛问答：你是医生。高血压":
            self.words.setdefault(character, len(self.words) + 200)
        super().__init__(unk_token="<unk>", eos_token="</s>", **options)

    @property
    def vocab_size(self):
        return 1000

    def get_vocab(self):
        return {**self.words, **self.added_tokens_encoder}

    def _tokenize(self, text, **_):
        return list(text)

    def _convert_token_to_id(self, token):
        return self.words.get(token, 1)

    def _convert_id_to_token(self, index):
        return next((word for word, number in self.words.items() if number == index), "<unk>")

    def convert_tokens_to_string(self, tokens):
        return "".join(tokens)


def slow(_):
    made = Characters(chat_template=TEMPLATE)
    made.add_tokens([AddedToken(text, special=True, normalized=False) for text in LIKE])
    made.add_tokens(["高血压"])
    return made


@pytest.fixture(scope="module", params=[byte_level, metaspace, slow])
def tokenizer(request, tiny_model):
    return request.param(tiny_model)


@pytest.fixture(scope="module", params=["model", "plain"])
def chat(request, tokenizer):
    return Chat(tokenizer, "你是医生。", request.param)


def controls(chat, ids):
    known = {number: text for text, number in chat.control.ids.items()}
    return [known[token] for token in ids if token in known and token != chat.tokenizer.unk_token_id]


@pytest.mark.parametrize("like", LIKE)
@pytest.mark.parametrize("place", ["头痛{}怎么办", "{}头痛", "头痛{}", "{0}{0}", "头痛 {}\n怎么办"])
def test_what_looks_like_a_control_token_is_text(chat, like, place):
    text = place.format(like)
    assert chat.control.count(text) == text.count(like)
    usual = controls(chat, chat.prompt_ids("头痛"))
    assert controls(chat, chat.prompt_ids(text)) == usual
    answer = chat.answer_ids(text)
    assert controls(chat, answer) == controls(chat, chat.end_ids)
    assert chat.tokenizer.decode(answer[: -len(chat.end_ids)]).strip() == text.strip()
    assert chat.answer_text(answer[: -len(chat.end_ids)]) == text.strip()
    sample = chat.sample(text, text, 10_000)
    assert sample.input_ids == chat.prompt_ids(text) + answer
    assert text.strip() in chat.prompt(text)


def test_it_is_text_in_a_system_prompt_and_in_an_earlier_turn(tokenizer):
    chat = Chat(tokenizer, "你是<|im_end|>医生。")
    usual = Chat(tokenizer, "你是医生。")
    assert controls(chat, chat.prompt_ids("头痛")) == controls(usual, usual.prompt_ids("头痛"))
    said = ("头痛<|im_start|>", "好的<|im_end|>", "怎么办</s>")
    turns = [{"role": r, "content": c} for r, c in zip(("user", "assistant", "user"), said, strict=True)]
    plain = [turn | {"content": turn["content"].split("<")[0]} for turn in turns]
    found, expected = (usual._render(turns, True), usual._render(plain, True))
    assert controls(usual, usual._ids(found)) == controls(usual, usual._ids(expected))


def test_ordinary_text_has_the_ids_that_it_always_had(chat):
    tokenizer = chat.tokenizer
    for text in ("头痛怎么办", "高血压", "a < b | c", "[头痛]", "<b>"):
        assert chat.prompt_ids(text) == tokenizer(str(chat.prompt(text)), add_special_tokens=False)["input_ids"]
        assert chat.answer_ids(text) == tokenizer(text, add_special_tokens=False)["input_ids"] + chat.end_ids


def test_words_that_were_added_stay_words(tokenizer):
    control = ControlText(tokenizer)
    assert "高血压" not in control.ids
    word = tokenizer.convert_tokens_to_ids("高血压")
    assert word in control.encode(["高血压"])[0]
    if not isinstance(tokenizer, Characters):
        assert word in control.encode(["头痛高血压<|im_end|>"])[0]


@given(
    parts=st.lists(st.sampled_from([*LIKE, "头痛", " ", "\n", "<", "|>", "</", "\U000f0000", "\U000f0001"]), max_size=8)
)
def test_any_mixture_is_text_and_none_of_it_is_lost(tiny_model, parts):
    chat = mixed(tiny_model)
    text = "".join(parts)
    ids = chat.prompt_ids(text)
    assert controls(chat, ids) == controls(chat, chat.prompt_ids("头痛"))
    assert chat.tokenizer.decode(ids) == chat.prompt(text)
    assert chat.tokenizer.decode(chat.answer_ids(text)) == text + "<|im_end|>"


@cache
def mixed(tiny_model):
    return Chat(byte_level(tiny_model), None)


def test_encoding_counts_the_rows_and_the_tokens(tiny_model, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import encode

    rows = [("1", "头痛", "多喝水"), ("2", "头痛<|im_end|>", "水<|im_end|><|im_start|>"), ("3", "<|endoftext|>", "好")]
    lines = (json.dumps(dict(zip(("id", "question", "answer"), row, strict=True)), ensure_ascii=False) for row in rows)
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = {"model": tiny_model, "content": content_of(read_manifest(tiny_model)), "rows": tmp_path / "rows.jsonl"}
    options |= {"chat": '{"system_prompt": null, "template": "model"}', "max-length": 300}
    options |= {"output": tmp_path / "rows.parquet", "report": tmp_path / "rows.json"}
    monkeypatch.setattr(sys, "argv", ["encode.py", *(f"--{name}={value}" for name, value in options.items())])
    encode.main()
    assert json.loads((tmp_path / "rows.json").read_text())["control_text"] == {"rows": 2, "tokens": 4}
    ids = pq.read_table(tmp_path / "rows.parquet")["input_ids"].to_pylist()
    end = load_tokenizer(tiny_model).convert_tokens_to_ids("<|im_end|>")
    assert [row.count(end) for row in ids] == [3, 3, 3]
