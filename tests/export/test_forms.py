"""The forms of an export: loaded plainly, they are the run that was measured; a tampered one is told."""

import json

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from export_run import NF4, QUESTIONS, ROWS, SETTINGS, SYSTEM, predictions_of, write_adapter
from medscale.export.fidelity import compare, warning_of
from medscale.export.making import merged, ship_adapter, ship_merged, write_chat
from medscale.export.measuring import Form, measure
from medscale.model.chat import Chat
from medscale.model.tokenizer import load_tokenizer


@pytest.fixture(scope="module")
def chat(tiny_model):
    return Chat(load_tokenizer(str(tiny_model)), SYSTEM)


@pytest.fixture(scope="module", params=["lora", "qlora"])
def run(request, tiny_model, chat, tmp_path_factory):
    """A run: its method, its adapter, and its predictions, made as predict.py makes them."""
    method, folder = request.param, tmp_path_factory.mktemp(request.param)
    write_adapter(folder / "adapter", tiny_model, method)
    predictions = predictions_of(folder / "adapter", tiny_model, method, chat)
    return method, folder / "adapter", predictions


def measured(run, kind, path, base, chat):
    method, _, predictions = run
    with torch.inference_mode():
        found = measure(Form(kind, path, base, method, NF4, "fp32"), chat, ROWS, SETTINGS, path)
    return compare(predictions, found["rows"], 200) | {"prompts_identical": found["prompts_identical"]}, found


def test_the_shipped_adapter_is_the_run(run, tiny_model, chat, tmp_path):
    ship_adapter(run[1], tmp_path / "adapter", chat)
    told, found = measured(run, "adapter", tmp_path / "adapter", tiny_model.parent, chat)
    assert abs(told["difference"]) < 1e-5
    assert told["mean_absolute_difference"] < 1e-5
    assert told["identical_answers"] == 1
    assert told["prompts_identical"] == len(ROWS)
    assert warning_of(told, 0.001, 1.0) is None
    assert found["dtype"] == ("uint8" if run[0] == "qlora" else "float32")


def test_marks_of_the_workflow_are_not_shipped(run, chat, tmp_path):
    (run[1] / ".snakemake_timestamp").touch()
    ship_adapter(run[1], tmp_path / "adapter", chat)
    names = {path.name for path in (tmp_path / "adapter").iterdir()}
    assert "adapter_model.safetensors" in names
    assert ".snakemake_timestamp" not in names


def test_it_loads_with_plain_peft_and_names_its_base(run, tiny_model, chat, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    ship_adapter(run[1], tmp_path / "adapter", chat)
    base = AutoModelForCausalLM.from_pretrained(tiny_model.parent)
    model = PeftModel.from_pretrained(base, tmp_path / "adapter")
    trained = load_file(run[1] / "adapter_model.safetensors")
    held = {name.replace(".default", ""): weight for name, weight in model.named_parameters() if "lora_" in name}
    assert {name: weight.tolist() for name, weight in held.items()} == {
        name: weight.tolist() for name, weight in trained.items()
    }
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "adapter")
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "感冒怎么办"}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert ids == chat.prompt_ids("感冒怎么办")
    assert not (tmp_path / "adapter" / "README.md").exists(), "PEFT's own card says nothing"


@pytest.mark.parametrize("into", ["base", "dequantized"])
def test_merged_weights_are_the_run_as_far_as_they_can_be(run, tiny_model, chat, tmp_path, into):
    if run[0] == "lora" and into == "dequantized":
        pytest.skip("LoRA has weights of one kind")
    ship_merged(tiny_model.parent, run[1], tmp_path / "merged", chat, into, SETTINGS, "fp32")
    told, found = measured(run, "merged-base", tmp_path / "merged", tiny_model.parent, chat)
    assert told["prompts_identical"] == len(ROWS)
    assert found["dtype"] == "float32"
    if (run[0] == "qlora") == (into == "dequantized"):
        assert told["mean_absolute_difference"] < 1e-4
        assert told["identical_answers"] == 1
    else:  # of 4 bits to another model
        assert told["mean_absolute_difference"] > 1e-3
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert "quantization_config" not in config
    assert str(tiny_model.parent) not in json.dumps(config)
    assert config["tie_word_embeddings"] is True


def test_plain_generate_answers_as_the_run_did(run, tiny_model, chat, tmp_path):
    into = "dequantized" if run[0] == "qlora" else "base"
    ship_merged(tiny_model.parent, run[1], tmp_path / "merged", chat, into, SETTINGS, "fp32")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTIONS[2]}]
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    answer = model.generate(**inputs)[0, inputs["input_ids"].shape[1] :]
    assert tokenizer.decode(answer, skip_special_tokens=True).strip() == run[2][2]["predict"]


def test_an_adapter_that_was_tampered_with_is_warned_of(run, tiny_model, chat, tmp_path):
    ship_adapter(run[1], tmp_path / "adapter", chat)
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file({name: 1.5 * weight for name, weight in load_file(file).items()}, file)
    ship_merged(tiny_model.parent, tmp_path / "adapter", tmp_path / "merged", chat, "base", SETTINGS, "fp32")
    told, _ = measured(run, "merged-base", tmp_path / "merged", tiny_model.parent, chat)
    assert "nats per token, beyond the tolerance of 0.01" in warning_of(told, 0.01, 0.0)["en"]


def test_another_template_is_noticed(run, tiny_model, chat, tmp_path):
    ship_adapter(run[1], tmp_path / "adapter", chat)
    template = tmp_path / "adapter" / "chat_template.jinja"
    template.write_text(template.read_text(encoding="utf-8").replace("<|im_end|>", "<|im_end|> "), encoding="utf-8")
    told, _ = measured(run, "adapter", tmp_path / "adapter", tiny_model.parent, chat)
    assert told["prompts_identical"] == 0
    assert "other prompts for 6 of 6" in warning_of(told, 1.0, 0.0)["en"]


def test_the_dequantized_base_is_what_four_bits_compute(tiny_model, run):
    if run[0] == "lora":
        pytest.skip("of 4 bits only")
    model = merged(tiny_model.parent, run[1], "dequantized", NF4, "bf16")
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert not getattr(model, "is_quantized", False)


def test_what_the_texts_say_of_the_ends_and_of_the_prompt(chat, tmp_path):
    write_chat(chat, SYSTEM, tmp_path / "chat.json")
    told = json.loads((tmp_path / "chat.json").read_text(encoding="utf-8"))
    assert told["stop_texts"] == ["<|im_end|>"]
    assert told["stop_ids"] == chat.stop_ids
    assert told["untranslatable"] is None
    assert told["prompt"] == str(chat.prompt("头痛三天，怎么办？"))
