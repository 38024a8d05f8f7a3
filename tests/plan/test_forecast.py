"""The forecast: its arithmetic, the shapes it knows, sessions, and one real plan of a small study."""

import gc
import json
import math
import random
import weakref
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.base.config import resolve
from medscale.base.errors import UserError
from medscale.base.settings import reading_settings
from medscale.data.questions import Question
from medscale.evaluate import generation
from medscale.fetch.manifest import write_manifest
from medscale.model.chat import Chat
from medscale.model.tokenizer import load_tokenizer
from medscale.plan import forecast
from medscale.plan.arithmetic import (
    Decoding,
    Passes,
    Prefill,
    Step,
    TimeModel,
    answer_lengths,
    answer_passes,
    batches,
    cut,
    energy_kwh,
    fit,
    fits,
    money,
    prediction_seconds,
    saves,
    totals,
)
from medscale.plan.lengths import Row, default_rows, study_lengths
from medscale.plan.prediction import Lengthwise
from medscale.plan.random_model import config_of, empty_model, load_shape
from medscale.plan.sessions import Job, Limit, pack
from medscale.plan.shapes import SHAPES, Shape, shape_of
from medscale.plan.table import plan_text
from medscale.plan.training import rows_at_once, spread
from medscale.train.trainer import micro_batches
from workflow_runner import Copy

HOUR = 3600
HUB = {"source": "huggingface", "id": "Qwen/Qwen2.5-3B-Instruct", "path": None, "tiny": {}}


def test_the_time_model_recovers_known_coefficients():
    draw = random.Random(1)
    steps = [Step(draw.randint(1, 4), draw.randint(500, 4000)) for _ in range(32)]
    truth = TimeModel(0.05, 0.02, 3e-4)
    seconds = [truth.seconds([step]) for step in steps]
    assert fit(steps, seconds) == pytest.approx(truth, rel=1e-6)
    noisy = [time * draw.gauss(1, 0.02) for time in seconds]
    noisy[7] *= 10  # something else ran meanwhile
    assert fit(steps, noisy).seconds(steps) == pytest.approx(sum(seconds), rel=0.03)


def test_the_time_model_has_no_negative_coefficient_and_needs_little():
    assert min(fit([Step(1, 100), Step(1, 200), Step(1, 300)], [3.0, 2.0, 1.0])) >= 0
    assert fit([Step(1, 100)], [2.0]).seconds([Step(1, 200)]) == pytest.approx(4.0)
    with pytest.raises(ValueError, match="0 steps"):
        fit([], [])


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=16),
    budget=st.integers(1, 2048),
    multiple=st.sampled_from([1, 8]),
)
def test_steps_are_cut_as_the_trainer_cuts_them(lengths, budget, multiple):
    width = math.ceil(max(lengths) / multiple) * multiple
    mask = torch.tensor([[1] * length + [0] * (width - length) for length in lengths])
    parts = list(micro_batches({"input_ids": mask, "attention_mask": mask, "labels": mask}, budget, multiple))
    tokens = sum(part["input_ids"].numel() for part in parts)
    assert cut(lengths, budget, multiple) == Step(len(parts), tokens)
    assert cut(lengths, budget, multiple, packing=True) == Step(len(parts), sum(lengths))


class Counted:
    """Takes the place of `decoding.Decoder`: a row ends after as many tokens as its prompt says."""

    joinable = True

    def __init__(self, model, pad_token_id):
        self.rows, self.prefills, self.steps = [], [], Counter()
        made.append(self)

    def join(self, prompts):
        self.prefills.append(Prefill(len(prompts), max(map(len, prompts))))
        new = [answer_length(len(prompt)) for prompt in prompts]
        self.rows += new
        return self.said(len(self.rows) - len(new))

    def step(self):
        self.steps[len(self.rows)] += 1
        return self.said(0)

    def said(self, start):
        for place in range(start, len(self.rows)):
            self.rows[place] -= 1
        return [STOP if left == 0 else 0 for left in self.rows[start:]]

    def keep(self, places):
        self.rows = [self.rows[place] for place in places]


made, STOP = [], 500


def answer_length(prompt):
    return 1 + prompt * 7919 % 32


