"""Which precision a machine computes in, by what its card can do and not by what PyTorch calls supported."""

import pytest
import torch

from medscale.model import precision as module
from medscale.model.precision import precision, torch_dtype


@pytest.fixture
def card(monkeypatch):
    """Give the machine a card of a compute capability, for which PyTorch says that it knows bf16."""

    def plug_in(*capability):
        monkeypatch.setattr(module, "device", lambda: torch.device("cuda", 0))
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)

    return plug_in


@pytest.mark.parametrize(
    ("capability", "kind"),
    [
        *(((6, 0), "fp16"), ((7, 0), "fp16"), ((7, 5), "fp16"), ((7, 9), "fp16")),  # P100, V100, T4
        *(((8, 0), "bf16"), ((8, 6), "bf16"), ((8, 9), "bf16"), ((9, 0), "bf16"), ((12, 0), "bf16")),  # A100 and on
    ],
)
def test_bf16_begins_with_ampere(card, capability, kind):
    card(*capability)
    assert precision() == precision("auto") == kind


@pytest.mark.parametrize("asked", ["bf16", "fp16", "fp32"])
def test_what_is_asked_for_is_taken(card, asked):
    card(7, 5)
    assert precision(asked) == asked


def test_a_cpu_computes_in_fp32(monkeypatch):
    monkeypatch.setattr(module, "device", lambda: torch.device("cpu"))
    assert precision() == "fp32"


def test_names_of_types():
    assert [torch_dtype(name) for name in ("bf16", "fp16", "fp32")] == [torch.bfloat16, torch.float16, torch.float32]
