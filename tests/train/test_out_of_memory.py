"""Out of memory is a fallback and not a crash: what is tried, in which order, and what the record says."""

from types import SimpleNamespace

import pytest
import torch

from medscale.base.errors import UserError
from medscale.base.events import EventLog
from medscale.train import run


@pytest.fixture
def study(tmp_path):
    return SimpleNamespace(
        args=SimpleNamespace(model="manifest.json", method="lora"),
        settings={
            "training": {"micro_batch": 6, "gradient_checkpointing": "auto", "precision": "fp32"},
            "quantization": {},
        },
        events=EventLog(tmp_path / "events.jsonl"),
        memory=SimpleNamespace(restart=lambda: None, allocated=lambda: 1.0),
    )


@pytest.fixture
def attempts(monkeypatch):
    """The attempts that were made; each fails until `fits` says otherwise."""
    made = SimpleNamespace(tried=[], fits=lambda micro_batch, checkpointing: False)

    def attempt(study, model, load_peak, micro_batch, checkpointing):
        made.tried.append((micro_batch, checkpointing))
        if not made.fits(micro_batch, checkpointing):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore words")
        return "trainer", {"micro_batch": micro_batch}

    monkeypatch.setattr(run, "load", lambda study: (object(), 1.0))
    monkeypatch.setattr(run, "attempt", attempt)
    return made


def test_the_micro_batch_halves_until_it_fits(study, attempts):
    attempts.fits = lambda micro_batch, checkpointing: micro_batch <= 1
    assert run.finetune(study) == ("trainer", {"micro_batch": 1})
    assert attempts.tried == [(6, "auto"), (3, "auto"), (1, "auto")]
    events = study.events.all()
    assert [event["kind"] for event in events] == ["fallback", "fallback"]
    assert events[0]["message"] == "out of memory with micro_batch 6: CUDA out of memory. Tried to allocate 2 GiB."
    assert events[0]["action"] == "micro_batch 3, more accumulation"


def test_then_every_layer_is_checkpointed(study, attempts):
    attempts.fits = lambda micro_batch, checkpointing: checkpointing is True
    run.finetune(study)
    assert attempts.tried[-2:] == [(1, "auto"), (1, True)]
    assert study.events.all()[-1]["action"] == "gradient checkpointing in every layer"


def test_what_never_fits_ends_with_advice(study, attempts):
    with pytest.raises(UserError, match=r"with micro_batch 1.*even one sample.*training\.max_length"):
        run.finetune(study)
    assert attempts.tried[-1] == (1, True)


def test_a_model_that_does_not_fit_is_not_tried_again(study, monkeypatch):
    def load_base(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(run, "root_of", lambda manifest: manifest)
    monkeypatch.setattr(run, "load_base", load_base)
    with pytest.raises(UserError, match="the model alone does not fit"):
        run.finetune(study)
    assert not study.events.all()
