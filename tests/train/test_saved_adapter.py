"""What a trained adapter must be: of numbers, changed by training, and loadable by who has the base model."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from medscale.base.errors import UserError
from medscale.fetch.manifest import read_manifest
from medscale.model.loading import add_adapter, load_base
from medscale.train.saved_adapter import name_base, require_trained

LORA = {"r": 2, "alpha": 4, "dropout": 0.0, "target_modules": ["q_proj"], "use_rslora": False}
STATE = SimpleNamespace(global_step=7, best_global_step=2)


@pytest.fixture
def adapted(tiny_model):
    return add_adapter(load_base(tiny_model.parent, "lora", {}, "fp32"), LORA, seed=1)


def grow(model, value=0.1):
    with torch.no_grad():
        next(weight for name, weight in model.named_parameters() if "lora_B" in name)[0, 0] = value


def test_an_adapter_that_training_changed_is_one(adapted, tmp_path):
    grow(adapted)
    assert require_trained(adapted, STATE, tmp_path) is None


def test_an_adapter_that_no_step_changed_is_refused(adapted, tmp_path):
    with pytest.raises(UserError, match=r"after 7 steps what it was before.*training\.warmup_ratio"):
        require_trained(adapted, STATE, tmp_path)
    (tmp_path / "checkpoint-7").mkdir()
    save_file({"a.lora_B.weight": torch.zeros(2)}, tmp_path / "checkpoint-7" / "adapter_model.safetensors")
    with pytest.raises(UserError, match="after 7 steps"):
        require_trained(adapted, STATE, tmp_path)


def test_where_training_only_did_harm_it_is_told(adapted, tmp_path):
    (tmp_path / "checkpoint-7").mkdir()
    save_file({"a.lora_B.weight": torch.ones(2)}, tmp_path / "checkpoint-7" / "adapter_model.safetensors")
    assert "that of step 2, is of an adapter that changes nothing" in require_trained(adapted, STATE, tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_no_numbers_are_refused(adapted, tmp_path, value):
    grow(adapted, value)
    with pytest.raises(UserError, match=r"no numbers after step 7.*training\.learning_rate"):
        require_trained(adapted, STATE, tmp_path)


@pytest.mark.parametrize(
    ("facts", "name", "revision"),
    [
        (
            {"source": "modelscope", "id": "Qwen/Qwen2.5-3B-Instruct", "revision": "c1"},
            "Qwen/Qwen2.5-3B-Instruct",
            "c1",
        ),
        ({"source": "local", "id": "net", "revision": None}, "net", None),
        ({"source": "tiny", "id": None, "revision": None}, "tiny", None),
    ],
)
def test_an_adapter_names_its_base_as_others_know_it(adapted, tiny_model, tmp_path, facts, name, revision):
    grow(adapted)
    adapted.save_pretrained(tmp_path)
    name_base(tmp_path, read_manifest(tiny_model) | facts)
    settings = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (settings["base_model_name_or_path"], settings["revision"]) == (name, revision)
    for path in tmp_path.iterdir():
        assert str(tiny_model.parent).encode() not in path.read_bytes(), path.name
    ids = torch.arange(12).view(1, 12)
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model.parent), tmp_path).eval()
    torch.testing.assert_close(loaded(ids).logits, adapted.eval()(ids).logits)
