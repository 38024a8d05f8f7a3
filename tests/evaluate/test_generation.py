"""Prediction: a batch answers as one question alone does, and likelihoods are the model's own."""

import itertools

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from medscale.base.errors import UserError
from medscale.evaluate.generation import Answer, empty_answers, generate, likelihoods
from medscale.model.chat import Chat
from medscale.model.loading import add_adapter, load_adapter, load_base
from medscale.model.tokenizer import load_tokenizer
from sentences import TEXTS

NF4 = {"quant_type": "nf4", "double_quant": True}
QUESTIONS = [text[:n] for n, text in enumerate(TEXTS[:10], 2)]


@pytest.fixture(scope="module", params=["lora", "qlora"])
def model(request, wild_model):
    return load_base(wild_model, request.param, NF4, "fp32").eval()


@pytest.fixture(scope="module")
def chat(tiny_model):
    return Chat(load_tokenizer(tiny_model), "你是医生。")


def test_batched_answers_equal_answers_one_by_one(model, chat):
    batched = generate(model, chat, QUESTIONS, 24, batch_size=4, label="batched").answers
    single = [generate(model, chat, [question], 24, batch_size=1, label="single").answers[0] for question in QUESTIONS]
    assert batched == single
    assert len({answer.text for answer in batched}) >= 4


def test_likelihoods_equal_a_plain_forward_pass(model, chat):
    pairs = list(zip(QUESTIONS, TEXTS[1:11], strict=True))
    for (question, answer), score in zip(pairs, likelihoods(model, chat, pairs, 512).likelihoods, strict=True):
        sample = chat.sample(question, answer, 512)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([sample.input_ids])).logits[0, :-1].float()
        labels = torch.tensor(sample.labels[1:])
        expected = torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        assert score.nll_sum == pytest.approx(expected, rel=1e-5)
        assert score.n_tokens == len(chat.answer_ids(answer))


def test_a_prompt_without_room_has_no_likelihood(model, chat):
    assert likelihoods(model, chat, [("头痛" * 200, "多喝水"), ("头痛", "多喝水")], 100).likelihoods[0] is None


def test_an_answer_ends_before_its_stop_token(model, chat):
    """With a head that always says <|im_end|>, answers are empty and have no tokens."""
    end = chat.stop_ids[0]
    head = model.get_output_embeddings()
    original = head.forward
    head.forward = lambda hidden: torch.nn.functional.one_hot(
        torch.full(hidden.shape[:-1], end), model.config.vocab_size
    ).float()
    try:
        answers, _ = generate(model, chat, QUESTIONS[:3], 8, 2, "stopped")
    finally:
        head.forward = original
    assert [(answer.text, answer.n_tokens) for answer in answers] == [("", 0)] * 3


def plain_tokens(model, chat, question, max_new_tokens):
    """What the library's own `generate` says to one question, tokens."""
    ids = torch.tensor([chat.prompt_ids(question)])
    options = {"do_sample": False, "eos_token_id": chat.stop_ids, "pad_token_id": chat.tokenizer.pad_token_id}
    with torch.inference_mode():
        output = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_new_tokens, **options)
    return output[0, ids.shape[1] :].tolist()


def plain_answer(model, chat, question, max_new_tokens):
    new = plain_tokens(model, chat, question, max_new_tokens)
    row = list(itertools.takewhile(lambda token: token not in chat.stop_ids, new))
    return Answer(chat.tokenizer.decode(row, skip_special_tokens=True).strip(), len(row))


class Stopping(Chat):
    """Ends an answer at further tokens."""

    further: tuple = ()

    @property
    def stop_ids(self):
        return [*super().stop_ids, *self.further]


@pytest.fixture(scope="module")
def stopping(model, chat):
    """A chat whose further stop tokens end the answers at different places."""
    rows = [plain_tokens(model, chat, question, 24) for question in QUESTIONS]
    chosen = set()

    def different_lengths(token):
        return len({next((i for i, said in enumerate(row) if said in chosen | {token}), 24) for row in rows})

    for _ in range(3):
        chosen.add(max(sorted(set(itertools.chain(*rows))), key=different_lengths))
    changed = Stopping(chat.tokenizer, "你是医生。")
    changed.further = sorted(chosen)
    return changed


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_answers_that_come_and_go_equal_those_of_plain_generate(model, stopping, batch_size):
    questions = [*QUESTIONS, TEXTS[0] * 4, TEXTS[1] * 2, "头"]
    plain = [plain_answer(model, stopping, question, 24) for question in questions]
    assert generate(model, stopping, questions, 24, batch_size, "").answers == plain
    assert len({answer.n_tokens for answer in plain}) >= 4


@pytest.fixture
def watched(model, monkeypatch):
    """The rows and the width of each pass over the model."""
    passes, own = [], model.forward

    def forward(input_ids, attention_mask, **options):
        passes.append((len(input_ids), attention_mask.shape[1]))
        return own(input_ids=input_ids, attention_mask=attention_mask, **options)

    monkeypatch.setattr(model, "forward", forward)
    return passes


def test_an_answer_that_has_ended_costs_nothing_more(model, chat, stopping, watched):
    lengths = [answer.n_tokens for answer in generate(model, stopping, QUESTIONS, 24, 4, "").answers]
    assert len(set(lengths)) >= 4
    cache = 4 * (max(len(chat.prompt_ids(question)) for question in QUESTIONS) + 24)
    assert all(rows * width <= cache for rows, width in watched)
    assert sum(rows for rows, _ in watched) == sum(min(24, length + 1) for length in lengths)


