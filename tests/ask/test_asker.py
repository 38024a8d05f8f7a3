"""What is asked is answered as in the study, with one model in memory."""

import pytest
import torch
from peft.utils import save_and_load

from asked_study import QUESTIONS
from medscale.ask.asker import Asker, Side, side_by_side
from medscale.ask.sampling import Sampling, draw
from medscale.ask.study import BASE
from medscale.base.errors import UserError
from medscale.data.questions import Question


@pytest.fixture
def asker(opened):
    return Asker(opened)


def grown(answers):
    for _ in side_by_side(answers):
        pass
    return {answer.side: answer.text for answer in answers}


@pytest.mark.parametrize("name", ["lora_100", "qlora_100", "base"])
def test_greedy_answers_are_those_of_the_study(name, asked_study, opened, asker):
    rows = asked_study.predict(opened.config, name)
    assert len({row["predict"] for row in rows}) >= 4, "answers alike would show nothing"
    asker.switch(name)
    for row in rows:
        said = grown(asker.ask(row["prompt"], asker.sides()))
        assert said[name] == row["predict"]


def test_the_base_beside_a_lora_run_is_the_base_of_the_study(asked_study, opened, asker):
    rows = asked_study.predict(opened.config, "base")
    asker.switch("lora_100")
    pairs = [(grown(asker.ask(row["prompt"], asker.sides())), row["predict"]) for row in rows]
    assert all(said[BASE] == predicted for said, predicted in pairs)
    assert any(said[BASE] != said["lora_100"] for said, _ in pairs)


def test_a_run_on_the_same_base_changes_the_adapter_alone(asker):
    asker.switch("lora_200")
    fresh = grown(asker.ask(QUESTIONS[0], asker.sides()))
    asker.switch("lora_100")
    base = asker._loaded.voice(False)._model.get_base_model()
    asker.switch("lora_200")
    assert asker._loaded.voice(False)._model.get_base_model() is base
    assert len(asker._loaded._model.peft_config) == 1, "the adapter of before is still in memory"
    assert grown(asker.ask(QUESTIONS[0], asker.sides())) == fresh


def test_nothing_is_looked_up_on_a_hub(asker, monkeypatch):
    """The name that an adapter gives its base may be one of a hub, and there may be no network."""
    looked_up = []
    monkeypatch.setattr(save_and_load, "check_file_exists_on_hf_hub", lambda *words: looked_up.append(words))
    for name in ("lora_100", "lora_200"):
        asker.switch(name)
    assert looked_up == []


def test_an_answer_grows_at_its_end_only(asker):
    asker.switch("qlora_100")
    (answer,) = asker.ask(QUESTIONS[1], [Side("qlora_100")])
    before = ""
    for _ in answer.steps():
        assert answer.text.startswith(before)
        before = answer.text
    assert answer.ended in ("end", "length")
    assert 0 < answer.n_tokens <= 24


def test_what_was_said_is_told_and_the_oldest_left_out(asker):
    asker.switch("lora_100")
    turns = tuple((f"头痛{n}", f"休息{n}") for n in range(9))
    short, long = (asker.ask("那饮食呢", [Side("lora_100", t)])[0] for t in (turns[-1:], turns))
    assert (short.left_out, 0 < long.left_out < 9) == (0, True)
    room = asker.run.max_length - asker.study.max_new_tokens
    assert len(long._prompt) <= room
    one_more = Question("那饮食呢", turns[long.left_out - 1 :])
    assert len(asker._chat.prompt_ids(one_more)) + len(asker._chat.answer_ids("")) > room
    assert asker._chat.tokenizer.decode(short._prompt).count("头痛8") == 1


def test_sampling_repeats_by_its_seed_and_is_off_by_default(asker):
    asker.switch("lora_100")
    greedy, again, warm, same, other = (
        grown(asker.ask(QUESTIONS[2], asker.sides(), *sampling))
        for sampling in [(), (Sampling(seed=7),), *((Sampling(1.5, 0.95, seed),) for seed in (1, 1, 2))]
    )
    assert greedy == again
    assert warm == same
    assert len({each["lora_100"] for each in (greedy, warm, other)}) == 3


def test_tokens_are_drawn_by_their_probabilities():
    logits = torch.tensor([[2.0, 1.0, 0.0, -30.0]]).repeat(20_000, 1)
    drawn = draw(logits, Sampling(2.0), torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn, minlength=4) / len(drawn)
    assert torch.allclose(shares, (logits[0] / 2).softmax(0), atol=0.02)
    # 0.665, 0.245, 0.090: the second crosses 0.7, and nothing behind it is drawn.
    kept = draw(logits, Sampling(1.0, 0.7), torch.Generator().manual_seed(0))
    assert set(kept.tolist()) == {0, 1}
    assert set(draw(logits, Sampling(1.0, 1e-6), torch.Generator()).tolist()) == {0}


@pytest.mark.parametrize("question", ["", "  \n "])
def test_an_empty_question_is_refused(question, asker):
    asker.switch("lora_100")
    with pytest.raises(UserError, match=r"empty.*\[K106\]"):
        asker.ask(question, asker.sides())


def test_a_question_without_room_is_refused_with_its_tokens(asker):
    asker.switch("lora_100")
    tokens = len(asker._chat.prompt_ids("头痛" * 200))
    with pytest.raises(UserError, match=rf"has {tokens} tokens .* fewer than 128 \(training.max_length\).*\[K107\]"):
        asker.ask("头痛" * 200, asker.sides())


def test_the_longest_answer_is_what_was_asked_for(asker):
    asker.switch("lora_100")
    (answer,) = asker.ask(QUESTIONS[0], [Side("lora_100")], max_new_tokens=3)
    grown([answer])
    assert (answer.n_tokens, answer.ended) == (3, "length")
