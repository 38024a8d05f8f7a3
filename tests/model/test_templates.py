"""Templates that write the date, think, are several, or leave a part of the conversation out; and where answers end."""

import datetime
import json
import shutil

import pytest

from medscale.base.errors import UserError
from medscale.fetch.manifest import write_manifest
from medscale.model.chat import Chat
from medscale.model.templates import without_thoughts
from medscale.model.tiny import CHAT_TEMPLATE
from medscale.model.tokenizer import load_tokenizer

TURNS = "{% for m in messages %}<|im_start|>{{ m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
START = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


@pytest.fixture
def chat_of(tiny_model):
    """Return the chat of a model with another template."""

    def make(template, system=None, kind="model"):
        tokenizer = load_tokenizer(tiny_model)
        tokenizer.chat_template = template
        return Chat(tokenizer, system, kind)

    return make


def test_of_several_templates_the_default_is_taken(chat_of):
    chat = chat_of({"tool_use": "{{ messages }}", "default": CHAT_TEMPLATE})
    assert chat.prompt("头痛") == chat_of(CHAT_TEMPLATE).prompt("头痛")
    with pytest.raises(UserError, match=r"none is called default: rag, tool_use; .*chat_template\.jinja"):
        chat_of({"tool_use": "{{ messages }}", "rag": CHAT_TEMPLATE})
    assert chat_of({"tool_use": "{{ messages }}"}, kind="plain").prompt("头痛") == "问：头痛\n答："


@pytest.fixture
def copy_of(tiny_model, tmp_path):
    """Return the manifest of a copy of the tiny model with other files."""

    def make(**files):
        folder = tmp_path / "copy"
        shutil.copytree(tiny_model.parent, folder, ignore=shutil.ignore_patterns(".medscale"), dirs_exist_ok=True)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return write_manifest(folder, kind="model", source="local")

    return make


def test_several_templates_in_files_and_in_the_tokenizers_configuration(copy_of, tiny_model, tmp_path):
    usual = Chat(load_tokenizer(tiny_model), None).prompt("头痛")
    other = {"additional_chat_templates/tool_use.jinja": "{{ messages }}"}
    assert Chat(load_tokenizer(copy_of(**other)), None).prompt("头痛") == usual
    settings = json.loads((tiny_model.parent / "tokenizer_config.json").read_text(encoding="utf-8"))
    named = [{"name": name, "template": CHAT_TEMPLATE} for name in ("default", "tool_use")]
    files = {"tokenizer_config.json": settings | {"chat_template": named}, "chat_template.jinja": None}
    shutil.rmtree(tmp_path / "copy")
    assert Chat(load_tokenizer(copy_of(**files)), None).prompt("头痛") == usual


@pytest.mark.parametrize(
    ("call", "written"),
    [("strftime_now('%d %b %Y')", "26 Jul 2024"), ('strftime_now( "%Y-%m-%d" )', "2024-07-26")],
)
def test_a_prompt_is_the_same_on_every_day(chat_of, monkeypatch, call, written):
    from transformers.utils import chat_template_utils

    template = "{% if strftime_now is defined %}{{ " + call + " }}{% endif %}" + TURNS + START
    prompts = []
    for day in (1, 2):

        class Clock(datetime.datetime):
            @classmethod
            def now(cls, tz=None, day=day):
                return cls(2031, 5, day)

        monkeypatch.setattr(chat_template_utils, "datetime", Clock)
        prompts.append(chat_of(template).prompt("头痛"))
    assert prompts[0] == prompts[1] == f"{written}<|im_start|>user\n头痛<|im_end|>\n<|im_start|>assistant\n"


def test_a_date_in_a_form_that_is_not_known_beforehand_is_refused(chat_of):
    with pytest.raises(UserError, match=r"today's date .* chat\.template: plain"):
        chat_of("{% set f = '%d' %}{{ strftime_now(f) }}" + TURNS + START)


EMPTY = "<|im_start|>assistant\n<think>\n\n</think>\n\n"
QWEN3 = (
    "{% for m in messages %}<|im_start|>{{ m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{{ m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{% endif %}"
)
ALWAYS = QWEN3.replace(
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}",
    "{% if true %}{{ '<think>\n' }}",
)
DISTILLED = TURNS + "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
WITHOUT_LINE = TURNS + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>' }}{% endif %}"
CHANNELS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}{% if m['role'] == 'assistant' %}{{ '/final' }}{% endif %}"
    "{{ ':' + m['content'] + '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant{% endif %}"
)


