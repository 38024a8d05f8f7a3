"""Prompts and samples: masked prompts, learned end tokens, cut answers, and the real Qwen vocabulary."""

import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.base.errors import UserError
from medscale.data.questions import Question, question_of
from medscale.model.chat import IGNORED, Chat
from medscale.model.tokenizer import load_tokenizer

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


PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple)


def messages(question: Question, system: str) -> list[dict]:
    said = [{"role": "system", "content": question.system or system}]
    for earlier, answer in question.history:
        said += [{"role": "user", "content": earlier}, {"role": "assistant", "content": answer}]
    return [*said, {"role": "user", "content": question.text}]


@given(text=TEXT, history=PAIRS, system=st.none() | TEXT)
def test_the_prompt_of_a_dialogue_is_the_templates_own(chat, tokenizer, text, history, system):
    question = Question(text, history, system)
    expected = tokenizer.apply_chat_template(
        messages(question, "你是医生。"), add_generation_prompt=True, return_dict=False
    )
    assert chat.prompt_ids(question) == expected


@given(text=TEXT, answer=TEXT)
def test_a_question_without_anything_before_it_has_the_same_prompt_as_its_text(chat, text, answer):
    assert chat.prompt_ids(Question(text)) == chat.prompt_ids(text)
    assert chat.sample(question_of({"question": text}), answer, 500) == chat.sample(text, answer, 500)


@given(text=TEXT, history=PAIRS, answer=TEXT, room=st.integers(1, 400))
def test_a_question_is_asked_with_as_many_of_its_last_turns_as_fit(chat, text, history, answer, room):
    [fitted] = chat.fitted([Question(text, history)], [answer], room)
    needed = len(chat.answer_ids(answer))
    fits = [len(chat.prompt_ids(Question(text, history[place:]))) + needed <= room for place in range(len(history) + 1)]
    kept = history[fits.index(True) :] if any(fits) else ()
    assert fitted == Question(text, kept)
    assert chat.fitted([fitted], [answer], room) == [fitted]
    sample = chat.sample(Question(text, history), answer, room)
    if sample is not None:
        assert sample[:3] == chat.sample(fitted, answer, room)[:3]
        assert sample.left_out == len(history) - len(kept)


def test_turns_for_which_there_is_no_room_are_found_in_few_tries(chat, monkeypatch):
    question = Question("那饮食呢", tuple((f"问题{n}", f"回答{n}") for n in range(200)))
    tries, prompts = [], Chat._prompts
    monkeypatch.setattr(Chat, "_prompts", lambda self, asked: tries.append(len(asked)) or prompts(self, asked))
    room = len(chat.prompt_ids(Question(question.text, question.history[137:]))) + len(chat.answer_ids("清淡"))
    assert chat.fitted([question, "头痛"], ["清淡", "休息"], room)[0].history == question.history[137:]
    assert len(tries) <= 10


LEAVES_OUT = {
    "system": "{% for m in messages if m.role != 'system' %}{{ m.role + m.content }}{% endfor %}x",
    "turns": "{% for m in messages if m.role == 'system' %}{{ m.content }}{% endfor %}{{ messages[-2:] }}x",
    "order": "{% for m in messages | reverse %}{{ m.role + m.content }}{% endfor %}x",
}


@pytest.mark.parametrize(
    ("template", "question", "remedy"),
    [
        ("system", Question("头痛", (), "你是医生"), "system text .* data.system: ignore"),
        ("turns", Question("头痛", (("感冒", "休息"),)), "earlier turns .* data.turns: first"),
        ("order", Question("头痛", (("感冒", "休息"),)), "earlier turns .* data.turns: first"),
    ],
)
def test_a_template_that_leaves_out_what_a_row_brings_is_refused(tiny_model, template, question, remedy):
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = LEAVES_OUT[template]
    chat = Chat(tokenizer, None)
    assert chat.sample("头痛", "休息", 500) is not None
    with pytest.raises(UserError, match=remedy):
        chat.sample(question, "休息", 500)


@pytest.fixture(scope="module")
def qwen():
    """Qwen's true tokenizer, from the vocabulary in the dashscope package."""
    if importlib.util.find_spec("dashscope") is None:
        pytest.skip("the package dashscope, which carries Qwen's vocabulary, is not installed")
    from qwen_tokenizer import qwen_tokenizer

    return qwen_tokenizer()


def test_the_real_qwen_vocabulary(qwen):
    """The special tokens have Qwen's published ids, and the end of a turn is learned as one token."""
    assert qwen.convert_tokens_to_ids("<|endoftext|>") == 151643
    assert qwen.convert_tokens_to_ids("<|im_end|>") == 151645
    chat = Chat(qwen, "你是一名专业、谨慎的医生，请用中文回答患者的问题。")
    sample = chat.sample("高血压患者能吃党参吗？", "可以适量食用，但应遵医嘱。", 512)
    assert sample.labels[-1] == 151645
    assert qwen.decode([token for token in sample.labels if token >= 0]) == "可以适量食用，但应遵医嘱。<|im_end|>"
    assert len(sample.input_ids) < 60


def test_a_dialogue_in_the_real_qwen_vocabulary(qwen):
    """The ids of a sample with a history are those of the template on all its messages."""
    history = (("高血压能吃党参吗？", "可以适量食用。"), ("那饮食呢？", "少盐少油。"))
    chat, question = Chat(qwen, "你是一名医生。"), Question("那运动呢？", history)
    said = messages(question, "你是一名医生。")
    prompt = qwen.apply_chat_template(said, add_generation_prompt=True, return_dict=False)
    whole = qwen.apply_chat_template([*said, {"role": "assistant", "content": "适量运动。"}], return_dict=False)
    sample = chat.sample(question, "适量运动。", 512)
    assert sample.input_ids[: len(prompt)] == prompt == chat.prompt_ids(question)
    assert sample.input_ids == whole[: len(sample.input_ids)]
    assert qwen.decode(whole[len(sample.input_ids) :]) == "\n"
    own = chat.prompt(Question("那运动呢？", history, "你是药师。"))
    assert own.startswith("<|im_start|>system\n你是药师。<|im_end|>")
    assert own.count("system") == 1
