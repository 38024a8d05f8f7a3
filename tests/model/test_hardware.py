"""A card that torch cannot use is an error that says what to do, and never a run on the CPU."""

import subprocess
import sys

import pytest
import torch

from fake_nvml import FakeCard, FakeNvml
from medscale.base import cards
from medscale.base.cards import Card
from medscale.base.errors import UserError
from medscale.model import hardware
from medscale.model.hardware import device, unusable
from places import SCRIPTS

T4 = Card("GPU-a000", "Tesla T4")
CU126 = "--extra-index-url https://download.pytorch.org/whl/cu126"


@pytest.mark.parametrize(
    ("driver", "cuda", "words"),
    [
        ("550.54.15", "13.0", ["Tesla T4 is here (driver 550.54.15)", "CUDA 13.0 needs driver 580", CU126]),
        ("470.10", "13.0", ["needs driver 580", "update the driver to 580 or newer"]),
        ("550.54.15", None, ["it is a build for CPUs", CU126]),
        ("595.1", None, ["it is a build for CPUs", "pip install --force-reinstall -r requirements.lock;"]),
        ("595.1", "13.0", ["torch.cuda.init()"]),
        (None, "13.0", ["driver unknown", "torch.cuda.init()"]),
    ],
)
def test_why_a_card_cannot_be_used(driver, cuda, words):
    said = str(unusable(T4, driver, cuda, "2.13.0"))
    assert all(word in said for word in [*words, 'set CUDA_VISIBLE_DEVICES=""']), said


def test_a_card_that_torch_does_not_see_is_an_error(monkeypatch):
    """This machine's torch is blind to cards; the driver says there is one."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(cards, "pynvml", FakeNvml([FakeCard("GPU-a000")], driver="550.54.15"))
    with pytest.raises(UserError, match=r"Card GPU-a000 is here \(driver 550\.54\.15\), and torch .* cannot use it"):
        device()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device().type == "cpu"


def test_a_card_too_old_for_this_build_is_told_which_build_to_install(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (6, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla P100")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80"])
    monkeypatch.setattr(hardware, "driver_version", lambda: "595.1")
    with pytest.raises(UserError, match=r"Tesla P100 has compute capability 6\.0.*whl/cu126"):
        device()


@pytest.mark.parametrize("script", ["finetune", "predict", "plan"])
def test_a_job_chooses_its_card_before_it_imports_torch(script):
    """bitsandbytes starts CUDA when it is imported, and CUDA looks once which cards are visible."""
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import {script}; "
        "print({'torch', 'transformers', 'bitsandbytes', 'peft'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