def test_layers_with_a_window_are_answered_batch_by_batch(chat):
    config = Qwen2Config(
        **{"vocab_size": len(chat.tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2},
        **{"num_attention_heads": 2, "num_key_value_heads": 1, "pad_token_id": chat.tokenizer.pad_token_id},
        **{"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1},
    )
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(5)
    assert config.layer_types == ["full_attention", "sliding_attention"]
    plain = [plain_answer(model, chat, question, 24) for question in QUESTIONS]
    assert generate(model, chat, QUESTIONS, 24, 3, "").answers == plain


@pytest.fixture
def little_memory(model, monkeypatch):
    """A model that is out of memory with more than two rows, and the sizes of the batches that it was given."""
    asked, own = [], model.forward

    def limited(input_ids, **options):
        asked.append(len(input_ids))
        if len(input_ids) > 2:
            raise torch.OutOfMemoryError("tried to allocate 20 GiB\nmore words")
        return own(input_ids=input_ids, **options)

    monkeypatch.setattr(model, "forward", limited)
    return asked


def test_a_batch_too_large_for_the_memory_halves_and_loses_nothing(model, chat, little_memory):
    answers, events = generate(model, chat, QUESTIONS, 24, batch_size=8, label="limited")
    assert little_memory[:3] == [8, 4, 2]
    assert [event["kind"] for event in events] == ["fallback", "fallback"]
    assert "8 questions at once (tried to allocate 20 GiB)" in events[0]["message"]
    assert answers == [generate(model, chat, [question], 24, 1, "single").answers[0] for question in QUESTIONS]


def test_memory_that_ends_in_the_middle_of_answers_loses_none(model, chat, monkeypatch):
    expected = generate(model, chat, QUESTIONS, 24, batch_size=8, label="").answers
    passes, own = itertools.count(), model.forward

    def once(input_ids, **options):
        if next(passes) == 15:
            raise torch.OutOfMemoryError("tried to allocate 20 GiB")
        return own(input_ids=input_ids, **options)

    monkeypatch.setattr(model, "forward", once)
    answers, events = generate(model, chat, QUESTIONS, 24, batch_size=8, label="")
    assert answers == expected
    assert len(events) == 1


def test_likelihoods_too_many_for_the_memory_halve_and_lose_nothing(model, chat, little_memory):
    pairs = list(zip(QUESTIONS, TEXTS[1:11], strict=True))
    scores, events = likelihoods(model, chat, pairs, 512)
    assert little_memory[:3] == [10, 5, 2]
    assert [event["kind"] for event in events] == ["fallback", "fallback"]
    alone = [likelihoods(model, chat, [pair], 512).likelihoods[0] for pair in pairs]
    assert [score.n_tokens for score in scores] == [score.n_tokens for score in alone]
    assert [score.nll_sum for score in scores] == pytest.approx([score.nll_sum for score in alone], rel=1e-5)


def test_one_question_too_large_for_the_memory_is_told(model, chat, monkeypatch):
    def never(**_):
        raise torch.OutOfMemoryError("tried to allocate 20 GiB")

    monkeypatch.setattr(model, "forward", never)
    with pytest.raises(UserError, match=r"one question \(tried to allocate 20 GiB\); lower evaluation.max_new_tokens"):
        generate(model, chat, QUESTIONS[:1], 24, 4, "never")
    with pytest.raises(UserError, match=r"likelihood of one answer \(tried to allocate 20 GiB\)"):
        likelihoods(model, chat, [(QUESTIONS[0], TEXTS[1])], 512)


def test_a_merged_adapter_answers_as_an_unmerged_one(wild_model, chat, tmp_path):
    """Up to rounding, of course: the likelihoods agree to five digits."""
    lora = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear", "use_rslora": False}
    adapted = add_adapter(load_base(wild_model, "lora", NF4, "fp32"), lora, seed=1)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    adapted.save_pretrained(tmp_path)
    pairs = list(zip(QUESTIONS, TEXTS[1:11], strict=True))
    merged, apart = (
        load_adapter(load_base(wild_model, "lora", NF4, "fp32"), tmp_path, merge).eval() for merge in (True, False)
    )
    assert not any("lora" in name for name, _ in merged.named_parameters())
    values = [
        [score.nll_sum for score in likelihoods(model, chat, pairs, 512).likelihoods] for model in (merged, apart)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    base = likelihoods(load_base(wild_model, "base", NF4, "fp32").eval(), chat, pairs, 512).likelihoods
    assert abs(values[0][0] - base[0].nll_sum) > 0.1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_likelihood_that_overflows_is_told_with_the_remedy(model, chat, value):
    """As fp16 does for a model whose values are larger than 65,504."""
    head = model.get_output_embeddings()
    handle = head.register_forward_hook(lambda module, inputs, logits: logits * value)
    try:
        with pytest.raises(
            UserError, match=r"likelihood of an answer is nan in float32.*set training.precision to bf16"
        ):
            likelihoods(model, chat, [("头痛", "多喝水")], 100)
    finally:
        handle.remove()


@pytest.mark.parametrize(("empty", "told"), [(0, False), (2, False), (3, True), (4, True)])
def test_answers_that_are_mostly_empty_are_told_of(empty, told):
    answers = [Answer("", 0)] * empty + [Answer("好", 1)] * (4 - empty)
    events = empty_answers(answers)
    assert [event["kind"] for event in events] == ["warning"] * told
    assert all(f"{empty} of 4 answers are empty" in event["message"] for event in events)