@pytest.mark.parametrize(
    ("template", "opening"),
    [
        (QWEN3, EMPTY),
        (ALWAYS, EMPTY),
        (DISTILLED, EMPTY),
        (WITHOUT_LINE, EMPTY),
        (DISTILLED.replace("<think>", "[THINK]"), EMPTY.replace("<think>", "[THINK]").replace("</think>", "[/THINK]")),
        (CHANNELS, "<|im_start|>assistant/final:"),
        (TURNS + START, "<|im_start|>assistant\n"),
    ],
)
def test_an_answer_begins_where_the_thoughts_have_ended(chat_of, template, opening):
    """In training and in prediction alike: a sample is the prompt and the answer."""
    chat = chat_of(template)
    assert chat.prompt("头痛").endswith(opening)
    sample = chat.sample("头痛", "多喝水。", 500)
    said = [token for token in sample.labels if token >= 0]
    assert chat.tokenizer.decode(said) == "多喝水。<|im_end|>"
    assert sample.input_ids == chat.prompt_ids("头痛") + said


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("<think>\n先想。\n</think>\n\n多喝水。", "多喝水。"),
        ("想一想</think>多喝水。", "多喝水。"),
        ("<think></think><think>又</think>\n多喝水。", "多喝水。"),
        ("<think>想了很久", ""),
        ("[THINK]想[/THINK] 好", "好"),
        ("多喝水。", "多喝水。"),
        ("写作<think>的标签", "写作<think>的标签"),
        ("先写<think>再写</think>的标签", "先写<think>再写</think>的标签"),
    ],
)
def test_thoughts_are_no_part_of_an_answer(chat_of, said, left):
    assert without_thoughts(said) == left
    chat = chat_of(QWEN3)
    ids = chat.tokenizer(said, add_special_tokens=False)["input_ids"]
    assert chat.answer_text(ids) == left
    assert chat_of(CHAT_TEMPLATE).answer_text(ids) == said  # of a model that does not think it is what it wrote


SWAPPED = "{% for m in messages | reverse %}<|im_start|>{{ m['content'] + '<|im_end|>' }}{% endfor %}" + START


@pytest.mark.parametrize(
    ("template", "named"),
    [
        (
            TURNS.replace("%}<|im_start|>", "if m['role'] != 'system' %}<|im_start|>", 1) + START,
            "leaves the system message",
        ),
        (SWAPPED, "puts the system message behind the question"),
        (
            TURNS.replace("%}<|im_start|>", "if m['role'] != 'user' %}<|im_start|>", 1) + START,
            "leaves the question out",
        ),
        (
            TURNS.replace("%}<|im_start|>", "if m['role'] != 'assistant' %}<|im_start|>", 1) + START,
            "leaves the answer out",
        ),
        (
            "{% for m in messages %}{% for part in m['content'] %}{{ part['text'] }}{% endfor %}{% endfor %}",
            "leaves the question",
        ),
        ("{{ messages[0]['content'] + 1 }}", "refused the conversation"),
        ("{% if messages %}", "refused the conversation"),
        ("{{ messages[0].x.y }}", "refused the conversation"),
    ],
)
def test_a_template_that_loses_a_part_is_refused(chat_of, template, named):
    with pytest.raises(UserError, match=named):
        chat_of(template, "你是医生。")


def test_a_system_message_may_be_trimmed_or_stand_in_the_question(chat_of):
    inside = "<|im_start|>{{ messages | map(attribute='content') | map('trim') | join('\n') }}<|im_end|>" + START
    assert chat_of(inside, " 你是医生。\n").prompt("头痛").startswith("<|im_start|>你是医生。\n头痛")


@pytest.mark.parametrize("empty", [None, "", " \n"])
def test_an_empty_system_prompt_is_none(chat_of, empty):
    assert chat_of(TURNS + START, empty).prompt("头痛") == "<|im_start|>user\n头痛<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("generation", "further"),
    [
        ({"eos_token_id": [300, 301]}, [300, 301]),
        ({"eos_token_id": 300}, [300]),
        ({"eos_token_id": [300, 10**6, -1, None]}, [300]),
        ({}, []),
        (None, []),
    ],
)
def test_an_answer_ends_where_the_models_generation_ends(copy_of, generation, further):
    tokenizer = load_tokenizer(copy_of(**{"generation_config.json": generation}))
    assert Chat(tokenizer, None).stop_ids == [tokenizer.eos_token_id, *further]


def test_a_tokenizer_with_more_tokens_than_the_embedding_is_refused_with_both_numbers(copy_of, tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    count = len(tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|extra_1|>", "<|extra_2|>"]})
    manifest = copy_of()
    tokenizer.save_pretrained(manifest.parent)
    manifest = write_manifest(manifest.parent, kind="model", source="local")
    with pytest.raises(UserError, match=rf"has {count + 2} tokens and its embedding {count} rows, so that <\|extra_1"):
        load_tokenizer(manifest)
