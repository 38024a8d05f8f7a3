"""The Modelfile's template, evaluated as Go would, makes the prompts of the study's own chat template."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.export.go_template import Untranslatable, pieces_of
from medscale.export.modelfile import modelfile
from medscale.export.shipped_template import shipped_template
from medscale.model.chat import Chat
from medscale.model.templates import PLAIN
from medscale.model.tokenizer import load_tokenizer

SYSTEM = "你是一名专业、谨慎的医生，请用中文回答患者的问题。"
# Of Qwen2.5: a default system text, and nothing of tools.
CHATML = (
    "{%- if messages[0]['role'] == 'system' %}{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>system\\nYou are Qwen.<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}{%- if message.role != 'system' %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
# As Qwen3 writes it: whoever asks for no thinking gets an empty block of thoughts.
THINKING = CHATML.replace(
    "{{- '<|im_start|>assistant\\n' }}",
    "{{- '<|im_start|>assistant\\n' }}{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}",
)
NUMBERED = (
    "{% for message in messages %}{{ loop.index ~ '. ' + message['content'] + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '>' }}{% endif %}"
)


def go(template: str, messages: list[dict]) -> str:
    """Evaluate the part of Go's template language that a Modelfile of ours uses, as text/template does."""
    tokens = re.split(r"(\{\{.*?\}\})", template)
    place, system = 0, "".join(message["content"] for message in messages if message["role"] == "system")

    def block(dot, run: bool) -> str:
        """Evaluate up to an else or end that closes this block, and leave ``place`` behind it."""
        nonlocal place
        out = ""
        while place < len(tokens):
            token = tokens[place]
            place += 1
            if not token.startswith("{{"):
                out += token if run else ""
                continue
            action = token[2:-2].strip()
            if action == ".Content":
                out += dot["content"] if run else ""
            elif action == "range .Messages":
                start, text = place, ""
                for message in messages if run else []:
                    place = start
                    text += block(message, True)
                if not (run and messages):
                    block(None, False)
                out += text
            elif action.startswith("if "):
                out += branches(action[3:], dot, run)
            elif action == "end" or action.startswith("else"):
                place -= 1
                if action == "end":
                    place += 1
                return out
            else:
                raise AssertionError(f"not in this subset: {token}")
        return out

    def branches(condition: str, dot, run: bool) -> str:
        nonlocal place
        holds = run and test(condition, dot)
        out, done = block(dot, holds), holds
        while tokens[place - 1] != "{{ end }}":
            action = tokens[place][2:-2].strip()
            place += 1
            holds = run and not done and (action == "else" or test(action.removeprefix("else if "), dot))
            out, done = out + block(dot, holds), done or holds
        return out

    def test(condition: str, dot) -> bool:
        if condition == "not .System":
            return not system
        role = re.fullmatch(r'eq \.Role "(\w+)"', condition)
        return dot["role"] == role[1]

    return block(None, True)


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return load_tokenizer(str(tiny_model))


def chat_of(tokenizer, template, system=SYSTEM):
    tokenizer.chat_template = template
    return Chat(tokenizer, system, "plain" if template == PLAIN else "model")


TEMPLATES = {"qwen2.5": CHATML, "thinking": THINKING, "plain": PLAIN}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("system", [SYSTEM, None], ids=["system", "no system"])
def test_the_translation_makes_the_prompt_of_the_study(tokenizer, template, system):
    chat = chat_of(tokenizer, template, system)
    translated = pieces_of(tokenizer, shipped_template(chat)).go()
    messages = [*chat.system, {"role": "user", "content": "头痛三天，怎么办？"}]
    assert go(translated, messages) == str(chat.prompt("头痛三天，怎么办？"))


TEXT = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)


@pytest.fixture(scope="module", params=TEMPLATES.values(), ids=TEMPLATES)
def translated(request, tokenizer):
    """A template that is shipped, and its translation."""
    shipped = shipped_template(chat_of(tokenizer, request.param))
    return shipped, pieces_of(tokenizer, shipped).go()


