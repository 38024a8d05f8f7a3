"""An export from a run's files to the folder: what is made, measured, told, kept after a failure, and refused."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml

import synthetic
from export_run import CONVERTER, SETTINGS, write_run
from medscale.base.files import read_json, sha256_file, write_json
from places import SCRIPTS


@pytest.fixture(scope="module")
def finished(tiny_model, tmp_path_factory):
    """The folder of a run of the tiny model, and the arguments of export.py for it."""
    folder = tmp_path_factory.mktemp("export") / "study"
    return folder, write_run(folder, tiny_model)


def export(arguments, tmp_path, check=True, settings=None, **environment):
    told = SETTINGS | {"export": SETTINGS["export"] | (settings or {})}
    command = [sys.executable, SCRIPTS / "export.py", *arguments, "--settings", json.dumps(told)]
    empty = tmp_path / "empty"
    empty.mkdir(exist_ok=True)
    variables = {"PATH": str(empty), "MEDSCALE_LOCK_DIR": str(tmp_path / "locks"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=variables | environment, capture_output=True, text=True, encoding="utf-8")
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """The export with a converter that only pretends, and what was printed."""
    folder, arguments = finished
    scratch = tmp_path_factory.mktemp("converter")
    (scratch / "convert_hf_to_gguf.py").write_text(CONVERTER, encoding="utf-8")
    done = export(arguments, scratch, settings={"measure_gguf": False}, LLAMA_CPP=str(scratch))
    return folder / "results" / "lora_16" / "export", done.stdout


def test_every_form_is_made_and_is_the_run(exported):
    folder, said = exported
    told = read_json(folder / "export.json")
    assert told["sample"]["items"] == 4
    assert told["sample"]["of"] == 6
    for name in ("adapter", "merged"):
        form = told["forms"][name]
        assert form["made"]
        assert abs(form["difference"]) < 1e-5, name
        assert form["identical_answers"] == 1
        assert form["prompts_identical"] == form["items"] == 4
        assert form["warning"] is None
    assert told["forms"]["merged"]["into"] == "base"
    assert told["forms"]["gguf"]["made"]
    assert not told["forms"]["gguf"]["measured"]
    assert "not measured (export.measure_gguf is false)" in told["forms"]["gguf"]["warning"]["en"]
    assert "warning: gguf: made, but not measured" in said


def test_every_file_is_listed_with_its_digest(exported):
    folder, _ = exported
    listed = {
        file["path"]: file for form in read_json(folder / "export.json")["forms"].values() for file in form["files"]
    }
    there = {path.relative_to(folder).as_posix() for path in folder.glob("*/*") if path.name != "README.md"}
    assert set(listed) == there
    for path, file in listed.items():
        assert sha256_file(folder / path) == file["sha256"]
        assert (folder / path).stat().st_size == file["bytes"]
    assert {"adapter/adapter_model.safetensors", "adapter/chat_template.jinja", "merged/model.safetensors"} <= there
    assert "merged/generation_config.json" in there
    assert "gguf/lora_16-f32.gguf" in there
    assert {path.name for path in folder.parent.iterdir()} >= {"export"}
    assert not (folder.parent / "exporting").exists(), "the parts were moved"


def test_no_file_names_a_folder_of_this_machine_or_holds_a_row_of_the_corpus(exported, finished, tiny_model):
    folder, _ = exported
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for place in (finished[0], tiny_model.parent, SCRIPTS):
                assert str(place).encode() not in content, path
            assert "第三个问题".encode() not in content, path


def test_the_head_of_each_card_is_what_a_hub_reads(exported):
    folder, _ = exported
    for name, library in (("", "peft"), ("adapter", "peft"), ("merged", "transformers"), ("gguf", "gguf")):
        text = (folder / name / "README.md").read_text(encoding="utf-8")
        head = yaml.safe_load(text.split("---\n")[1])
        assert head["library_name"] == library
        assert (head["license"], head["license_name"]) == ("other", "unknown")
        assert "base_model" not in head, "the tiny model is on no hub"
        assert head["language"] == ["zh"]
        (entry,) = head["model-index"]
        values = {row["name"]: row["value"] for row in entry["results"][0]["metrics"]}
        evaluation = synthetic.evaluation("lora", 20_000)
        assert values["ROUGE-L (F, jieba words)"] == pytest.approx(evaluation["metrics"]["rouge_l"]["f"], abs=1e-4)
        assert values["NLL (nats per answer token)"] == pytest.approx(evaluation["metrics"]["nll"]["value"], abs=1e-4)


def test_the_card_says_what_holds_in_both_languages(exported):
    text = (exported[0] / "README.md").read_text(encoding="utf-8")
    for said in ("no medical advice", "不提供医疗建议", "licence of the base model is not known", "基座模型的许可未知"):
        assert said in text
    assert text.count("| adapter |") == 2
    assert text.count("on 4 of the 6 test items (the first ones)") == 1
    assert "None" not in text
    assert not re.search(r"\{\{|\}\}|\{%", text)


def test_the_recipe_names_prompt_ends_and_greedy_decoding(exported, tiny_model):
    text = (exported[0] / "SERVING.md").read_text(encoding="utf-8")
    assert "<|im_start|>system\n你是医生。<|im_end|>\n<|im_start|>user\n头痛三天，怎么办？<|im_end|>" in text
    assert "`<|im_end|>` (2)" in text
    assert "--enable-lora --lora-modules lora_16=./adapter --max-lora-rank 8" in text
    assert "--generation-config vllm" in text
    assert "vllm serve ./merged" in text
    request = json.loads(re.search(r"-d '(\{.*\})'", text)[1])
    assert request["temperature"] == 0
    assert request["stop_token_ids"] == [2]
    assert request["messages"][0] == {"role": "system", "content": "你是医生。"}
    modelfile = (exported[0] / "Modelfile").read_text(encoding="utf-8")
    assert modelfile.startswith("FROM ./gguf/lora_16-f32.gguf\n")


def test_without_a_converter_it_is_told_what_to_call(finished, tmp_path):
    _, arguments = finished
    target = tmp_path / "run" / "export"
    done = export([*arguments, "--output", str(target)], tmp_path, settings={"forms": ["gguf"]}, check=False)
    assert done.returncode == 0, done.stderr
    form = read_json(target / "export.json")["forms"]["gguf"]
    assert not form["made"]
    assert "converter not found; to make it: git clone" in form["reason"]
    assert "git clone" in (target / "README.md").read_text(encoding="utf-8")
    assert not (target / "merged").exists()
    assert read_json(target / "export.json")["modelfile"]["made"] is False


def test_parts_that_were_made_before_a_failure_are_kept(finished, tmp_path):
    folder, arguments = finished
    target = tmp_path / "run" / "export"
    test = tmp_path / "test.jsonl"
    shutil.copy(folder / "test.jsonl", test)
    arguments = [*arguments, "--output", str(target), "--test", str(test)]
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif 'measure:adapter' in sys.argv: sys.exit('the card is gone')\n", encoding="utf-8"
    )
    failed = export(arguments, tmp_path, check=False, settings={"forms": ["adapter"]}, PYTHONPATH=str(tmp_path))
    assert failed.returncode == 1
    assert "measure:adapter of this export failed" in failed.stderr
    assert "[G106]" in failed.stderr
    (part,) = (tmp_path / "run" / "exporting").iterdir()
    before = (part / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns
    assert not target.exists()
    export(arguments, tmp_path, settings={"forms": ["adapter"]})
    assert (target / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns == before


def test_predictions_of_another_training_are_refused(finished, tmp_path):
    folder, arguments = finished
    record = read_json(folder / "results" / "lora_16" / "inference.json")
    record["provenance"]["fingerprint"] = "another"
    write_json(tmp_path / "inference.json", record)
    done = export([*arguments, "--inference", str(tmp_path / "inference.json")], tmp_path, check=False)
    assert done.returncode == 1
    assert "are of another training" in done.stderr
    assert "[G105]" in done.stderr