@settings(max_examples=40)
@given(prompts=st.lists(st.integers(1, 300), min_size=1, max_size=70), batch_size=st.integers(1, 20))
def test_the_passes_are_those_that_predict_makes(prompts, batch_size):
    made.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "Decoder", Counted)
        generation.generate(None, Lengthwise(STOP), [str(n) for n in prompts], 32, batch_size, "")
    planned = answer_passes(prompts, list(map(answer_length, prompts)), 32, batch_size)
    assert planned == Passes(made[0].prefills, made[0].steps)
    assert sum(prefill.rows for prefill in planned.prefills) == len(prompts)
    passes = len(prompts) + sum(rows * count for rows, count in planned.steps.items())
    assert passes == sum(map(answer_length, prompts))


def test_a_tuned_model_answers_at_the_length_of_the_references():
    assert answer_lengths([10, 40, 20, 30], 128, tuned=True) == [10, 40, 20, 30]
    assert answer_lengths([10, 40, 20, 30], 32, tuned=True) == [10, 32, 20, 30]
    assert answer_lengths([10, 40, 20, 30], 128, tuned=False) == [128] * 4
    assert answer_lengths([10] * 76, 128, tuned=True).count(128) == 2  # one of so many does not end


def test_prediction_time_is_linear_in_rows_and_in_tokens():
    measured = [Decoding(10, 800, 1.0, 0.1), Decoding(20, 1600, 2.0, 0.2)]
    assert prediction_seconds(Passes([Prefill(15, 80)], {15: 10}), measured) == pytest.approx(1.5 + 10 * 0.15)
    assert prediction_seconds(Passes([Prefill(40, 80)], {}), measured) == pytest.approx(4.0)
    assert prediction_seconds(Passes([Prefill(5, 80)], {}), measured[:1]) == pytest.approx(0.5)
    twice = [Decoding(10, 800, 1.0, 0.1), Decoding(10, 800, 3.0, 0.1)]
    assert prediction_seconds(Passes([Prefill(10, 80)], {}), twice) == pytest.approx(2.0)


def test_validations_and_checkpoints_are_counted():
    assert saves(100, 0.1, 15, train_seconds=60) == (10, 10)
    assert saves(75, 0.25, 15, train_seconds=60) == (4, 4)  # 19, 38, 57, 75
    assert saves(100, 0.5, 15, train_seconds=2 * HOUR) == (2, 10)  # an hour between: four more in each
    assert saves(1, 0.1, 15, train_seconds=1) == (1, 1)


def test_money_energy_and_memory():
    assert money(2 * HOUR, 3.5) == 7.0
    assert money(HOUR, None) is None
    assert energy_kwh(HOUR, 300.0) == pytest.approx(0.3)
    assert energy_kwh(HOUR, None) is None
    assert fits(14.9, 15.0)
    assert not fits(15.1, 15.0)
    assert not fits(None, 80.0)
    runs = [{"run": "a", "train_seconds": 1.0, "cost": None}, {"run": "base", "train_seconds": None, "cost": 2.0}]
    runs = [run | {"fits": True} for run in runs]
    assert totals(runs, ["train_seconds", "cost"]) == {"train_seconds": 1.0, "cost": None}


@pytest.mark.parametrize(
    ("jobs", "limit", "sessions", "weeks"),
    [
        ([Job("a", 5 * HOUR)], Limit(12), 1, 1),
        ([Job("a", 7 * HOUR), Job("b", 7 * HOUR)], Limit(12), 2, 1),  # b is not begun where it does not end
        ([Job("a", 12 * HOUR)] * 3, Limit(12), 3, 1),
        ([Job("a", 20 * HOUR, HOUR)], Limit(12), 2, 1),  # 11 hours are kept of the first
        ([Job("a", 23.5 * HOUR, HOUR)], Limit(12), 3, 1),
        ([Job("a", 8 * HOUR)] * 4, Limit(9, 30), 4, 2),  # three a week
        ([Job("a", 60 * HOUR, 0.1 * HOUR)], Limit(9, 30), 9, 3),
        ([Job("a", 10 * HOUR)], Limit(9, 30), None, None),
        ([Job("a", 10 * HOUR, 10 * HOUR)], Limit(9, 30), None, None),  # no checkpoint within a session
        ([], Limit(9), 1, 1),
    ],
)
def test_a_study_is_packed_into_sessions(jobs, limit, sessions, weeks):
    found = pack(jobs, limit, set_up_seconds=0)
    assert (found.sessions, found.weeks) == (sessions, weeks)
    assert (found.too_long == "a") == (sessions is None)