@settings(max_examples=20)
@given(texts=st.lists(TEXT, min_size=1, max_size=5).filter(lambda texts: len(texts) % 2), system=st.none() | TEXT)
def test_every_conversation_is_the_same_in_both_languages(tokenizer, translated, texts, system):
    shipped, in_go = translated
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
    options = {"chat_template": shipped, "add_generation_prompt": True, "tokenize": False}
    expected = tokenizer.apply_chat_template(messages, **options)
    assert go(in_go, messages) == expected


def test_the_shipped_template_needs_no_switch_and_thinks_not(tokenizer):
    chat = chat_of(tokenizer, THINKING)
    messages = [*chat.system, {"role": "user", "content": "问"}]
    options = {"chat_template": shipped_template(chat), "add_generation_prompt": True, "tokenize": False}
    text = tokenizer.apply_chat_template(messages, **options)
    assert text == str(chat.prompt("问"))
    assert text.endswith("<think>\n\n</think>\n\n")


def test_what_a_template_puts_before_an_answer_is_written_into_it(tokenizer):
    opens = CHATML.replace("assistant\\n' }}{%- endif", "assistant\\n<think>\\n' }}{%- endif") + "\n"
    chat = chat_of(tokenizer, opens)
    assert chat.opening
    messages = [*chat.system, {"role": "user", "content": "问"}]
    options = {"chat_template": shipped_template(chat), "add_generation_prompt": True, "tokenize": False}
    assert tokenizer.apply_chat_template(messages, **options) == str(chat.prompt("问"))


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (NUMBERED, "otherwise"),
        (CHATML.replace("You are Qwen.", "You are {{."), "mean something else"),
        (CHATML.replace("You are Qwen.", 'You say """.'), "mean something else"),
        (CHATML + "{% if messages | length > 3 %}{{ raise_exception('too long') }}{% endif %}", "too long"),
        (CHATML.replace("message.content +", "message.content | upper +"), "leaves a message|otherwise"),
    ],
)
def test_a_template_that_cannot_be_said_is_told_so(tokenizer, template, said):
    if "upper" in template:
        template = template.replace("message.content | upper", "(message.content | replace('？', '?'))")
    with pytest.raises(Untranslatable, match=said):
        pieces_of(tokenizer, template)


def test_a_template_that_begins_with_the_beginning_token_is_told_so(tokenizer):
    tokenizer.bos_token = "<|endoftext|>"
    try:
        with pytest.raises(Untranslatable, match="second time"):
            pieces_of(tokenizer, "{{ bos_token }}" + PLAIN)
    finally:
        tokenizer.bos_token = None


def test_a_modelfile_decodes_greedily_and_knows_every_end(tokenizer):
    pieces = pieces_of(tokenizer, shipped_template(chat_of(tokenizer, CHATML)))
    text = modelfile("./gguf/a.gguf", pieces, SYSTEM, ["<|im_end|>", "<|endoftext|>"], 2048, 256)
    assert text.startswith("FROM ./gguf/a.gguf\n")
    assert f'SYSTEM """{SYSTEM}"""\n' in text
    assert re.search(r'TEMPLATE """(.*?)"""', text, re.DOTALL)[1] == pieces.go()
    parameters = re.findall(r"^PARAMETER (\w+) (.*)$", text, re.MULTILINE)
    assert ("stop", '"<|im_end|>"') in parameters
    assert ("stop", '"<|endoftext|>"') in parameters
    told = {name: value for name, value in parameters if name != "stop"}
    assert told == {
        "temperature": "0",
        "top_k": "1",
        "repeat_penalty": "1.0",
        "num_ctx": "2048",
        "num_predict": "256",
    }
    assert "SYSTEM" not in modelfile("x", pieces, None, [], 1, 1)
