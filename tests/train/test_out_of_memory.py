"""Out of memory is a fallback and not a crash: what is tried, in which order, and what the record says."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from medscale.base.errors import UserError
from medscale.base.events import EventLog
from medscale.train import run
from medscale.train.fitting import Fit


@pytest.fixture
def study(tmp_path):
    return SimpleNamespace(
        args=SimpleNamespace(model="manifest.json", method="lora"),
        title="fine-tuning",
        by_row=False,
        settings={"training": {"precision": "fp32"}, "quantization": {}},
        events=EventLog(tmp_path / "events.jsonl"),
        memory=SimpleNamespace(restart=lambda: None, allocated=lambda: 1.0),
    )


@pytest.fixture
def attempts(monkeypatch):
    """The attempts that were made, as rows and checkpointed layers; each fails until `fits` says otherwise."""
    made = SimpleNamespace(tried=[], fits=lambda rows, checkpointed: False)

    def attempt(study, model, load_peak, fit):
        made.tried.append((fit.rows, fit.checkpointed))
        if not made.fits(fit.rows, fit.checkpointed):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore words")
        return "trainer", {"micro_batch": fit.rows}

    monkeypatch.setattr(run, "load", lambda study: (SimpleNamespace(config=None), 1.0))
    monkeypatch.setattr(run, "fit_to_device", lambda study, config: Fit(6, 4, 36))
    monkeypatch.setattr(run, "attempt", attempt)
    return made


def test_first_every_layer_is_checkpointed_at_the_same_micro_batch(study, attempts):
    attempts.fits = lambda rows, checkpointed: checkpointed == 36
    assert run.finetune(study) == ("trainer", {"micro_batch": 6})
    assert attempts.tried == [(6, 4), (6, 36)]
    (event,) = study.events.all()
    assert event["kind"] == "fallback"
    assert event["message"] == "out of memory with micro_batch 6: CUDA out of memory. Tried to allocate 2 GiB."
    assert event["action"] == "gradient checkpointing in every layer"


def test_then_the_micro_batch_halves_until_it_fits(study, attempts):
    attempts.fits = lambda rows, checkpointed: rows <= 1
    assert run.finetune(study) == ("trainer", {"micro_batch": 1})
    assert attempts.tried == [(6, 4), (6, 36), (3, 36), (1, 36)]
    assert [event["action"] for event in study.events.all()[1:]] == ["micro_batch 3", "micro_batch 1"]


def test_what_never_fits_ends_with_advice(study, attempts):
    with pytest.raises(UserError, match=r"with micro_batch 1.*even one sample.*training\.max_length"):
        run.finetune(study)
    assert attempts.tried[-1] == (1, 36)


def test_a_model_that_does_not_fit_is_not_tried_again(study, monkeypatch):
    def load_base(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(run, "root_of", lambda manifest: manifest)
    monkeypatch.setattr(run, "load_base", load_base)
    with pytest.raises(UserError, match="the model alone does not fit"):
        run.finetune(study)
    assert not study.events.all()


@pytest.mark.parametrize("fast", [True, False])
def test_a_model_that_keeps_its_own_loss_is_told(study, monkeypatch, fast):
    trainer = SimpleNamespace(state=None, answer_loss=fast, train=lambda **_: None, add_callback=lambda callback: None)
    study.settings = {"training": {"precision": "fp32", "early_stopping_patience": None}, "lora": {}}
    study.args.report_to, study.provenance = [], {}
    study.args.seed, study.folder, study.train, study.validation, study.energy = 1, None, [], [], None
    arguments = SimpleNamespace(main_process_first=lambda local: nullcontext())
    fakes = {
        "usable": lambda training: (training, []),
        "add_adapter": lambda model, lora, seed: model,
        "trainer_arguments": lambda *_: arguments,
        "make_trainer": lambda *_: trainer,
        "load_tokenizer": lambda manifest: None,
        "checkpoint_layers": lambda model, count: None,
        "tracked": lambda *_: nullcontext(SimpleNamespace(came_to=lambda facts, state: None)),
        "resume_point": lambda study: (None, None),
        "planned_steps": lambda rows, training: 10,
        "require_trained": lambda model, state, folder: None,
        "require_room": lambda folder, model, training, steps: None,
        "trainable_parameters": lambda model: 7,
        "peak_memory": lambda study, load_peak: {},
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(run, name, fake)
    _, facts = run.attempt(study, SimpleNamespace(), 1.0, Fit(4, 2, 36, 6.8764))
    assert [event["kind"] for event in study.events.all()] == ([] if fast else ["warning"])
    assert fast or "computes the logits of every token" in study.events.all()[0]["message"]
    names = ("micro_batch", "gpus", "gradient_checkpointing", "checkpointed_layers", "simulated_peak_gib")
    assert [facts[name] for name in names] == [4, 1, True, 2, 6.876]