def test_setting_up_a_session_takes_its_time():
    assert pack([Job("a", 2 * HOUR - 300)], Limit(2)).sessions == 1
    assert pack([Job("a", 2 * HOUR - 299)], Limit(2)).too_long == "a"


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("0.5B", 494_032_768), ("1.5B", 1_543_714_304), ("3B", 3_085_938_688), ("7B", 7_615_616_512)],
)
def test_known_shapes_have_as_many_weights_as_the_models(tmp_path, name, parameters):
    shape = shape_of(HUB | {"id": f"Qwen/Qwen2.5-{name}-Instruct"}, tmp_path / "manifest.json")
    assert shape.config == SHAPES[f"Qwen/Qwen2.5-{name}"]
    assert empty_model(config_of(shape)).num_parameters() == parameters


def test_an_unknown_shape_is_told_with_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"somebody/Model-9B is not known.*config\.json.*fetch"):
        shape_of(HUB | {"id": "somebody/Model-9B"}, tmp_path / "Model-9B" / "manifest.json")
    with pytest.raises(UserError, match=r"model\.path"):
        shape_of(HUB | {"source": "local", "path": str(tmp_path)}, tmp_path / "Model-9B" / "manifest.json")


def test_a_config_beside_the_model_to_come_suffices(tmp_path):
    folder = tmp_path / "models" / "Model-9B"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(SHAPES["Qwen/Qwen2.5-0.5B"]))
    shape = shape_of(HUB | {"id": "somebody/Model-9B"}, folder / "manifest.json")
    assert shape.folder is None
    assert empty_model(config_of(shape)).num_parameters() == 494_032_768


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_random_weights_are_loaded_as_the_real_ones_are(method):
    tiny = {"vocab_size": 600, "hidden_size": 64, "layers": 2, "steps": 1, "seed": 0}
    model = load_shape(Shape("tiny", "", tiny=tiny), method, {"quant_type": "nf4", "double_quant": True}, "fp32")
    linear = [type(m).__name__ for name, m in model.named_modules() if name.endswith("_proj")]
    assert set(linear) == {"Linear4bit" if method == "qlora" else "Linear"}
    assert len(linear) == 2 * 7
    assert not any(parameter.requires_grad for parameter in model.parameters())
    ids = torch.arange(20)[None]
    logits = model(input_ids=ids).logits
    assert torch.isfinite(logits).all()
    assert logits.std() > 0


def test_lengths_are_the_default_until_there_are_rows(tmp_path):
    sizes = {"train_20k": 20000, "validation": 100}
    found = study_lengths(sizes, tmp_path, tmp_path / "manifest.json", {}, None, 512)
    totals = sorted(row.total for row in found.parts["train_20k"])
    assert sum(totals) / 20000 == pytest.approx(176, abs=3)
    assert totals[19800] == pytest.approx(267, abs=12)
    assert "default" in found.source
    assert max(row.total for row in default_rows(500, 200)) == 200


def test_a_sample_of_rows_stands_for_all():
    rows = [Row(length, length // 2) for length in range(20, 320)]
    random.Random(0).shuffle(rows)
    sample = spread(rows, 30)
    assert len(sample) == 30
    assert sum(row.total for row in sample) / 30 == pytest.approx(169.5, abs=1)
    assert spread(rows[:1], 3) == rows[:1] * 3
    assert spread(rows, 300) == sorted(rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a card measures whole batches")
def test_a_step_that_would_take_minutes_is_measured_with_fewer_rows():
    rows = [Row(176, 100)] * 4
    assert rows_at_once(16, 1_000_000, rows) == 16
    assert rows_at_once(16, 3_000_000_000, rows) == 1
    assert [len(part) for part in batches(list(range(10)), 4)] == [4, 4, 2]


@pytest.mark.workflow
def test_a_plan_of_a_small_study_fetches_nothing_and_tells_each_run(tmp_path):
    copy = Copy(tmp_path / "copy")
    asked = {"exams": {"facts": {"source": "demo", "rows": 40}}, "retention": {"source": "demo", "rows": 10}}
    copy.configure(study={"sizes": [16, 32], "test_size": 8, "validation_size": 6}, evaluation=asked)
    output = copy.run("plan", "--cores", "2", "--resources", "gpu=1").stdout
    plan = json.loads((copy.folder / "results" / "plan" / "plan.json").read_text(encoding="utf-8"))
    names = ["lora_16", "lora_32", "qlora_16", "qlora_32", "base"]
    assert [run["run"] for run in plan["runs"]] == names
    assert [run["steps"] for run in plan["runs"]] == [4, 8, 4, 8, None]
    assert all(run["fits"] and run["predict_seconds"] > 0 for run in plan["runs"])
    assert plan["runs"][1]["train_seconds"] > plan["runs"][0]["train_seconds"] > 0
    assert plan["totals"]["train_seconds"] > 0
    assert [(each["name"], each["count"]) for each in plan["examined"]["sets"]] == [("facts", 40), ("retention", 10)]
    assert all(run["examine_seconds"] > 0 for run in plan["runs"])
    examined = sum(run["examine_seconds"] for run in plan["runs"])
    assert plan["totals"]["examine_seconds"] == pytest.approx(examined, abs=0.001)
    *tuned, base = (run["peak_memory_gib"]["allocated"] for run in plan["runs"])
    assert 0 < base < min(tuned)  # the base model is not trained
    assert plan["sessions"]["kaggle"]["study"] == {"sessions": 1, "weeks": 1, "too_long": None}
    assert plan["model"]["random_weights"]
    text = (copy.folder / "results" / "plan" / "plan.md").read_text(encoding="utf-8")
    assert text == plan_text(plan)
    assert all(f"| {name} " in output for name in names)
    assert not (copy.folder / "resources" / "models").exists()
    assert not (copy.folder / "results" / "data").exists()
    assert copy.plan("plan") == {"plan": 1}  # it measures anew at each call
    assert "plan" not in copy.plan()


def test_the_trained_model_is_gone_when_prediction_is_measured(monkeypatch):
    """The Trainer and its callbacks hold each other: without a search for such circles its memory would count twice."""

    class Circle:
        def __init__(self):
            self.itself = self

    kept = []

    def training(*_):
        circle = Circle()
        kept.append(weakref.ref(circle))
        return "training"

    def prediction(*_):
        assert kept[0]() is None
        return "prediction"

    monkeypatch.setattr(forecast, "leave_out", lambda *_: None)
    monkeypatch.setattr("medscale.plan.training.measure_training", training)
    monkeypatch.setattr("medscale.plan.prediction.measure_prediction", prediction)
    settings = {"training": {"optimizer": "adamw_torch"}}
    task = forecast.Task(None, "lora", settings, [], [], None, [], torch.get_num_threads(), 1.0)
    gc.disable()
    try:
        found = forecast.measure(task)
    finally:
        gc.enable()
    assert found[:2] == ("training", "prediction")


@pytest.mark.parametrize("has_tokenizer", [True, False])
def test_lengths_of_a_corpus_of_dialogues_are_those_of_its_samples(tmp_path, tiny_model, has_tokenizer):
    turns = [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 2, "头胃肺脑", strict=True)]
    (tmp_path / "rows.jsonl").write_text(json.dumps({"messages": turns}) + "\n", encoding="utf-8")
    manifest = write_manifest(tmp_path, kind="data", source="file")
    chat = Chat(load_tokenizer(tiny_model), "医生") if has_tokenizer else None
    reading = reading_settings(resolve({}))
    found = study_lengths({"train_1k": 1000}, tmp_path / "encoded", manifest, reading, chat, 512)
    assert "the first 1 rows of the corpus" in found.source
    rows = set(found.parts["train_1k"])
    if chat is not None:
        samples = chat.samples([Question("头"), Question("肺", (("头", "胃"),))], ["胃", "脑"], 512)
        assert rows == {Row(len(s.input_ids), sum(label >= 0 for label in s.labels)) for s in samples}
    else:
        assert rows == {Row(43, 2), Row(44, 2)}
